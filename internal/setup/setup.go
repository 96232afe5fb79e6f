// Package setup closes an origin to everyone except CloudFront, and undoes that.
//
// It reads the origin ([Setup.Read]), proposes steps as values ([Setup.Propose]), takes them ([Setup.Take]), verifies
// the result at every network interface ([Setup.Verify]), and only then finds out which rules that are open to the world
// can go ([Setup.Openings]). Each part starts from what AWS shows and not from what an earlier part did, so you can stop
// anywhere and start again.
package setup

import (
	"fmt"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/approach"
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
	EC2    *ec2.Client
	ELB    *elb.Client
	// ByList asks for prefix lists that another tool's rules refer to, even if nothing shows that there is such a tool.
	ByList bool
	// Engine authorizes. Its only target is where the origin is.
	Engine *engine.Engine
	// Question is asked of the origin's interfaces. Where it names no ports, as in an undo, [Setup.Read] takes those of
	// an earlier setup.
	door.Question
	// Rules counts the engine's rules for each port.
	Rules secgroup.Weight
	// RulesPerGroup and GroupsPerInterface are the quotas L-0EA8095F and L-2AFB9258.
	RulesPerGroup, GroupsPerInterface int
	// Patience is how long to wait until AWS shows a change everywhere.
	Patience time.Duration
}

// api returns the EC2 client, narrowed to the calls that read, open and close.
func (s *Setup) api() secgroup.API { return engine.Narrow(s.EC2) }

// reader returns the one reader of origins.
func (s *Setup) reader() approach.Client { return approach.NewClient(s.api(), s.EC2, s.ELB) }

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
	Kind Kind   `json:"kind"`
	Name string `json:"name"` // of a load balancer; otherwise the ID
}

func (o Origin) String() string { return string(o.Kind) + " " + o.Name }

// Validate reports a name that EC2 would not understand.
func (o Origin) Validate() error { return o.selector().Validate() }

func (o Origin) selector() door.Selector {
	names := map[Kind][]string{o.Kind: {o.Name}}
	return door.Selector{LoadBalancers: names[LoadBalancer], Instances: names[Instance], Interfaces: names[Interface]}
}

// markKey is the key of the tag that marks groups and lists created by a setup, and mark its value for an origin. A
// later run continues with these, and an undo removes them.
func (s *Setup) markKey() string { return s.TagKey + "-setup" }

func (s *Setup) mark() string {
	return strings.ReplaceAll(string(s.Origin.Kind), " ", "-") + "/" + s.Origin.Name
}

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

// explain says what a call that failed was to do, and the way out. It returns nil for nil.
func explain(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	permission := awserr.Permission(err)
	if strings.HasPrefix(permission, "ec2:Create") && permission != "ec2:CreateTags" {
		permission += " and, for its tags, ec2:CreateTags"
	}
	code := awserr.Code(err)
	err = awserr.Explain(fmt.Errorf("%s: %w", fmt.Sprintf(doing, args...), err), permission)
	if code == "SecurityGroupsPerInterfaceLimitExceeded" {
		return hint.With(err, "detach a group that is not needed, or raise quota L-2AFB9258 (security groups per network interface)")
	}
	return err
}
