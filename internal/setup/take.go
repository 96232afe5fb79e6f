package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// Take takes the steps in order, up to the first that fails, and calls taken after each. When the context ends, it
// finishes the step under way: nobody could tell whether an abandoned call took effect.
func (s *Setup) Take(ctx context.Context, state *State, steps []Step, taken func(Step)) error {
	for i, step := range steps {
		if ctx.Err() != nil {
			return hint.New(fmt.Sprintf("stopped between two steps (%d of %d taken)", i, len(steps)), "run it again to continue")
		}
		if err := s.take(context.WithoutCancel(ctx), state, step); err != nil {
			return hint.With(fmt.Errorf("%w (%d of %d steps taken)", err, i, len(steps)), "run it again to continue")
		}
		taken(step)
	}
	return nil
}

func (s *Setup) take(ctx context.Context, state *State, step Step) error {
	list := strings.HasPrefix(step.On, "pl-")
	switch step.Action {
	case Create:
		if step.list != nil {
			return s.createList(ctx, *step.list)
		}
		return s.create(ctx, state, step.On)
	case Fill:
		return s.fill(ctx)
	case Tag:
		if list {
			return s.createTags(ctx, step.On, s.listTag())
		}
		return s.createTags(ctx, step.On, s.groupTags(state)...)
	case Seal:
		return s.seal(ctx, step.On)
	case Authorize:
		return s.authorize(ctx)
	case Attach, Detach:
		return s.attach(ctx, step.place, step.Action == Attach)
	case Close:
		if err := s.record(ctx, state, step.close); err != nil {
			return err
		}
		_, err := secgroup.Apply(ctx, s.api(), step.close, 0)
		return err
	case Delete:
		if list {
			return s.removeList(ctx, step.On)
		}
		return s.remove(ctx, step.On)
	}
	return fmt.Errorf("there is no step %q", step.Action)
}

// authorize has the engine make these groups, and no others, equal to the ranges.
func (s *Setup) authorize(ctx context.Context) error {
	made, err := s.made(ctx)
	if err != nil {
		return err
	}
	if len(made) == 0 { // to the engine, that would mean all groups
		return fmt.Errorf("no security group is tagged %s=%s any more", s.markKey(), s.Origin.mark())
	}
	return s.sync(ctx, s.request(made))
}

// sync has the engine carry out a request. A failure does not matter if somebody else, such as the function, has
// meanwhile done the rest.
func (s *Setup) sync(ctx context.Context, req engine.Request) error {
	_, err := s.Engine.Run(ctx, req)
	if err == nil {
		return nil
	}
	if unsynced, lookErr := s.unsynced(ctx, req); lookErr != nil || unsynced {
		return err
	}
	return nil
}

// create creates a group with all its tags in one call, so that a group that exists is always found again. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
func (s *Setup) create(ctx context.Context, state *State, name string) error {
	tags := append(s.groupTags(state), tag("Name", name), tag(s.markKey(), s.Origin.mark()))
	_, err := s.EC2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName:         aws.String(name),
		Description:       aws.String("Lets CloudFront in at " + s.Origin.String() + "; made by cfsg setup"),
		VpcId:             aws.String(state.VPC),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: tags}},
	})
	if err != nil && awserr.Code(err) != "InvalidGroup.Duplicate" {
		return explain(fmt.Errorf("create security group %s: %w", name, err), "ec2:CreateSecurityGroup and, for its tags, ec2:CreateTags")
	}
	// If the answer got lost and the call was repeated, the duplicate is ours. EC2 may show a new group only after a
	// while.
	found, lookErr := s.await(ctx, func() (bool, error) {
		_, err := s.named(ctx, name)
		if _, none := errors.AsType[*NotFoundError](err); none {
			return false, nil
		}
		return err == nil, err
	})
	switch {
	case lookErr != nil:
		return lookErr
	case !found && err != nil:
		return hint.New(fmt.Sprintf("create security group %s: a group of this name exists that cfsg setup did not create, or that has lost its tag %s=%s", name, s.markKey(), s.Origin.mark()),
			"give it that tag, or rename or delete it")
	case !found:
		return hint.New(fmt.Sprintf("security group %s was created, but EC2 does not show it yet", name), "wait a little")
	}
	return nil
}

// named returns the group with a name that a setup has created.
func (s *Setup) named(ctx context.Context, name string) (Group, error) {
	made, err := s.made(ctx)
	if err != nil {
		return Group{}, err
	}
	i := slices.IndexFunc(made, func(g Group) bool { return g.Name == name })
	if i < 0 {
		return Group{}, &NotFoundError{fmt.Sprintf("there is no security group %s tagged %s=%s", name, s.markKey(), s.Origin.mark())}
	}
	return made[i], nil
}

// await asks until the answer is yes, or the patience runs out.
func (s *Setup) await(ctx context.Context, ask func() (bool, error)) (bool, error) {
	const pause = 2 * time.Second
	for until := time.Now().Add(s.Patience); ; {
		yes, err := ask()
		if yes || err != nil || !time.Now().Before(until) {
			return yes, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(min(pause, time.Until(until))):
		}
	}
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

// groupTags are the tags by which the engine keeps a group up to date: the ports and the pool.
func (s *Setup) groupTags(state *State) []types.Tag {
	return []types.Tag{
		tag(s.Engine.TagKey, strings.Join(secgroup.PortNames(s.allPorts(state)), " ")), tag(s.Engine.TagKey+"-pool", s.Origin.pool()),
	}
}

// listTag is the tag by which the engine keeps a list up to date.
func (s *Setup) listTag() types.Tag { return tag(s.Engine.TagKey, "ranges") }

// createTags tags a group or a list.
func (s *Setup) createTags(ctx context.Context, id string, tags ...types.Tag) error {
	if _, err := s.EC2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tags}); err != nil {
		return explain(fmt.Errorf("tag %s: %w", id, err), "ec2:CreateTags")
	}
	return nil
}

// seal revokes the outbound rules of a new group, which by default let everything out, even what the origin's own
// groups do not. See
// https://docs.aws.amazon.com/vpc/latest/userguide/creating-security-groups.html
func (s *Setup) seal(ctx context.Context, name string) error {
	g, err := s.named(ctx, name)
	if err != nil || len(g.egress) == 0 {
		return err
	}
	if _, err := s.EC2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: aws.String(g.ID), IpPermissions: g.egress}); err != nil {
		return explain(fmt.Errorf("revoke the outbound rules of %s: %w", g.ID, err), "ec2:RevokeSecurityGroupEgress")
	}
	return nil
}

// attach attaches the groups that were created to a place, or detaches them. Both calls replace the whole list, so it
// is read right before. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html and
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
func (s *Setup) attach(ctx context.Context, place Place, attached bool) error {
	made, err := s.made(ctx)
	if err != nil {
		return err
	}
	before, err := s.groupsAt(ctx, place)
	if err != nil {
		return err
	}
	after := slices.DeleteFunc(slices.Clone(before), func(id string) bool {
		return !attached && slices.ContainsFunc(made, func(g Group) bool { return g.ID == id })
	})
	for _, g := range made {
		if attached && !slices.Contains(after, g.ID) {
			after = append(after, g.ID)
		}
	}
	if slices.Equal(before, after) {
		return nil
	}
	if len(after) == 0 {
		return hint.New(fmt.Sprintf("%s would be left without a security group, which AWS does not allow", place.Name), "attach another first")
	}
	what := fmt.Sprintf("set the security groups of %s to %s", place.Name, strings.Join(after, ", "))
	if place.balancer != "" {
		if _, err := s.ELB.SetSecurityGroups(ctx, &elb.SetSecurityGroupsInput{LoadBalancerArn: &place.balancer, SecurityGroups: after}); err != nil {
			return explain(fmt.Errorf("%s: %w", what, err), "elasticloadbalancing:SetSecurityGroups")
		}
		return nil
	}
	if _, err := s.EC2.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &place.Name, Groups: after}); err != nil {
		return explain(fmt.Errorf("%s: %w", what, err), "ec2:ModifyNetworkInterfaceAttribute")
	}
	return nil
}

// groupsAt returns the IDs of the groups that a place has now.
func (s *Setup) groupsAt(ctx context.Context, place Place) ([]string, error) {
	if place.balancer != "" {
		found, err := s.ELB.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{LoadBalancerArns: []string{place.balancer}})
		if err != nil {
			return nil, explain(fmt.Errorf("describe %s: %w", place.Name, err), "elasticloadbalancing:DescribeLoadBalancers")
		}
		for _, lb := range found.LoadBalancers {
			return lb.SecurityGroups, nil
		}
		return nil, fmt.Errorf("%s is gone", place.Name)
	}
	scene, err := door.Discover(ctx, s.api(), door.Selector{Interfaces: []string{place.Name}})
	if err != nil {
		return nil, err
	}
	return idsOf(scene.Subjects[0].Groups), nil
}

// Verify checks the origin as if no rule were open to the world, to find out whether those rules can go. It waits until
// the groups that were created are visible at the interfaces.
func (s *Setup) Verify(ctx context.Context) (*door.Report, *State, error) {
	var state *State
	_, err := s.await(ctx, func() (seen bool, err error) {
		if state, err = s.Look(ctx); err != nil {
			return false, err
		}
		return state.seen(), nil
	})
	if err != nil {
		return nil, nil, err
	}
	return door.Judge(withoutWorld(state.Scene), s.Question), state, nil
}

// seen reports whether everything that is attached is visible at all interfaces.
func (state *State) seen() bool {
	for _, subject := range state.Scene.Subjects {
		for _, g := range state.Made {
			attached := slices.ContainsFunc(subject.Groups, func(o secgroup.Group) bool { return o.ID == g.ID })
			if state.attached(g.ID) && !attached {
				return false
			}
		}
	}
	return true
}
