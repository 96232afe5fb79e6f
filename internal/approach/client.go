// Package approach reads what else decides who gets in at a network interface, besides its security groups: the way
// from the Internet, and the targets behind a load balancer.
package approach

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go"
)

// A Client holds the operations that [Look] and [Client.Demands] call, and none of these changes anything. They are
// functions, not clients, so that a program links only the operations it calls: see [engine.Narrow].
//
// [engine.Narrow]: https://pkg.go.dev/cloudfront-sg-sync/internal/engine#Narrow
type Client struct {
	door.API
	networkACLs  operation[ec2.DescribeNetworkAclsInput, ec2.DescribeNetworkAclsOutput, ec2.Options]
	routeTables  operation[ec2.DescribeRouteTablesInput, ec2.DescribeRouteTablesOutput, ec2.Options]
	publicAccess operation[ec2.DescribeVpcBlockPublicAccessOptionsInput, ec2.DescribeVpcBlockPublicAccessOptionsOutput, ec2.Options]
	exclusions   operation[ec2.DescribeVpcBlockPublicAccessExclusionsInput, ec2.DescribeVpcBlockPublicAccessExclusionsOutput, ec2.Options]

	loadBalancers operation[elb.DescribeLoadBalancersInput, elb.DescribeLoadBalancersOutput, elb.Options]
	listeners     operation[elb.DescribeListenersInput, elb.DescribeListenersOutput, elb.Options]
	targetGroups  operation[elb.DescribeTargetGroupsInput, elb.DescribeTargetGroupsOutput, elb.Options]
	attributes    operation[elb.DescribeTargetGroupAttributesInput, elb.DescribeTargetGroupAttributesOutput, elb.Options]
	targetHealth  operation[elb.DescribeTargetHealthInput, elb.DescribeTargetHealthOutput, elb.Options]
	rules         operation[elb.DescribeRulesInput, elb.DescribeRulesOutput, elb.Options]
}

// operation is an operation of a service.
type operation[In, Out, Options any] func(context.Context, *In, ...func(*Options)) (*Out, error)

// NewClient returns the operations of clients. The narrowed one is that of EC2 as well.
func NewClient(narrowed door.API, e *ec2.Client, l *elb.Client) Client {
	return Client{
		narrowed, e.DescribeNetworkAcls, e.DescribeRouteTables, e.DescribeVpcBlockPublicAccessOptions, e.DescribeVpcBlockPublicAccessExclusions,
		l.DescribeLoadBalancers, l.DescribeListeners, l.DescribeTargetGroups, l.DescribeTargetGroupAttributes, l.DescribeTargetHealth, l.DescribeRules,
	}
}

// pages calls an operation until it returns no token. The token of an answer goes into the next request, by set.
func (call operation[In, Out, Options]) pages(ctx context.Context, in *In, token func(*Out) *string, set func(*In, *string)) ([]*Out, error) {
	var pages []*Out
	for {
		out, err := call(ctx, in)
		if err != nil {
			return nil, err
		}
		pages = append(pages, out)
		next := token(out)
		if next == nil || *next == "" {
			return pages, nil
		}
		set(in, next)
	}
}

// Look adds to a scene the way from the Internet to its interfaces, and what is behind their load balancers. A call
// that is refused leaves a note where its data is missing; Look fails only if the context ends.
func Look(ctx context.Context, s *door.Scene, c Client) error {
	var vpcs, subnets, balancers []string
	for _, subject := range s.Subjects {
		if i := subject.Interface; i != nil {
			vpcs, subnets = add(vpcs, i.VPC), add(subnets, i.Subnet)
			balancers = add(balancers, i.LoadBalancer())
		}
	}
	if len(subnets) > 0 {
		s.Network = &door.Network{Block: c.readBlock(ctx), Subnets: c.readSubnets(ctx, vpcs, subnets, s.Subjects)}
	}
	if len(balancers) > 0 {
		c.readBalancers(ctx, s, balancers)
	}
	return ctx.Err()
}

// unseen says in few words why a call failed that a verdict can do without.
func unseen(err error, permission string) error {
	if awserr.IsDenied(err) {
		return errors.New("grant the permission " + permission)
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%s: %s", answer.ErrorCode(), answer.ErrorMessage())
	}
	return err
}

// add adds an ID to a list that lacks it.
func add(list []string, id string) []string {
	if id == "" || slices.Contains(list, id) {
		return list
	}
	return append(list, id)
}
