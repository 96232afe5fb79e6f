// Package setup closes an origin to everyone except CloudFront, and undoes that.
//
// It looks at the origin ([Setup.Look]), proposes steps as values ([Setup.Propose]), takes them ([Setup.Take]),
// verifies the result at every network interface ([Setup.Verify]), and only then finds out which rules that are open to
// the world can go ([Setup.Openings]). Each part starts from what AWS shows and not from what an earlier part did, so
// you can stop anywhere and start again.
package setup

import (
	"net/netip"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// A Setup says what to set up, and how.
type Setup struct {
	Origin Origin
	Ports  []secgroup.PortRange
	EC2    *ec2.Client
	ELB    *elb.Client
	// ByList asks for prefix lists that another tool's rules refer to, even if nothing shows that there is such a tool.
	ByList bool
	// Engine authorizes. Its only target is where the origin is.
	Engine *engine.Engine
	// Question is asked of the origin's interfaces. It is about Ports.
	Question door.Question
	// Ranges are those of the engine's rules.
	Ranges []netip.Prefix
	// RulesPerGroup and GroupsPerInterface are the quotas L-0EA8095F and L-2AFB9258.
	RulesPerGroup, GroupsPerInterface int
	// Patience is how long to wait until AWS shows a change everywhere.
	Patience time.Duration
}

// api returns the EC2 client, narrowed to what looks, opens and closes.
func (s *Setup) api() secgroup.API { return engine.Narrow(s.EC2) }

// A Kind is the kind of an origin.
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
	Name string // of a load balancer; otherwise the ID
}

func (o Origin) String() string { return string(o.Kind) + " " + o.Name }

// Validate reports a name that EC2 would not understand.
func (o Origin) Validate() error { return o.selector().Validate() }

// mark is the value of the tag that marks the groups created for an origin.
func (o Origin) mark() string { return strings.ReplaceAll(string(o.Kind), " ", "-") + "/" + o.Name }

// pool is the pool that the groups created for an origin share. Nobody else is likely to use its name.
func (o Origin) pool() string { return "setup-" + o.Name }

func (o Origin) selector() door.Selector {
	switch names := []string{o.Name}; o.Kind {
	case LoadBalancer:
		return door.Selector{LoadBalancers: names}
	case Instance:
		return door.Selector{Instances: names}
	default:
		return door.Selector{Interfaces: names}
	}
}

// markKey is the key of the tag that marks groups created by a setup. A later run continues with these groups, and an
// undo removes them.
func (s *Setup) markKey() string { return s.Engine.TagKey + "-setup" }

// most is how many security groups an origin can have.
//
// A load balancer takes no more than the default, whatever the quota of an interface. See
// https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4789
func (s *Setup) most() int {
	most := min(s.GroupsPerInterface, max(1, secgroup.MaxInterfaceRules/s.RulesPerGroup))
	if s.Origin.Kind == LoadBalancer {
		return min(most, secgroup.InterfaceGroups)
	}
	return most
}

// explain adds a hint to the error of a call that needs a permission.
func explain(err error, permission string) error {
	if awserr.Code(err) == "SecurityGroupsPerInterfaceLimitExceeded" {
		return hint.With(err, "detach a group that is not needed, or raise quota L-2AFB9258 (security groups per network interface)")
	}
	return awserr.Explain(err, permission)
}
