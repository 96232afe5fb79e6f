package setup

import (
	"cmp"
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

// Take takes the steps in order, up to the first that fails, marks each as done and calls taken. When the context ends,
// it finishes the step under way: nobody could tell whether an abandoned call took effect.
func (s *Setup) Take(ctx context.Context, state *State, steps []Step, taken func(Step)) error {
	for i, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.take(context.WithoutCancel(ctx), state, step); err != nil {
			return hint.With(fmt.Errorf("%w (%d of %d steps taken)", err, i, len(steps)), "run it again to continue")
		}
		steps[i].Done = true
		taken(step)
	}
	return nil
}

func (s *Setup) take(ctx context.Context, state *State, step Step) error {
	switch step.Action {
	case toCreate:
		return s.create(ctx, state, step.create)
	case toTag:
		return s.createTags(ctx, step.On, s.tags(state)...)
	case toSeal:
		return s.seal(ctx, state, step.On)
	case toAuthorize, toFill:
		return s.authorize(ctx, state)
	case toAttach, toDetach:
		return s.attach(ctx, state, step.place, step.Action == toAttach)
	case toClose:
		if err := s.record(ctx, state, step.close); err != nil {
			return err
		}
		_, err := secgroup.Apply(ctx, s.api(), step.close, 0)
		return err
	case toDelete:
		if strings.HasPrefix(step.On, "pl-") {
			return s.deleteList(ctx, step.On)
		}
		return s.deleteGroup(ctx, step.On)
	}
	return fmt.Errorf("there is no step %q", step.Action)
}

// authorize has the engine make the groups that were created, or the lists, equal to the ranges, and change nothing
// else. A failure does not matter if somebody else, such as the function, has meanwhile done the rest.
func (s *Setup) authorize(ctx context.Context, state *State) error {
	req := engine.Request{GroupIDs: idsOf(ofKind(state.kind, state.Created))}
	_, err := s.Engine.Run(ctx, req)
	if err != nil {
		if unsynced, nextErr := s.unsynced(ctx, req); nextErr == nil && !unsynced {
			return nil
		}
	}
	return err
}

// create creates a group or a list with all its tags in one call, so that what exists is always found again, and waits
// until EC2 shows it. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html and
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
func (s *Setup) create(ctx context.Context, state *State, h secgroup.Holder) error {
	what, spec := "security group "+h.Name, []types.TagSpecification{{
		ResourceType: types.ResourceTypeSecurityGroup,
		Tags:         append(s.tags(state), tag("Name", h.Name), tag(s.markKey(), s.mark())),
	}}
	var err error
	if h.Kind == secgroup.ManagedPrefixList {
		what, spec[0].ResourceType = "prefix list "+h.Name, types.ResourceTypePrefixList
		_, err = s.EC2.CreateManagedPrefixList(ctx, &ec2.CreateManagedPrefixListInput{
			PrefixListName: &h.Name, AddressFamily: aws.String(h.Family.String()), MaxEntries: aws.Int32(int32(h.MaxEntries)), TagSpecifications: spec,
		})
	} else {
		description := "Lets CloudFront in at " + s.Origin.String() + "; made by cfsg setup"
		_, err = s.EC2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
			GroupName: &h.Name, Description: &description, VpcId: &state.vpc, TagSpecifications: spec,
		})
	}
	// If the answer got lost and the call was repeated, the duplicate is ours.
	duplicate := awserr.Code(err) == "InvalidGroup.Duplicate"
	if err != nil && !duplicate {
		return explain(err, "create %s", what)
	}
	found, err := s.await(ctx, func() (bool, error) {
		created, err := s.created(ctx)
		i := slices.IndexFunc(created, func(c secgroup.Holder) bool { return c.Kind == h.Kind && c.Name == h.Name })
		if i < 0 || err != nil {
			return false, err
		}
		if h = created[i]; h.Kind == secgroup.SecurityGroup {
			return true, nil
		}
		l, err := s.list(ctx, h.ID)
		return l != nil && !strings.HasSuffix(string(l.State), "-in-progress"), err
	})
	switch {
	case err != nil:
		return err
	case found:
		state.Created = append(state.Created, h)
		return nil
	case duplicate:
		return hint.New(fmt.Sprintf("create %s: a group of this name exists that cfsg setup did not create, or that has lost its tag %s=%s",
			what, s.markKey(), s.mark()), "give it that tag, or rename or delete it")
	}
	return hint.New(what+" was created, but EC2 does not show it yet", "wait a little")
}

// list returns a prefix list, or nil if there is none.
func (s *Setup) list(ctx context.Context, id string) (*types.ManagedPrefixList, error) {
	out, err := s.api().DescribeManagedPrefixLists(ctx, &ec2.DescribeManagedPrefixListsInput{
		Filters: []types.Filter{{Name: aws.String("prefix-list-id"), Values: []string{id}}},
	})
	if err != nil || len(out.PrefixLists) == 0 {
		return nil, explain(err, "describe prefix list %s", id)
	}
	return &out.PrefixLists[0], nil
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

// tags are those by which the engine keeps a group or a list up to date: the ports and the pool, or ranges.
func (s *Setup) tags(state *State) []types.Tag {
	if state.ByList {
		return []types.Tag{tag(s.TagKey, "ranges")}
	}
	ports := strings.Join(secgroup.PortNames(s.allPorts(state)), " ")
	// Nobody else is likely to use the pool's name.
	return []types.Tag{tag(s.TagKey, ports), tag(s.TagKey+"-pool", "setup-"+s.Origin.Name)}
}

func (s *Setup) createTags(ctx context.Context, id string, tags ...types.Tag) error {
	_, err := s.EC2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tags})
	return explain(err, "tag %s", id)
}

// seal revokes the outbound rules of a new group, which by default let everything out, even what the origin's own
// groups do not. See
// https://docs.aws.amazon.com/vpc/latest/userguide/creating-security-groups.html
func (s *Setup) seal(ctx context.Context, state *State, name string) error {
	for _, g := range ofKind(secgroup.SecurityGroup, state.Created) {
		if g.Name != name || len(g.Egress) == 0 {
			continue
		}
		in := &ec2.RevokeSecurityGroupEgressInput{GroupId: &g.ID, IpPermissions: secgroup.Permissions(g.Egress)}
		if _, err := s.EC2.RevokeSecurityGroupEgress(ctx, in); err != nil {
			return explain(err, "revoke the outbound rules of %s", g.ID)
		}
	}
	return nil
}

// attach attaches the groups that were created to a place, or detaches them. Both calls replace the whole list, so it
// is read right before. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html and
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
func (s *Setup) attach(ctx context.Context, state *State, place place, attached bool) error {
	before, err := s.groupsAt(ctx, place)
	if err != nil {
		return err
	}
	after := slices.Clone(before)
	for _, id := range idsOf(ofKind(secgroup.SecurityGroup, state.Created)) {
		at := slices.Index(after, id)
		switch {
		case attached && at < 0:
			after = append(after, id)
		case !attached && at >= 0:
			after = slices.Delete(after, at, at+1)
		}
	}
	switch {
	case slices.Equal(before, after):
	case len(after) == 0:
		return hint.New(place.name+" would be left without a security group, which AWS does not allow", "attach another first")
	case place.balancer != "":
		_, err = s.ELB.SetSecurityGroups(ctx, &elb.SetSecurityGroupsInput{LoadBalancerArn: &place.balancer, SecurityGroups: after})
	default:
		_, err = s.EC2.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &place.name, Groups: after})
	}
	return explain(err, "set the security groups of %s to %s", place.name, strings.Join(after, ", "))
}

// groupsAt returns the IDs of the groups that a place has now.
func (s *Setup) groupsAt(ctx context.Context, place place) ([]string, error) {
	gone := fmt.Errorf("%s is gone", place.name)
	if place.balancer != "" {
		lb, err := s.reader().LoadBalancer(ctx, s.Origin.Name)
		if lb == nil {
			return nil, cmp.Or(explain(err, "describe %s", place.name), gone)
		}
		return lb.SecurityGroups, nil
	}
	found, err := secgroup.DescribeInterfaces(ctx, s.api(), "network-interface-id", []string{place.name})
	if len(found) == 0 {
		return nil, cmp.Or(err, gone)
	}
	return found[0].Groups, nil
}

// Verify checks the origin as if no rule were open to the world, to find out whether those rules can go. It waits until
// the groups that were created are visible at the interfaces.
func (s *Setup) Verify(ctx context.Context) (*door.Report, *State, error) {
	var state *State
	_, err := s.await(ctx, func() (seen bool, err error) {
		state, err = s.Read(ctx)
		return err == nil && state.seen(), err
	})
	if err != nil {
		return nil, nil, err
	}
	return door.Judge(withoutWorld(state.Scene), s.Question), state, nil
}

// seen reports whether everything that is attached is visible at all interfaces.
func (state *State) seen() bool {
	attached := slices.DeleteFunc(idsOf(state.Created), func(id string) bool { return !state.attached(id) })
	return !slices.ContainsFunc(state.Scene.Subjects, func(subject door.Subject) bool {
		return slices.ContainsFunc(attached, func(id string) bool { return !slices.Contains(subject.Interface.Groups, id) })
	})
}

// Judge judges the whole door of an origin: also the way from the Internet to its security groups, and on from there.
func (s *Setup) Judge(ctx context.Context, state *State) (*door.Report, error) {
	scene := *state.Scene
	err := s.reader().Complete(ctx, &scene)
	return door.Judge(&scene, s.Question), err
}

// deleteGroup deletes a group. AWS may take a while to see that it is no longer attached anywhere.
func (s *Setup) deleteGroup(ctx context.Context, id string) error {
	var last error
	done, err := s.await(ctx, func() (bool, error) {
		_, last = s.EC2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &id})
		switch awserr.Code(last) {
		case "DependencyViolation":
			return false, nil
		case "InvalidGroup.NotFound": // it was deleted, but the answer got lost
			return true, nil
		}
		return last == nil, last
	})
	if err == nil && !done {
		return fmt.Errorf("delete %s: %w: it is still attached somewhere, or a rule of another group refers to it", id, last)
	}
	return explain(err, "delete %s", id)
}

// deleteList deletes a prefix list. EC2 answers before the list is gone; if a group refers to the list, EC2 says so only
// afterwards. See
// https://github.com/hashicorp/terraform-provider-aws/issues/20991
func (s *Setup) deleteList(ctx context.Context, id string) error {
	_, err := s.EC2.DeleteManagedPrefixList(ctx, &ec2.DeleteManagedPrefixListInput{PrefixListId: &id})
	if strings.EqualFold(awserr.Code(err), "InvalidPrefixListID.NotFound") { // it was deleted, but the answer got lost
		return nil
	}
	gone := err != nil
	if err == nil {
		gone, err = s.await(ctx, func() (bool, error) {
			l, err := s.list(ctx, id)
			if l != nil && l.State == types.PrefixListStateDeleteFailed {
				err = errors.New(aws.ToString(l.StateMessage))
			}
			return err == nil && (l == nil || l.State == types.PrefixListStateDeleteComplete), err
		})
	}
	if err == nil && !gone {
		err = errors.New("EC2 has not yet confirmed it")
	}
	return explain(err, "delete prefix list %s", id)
}
