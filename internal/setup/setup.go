// Package setup closes an origin to everyone except CloudFront, and undoes that.
//
// It reads the origin ([Setup.Read]), proposes steps as values ([Setup.Propose]), takes them ([Setup.Take]), verifies
// the result at every network interface ([Setup.Verify]), and only then finds out which rules that are open to the world
// can go ([Setup.Openings]). Each part starts from what AWS shows and not from what an earlier part did, so you can stop
// anywhere and start again.
package setup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/approach"
	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
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

// most is how many security groups an origin can have. A load balancer takes no more than the default, whatever the
// quota of an interface. See
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
	return awserr.Explain(fmt.Errorf("%s: %w", fmt.Sprintf(doing, args...), err), permission)
}

// A State is an origin as it is now.
type State struct {
	// Scene has the origin's network interfaces with all their groups.
	Scene *door.Scene
	// Created are the groups, by name, and the prefix lists, IPv4 first, that setups have created for the origin.
	Created []secgroup.Holder
	// ByList is set if CloudFront is to get in through prefix lists that the owner's rules refer to.
	ByList bool
	kind   secgroup.Kind // of what CloudFront is to get in through
	// Notes are sentences that a person needs to know.
	Notes []string

	// Listening are the ports of the listeners.
	Listening []secgroup.PortRange
	// Closed are the rules that setups have closed, as far as they are still closed.
	Closed []Opening
	// ShutOut are the interfaces at which some wanted ranges get in only through the groups that an undo takes away.
	ShutOut []string

	// places are where groups are attached: the load balancer, or each network interface.
	places []place
	owner  owner  // of the load balancer, or if it has none, of a group
	vpc    string // of the interfaces
	// vpcOrigin is set if a VPC origin would do.
	vpcOrigin bool
}

func (state *State) note(format string, args ...any) {
	state.Notes = append(state.Notes, fmt.Sprintf(format, args...))
}

// A place has security groups attached to it.
type place struct {
	name     string   // such as "load balancer shop" or "eni-…"
	groups   []string // the IDs of the attached groups
	balancer string   // its ARN, or empty
}

// A goneError says that there is no such load balancer.
type goneError struct{ error }

// Read finds an origin, its groups, and the tools that manage them. If the origin does not exist, the state has what
// setups have left behind all the same.
func (s *Setup) Read(ctx context.Context) (*State, error) {
	state := &State{Scene: &door.Scene{}}
	var err error
	if state.Created, err = s.created(ctx); err != nil {
		return state, err
	}
	if len(s.Ports) == 0 {
		s.Ports = s.allPorts(state)
	}
	if s.Origin.Kind == LoadBalancer {
		if err := s.readBalancer(ctx, state); err != nil {
			return state, err
		}
	}
	scene, err := door.Discover(ctx, s.api(), s.Origin.selector())
	if err != nil {
		return state, err
	}
	state.Scene = scene
	for _, subject := range scene.Subjects {
		i := subject.Interface
		switch name := i.LoadBalancer(); { // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
		case s.Origin.Kind == LoadBalancer:
			continue
		case i.RequesterManaged && name != "":
			return state, hint.New(fmt.Sprintf("%s belongs to load balancer %s, whose groups are attached to all its interfaces", i.ID, name),
				"use --load-balancer "+name)
		case i.RequesterManaged:
			return state, hint.New(fmt.Sprintf("%s (%s) is managed by an AWS service, and only that service can attach groups to it",
				i.ID, i.Description), "attach them there, and tag them as the README says")
		}
		state.places = append(state.places, place{name: i.ID, groups: i.Groups})
	}
	for _, g := range state.Scene.Groups() {
		if state.vpc = cmp.Or(state.vpc, g.VPC); state.vpc != g.VPC {
			return state, hint.New(fmt.Sprintf("%s has interfaces in the VPCs %s and %s, and a group belongs to one VPC",
				s.Origin, state.vpc, g.VPC), "set up each interface with --interface")
		}
	}
	if state.vpc == "" {
		return state, hint.New(s.Origin.String()+" has no security group, so nobody is kept out, and setup cannot tell what it needs",
			"attach one first")
	}
	state.Closed = s.closed(state)
	if s.ByList || state.owner.tool == kubernetes || len(state.Lists()) > 0 {
		state.ByList, state.kind = true, secgroup.ManagedPrefixList
	}
	s.noteOrigin(state)
	return state, nil
}

// created finds the groups and the prefix lists that setups have created for the origin.
func (s *Setup) created(ctx context.Context) ([]secgroup.Holder, error) {
	groups, _, err := secgroup.Discover(ctx, s.api(), s.markKey())
	if err != nil {
		return nil, err
	}
	lists, err := secgroup.DiscoverLists(ctx, s.api(), s.markKey(), "")
	all := slices.DeleteFunc(slices.Concat(groups, lists), func(h secgroup.Holder) bool { return h.Tags[s.markKey()] != s.mark() })
	slices.SortFunc(all, func(a, b secgroup.Holder) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all, err
}

// ofKind returns the groups, or the prefix lists, among holders.
func ofKind(kind secgroup.Kind, holders []secgroup.Holder) []secgroup.Holder {
	return slices.DeleteFunc(slices.Clone(holders), func(h secgroup.Holder) bool { return h.Kind != kind })
}

// Lists returns the prefix lists that setups have created for the origin.
func (state *State) Lists() []secgroup.Holder {
	return ofKind(secgroup.ManagedPrefixList, state.Created)
}

// readBalancer finds a load balancer. It refuses one that cannot have groups, or that CloudFront does not reach by its
// published ranges.
func (s *Setup) readBalancer(ctx context.Context, state *State) error {
	lb, err := s.reader().LoadBalancer(ctx, s.Origin.Name)
	switch {
	case err != nil:
		return explain(err, "describe %s", s.Origin)
	case lb == nil:
		return goneError{hint.New(fmt.Sprintf("there is no Application or Network Load Balancer %s", s.Origin.Name),
			"check the name, the account and the region (for a Classic one, tag its security group)")}
	case lb.Type == elbtypes.LoadBalancerTypeEnumGateway:
		return fmt.Errorf("%s is a Gateway Load Balancer, which has no security groups and cannot be an origin", s.Origin)
	case lb.Scheme == elbtypes.LoadBalancerSchemeEnumInternal:
		// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
		return hint.New(s.Origin.String()+" is internal: CloudFront reaches it only as a VPC origin, from private addresses and not "+
			"from the published ranges", "let in the security group CloudFront-VPCOrigins-Service-SG instead")
	case len(lb.SecurityGroups) == 0:
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
		return hint.New(s.Origin.String()+" has no security group, and AWS attaches none to a Network Load Balancer that was created "+
			"without one", "create it again with one, or, if it preserves client addresses, set up the instances behind it with --instance")
	}
	arn := aws.ToString(lb.LoadBalancerArn)
	out, err := s.ELB.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{arn}})
	if err != nil {
		return explain(err, "describe the tags of %s", s.Origin)
	}
	tags := map[string]string{}
	for _, d := range out.TagDescriptions {
		for _, tag := range d.Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
	}
	state.owner = ownersOf(tags)[0]
	state.places = []place{{s.Origin.String(), lb.SecurityGroups, arn}}
	tls := false
	for _, l := range lb.Listeners {
		port := uint16(aws.ToInt32(l.Port))
		state.Listening = append(state.Listening, secgroup.PortRange{From: port, To: port})
		tls = tls || l.Protocol == elbtypes.ProtocolEnumTls
	}
	state.Listening = secgroup.SortPorts(state.Listening)
	state.vpcOrigin = lb.Type != elbtypes.LoadBalancerTypeEnumNetwork || lb.IpAddressType == elbtypes.IpAddressTypeIpv4 && !tls
	return nil
}

// vpcOrigin advises to use a VPC origin, and names its limits. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
// and, on VPC Block Public Access, https://docs.aws.amazon.com/vpc/latest/userguide/security-vpc-bpa-basics.html
const vpcOrigin = "Consider a VPC origin first: CloudFront then comes in from inside the VPC, and the load balancer needs " +
	"no public address and no list of ranges. It wants a private subnet with a free IPv4 address in a VPC with an internet " +
	"gateway; it does not do gRPC or Lambda@Edge on origin requests and responses, and VPC Block Public Access blocks it as " +
	"well. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html"

// noteOrigin notes the tools that manage the load balancer and the groups, ports without a listener, and origins that
// CloudFront does not connect to.
func (s *Setup) noteOrigin(state *State) {
	if o := state.owner; o.name != "" && (o.tool == kubernetes || !s.ByList) {
		state.note(o.toBalancer, s.Origin, o.name)
	}
	for _, p := range s.Ports {
		heard := func(l secgroup.PortRange) bool { return p.From <= l.From && l.From <= p.To }
		if s.Origin.Kind == LoadBalancer && !slices.ContainsFunc(state.Listening, heard) {
			all := cmp.Or(strings.Join(secgroup.PortNames(state.Listening), " "), "none")
			state.note("%s has no listener on port %s; it listens on: %s.", s.Origin, p, all)
		}
	}
	for _, g := range state.Scene.Groups() {
		if owners := ownersOf(g.Tags); state.owner.name == "" {
			state.owner = owners[slices.IndexFunc(owners, func(o owner) bool { return o.tool != kubernetes })]
		}
		if text := state.OwnerNote(g.ID); text != "" && !state.has(g.ID) && !state.ByList { // ours, or left alone
			state.note("%s", text)
		}
	}
	public := func(subject door.Subject) bool { return subject.Interface.Public() }
	if s.Origin.Kind != LoadBalancer && !slices.ContainsFunc(state.Scene.Subjects, public) {
		state.note("%s has no public address, so CloudFront does not connect to it directly. Set up what is in front of it, such as a load "+
			"balancer, unless that preserves client addresses.", s.Origin)
	}
}

// group returns the group of an interface with an ID. It is empty if there is none.
func (state *State) group(id string) secgroup.Group {
	groups := state.Scene.Groups()
	if i := slices.Index(idsOf(groups), id); i >= 0 {
		return groups[i]
	}
	return secgroup.Group{}
}

func (state *State) has(id string) bool { return slices.Contains(idsOf(state.Created), id) }

func (state *State) attached(id string) bool {
	return slices.ContainsFunc(state.places, func(p place) bool { return slices.Contains(p.groups, id) })
}

// allPorts returns the ports asked for now and those asked for in earlier runs: asking for another port does not close
// them. A tag that cannot be read names none.
func (s *Setup) allPorts(state *State) []secgroup.PortRange {
	ports := slices.Clone(s.Ports)
	for _, h := range state.Created {
		before, _ := secgroup.ParsePorts(h.Tags[s.TagKey])
		ports = append(ports, before...)
	}
	return secgroup.SortPorts(ports)
}

func idsOf(holders []secgroup.Holder) []string {
	var ids []string
	for _, h := range holders {
		ids = append(ids, h.ID)
	}
	return ids
}
