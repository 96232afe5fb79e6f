package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The rules of a port move from one group to another that is attached beside it: CloudFront gets in all the while. If
// EC2 refuses the new group, the old one keeps its rules, and the run says so.
func TestMoveToAnotherGroup(t *testing.T) {
	ranges := []string{"13.32.0.0/16", "18.64.0.0/16", "52.222.0.0/16"}
	for _, c := range []struct {
		name, first, second string // tags
		from                int    // the group that has the rules
		refused             bool
	}{
		{"to the second", "none", "443", 0, false},
		{"to the first", "443", "none", 1, false},
		{"the old one gets another port", "80", "443", 0, false},
		{"EC2 refuses the new one", "none", "443", 0, true},
		{"EC2 refuses the first, which is new", "443", "none", 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, ranges...)
			ids := []string{s.group(s.here, "a", c.first), s.group(s.here, "b", c.second)}
			from, to := ids[c.from], ids[1-c.from]
			for _, r := range ranges {
				if err := s.here.AddRules(from, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix(r)), Description: staleStamp}); err != nil {
					t.Fatal(err)
				}
			}
			if c.refused {
				s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", Resource: to, Count: ec2sim.Forever, Code: "UnauthorizedOperation"})
			}
			o := newOrigin(s, ranges, ids...)
			report, err := s.Run(t.Context(), Request{OnStep: s.onEveryStep(o)})
			o.check("in the end")
			g, _ := s.here.Group(from)
			left := slices.ContainsFunc(g.Ingress, func(r ec2sim.Rule) bool { return r.From == 443 })
			if left != c.refused {
				t.Errorf("the old group has %v", g.Ingress)
			}
			switch {
			case !c.refused && err != nil:
				t.Error(err)
			case c.refused:
				said := fmt.Sprint(err, report.Warnings)
				for _, want := range []string{
					"authorize 3 rules in " + to, "UnauthorizedOperation",
					from + ": 3 stale rules stay until another group at the same interface opens the ranges",
					"lacks 3 rules because this run leaves a group of the pool alone",
				} {
					if !strings.Contains(said, want) {
						t.Errorf("the run does not say %q: %s", want, said)
					}
				}
			}
		})
	}
}

// The recipe of docs/deploy.md for another tag key: the new key, as exclusive, takes the rules over as they are.
func TestChangeTagKey(t *testing.T) {
	ranges := []string{"13.32.0.0/16", "18.64.0.0/16"}
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, ranges...)
	id := s.group(s.here, "web", "443")
	if _, err := s.Run(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	const edge = "edge"
	fresh := *s.Engine
	fresh.TagKey, fresh.Targets = edge, ownTargets(s.Targets)
	o := newOrigin(s, ranges, id)
	for _, step := range []struct {
		what   string
		tags   map[string]string
		engine *Engine
	}{
		{"sync with the new key", map[string]string{key: "443", edge: "443", edge + "-mode": "exclusive"}, &fresh},
		{"a run with the old key in between", map[string]string{key: "443", edge: "443", edge + "-mode": "exclusive"}, s.Engine},
		{"the old key is none", map[string]string{key: "none", edge: "443", edge + "-mode": "exclusive"}, s.Engine},
		{"the new key owns what it described", map[string]string{edge: "443", edge + "-mode": "owned"}, &fresh},
	} {
		if err := s.here.SetTags(id, step.tags); err != nil {
			t.Fatal(err)
		}
		report, err := step.engine.Run(t.Context(), Request{OnStep: s.onEveryStep(o)})
		if o.check(step.what); err != nil || report.Summary.Added+report.Summary.Revoked > 0 {
			t.Errorf("%s: %+v, error %v", step.what, report.Summary, err)
		}
		g, _ := s.here.Group(id)
		for _, r := range g.Ingress {
			if !strings.HasPrefix(r.Description, edge+": CLOUDFRONT 2026-") || len(g.Ingress) != len(ranges) {
				t.Errorf("%s: the group has %v", step.what, g.Ingress)
			}
		}
	}
	s.sim.ResetCalls()
	if _, err := fresh.Run(t.Context(), Request{}); err != nil || s.mutations() != 0 {
		t.Errorf("one more run changes something, or fails: %v", err)
	}
}
