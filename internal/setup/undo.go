package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ProposeUndo plans to detach and delete the groups and lists that setups have created. It changes nothing. If the
// origin is gone, the groups that it left behind are deleted all the same.
func (s *Setup) ProposeUndo(ctx context.Context) (*State, *Plan, error) {
	state, err := s.Read(ctx)
	_, noBalancer := errors.AsType[goneError](err)
	_, noInterface := errors.AsType[*door.NotFoundError](err)
	if (noBalancer || noInterface) && len(state.Created) > 0 {
		state.Notes, err = append(state.Notes, s.Origin.String()+" is gone."), nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(s.elsewhere(ctx, state), s.referred(ctx, state.Lists())); err != nil {
		return nil, nil, err
	}
	plan := &Plan{Steps: []Step{}, ShutOut: s.shutOut(state)}
	for _, p := range state.places {
		here := slices.DeleteFunc(idsOf(state.Created), func(id string) bool { return !slices.Contains(p.groups, id) })
		if len(here) > 0 {
			plan.Steps = append(plan.Steps, Step{Action: toDetach, On: p.name, Detail: strings.Join(here, ", "), place: p})
		}
	}
	for _, h := range state.Created {
		plan.add(toDelete, h.ID, h.Name)
	}
	return state, plan, nil
}

// elsewhere refuses to undo groups that somebody has attached elsewhere too.
func (s *Setup) elsewhere(ctx context.Context, state *State) error {
	interfaces, err := secgroup.DescribeInterfaces(ctx, s.api(), "group-id", idsOf(ofKind(secgroup.SecurityGroup, state.Created)))
	var more []string
	for _, i := range interfaces {
		if !state.at(door.Subject{Interface: &i}) {
			more = append(more, strings.TrimSpace(i.ID+" "+i.Description))
		}
	}
	if len(more) > 0 {
		return hint.New(fmt.Sprintf("the groups of %s are attached to %s as well, which setup of %[1]s did not do: nothing was undone",
			s.Origin, words.Few(more)),
			"detach them there first, once CloudFront gets in through other groups")
	}
	return err
}

// referred refuses to remove lists that groups refer to: those groups would shut out the ranges on the lists, and EC2
// does not delete such a list.
func (s *Setup) referred(ctx context.Context, lists []secgroup.Holder) error {
	for _, l := range lists {
		var groups []string
		for in := (&ec2.GetManagedPrefixListAssociationsInput{PrefixListId: &l.ID}); ; {
			out, err := s.EC2.GetManagedPrefixListAssociations(ctx, in)
			if err != nil {
				return explain(err, "see who refers to prefix list %s", l.ID)
			}
			for _, a := range out.PrefixListAssociations {
				groups = append(groups, aws.ToString(a.ResourceId))
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				break
			}
		}
		if len(groups) > 0 {
			return hint.New(fmt.Sprintf("%s %s is still referred to by %s, so nothing was undone", l.ID, l.Name, words.Few(groups)),
				"first let CloudFront in through other rules, then remove these references where they were made, and run this again")
		}
	}
	return nil
}

// at reports whether an interface is one of the origin's.
func (state *State) at(subject door.Subject) bool {
	return slices.ContainsFunc(state.Scene.Subjects, func(s door.Subject) bool { return s.Interface.ID == subject.Interface.ID })
}

// shutOut returns the interfaces at which less gets in without the groups that were created.
func (s *Setup) shutOut(state *State) (ids []string) {
	now := door.Judge(state.Scene, s.Question)
	then := door.Judge(only(state.Scene, func(g secgroup.Group, _ secgroup.Rule) bool { return !state.has(g.ID) }), s.Question)
	for i, subject := range now.Subjects {
		if !slices.Equal(blocked(then.Subjects[i]), blocked(subject)) {
			ids = append(ids, subject.Interface.ID)
		}
	}
	return ids
}

// blocked says what no rule of an interface lets in.
func blocked(subject door.SubjectReport) (all []string) {
	for _, p := range subject.Ports {
		for _, f := range p.Families {
			for _, prefix := range f.Blocked.Prefixes {
				all = append(all, fmt.Sprint(p.Port, prefix))
			}
		}
	}
	return all
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
