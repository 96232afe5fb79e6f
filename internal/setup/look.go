package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// A State is an origin as it is now.
type State struct {
	// Scene has the origin's network interfaces with all their groups.
	Scene *door.Scene
	// Places are where groups are attached: the load balancer, or each network interface.
	Places []Place
	// Made are the groups that a setup has created for the origin, by name.
	Made []Group
	// Owner is the tool that owns the load balancer, or if none does, one that owns a group.
	Owner Owner
	// ByList is set if CloudFront is to get in through prefix lists that the owner's rules refer to. Lists are those
	// that a setup has created.
	ByList bool
	Lists  []List
	// VPC is the interfaces' VPC.
	VPC string
	// Notes are sentences that a person needs to know.
	Notes []string

	// Listening are the ports of the listeners.
	Listening []secgroup.PortRange
	// VPCOrigin advises to use a VPC origin, if that would do for this origin.
	VPCOrigin string
	// Closed are the rules that setups have closed, as far as they are still closed.
	Closed []Opening
}

// A Place has security groups attached to it.
type Place struct {
	Name string // such as "load balancer shop" or "eni-…"
	// Groups are the IDs of the attached groups.
	Groups []string

	balancer string // its ARN, or empty
}

// A Group is a security group that a setup has created.
type Group struct {
	ID, Name, VPC string
	Ports         []secgroup.PortRange
	// egress is the outbound traffic that the group allows.
	egress []types.IpPermission
	closed map[string]string // the tags that record rules that a setup has closed
}

// Look finds an origin, its groups, and the tools that manage them.
func (s *Setup) Look(ctx context.Context) (*State, error) {
	state := &State{}
	var err error
	if s.Origin.Kind == LoadBalancer {
		if err = s.lookAtBalancer(ctx, state); err != nil {
			return nil, err
		}
	}
	if state.Scene, err = door.Discover(ctx, s.api(), s.Origin.selector()); err != nil {
		return nil, err
	}
	for _, subject := range state.Scene.Subjects {
		if s.Origin.Kind != LoadBalancer {
			if err := changeable(subject.Interface); err != nil {
				return nil, err
			}
			state.Places = append(state.Places, Place{Name: subject.Interface.ID, Groups: idsOf(subject.Groups)})
		}
		for _, g := range subject.Groups {
			if state.VPC = cmp.Or(state.VPC, g.VPC); state.VPC != g.VPC {
				return nil, hint.New(fmt.Sprintf("%s has interfaces in the VPCs %s and %s, and a group belongs to one VPC", s.Origin, state.VPC, g.VPC), "set up each interface with --interface")
			}
		}
	}
	if state.VPC == "" {
		return nil, hint.New(fmt.Sprintf("%s has no security group, so nobody is kept out, and setup cannot tell what it needs", s.Origin), "attach one first")
	}
	if state.Made, err = s.made(ctx); err != nil {
		return nil, err
	}
	if state.Lists, err = s.madeLists(ctx); err != nil {
		return nil, err
	}
	state.Closed = s.closed(state)
	state.ByList = s.ByList || state.Owner.Cluster != "" || len(state.Lists) > 0
	state.Notes = append(state.Notes, s.notes(state)...)
	return state, nil
}

// changeable refuses an interface that only an AWS service can change. See
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
func changeable(i *door.Interface) error {
	if !i.RequesterManaged {
		return nil
	}
	if name := i.LoadBalancer(); name != "" {
		return hint.New(fmt.Sprintf("%s belongs to load balancer %s, whose groups are attached to all its interfaces", i.ID, name), "use --load-balancer "+name)
	}
	return hint.New(fmt.Sprintf("%s (%s) is managed by an AWS service, and only that service can attach groups to it", i.ID, i.Description), "attach them there, and tag them as the README says")
}

// lookAtBalancer finds a load balancer. It refuses one that cannot have groups, or that CloudFront does not reach by
// its published ranges.
func (s *Setup) lookAtBalancer(ctx context.Context, state *State) error {
	name := s.Origin.Name
	found, err := s.ELB.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{name}})
	if _, none := errors.AsType[*elbtypes.LoadBalancerNotFoundException](err); none || err == nil && len(found.LoadBalancers) == 0 {
		return &NotFoundError{fmt.Sprintf("there is no Application or Network Load Balancer %s; check the name, the account and the region (for a Classic one, tag its security group)", name)}
	}
	if err != nil {
		return explain(fmt.Errorf("describe load balancer %s: %w", name, err), "elasticloadbalancing:DescribeLoadBalancers")
	}
	lb := found.LoadBalancers[0]
	arn := aws.ToString(lb.LoadBalancerArn)
	switch {
	case lb.Type == elbtypes.LoadBalancerTypeEnumGateway:
		return fmt.Errorf("%s is a Gateway Load Balancer, which has no security groups and cannot be an origin", s.Origin)
	case lb.Scheme == elbtypes.LoadBalancerSchemeEnumInternal:
		// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
		return hint.New(fmt.Sprintf("%s is internal: CloudFront reaches it only as a VPC origin, from private addresses and not from the published ranges", s.Origin), "let in the security group CloudFront-VPCOrigins-Service-SG instead")
	case len(lb.SecurityGroups) == 0:
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
		return hint.New(fmt.Sprintf("%s has no security group, and AWS attaches none to a Network Load Balancer that was created without one", s.Origin),
			"create it again with one, or, if it preserves client addresses, set up the instances behind it with --instance")
	}
	tags, err := s.ELB.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{arn}})
	if err != nil {
		return explain(fmt.Errorf("describe the tags of %s: %w", s.Origin, err), "elasticloadbalancing:DescribeTags")
	}
	owned := map[string]string{}
	for _, d := range tags.TagDescriptions {
		for _, tag := range d.Tags {
			owned[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
	}
	state.Owner = ownerOf(owned)
	if note := s.ownerNote(state); note != "" {
		state.Notes = append(state.Notes, note)
	}
	state.Places = []Place{{Name: s.Origin.String(), Groups: lb.SecurityGroups, balancer: arn}}
	protocols, err := s.lookAtListeners(ctx, state, arn)
	if err == nil && (lb.Type != elbtypes.LoadBalancerTypeEnumNetwork || lb.IpAddressType == elbtypes.IpAddressTypeIpv4 && !slices.Contains(protocols, elbtypes.ProtocolEnumTls)) {
		state.VPCOrigin = vpcOrigin
	}
	return err
}

// listeners is the only operation that a paginator of listeners calls. Holding no whole client keeps the program small;
// see [engine.Narrow].
type listeners func(context.Context, *elb.DescribeListenersInput, ...func(*elb.Options)) (*elb.DescribeListenersOutput, error)

// DescribeListeners implements elb.DescribeListenersAPIClient.
func (f listeners) DescribeListeners(ctx context.Context, in *elb.DescribeListenersInput, opts ...func(*elb.Options)) (*elb.DescribeListenersOutput, error) {
	return f(ctx, in, opts...)
}

// vpcOrigin advises to use a VPC origin, and names its limits. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
// and, on VPC Block Public Access, https://docs.aws.amazon.com/vpc/latest/userguide/security-vpc-bpa-basics.html
const vpcOrigin = "Consider a VPC origin first: CloudFront then comes in from inside the VPC, and the load balancer needs no public address and no list of ranges. " +
	"It wants a private subnet with a free IPv4 address in a VPC with an internet gateway; it does not do gRPC or Lambda@Edge on origin requests and responses, " +
	"and VPC Block Public Access blocks it as well. " +
	"https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html"

// lookAtListeners notes ports without a listener, and returns the protocols of the listeners.
func (s *Setup) lookAtListeners(ctx context.Context, state *State, arn string) ([]elbtypes.ProtocolEnum, error) {
	pages := elb.NewDescribeListenersPaginator(listeners(s.ELB.DescribeListeners), &elb.DescribeListenersInput{LoadBalancerArn: &arn})
	var protocols []elbtypes.ProtocolEnum
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(fmt.Errorf("describe the listeners of %s: %w", s.Origin, err), "elasticloadbalancing:DescribeListeners")
		}
		for _, l := range page.Listeners {
			port := uint16(aws.ToInt32(l.Port))
			state.Listening = append(state.Listening, secgroup.PortRange{From: port, To: port})
			protocols = append(protocols, l.Protocol)
		}
	}
	state.Listening = secgroup.SortPorts(state.Listening)
	for _, p := range s.Ports {
		heard := func(l secgroup.PortRange) bool { return p.From <= l.From && l.From <= p.To }
		if !slices.ContainsFunc(state.Listening, heard) {
			state.Notes = append(state.Notes, fmt.Sprintf("%s has no listener on port %s; it listens on: %s.", s.Origin, p, cmp.Or(strings.Join(secgroup.PortNames(state.Listening), " "), "none")))
		}
	}
	return protocols, nil
}

// A NotFoundError says that an origin does not exist.
type NotFoundError struct{ text string }

func (e *NotFoundError) Error() string { return e.text }

// notes names the tools that manage the groups, and origins that CloudFront does not connect to.
func (s *Setup) notes(state *State) []string {
	var notes []string
	for _, g := range state.groups() {
		owner := ownerOf(g.Tags)
		if state.Owner == (Owner{}) {
			state.Owner = Owner{Stack: owner.Stack, Beanstalk: owner.Beanstalk, Terraform: owner.Terraform}
		}
		if note := owner.ofGroup(g.ID + " " + g.Name); note != "" && !state.has(g.ID) && !state.ByList { // ours, or left alone
			notes = append(notes, note)
		}
	}
	public := slices.ContainsFunc(state.Scene.Subjects, func(subject door.Subject) bool { return subject.Interface.Public() })
	if s.Origin.Kind != LoadBalancer && !public {
		notes = append(notes, fmt.Sprintf("%s has no public address, so CloudFront does not connect to it directly. Set up what is in front of it, such as a load balancer, unless that preserves client addresses.", s.Origin))
	}
	return notes
}

// groups returns the groups of all interfaces, each once.
func (state *State) groups() []secgroup.Group {
	var all []secgroup.Group
	for _, subject := range state.Scene.Subjects {
		for _, g := range subject.Groups {
			if !slices.ContainsFunc(all, func(o secgroup.Group) bool { return o.ID == g.ID }) {
				all = append(all, g)
			}
		}
	}
	return all
}

// Descriptions are those of the rules of the groups that setups have created.
func (state *State) Descriptions() []string {
	var all []string
	for _, g := range state.groups() {
		for _, r := range g.Ingress {
			if state.has(g.ID) {
				all = append(all, r.Description)
			}
		}
	}
	return all
}

// has reports whether a setup created the group.
func (state *State) has(id string) bool {
	return slices.ContainsFunc(state.Made, func(g Group) bool { return g.ID == id })
}

// made returns the groups that a setup has created for the origin, by name.
func (s *Setup) made(ctx context.Context) ([]Group, error) {
	pages := ec2.NewDescribeSecurityGroupsPaginator(s.api(), &ec2.DescribeSecurityGroupsInput{
		Filters: []types.Filter{{Name: aws.String("tag:" + s.markKey()), Values: []string{s.Origin.mark()}}},
	})
	var made []Group
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(fmt.Errorf("describe the security groups tagged %s=%s: %w", s.markKey(), s.Origin.mark(), err), "ec2:DescribeSecurityGroups")
		}
		for _, g := range page.SecurityGroups {
			group := Group{ID: aws.ToString(g.GroupId), Name: aws.ToString(g.GroupName), VPC: aws.ToString(g.VpcId), egress: g.IpPermissionsEgress, closed: map[string]string{}}
			for _, tag := range g.Tags {
				if strings.HasPrefix(aws.ToString(tag.Key), s.closedKey()) {
					group.closed[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
				}
				if aws.ToString(tag.Key) == s.Engine.TagKey {
					// A tag that cannot be read is written again.
					group.Ports, _ = secgroup.ParsePorts(aws.ToString(tag.Value))
				}
			}
			made = append(made, group)
		}
	}
	slices.SortFunc(made, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	return made, nil
}

func idsOf(groups []secgroup.Group) []string {
	var ids []string
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	return ids
}
