package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/checker"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

// A load balancer with its old group, open to everyone and full, and three new groups that are tagged as one exclusive
// pool with it but are attached to nothing yet. In whatever order somebody syncs, attaches and syncs again, CloudFront
// gets in all the while, and in the end nobody else does.
func TestPoolThatIsNotAttachedYet(t *testing.T) {
	for _, order := range []string{"sync attach sync", "attach sync", "sync attach-one sync attach sync"} {
		t.Run(order, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{RulesPerGroup: 2}, []string{"us-east-1"}, nil,
				"13.32.0.0/16", "18.64.0.0/16", "52.222.0.0/16", "99.84.0.0/16", "108.138.0.0/16", "143.204.0.0/16")
			var groups []string
			for i := range 4 {
				groups = append(groups, s.group(s.here, fmt.Sprint("web-", i), "443", "-pool", "web", "-mode", "exclusive"))
			}
			s.add(groups[0], "", "0.0.0.0/0")
			s.must(s.here.AddRules(groups[0], ec2sim.Rule{Permission: ec2sim.TCP(22, 22, prefixes("198.51.100.0/24")[0])}))
			eni, attached := s.attach(groups[0]), 1
			for do := range strings.FieldsSeq(order) {
				switch do {
				case "attach":
					attached = 4
				case "attach-one":
					attached = 2
				default:
					report, err := s.sync(Request{Look: true})
					said := strings.Join(report.Warnings, "")
					if whole := attached == 4; err != nil || whole != (said == "") || whole == strings.Contains(said, "attach") {
						t.Errorf("%s: attached whole: %t, error %v, warnings %q", do, whole, err, said)
					}
				}
				s.must(s.here.Attach(eni, groups[:attached]...))
			}
			s.exact("in the end", s.ranges, nil)
		})
	}
}

// Without the permission to see interfaces, nothing is revoked that another group has replaced, and the run says so;
// what its own group replaces goes.
func TestInterfacesMayNotBeSeen(t *testing.T) {
	s := newScene(t, ec2sim.Options{RulesPerGroup: 2}, []string{"us-east-1"}, nil, "18.64.0.0/16", "18.65.0.0/16")
	one := s.group(s.here, "one", "443", "-pool", "web")
	s.group(s.here, "two", "443", "-pool", "web")
	s.add(one, staleStamp, "18.64.0.0/15", "18.66.0.0/16")
	s.attach(one)
	s.sim.Deny("DescribeNetworkInterfaces")
	report, err := s.sync(Request{})
	if err != nil {
		t.Fatal(err)
	}
	checkWarnings(t, report, "grant ec2:DescribeNetworkInterfaces")
	if got := strings.Fields(s.sources(s.here, one)); slices.Contains(got, "18.66.0.0/16") {
		t.Errorf("group one has %v", got)
	}
}

// A pool that the first plan closes nothing of is planned again with what was seen of the interfaces, because another
// pool revokes something. Its own interfaces count then as well: here its wide rule has to stay, as the pool has become
// too small for what replaces it, and the group that has a part of that is attached elsewhere.
func TestInterfacesOfAllPoolsCount(t *testing.T) {
	for _, other := range []bool{false, true} {
		ranges := []string{"18.64.0.0/18", "18.64.128.0/18", "18.65.0.0/18"}
		s := newScene(t, ec2sim.Options{RulesPerGroup: 1}, []string{"us-east-1"}, nil, ranges...)
		made := key + ": CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT 2026-01-01T00:00:00Z"
		first, second := s.group(s.here, "b1", "443", "-pool", "b"), s.group(s.here, "b2", "443", "-pool", "b")
		s.add(first, made, "18.64.0.0/15")
		s.attach(first)
		if other {
			a := s.group(s.here, "a", "none")
			s.add(a, made, rangeB)
			s.attach(a, second)
		}
		if _, err := s.sync(Request{}); err == nil || !strings.Contains(err.Error(), "too small") {
			t.Errorf("got %v, want that the pool is too small", err)
		}
		if got := s.sources(s.here, first); got != "18.64.0.0/15" {
			t.Errorf("with another pool %t: %s has %s", other, first, got)
		}
	}
}

// The rules of a port move from one group to another that is attached beside it: CloudFront gets in all the while. If
// EC2 refuses the new group, the old one keeps its rules, and the run says so.
func TestMoveToAnotherGroup(t *testing.T) {
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
			ranges := []string{"13.32.0.0/16", "18.64.0.0/16", "52.222.0.0/16"}
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, ranges...)
			ids := []string{s.group(s.here, "a", c.first), s.group(s.here, "b", c.second)}
			from, to := ids[c.from], ids[1-c.from]
			s.add(from, staleStamp, ranges...)
			s.attach(ids...)
			if c.refused {
				s.refuse(ec2sim.Fault{Action: "AuthorizeSecurityGroupIngress", Resource: to})
			}
			report, err := s.sync(Request{})
			if !c.refused {
				if err != nil {
					t.Error(err)
				}
				s.exact("after the move", s.ranges, nil)
				return
			}
			for _, want := range []string{
				"authorize 3 rules in " + to, "UnauthorizedOperation",
				from + ": 3 stale rules stay until another group at the same interface opens the ranges",
				"lacks 3 rules because this run leaves a group of the pool alone",
			} {
				if said := fmt.Sprint(err, report.Warnings); !strings.Contains(said, want) {
					t.Errorf("the run does not say %q: %s", want, said)
				}
			}
		})
	}
}

// The recipe of docs/deploy.md for another tag key: the new key, as exclusive, takes the rules over as they are.
func TestChangeTagKey(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, "13.32.0.0/16", "18.64.0.0/16")
	id := s.group(s.here, "web", "443")
	s.attach(id)
	if _, err := s.sync(Request{}); err != nil {
		t.Fatal(err)
	}
	const edge = "edge"
	s.keys = []string{edge, key}
	for _, step := range []struct {
		what, with string
		tags       ec2sim.Tags
	}{
		{"sync with the new key", edge, ec2sim.Tags{key: "443", edge: "443", edge + "-mode": "exclusive"}},
		{"a run with the old key in between", key, ec2sim.Tags{key: "443", edge: "443", edge + "-mode": "exclusive"}},
		{"the old key is none", key, ec2sim.Tags{key: "none", edge: "443", edge + "-mode": "exclusive"}},
		{"the new key owns what it described", edge, ec2sim.Tags{edge: "443", edge + "-mode": "owned"}},
		{"one more run", edge, ec2sim.Tags{edge: "443", edge + "-mode": "owned"}},
	} {
		s.must(s.here.SetTags(id, step.tags))
		s.TagKey = step.with
		s.calls()
		report, err := s.sync(Request{})
		idle := step.what != "one more run" || s.calls()["mutating"] == 0
		if err != nil || report.Summary.Added+report.Summary.Revoked > 0 || !idle {
			t.Errorf("%s: %+v, error %v", step.what, report.Summary, err)
		}
		g, _ := s.here.Group(id)
		for _, r := range g.Ingress {
			if !strings.HasPrefix(r.Description, edge+": CLOUDFRONT 2026-") || len(g.Ingress) != 2 {
				t.Errorf("%s: the group has %v", step.what, g.Ingress)
			}
		}
	}
}

// A planner that errs wastes calls or leaves work undone, and the run says so. It closes nothing that is wanted at any
// interface, and changes no rule that is not ours. Without the checker, each of these would.
func TestPlannersThatErr(t *testing.T) {
	revokesFirst := func(seq *secgroup.Sequence, _ *mutantScene) {
		slices.SortStableFunc(seq.Steps, func(a, b secgroup.Step) int { return cmp.Compare(len(b.Remove), len(a.Remove)) })
	}
	for name, mutate := range map[string]func(*secgroup.Sequence, *mutantScene){
		"revokes before it authorizes": revokesFirst,
		"announces every revoke as a gap": func(seq *secgroup.Sequence, s *mutantScene) {
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
		},
		"forgets interfaces": func(seq *secgroup.Sequence, s *mutantScene) {
			var steps []secgroup.Step
			for _, o := range s.plan(nil).Sequences {
				for _, step := range o.Steps {
					if slices.ContainsFunc(seq.Holders, func(h *secgroup.HolderPlan) bool { return h.ID == step.HolderID }) {
						steps = append(steps, step)
					}
				}
			}
			seq.Steps = steps
		},
		"touches rules of others": func(seq *secgroup.Sequence, _ *mutantScene) {
			for _, h := range seq.Holders {
				for _, r := range h.Ingress {
					if !h.Owns(r) {
						seq.Steps = append(seq.Steps, secgroup.Step{HolderID: h.ID, Remove: []secgroup.Rule{r}})
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bare := newMutantScene(t)
			for _, seq := range bare.plan(bare.attachments).Sequences {
				mutate(&seq, bare)
				for _, step := range seq.Steps {
					_, _ = secgroup.Apply(t.Context(), bare.Targets[0].EC2, step, 0) // whatever EC2 says
				}
			}
			if bare.faults == 0 {
				t.Error("without the checker, nothing happens either")
			}

			s := newMutantScene(t)
			var errs []error
			for _, seq := range s.plan(s.attachments).Sequences {
				mutate(&seq, s)
				errs = append(errs, s.apply(t.Context(), s.run, seq, Request{})...)
			}
			if refused, ok := errors.AsType[*checker.RefusedError](errors.Join(errs...)); !ok {
				t.Errorf("the run does not say what it has not done: %v", errs)
			} else if g, _ := s.here.Group(refused.Step.HolderID); len(g.Ingress) == 0 {
				t.Errorf("refused (%v), yet %s is empty", refused, g.ID)
			}
			if _, err := s.Run(t.Context(), Request{}); err != nil || s.faults > 0 {
				t.Errorf("%d faults; the next run: %v", s.faults, err)
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
	faults      int
}

func newMutantScene(t *testing.T) *mutantScene {
	s := &mutantScene{scene: newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, "18.64.0.0/16", "52.222.0.0/16")}
	s.fault = func(string, ...any) { s.faults++ }
	old, fresh := s.group(s.here, "old", "none"), s.group(s.here, "new", "443")
	one, two := s.group(s.here, "one", "443", "-pool", "web"), s.group(s.here, "two", "443", "-pool", "web")
	s.add(old, staleStamp, "18.64.0.0/16", "52.222.0.0/16")
	s.add(one, staleStamp, "18.64.0.0/15", "52.222.0.0/16")
	s.add(two, staleStamp, "18.64.0.0/16")
	s.add(old, "office", "198.51.100.0/24")
	s.add(one, "office", "198.51.100.0/24")
	s.attach(old, fresh)
	s.attach(one, two)
	s.attach(one)
	s.run = &targetRun{Preview: Preview{Target: s.Targets[0]}}
	s.must(s.discover(t.Context(), s.run))
	var err error
	s.attachments, err = secgroup.DescribeAttachments(t.Context(), s.Targets[0].EC2, []string{old, fresh, one, two})
	s.must(err)
	s.begin(s.ranges)
	return s
}

func (s *mutantScene) plan(a *secgroup.Attachments) *secgroup.Plan {
	published := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	plan, err := secgroup.NewPlan(context.Background(), s.run.Groups, secgroup.Request{
		Stamp:  secgroup.Stamp{TagKey: key, Services: []string{"CLOUDFRONT"}, Published: published},
		Ranges: s.ranges, RulesPerGroup: 60, MaxRevokePercent: 50, Attachments: a,
	})
	s.must(err)
	return plan
}
