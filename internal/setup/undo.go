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
)

// An UndoPlan undoes what setups have done.
type UndoPlan struct {
	Steps []Step
	// ShutOut are the interfaces at which some wanted ranges get in only through the groups.
	ShutOut []string
}

// ProposeUndo plans to detach and delete the groups that setups have created. It changes nothing. If the origin is
// gone, the groups that it left behind are deleted all the same.
//
// Without ports, the ports of the groups count.
func (s *Setup) ProposeUndo(ctx context.Context) (*State, *UndoPlan, error) {
	if len(s.Ports) == 0 {
		made, err := s.made(ctx)
		if err != nil {
			return nil, nil, err
		}
		s.Ports = s.allPorts(&State{Made: made})
		s.Question.Ports = s.Ports
	}
	state, err := s.Look(ctx)
	_, noBalancer := errors.AsType[*NotFoundError](err)
	_, noInterface := errors.AsType[*door.NotFoundError](err)
	if gone := noBalancer || noInterface; gone {
		made, lookErr := s.made(ctx)
		if lookErr != nil {
			return nil, nil, lookErr
		}
		lists, lookErr := s.madeLists(ctx)
		if lookErr != nil {
			return nil, nil, lookErr
		}
		if len(made)+len(lists) == 0 {
			return nil, nil, err
		}
		state, err = &State{Scene: &door.Scene{}, Made: made, Lists: lists, Notes: []string{fmt.Sprintf("%s is gone.", s.Origin)}}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(s.elsewhere(ctx, state), s.referred(ctx, state.Lists)); err != nil {
		return nil, nil, err
	}
	plan := &UndoPlan{ShutOut: s.without(state)}
	for _, p := range state.Places {
		var here []string
		for _, g := range state.Made {
			if slices.Contains(p.Groups, g.ID) {
				here = append(here, g.ID)
			}
		}
		if len(here) > 0 {
			plan.Steps = append(plan.Steps, Step{Action: Detach, On: p.Name, Detail: strings.Join(here, ", "), place: p})
		}
	}
	for _, g := range state.Made {
		plan.Steps = append(plan.Steps, Step{Action: Delete, On: g.ID, Detail: g.Name})
	}
	for _, l := range state.Lists {
		plan.Steps = append(plan.Steps, Step{Action: Delete, On: l.ID, Detail: l.Name})
	}
	return state, plan, nil
}

// elsewhere refuses to undo groups that somebody has attached elsewhere too.
func (s *Setup) elsewhere(ctx context.Context, state *State) error {
	var groups []secgroup.Group
	for _, g := range state.Made {
		groups = append(groups, secgroup.Group{ID: g.ID})
	}
	subjects, err := door.Attached(ctx, s.api(), groups)
	if err != nil {
		return err
	}
	var more []string
	for _, subject := range subjects {
		if !slices.ContainsFunc(state.Scene.Subjects, func(o door.Subject) bool { return o.Interface.ID == subject.Interface.ID }) {
			more = append(more, strings.TrimSpace(subject.Interface.ID+" "+subject.Interface.Description))
		}
	}
	if len(more) > 0 {
		return hint.New(fmt.Sprintf("the groups of %s are attached to %s as well, which setup of %[1]s did not do: nothing was undone", s.Origin, words.Few(more)),
			"detach them there first, once CloudFront gets in through other groups")
	}
	return nil
}

// without returns the interfaces at which less gets in without the groups that were created.
func (s *Setup) without(state *State) []string {
	now := door.Judge(state.Scene, s.Question)
	then := door.Judge(only(state.Scene, func(g secgroup.Group, _ secgroup.Rule) bool { return !state.has(g.ID) }), s.Question)
	var shut []string
	for i, subject := range now.Subjects {
		if blocked(then.Subjects[i]) != blocked(subject) {
			shut = append(shut, subject.Interface.ID)
		}
	}
	return shut
}

// blocked says what no rule of an interface lets in.
func blocked(subject door.SubjectReport) string {
	var parts []string
	for _, p := range subject.Ports {
		for _, f := range p.Families {
			if len(f.Blocked.Prefixes) > 0 {
				parts = append(parts, fmt.Sprint(p.Port, f.Family, f.Blocked.Prefixes))
			}
		}
	}
	return strings.Join(parts, "\n")
}

// remove deletes a group that a setup has created. AWS may take a while to see that it is no longer attached anywhere.
func (s *Setup) remove(ctx context.Context, id string) error {
	var last error
	done, err := s.await(ctx, func() (bool, error) {
		_, last = s.EC2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(id)})
		switch awserr.Code(last) {
		case "DependencyViolation":
			return false, nil
		case "InvalidGroup.NotFound": // it was deleted, but the answer got lost
			return true, nil
		}
		return last == nil, last
	})
	switch {
	case err != nil:
		return explain(fmt.Errorf("delete %s: %w", id, err), "ec2:DeleteSecurityGroup")
	case !done:
		return fmt.Errorf("delete %s: %w: it is still attached somewhere, or a rule of another group refers to it", id, last)
	}
	return nil
}
