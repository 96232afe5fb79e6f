// Package setup takes an origin from what it is to one that lets CloudFront in
// and nobody else, and back.
//
// It looks ([Setup.Look]), proposes steps as values ([Setup.Propose]), takes
// them ([Setup.Take]), verifies at every network interface ([Setup.Verify]), and
// only then finds out which rules that are open to the world can go
// ([Setup.Openings]). Each part starts from what AWS says there is and not from
// what an earlier one did, so that whoever stops anywhere can start again.
package setup

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/coverage"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// A Setup is what is to be set up, and with what.
type Setup struct {
	Origin Origin
	Ports  []secgroup.PortRange
	EC2    *ec2.Client
	ELB    *elb.Client
	// ByList asks for prefix lists that the rules of another tool refer to, even
	// where nothing tells that there is one.
	ByList bool
	// Engine authorizes. Its only target is where the origin is.
	Engine *engine.Engine
	// Question is what the origin is held against. It asks for Ports.
	Question coverage.Question
	// Ranges are what the engine's rules let in.
	Ranges []netip.Prefix
	// RulesPerGroup and GroupsPerInterface are the quotas L-0EA8095F and
	// L-2AFB9258.
	RulesPerGroup, GroupsPerInterface int
	// Patience is how long to wait for AWS to show everywhere what was done.
	Patience time.Duration
}

// api returns the client for EC2 as what only looks, opens and closes.
func (s *Setup) api() secgroup.API { return engine.Narrow(s.EC2) }

// A Kind is what an origin is.
type Kind string

// The kinds of origin.
const (
	LoadBalancer Kind = "load balancer"
	Instance     Kind = "instance"
	Interface    Kind = "interface"
)

// An Origin is what CloudFront connects to.
type Origin struct {
	Kind Kind
	Name string // of a load balancer; of the others the ID
}

func (o Origin) String() string { return string(o.Kind) + " " + o.Name }

// Validate reports a name that EC2 would not understand.
func (o Origin) Validate() error { return o.selector().Validate() }

// mark is the value of the tag that marks the groups made for an origin.
func (o Origin) mark() string { return strings.ReplaceAll(string(o.Kind), " ", "-") + "/" + o.Name }

// pool is the pool that the groups made for an origin share. Nobody else would
// call theirs so.
func (o Origin) pool() string { return "setup-" + o.Name }

func (o Origin) selector() coverage.Selector {
	switch names := []string{o.Name}; o.Kind {
	case LoadBalancer:
		return coverage.Selector{LoadBalancers: names}
	case Instance:
		return coverage.Selector{Instances: names}
	default:
		return coverage.Selector{Interfaces: names}
	}
}

// markKey is the key of the tag that marks groups made by a setup: what a later
// run goes on with, and what an undo takes back.
func (s *Setup) markKey() string { return s.Engine.TagKey + "-setup" }

// most is how many security groups an origin takes.
//
// The groups of an interface times the rules of a group may not pass 1,000, and
// a load balancer has five groups at most, whatever the quota of an interface. See
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html and
// https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4789
func (s *Setup) most() int {
	const mostRules, mostOfLoadBalancer = 1000, 5
	most := min(s.GroupsPerInterface, max(1, mostRules/s.RulesPerGroup))
	if s.Origin.Kind == LoadBalancer {
		return min(most, mostOfLoadBalancer)
	}
	return most
}

// explain adds what to do to an error of a call that needs a permission.
func explain(err error, permission string) error {
	switch awserr.Code(err) {
	case "RequestLimitExceeded", "Throttling":
		return fmt.Errorf("%w; AWS is throttling this account: run again later", err)
	case "SecurityGroupsPerInterfaceLimitExceeded":
		return fmt.Errorf("%w; detach a group that is not needed, or raise quota L-2AFB9258 (security groups per network interface)", err)
	}
	return awserr.Explain(err, permission)
}

// portList lists ports as a group's tag does.
func portList(ports []secgroup.PortRange) string {
	var words []string
	for _, p := range ports {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

// few names the first of some things.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
