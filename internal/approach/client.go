// Package approach reads the whole way to an origin for all commands: network interfaces with their security groups and
// the prefix lists that these refer to, the way from the Internet, load balancers, and the targets behind them.
package approach

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go"
)

// A Client holds the operations that this package calls. None of them changes anything. They are functions, not
// clients, so that a program links only the operations it calls: see [cloudfront-sg-sync/internal/engine.Narrow].
type Client struct {
	door.API
	networkACLs  operation[ec2.DescribeNetworkAclsInput, ec2.DescribeNetworkAclsOutput, ec2.Options]
	routeTables  operation[ec2.DescribeRouteTablesInput, ec2.DescribeRouteTablesOutput, ec2.Options]
	publicAccess operation[
		ec2.DescribeVpcBlockPublicAccessOptionsInput, ec2.DescribeVpcBlockPublicAccessOptionsOutput, ec2.Options]
	exclusions operation[
		ec2.DescribeVpcBlockPublicAccessExclusionsInput, ec2.DescribeVpcBlockPublicAccessExclusionsOutput, ec2.Options]

	loadBalancers operation[elb.DescribeLoadBalancersInput, elb.DescribeLoadBalancersOutput, elb.Options]
	listeners     operation[elb.DescribeListenersInput, elb.DescribeListenersOutput, elb.Options]
	targetGroups  operation[elb.DescribeTargetGroupsInput, elb.DescribeTargetGroupsOutput, elb.Options]
	attributes    operation[elb.DescribeTargetGroupAttributesInput, elb.DescribeTargetGroupAttributesOutput, elb.Options]
	targetHealth  operation[elb.DescribeTargetHealthInput, elb.DescribeTargetHealthOutput, elb.Options]
	rules         operation[elb.DescribeRulesInput, elb.DescribeRulesOutput, elb.Options]
}

type operation[In, Out, Options any] func(context.Context, *In, ...func(*Options)) (*Out, error)

// NewClient returns the operations of clients. The narrowed one is that of EC2 as well.
func NewClient(narrowed door.API, e *ec2.Client, l *elb.Client) Client {
	return Client{
		narrowed, e.DescribeNetworkAcls, e.DescribeRouteTables, e.DescribeVpcBlockPublicAccessOptions,
		e.DescribeVpcBlockPublicAccessExclusions, l.DescribeLoadBalancers, l.DescribeListeners, l.DescribeTargetGroups,
		l.DescribeTargetGroupAttributes, l.DescribeTargetHealth, l.DescribeRules,
	}
}

// all calls an operation until it returns no token, and returns the items of all its answers.
func all[In, Out, Options, Item any](
	ctx context.Context, call operation[In, Out, Options], in *In, token **string, items func(*Out) ([]Item, *string),
) (found []Item, err error) {
	for {
		out, err := call(ctx, in)
		if err != nil {
			return nil, err
		}
		some, next := items(out)
		found = append(found, some...)
		if *token = next; aws.ToString(next) == "" {
			return found, nil
		}
	}
}

// Complete adds to a scene the way from the Internet to its interfaces, and what is behind their load balancers. A call
// that is refused leaves a note where its data is missing; Complete fails only if the context ends.
func (c Client) Complete(ctx context.Context, s *door.Scene) error {
	c.readNetwork(ctx, s)
	s.Balancers = map[string]*door.Balancer{}
	for _, subject := range s.Subjects {
		i := subject.Interface
		if i == nil || i.LoadBalancer() == "" {
			continue
		}
		b, known := s.Balancers[i.LoadBalancer()]
		if !known {
			b = &door.Balancer{Name: i.LoadBalancer()}
			s.Balancers[b.Name] = b
			b.Err = c.readListeners(ctx, s, b)
		}
		b.Addresses = slices.Concat(b.Addresses, i.PrivateIPv4, i.IPv6)
	}
	return ctx.Err()
}

// unseen says in few words why a call failed that a verdict can do without.
func unseen(err error) error {
	if awserr.IsDenied(err) {
		return errors.New("grant the permission " + awserr.Permission(err))
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%s: %s", answer.ErrorCode(), answer.ErrorMessage())
	}
	return err
}
