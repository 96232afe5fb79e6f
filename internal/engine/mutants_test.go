package engine

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/checker"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

// A planner that errs wastes calls or leaves work undone, and the run says so. It closes nothing that is wanted at any
// interface, and changes no rule that is not ours. Without the checker, each of these would.
func TestPlannersThatErr(t *testing.T) {
	revokesFirst := func(seq *secgroup.Sequence, _ *mutantScene) {
		slices.SortStableFunc(seq.Steps, func(a, b secgroup.Step) int { return cmp.Compare(len(b.Remove), len(a.Remove)) })
	}
	for _, c := range []struct {
		name   string
		mutate func(*secgroup.Sequence, *mutantScene)
	}{
		{"revokes before it authorizes", revokesFirst},
		{"announces every revoke as a gap", func(seq *secgroup.Sequence, s *mutantScene) {
			var steps []secgroup.Step
			revokesFirst(seq, s)
			opens := slices.IndexFunc(seq.Steps, func(step secgroup.Step) bool { return len(step.Add) > 0 })
			for _, step := range seq.Steps {
				if len(step.Remove) == 0 {
					continue
				}
				step.Gap = seq.Ranges
				steps = append(steps, step)
				if opens >= 0 {
					next := seq.Steps[opens]
					next.Reopens = true
					steps = append(steps, next)
				}
			}
			seq.Steps = steps
		}},
		{"forgets interfaces", func(seq *secgroup.Sequence, s *mutantScene) {
			var steps []secgroup.Step
			for _, o := range s.plan(nil).Sequences {
				for _, step := range o.Steps {
					if slices.ContainsFunc(seq.Holders, func(h *secgroup.HolderPlan) bool { return h.ID == step.HolderID }) {
						steps = append(steps, step)
					}
				}
			}
			seq.Steps = steps
		}},
		{"touches rules of others", func(seq *secgroup.Sequence, _ *mutantScene) {
			for _, h := range seq.Holders {
				for _, r := range h.Ingress {
					if !h.Owns(r) {
						seq.Steps = append(seq.Steps, secgroup.Step{HolderID: h.ID, Remove: []secgroup.Rule{r}})
					}
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bare := newMutantScene(t)
			for _, seq := range bare.plan(bare.attachments).Sequences {
				c.mutate(&seq, bare)
				for _, step := range seq.Steps {
					_, _ = secgroup.Apply(t.Context(), bare.Targets[0].EC2, step, 0) // whatever EC2 says
				}
			}
			if bare.closed == 0 && bare.foreign() == 2 {
				t.Error("without the checker, nothing happens either")
			}

			s := newMutantScene(t)
			var errs []error
			for _, seq := range s.plan(s.attachments).Sequences {
				c.mutate(&seq, s)
				errs = append(errs, s.apply(t.Context(), s.run, seq, Request{})...)
			}
			if s.closed > 0 || s.foreign() != 2 {
				t.Errorf("%d times something wanted was closed, %d of 2 rules of others are there", s.closed, s.foreign())
			}
			if refused, ok := errors.AsType[*checker.RefusedError](errors.Join(errs...)); !ok {
				t.Errorf("the run does not say what it has not done: %v", errs)
			} else if g, _ := s.here.Group(refused.Step.HolderID); len(g.Ingress) == 0 {
				t.Errorf("refused (%v), yet %s is empty", refused, g.ID)
			}
			if _, err := s.Run(t.Context(), Request{}); err != nil || s.closed > 0 {
				t.Errorf("the next run: %v, closed %d", err, s.closed)
			}
		})
	}
}

// mutantScene is a group whose rules move to another one, and a pool that is attached as a whole only at one of two
// interfaces.
type mutantScene struct {
	*scene
	run         *targetRun
	attachments *secgroup.Attachments
	closed      int // ranges at an interface, summed over all changes
}

func newMutantScene(t *testing.T) *mutantScene {
	ranges := []string{"18.64.0.0/16", "52.222.0.0/16"}
	s := &mutantScene{scene: newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, ranges...)}
	old, fresh := s.group(s.here, "old", "none"), s.group(s.here, "new", "443")
	one, two := s.group(s.here, "one", "443", "-pool", "web"), s.group(s.here, "two", "443", "-pool", "web")
	for id, rules := range map[string]string{old: "18.64.0.0/16 52.222.0.0/16", one: "18.64.0.0/15 52.222.0.0/16", two: "18.64.0.0/16"} {
		for cidr := range strings.FieldsSeq(rules) {
			if err := s.here.AddRules(id, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix(cidr)), Description: staleStamp}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range []string{old, one} {
		if err := s.here.AddRules(id, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("198.51.100.0/24")), Description: "office"}); err != nil {
			t.Fatal(err)
		}
	}
	newOrigin(s.scene, nil, old, fresh)
	newOrigin(s.scene, nil, one, two)
	newOrigin(s.scene, nil, one)
	open := map[string]bool{}
	s.sim.Observe(func(c ec2sim.Change) {
		groups, interfaces := c.All()
		for _, eni := range interfaces {
			for _, wanted := range ranges {
				was, at := open[eni.ID+wanted], netip.MustParsePrefix(wanted).Addr()
				open[eni.ID+wanted] = slices.ContainsFunc(eni.Groups, func(id string) bool {
					return slices.ContainsFunc(groups[id].Ingress, func(r ec2sim.Rule) bool { return r.Source.Prefix.Contains(at) })
				})
				if was && !open[eni.ID+wanted] {
					s.closed++
				}
			}
		}
	})
	if err := s.here.SetTags(old, map[string]string{key: "none"}); err != nil { // shows the observer how it begins
		t.Fatal(err)
	}
	s.run = newTargetRun(s.Targets[0])
	if err := s.discover(t.Context(), s.run); err != nil {
		t.Fatal(err)
	}
	attachments, err := secgroup.DescribeAttachments(context.Background(), s.Targets[0].EC2, []string{old, fresh, one, two})
	if err != nil {
		t.Fatal(err)
	}
	s.attachments = attachments
	return s
}

func (s *mutantScene) plan(a *secgroup.Attachments) *secgroup.Plan {
	plan, err := secgroup.NewPlan(context.Background(), s.run.Groups, secgroup.Request{
		Stamp:  secgroup.Stamp{TagKey: key, Services: []string{"CLOUDFRONT"}, Published: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)},
		Ranges: []netip.Prefix{netip.MustParsePrefix("18.64.0.0/16"), netip.MustParsePrefix("52.222.0.0/16")}, RulesPerGroup: 60, MaxRevokePercent: 50, Attachments: a,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return plan
}

// foreign counts the rules of others.
func (s *mutantScene) foreign() (n int) {
	for _, g := range s.here.Groups() {
		for _, r := range g.Ingress {
			if r.Description == "office" {
				n++
			}
		}
	}
	return n
}
