package secgroup

import (
	"slices"
	"testing"
)

// An operator's change in a full pool needs no force, closes nothing that is wanted before and after, and leaves a
// second run with nothing to do.
func TestPlanChangesOfSettings(t *testing.T) {
	const quota = 4
	stamp := func(service string, within ...string) Stamp {
		return Stamp{TagKey: testKey, Services: []string{service}, Within: within, Published: testStamp.Published}
	}
	var (
		wide   = prefixes("13.32.0.0/14", "18.64.0.0/14", "52.84.0.0/14", "54.192.0.0/14", "99.84.0.0/14", "108.156.0.0/14", "143.204.0.0/16", "204.246.160.0/22")
		cover  = prefixes("13.32.0.0/14", "52.84.0.0/14", "99.84.0.0/14")
		narrow = prefixes("13.32.4.0/24", "13.33.8.0/24", "52.84.0.0/24", "52.85.9.0/24", "52.86.0.0/24", "99.84.7.0/24", "99.85.7.0/24")
	)
	for _, test := range []struct {
		name     string
		from, to Request
	}{
		{"to a compact cover", Request{Stamp: stamp("CLOUDFRONT"), Ranges: wide}, Request{Stamp: stamp("CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT"), Ranges: cover}},
		{"to another service", Request{Stamp: stamp("CLOUDFRONT"), Ranges: wide}, Request{Stamp: stamp("CLOUDFRONT_ORIGIN_FACING"), Ranges: narrow}},
		{"from a cover to the service", Request{Stamp: stamp("CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT"), Ranges: cover}, Request{Stamp: stamp("CLOUDFRONT_ORIGIN_FACING"), Ranges: narrow}},
		{"same ranges, other words", Request{Stamp: stamp("CLOUDFRONT", "AMAZON"), Ranges: wide}, Request{Stamp: stamp("CLOUDFRONT"), Ranges: wide}},
	} {
		for _, way := range []struct {
			name     string
			from, to Request
		}{{"there", test.from, test.to}, {"back", test.to, test.from}} {
			t.Run(test.name+" "+way.name, func(t *testing.T) {
				use := func(req Request) func(*Request) {
					return func(r *Request) { r.Stamp, r.RulesPerGroup, r.MaxRevokePercent = req.Stamp, quota, 0 }
				}
				web := []string{"pool=web"}
				groups := []Group{group("sg-1", "443", web), group("sg-2", "443", web)}
				groups = take(t, newPlan(t, groups, way.from.Ranges, use(way.from)))
				plan := newPlan(t, groups, way.to.Ranges, use(way.to))
				if err := plan.Failures(); err != nil {
					t.Fatal(err)
				}
				for _, s := range plan.Pools[0].Steps {
					if len(s.Gap) > 0 && len(way.from.Ranges) < 2*quota { // else there may be no other way
						t.Errorf("%v opens the gap %v", s, s.Gap)
					}
				}
				after := take(t, plan)
				for _, g := range after {
					for _, r := range g.Ingress {
						if r.Description != way.to.Stamp.String() {
							t.Errorf("%v is described %q", r.RuleID, r.Description)
						}
					}
				}
				checkSteps(t, newPlan(t, after, way.to.Ranges, use(way.to)))
			})
		}
	}
}

// A group that is taken over keeps open what is wanted, gets true descriptions, and is then at rest. No force is
// needed, whatever is taken away.
func TestPlanTakesOver(t *testing.T) {
	for _, test := range []struct {
		name  string
		rules []Rule
		want  []string
	}{
		{"as it is wanted", theirs("443", "13.32.0.0/15", "18.64.0.0/14"), []string{"redescribe sg-1: 443 13.32.0.0/15, 443 18.64.0.0/14"}},
		{
			"a full group of other ranges", theirs("443", "13.32.0.0/15", "18.64.0.0/16", "1.0.0.0/24", "2.0.0.0/24"),
			[]string{
				"revoke sg-1: 443 1.0.0.0/24, 443 2.0.0.0/24", "authorize sg-1: 443 18.64.0.0/14", "revoke sg-1: 443 18.64.0.0/16",
				"redescribe sg-1: 443 13.32.0.0/15",
			},
		},
		{
			"beside what stays theirs", slices.Concat(theirs("443", "13.32.0.0/15"), theirs("22", "10.0.0.0/8"), ours("443", "18.64.0.0/14")),
			[]string{"redescribe sg-1: 443 13.32.0.0/15"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := func(r *Request) { r.RulesPerGroup, r.MaxRevokePercent = 4, 0 }
			ranges := prefixes("13.32.0.0/15", "18.64.0.0/14")
			plan := newPlan(t, []Group{group("sg-1", "443", []string{"mode=exclusive"}, test.rules)}, ranges, change)
			checkSteps(t, plan, test.want...)
			if err := plan.Failures(); err != nil {
				t.Error(err)
			}
			checkSteps(t, newPlan(t, take(t, plan), ranges, change))
		})
	}
}
