package setup

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"
)

// An Opening is a rule that opens a port of the origin to the world.
type Opening struct {
	secgroup.Exposure
	GroupName string
	// Advice says why setup does not close the rule, and what to do. It is empty if the rule can be closed.
	Advice string
}

func (o Opening) String() string {
	text := fmt.Sprintf("%s %s: %s", o.GroupID, o.GroupName, o.Rule.RuleID)
	if o.Rule.Description != "" {
		text += fmt.Sprintf(" (%q)", o.Rule.Description)
	}
	return text
}

// Openings returns the rules that open the ports to the world, of an origin at which everything that is wanted gets in
// without them.
func (s *Setup) Openings(ctx context.Context, state *State) ([]Opening, error) {
	var openings []Opening
	var exposed []secgroup.Group
	for _, g := range state.groups() {
		exposures := secgroup.ExposuresOn(g, s.Ports)
		if len(exposures) == 0 {
			continue
		}
		exposed = append(exposed, g)
		for _, x := range exposures {
			o := Opening{Exposure: x, GroupName: g.Name}
			switch cluster := cmp.Or(kubernetes(g.Tags), state.Owner.Cluster); {
			case cluster != "":
				o.Advice = fmt.Sprintf("The Kubernetes cluster %s would restore it: narrow it there once CloudFront gets in through prefix lists, see docs/prefix-lists.md.", cluster)
			case !s.wants(secgroup.FamilyOf(x.Rule.Source.Prefix)):
				o.Advice = fmt.Sprintf("It is a rule for %s, and no %[1]s range is wanted here, so setup cannot tell whether CloudFront uses it: "+
					"ask for both families, and for a service that has such ranges.", secgroup.FamilyOf(x.Rule.Source.Prefix))
			case !x.Rule.Within(s.Ports):
				o.Advice = fmt.Sprintf("It opens more than port %s, and closing it would close the rest too. Find out what else needs it, give that a rule of its own, and revoke this one; "+
					"or name all its ports with --port.", portList(s.Ports))
				if x.Rule.Protocol != "tcp" {
					o.Advice = "It opens every protocol and port, and closing it would close them all. Find out what else needs it, give that a rule of its own, and revoke this one."
				}
			}
			openings = append(openings, o)
		}
	}
	if len(exposed) == 0 {
		return nil, nil
	}
	subjects, err := door.Attached(ctx, s.api(), exposed)
	if err != nil {
		return nil, err
	}
	for i, o := range openings {
		if o.Advice != "" {
			continue
		}
		if shut := s.shutOut(state, subjects, o.GroupID); len(shut) > 0 {
			openings[i].Advice = fmt.Sprintf("The group is attached to %s as well, where it may be all that lets CloudFront in: set up that origin first, then run this again.", few(shut))
		}
	}
	return openings, nil
}

// wants reports whether ranges of a family are wanted. Whether CloudFront connects over another family is not known.
func (s *Setup) wants(f secgroup.Family) bool {
	ranges := s.Question.Wanted.IPv4
	if f == secgroup.IPv6 {
		ranges = s.Question.Wanted.IPv6
	}
	return slices.Contains(s.Question.Families, f) && len(ranges) > 0
}

// shutOut returns the interfaces, other than the origin's, at which part of what is wanted gets in only through rules
// of the group that are open to the world.
func (s *Setup) shutOut(state *State, subjects []door.Subject, group string) []string {
	var shut []string
	for _, subject := range subjects {
		here := func(g secgroup.Group) bool { return g.ID == group }
		ours := func(o door.Subject) bool { return o.Interface.ID == subject.Interface.ID }
		if !slices.ContainsFunc(subject.Groups, here) || slices.ContainsFunc(state.Scene.Subjects, ours) {
			continue
		}
		// Other people's prefix lists are not read: what they let in does not count.
		if !s.letsIn(withoutWorld(&door.Scene{Subjects: []door.Subject{subject}})) {
			shut = append(shut, subject.Interface.ID)
		}
	}
	return shut
}

// Closing returns the steps that close the approved openings, as far as they can be closed now. It is an error if not
// everything that is wanted gets in without them at every interface.
func (s *Setup) Closing(ctx context.Context, approved []Opening) (*State, []Step, error) {
	report, state, err := s.Verify(ctx)
	if err != nil {
		return nil, nil, err
	}
	if report.Verdict != door.Open {
		return nil, nil, s.NotOpen(report)
	}
	openings, err := s.Openings(ctx, state)
	if err != nil {
		return nil, nil, err
	}
	var steps []Step
	for _, o := range openings {
		same := func(a Opening) bool { return a.GroupID == o.GroupID && a.Rule.RuleID == o.Rule.RuleID }
		if o.Advice != "" || !slices.ContainsFunc(approved, same) {
			continue
		}
		steps = append(steps, Step{
			Action: Close, On: o.GroupID, Detail: o.Rule.RuleID.String(),
			close: secgroup.Step{Op: secgroup.Revoke, GroupID: o.GroupID, Rules: []secgroup.Rule{o.Rule}},
		})
	}
	return state, steps, nil
}

// NotOpen says where part of what is wanted may get in only through the rules that are open to the world.
func (s *Setup) NotOpen(report *door.Report) error {
	var where []string
	for _, subject := range report.Subjects {
		if subject.Verdict != door.Open {
			where = append(where, subject.Interface.ID)
		}
	}
	return hint.New(fmt.Sprintf("at %s, CloudFront may not get in completely without the rules that are open to the world, so they stay", few(where)), "cfsg check shows what is missing")
}
