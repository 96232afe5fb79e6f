package secgroup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cloudfront-sg-sync/internal/ipspace"
)

// publish plans for a file that was published some hours after testStamp, takes the steps, and returns the groups then
// and what failed.
func publish(t *testing.T, groups []Group, hours int, ranges []netip.Prefix, change func(*Request)) ([]Group, error) {
	t.Helper()
	plan := newPlan(t, groups, ranges, func(r *Request) {
		r.Published = testStamp.Published.Add(time.Duration(hours) * time.Hour)
		r.RulesPerGroup = 1000
		if change != nil {
			change(r)
		}
	})
	return take(t, plan), plan.Failures()
}

func isHeld(err error) bool {
	var held *HeldError
	return errors.As(err, &held)
}

// sources returns the sources of the rules of groups, sorted, and how many of them are marked as added while the pool
// was held.
func sources(groups []Group) (all []netip.Prefix, marked int) {
	for _, g := range groups {
		for _, r := range g.Ingress {
			all = append(all, r.Source.Prefix)
			if strings.HasSuffix(r.Description, held) {
				marked++
			}
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all, marked
}

// others returns n ranges that are none of manyCIDRs.
func others(n int) []netip.Prefix {
	var all []netip.Prefix
	for i := range n {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{60, byte(2 * i), 0, 0}), 16))
	}
	return all
}

// However often it runs and whatever is published in between, nothing is closed that a list takes away from what the
// pool had before.
func TestGuardHolds(t *testing.T) {
	old := prefixes(manyCIDRs(40)...)
	bad := others(40)
	for _, test := range []struct {
		name  string
		lists [][]netip.Prefix // of one publication after the other
	}{
		{"tried again", [][]netip.Prefix{bad, bad, bad}},
		{"the next publication", [][]netip.Prefix{bad, append(slices.Clone(bad), prefixes("61.0.0.0/16")...), bad[1:]}},
		{"a list twice as long", [][]netip.Prefix{others(100), others(120), bad}},
		{"little by little", [][]netip.Prefix{slices.Concat(old[:10], bad), slices.Concat(old[:5], others(60)), others(100)}},
		{"another one", [][]netip.Prefix{bad, prefixes("61.0.0.0/16"), prefixes("62.0.0.0/16"), bad}},
	} {
		t.Run(test.name, func(t *testing.T) {
			groups := []Group{group("sg-1", "443", nil, ours("443", manyCIDRs(40)...))}
			for i, list := range test.lists {
				var err error
				groups, err = publish(t, groups, i, list, nil)
				if !isHeld(err) {
					t.Errorf("publication %d is not held: %v", i, err)
				}
				all, marked := sources(groups)
				if gone := ipspace.Minus(ipspace.Of(old), ipspace.Of(all)).Prefixes(); len(gone) > 0 {
					t.Fatalf("publication %d closes %v", i, gone)
				}
				if lacks := ipspace.Minus(ipspace.Of(list), ipspace.Of(all)).Prefixes(); len(lacks) > 0 {
					t.Errorf("after publication %d, %v are wanted and not open", i, lacks)
				}
				if marked != len(all)-len(old) {
					t.Errorf("after publication %d, %d rules are marked, want %d", i, marked, len(all)-len(old))
				}
			}
			// Both ways out: a list that takes nothing away, and force.
			last := test.lists[len(test.lists)-1]
			for _, way := range []struct {
				name  string
				list  []netip.Prefix
				force bool
			}{{"good list", old, false}, {"force", last, true}} {
				after, err := publish(t, groups, 10, way.list, func(r *Request) { r.Force = way.force })
				all, marked := sources(after)
				if diff := cmp.Diff(way.list, all, compare); diff != "" || marked != 0 || err != nil {
					t.Errorf("%s: %v, %d rules are marked, rules: -want +got\n%s", way.name, err, marked, diff)
				}
				again := newPlan(t, after, way.list, func(r *Request) {
					r.Published, r.RulesPerGroup = testStamp.Published.Add(11*time.Hour), 1000
				})
				checkSteps(t, again)
			}
		})
	}
}

// Which rules count, in whose favour, and how much they may lose. Where a pool is held, nothing is removed, and what is
// new is authorized all the same.
func TestGuardCounts(t *testing.T) {
	stamp := func(change func(*Stamp)) string {
		s := olderStamp
		change(&s)
		return s.String()
	}
	s3 := stamp(func(s *Stamp) { s.Services = []string{"S3"} })
	within := stamp(func(s *Stamp) { s.Within = []string{"AMAZON"} })
	web := []string{"pool=web"}
	one := func(rules ...[]Rule) []Group { return []Group{group("sg-1", "443", nil, rules...)} }
	percent := func(n int) func(*Request) { return func(r *Request) { r.MaxRevokePercent = n } }
	old, ten, v6 := manyCIDRs(10), prefixes(manyCIDRs(10)...), "2600:9000::/28"
	first := prefixes("1.0.0.0/24")
	for name, test := range map[string]struct {
		groups []Group
		ranges []netip.Prefix
		change func(*Request)
		held   string // empty for not held
	}{
		"half of the rules":        {one(ours("443", "1.0.0.0/24", "2.0.0.0/24")), first, nil, ""},
		"more than half":           {one(ours("443", "1.0.0.0/24", "2.0.0.0/24", "3.0.0.0/24")), first, nil, "from 2 of its 3 rules, and 66 % of its IPv4 addresses"},
		"0 percent":                {one(ours("443", "1.0.0.0/24", "2.0.0.0/24")), first, percent(0), "from 1 of its 2 rules"},
		"100 percent":              {one(ours("443", "2.0.0.0/24", "3.0.0.0/24")), first, percent(100), ""},
		"with force":               {one(ours("443", "2.0.0.0/24", "3.0.0.0/24")), first, func(r *Request) { r.Force = true }, ""},
		"replaced by a wider one":  {one(ours("443", "1.0.0.0/24", "1.0.1.0/24")), prefixes("1.0.0.0/23"), percent(0), ""},
		"replaced by narrower":     {one(ours("443", "1.0.0.0/23")), prefixes("1.0.0.0/24", "1.0.1.0/24"), percent(0), ""},
		"half of its addresses":    {one(ours("443", "1.0.0.0/23")), first, nil, "from 1 of its 1 rule"},
		"open by a foreign rule":   {one(ours("443", "2.0.0.0/24", "3.0.0.0/24"), theirs("443", "0.0.0.0/0")), first, nil, "from 2 of its 2 rules"},
		"a port no longer listed":  {one(ours("80", "1.0.0.0/24"), ours("8080", "1.0.0.0/24")), first, nil, ""},
		"IPv6 is emptied":          {one(ours("443", old...), ours("443", v6)), ten, nil, "from 1 of its 11 rules, and 100 % of its IPv6 addresses"},
		"IPv6 is not asked for":    {one(ours("443", old...), ours("443", v6)), ten, func(r *Request) { r.Families = []Family{IPv4} }, ""},
		"one rule, most addresses": {one(ours("443", old...), ours("443", "52.0.0.0/10")), ten, nil, "from 1 of its 11 rules, and 86 % of its IPv4 addresses"},
		"many rules, few addresses": {
			one(ours("443", "52.0.0.0/10", "1.0.0.0/24", "2.0.0.0/24")), prefixes("52.0.0.0/10"), nil,
			"from 2 of its 3 rules, more than MAX_REVOKE_PERCENT=50 allows, so nothing is closed and only new ranges are authorized; this would be lost: 1.0.0.0/24, 2.0.0.0/24; ",
		},
		"half of either": {one(ours("443", old...), ours("443", v6, "2600:9010::/28")), append(ten[:5:5], prefixes(v6)...), nil, ""},
		"on two ports": {
			[]Group{group("sg-1", "80 443", nil, ours("80", "1.0.0.0/24", "2.0.0.0/24"), ours("443", "1.0.0.0/24", "2.0.0.0/24", "3.0.0.0/24"))},
			first, nil,
			"from 3 of its 5 rules, and 60 % of its IPv4 addresses",
		},
		"unlisted ports dilute nothing": {one(ours("443", old[:3]...), ours("80", old[:1]...), ours("8080", old[:1]...)), ten[:1], nil, "from 2 of its 3 rules"},
		"made for other services":       {one(rulesFor(s3, "443", old...)), others(1), nil, ""},
		"made within other services":    {one(rulesFor(within, "443", old...)), others(1), nil, ""},
		"tags that cannot be read": {
			[]Group{group("sg-1", "443", web, ours("443", old[:3]...)), group("sg-2", "443,", web, ours("443", "60.0.0.0/16"), ours("80", old[:9]...))},
			append(ten[:1:1], others(1)...), nil, "from 2 of its 3 rules",
		},
		"rules of others": {[]Group{group("sg-1", "443", []string{"mode=exclusive"}, theirs("443", old...))}, ten[:1], nil, ""},
		"tagged none":     {[]Group{group("sg-1", "none", nil, ours("443", old...))}, ten[:1], nil, ""},
		"of two groups, half of the pool": {
			[]Group{group("sg-1", "443", web, ours("443", "2.0.0.0/24")), group("sg-2", "443", web, ours("443", "1.0.0.0/24"))}, first, nil, "",
		},
		"of two groups, all of the pool": {
			[]Group{group("sg-1", "443", web, ours("443", "2.0.0.0/24")), group("sg-2", "443", web, ours("443", "3.0.0.0/24"))}, first, nil, "from 2 of its 2 rules",
		},
		"a full group": {
			one(ours("443", "1.0.0.0/24", "2.0.0.0/24")), prefixes("3.0.0.0/24"), func(r *Request) { r.RulesPerGroup = 2 },
			`pool "sg-1" is too small: port 443 needs 1 IPv4 rules, room for 0: rules that are held back take the rest`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan := newPlan(t, test.groups, test.ranges, test.change)
			if err := plan.Failures(); isHeld(err) != (test.held != "") || err != nil && !strings.Contains(err.Error(), test.held) {
				t.Errorf("%v, want %q", err, test.held)
			}
			removes := slices.ContainsFunc(plan.Pools[0].Steps, func(s Step) bool { return len(s.Remove) > 0 })
			if removes == (test.held != "") {
				t.Errorf("steps %q", steps(plan))
			}
			all, _ := sources(take(t, plan))
			if lacks := ipspace.Minus(ipspace.Of(test.ranges), ipspace.Of(all)).Prefixes(); len(lacks) > 0 && name != "a full group" && name != "tagged none" {
				t.Errorf("%v are wanted and not open", lacks)
			}
		})
	}
	e := &HeldError{Loss: ipspace.Loss{Lost: prefixes(manyCIDRs(maxNamed + 2)...)}}
	checkError(t, e, "this would be lost: 18.0.0.0/16, 18.2.0.0/16, ", ", 18.38.0.0/16, 2 more", "run once with force")
}

// What is added while a pool is held does not count: otherwise one rule of two would lose addresses in the next run, and
// that would be let go. That holds beside a rule that loses half, and beside one made for another service.
func TestGuardHoldsBesideWhatItAdds(t *testing.T) {
	other := rulesFor(testKey+": OTHER 2026-01-01T00:00:00Z", "443", "2.0.0.0/25", "2.0.0.128/25")
	for name, test := range map[string]struct {
		rules  []Rule
		ranges []netip.Prefix
	}{
		"a rule that is cut":  {ours("443", "1.0.0.0/23"), prefixes("1.0.0.0/24")},
		"for another service": {append(ours("443", "1.0.0.0/24"), other...), prefixes("2.0.0.0/24")},
	} {
		groups := []Group{group("sg-1", "443", nil, test.rules)}
		for n := range 3 {
			var err error
			if groups, err = publish(t, groups, n, test.ranges, nil); !isHeld(err) {
				t.Errorf("%s, run %d: the group is let go: %v", name, n, err)
			}
		}
		if all, _ := sources(groups); !slices.Contains(all, test.rules[0].Source.Prefix) {
			t.Errorf("%s: the group opens %v", name, all)
		}
	}
}

// Publications are drawn at random. As long as each takes too many addresses of what the pool had at the start, nothing
// that it had is closed.
func TestPlanHoldsWhateverIsPublished(t *testing.T) {
	heldRuns := 0
	rapid.Check(t, func(t *rapid.T) {
		had := genRanges(t, 8)
		full := rapid.Bool().Draw(t, "full")
		web := []string{"pool=web"}
		groups := []Group{group("sg-0", "443", web), group("sg-1", "443", web)}
		for i, p := range had {
			g := &groups[i%2]
			g.Ingress = append(g.Ingress, ours("443", p.String())...)
		}
		req := Request{Stamp: testStamp, RulesPerGroup: 100, MaxRevokePercent: 50}
		if full {
			req.RulesPerGroup = max(len(groups[0].Ingress), len(groups[1].Ingress))
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "publications") {
			req.Ranges = genRanges(t, 8)
			req.Published = testStamp.Published.Add(time.Duration(i) * time.Hour)
			if !takesTooMuch(had, req.Ranges, req.MaxRevokePercent) {
				return
			}
			m := newModel(t, req.RulesPerGroup, groups)
			plan, err := NewPlan(context.Background(), groups, req)
			if err != nil {
				t.Fatal(err)
			}
			if !isHeld(plan.Failures()) {
				t.Fatalf("publication %d, %v, is not held: the pool had %v and is %v", i, req.Ranges, had, groups)
			}
			heldRuns++
			for _, s := range plan.Pools[0].Steps {
				before := m.open()
				m.run(s)
				after := m.open()
				for pt := range before {
					if !after[pt] {
						t.Fatalf("publication %d: %v closes %v in a held pool", i, s, pt)
					}
				}
			}
			groups = m.list()
			again, err := NewPlan(context.Background(), groups, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range again.Pools[0].Steps {
				t.Fatalf("a second run of publication %d has steps: %v %v", i, s, s.Rules())
			}
		}
	})
	t.Logf("%d runs were held", heldRuns)
}

// takesTooMuch reports whether a list takes more than the percentage of the addresses of a family.
func takesTooMuch(had, list []netip.Prefix, percent int) bool {
	var total, lost [2]int
	for _, p := range had {
		for _, a := range addressesIn(p) {
			f := FamilyOf(p)
			total[f]++
			if !slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Contains(a) }) {
				lost[f]++
			}
		}
	}
	return lost[IPv4]*100 > total[IPv4]*percent || lost[IPv6]*100 > total[IPv6]*percent
}

// A pool is held whether or not this run may change all of its groups: in whatever part it is asked for, and whichever
// group EC2 refuses to change.
func TestGuardCountsFrozenGroups(t *testing.T) {
	groups := []Group{
		group("sg-1", "443", []string{"pool=web"}, ours("443", "1.0.0.0/24", "1.0.2.0/24", "1.0.4.0/24", "1.0.6.0/24", "1.0.8.0/24")),
		group("sg-2", "443", []string{"pool=web"}, ours("443", "2.0.0.0/24", "2.0.2.0/24", "2.0.4.0/24", "2.0.6.0/24", "2.0.8.0/24")),
	}
	// Two of the first and four of the second go, which is 60 % of the pool and 40 % of the first.
	ranges := prefixes("1.0.0.0/24", "1.0.2.0/24", "1.0.4.0/24", "2.0.0.0/24")
	for name, change := range map[string]func(*Request){
		"all":           nil,
		"refused":       func(r *Request) { r.Leave = map[string]error{"sg-2": errors.New("refused")} },
		"not asked for": func(r *Request) { r.GroupIDs = []string{"sg-1"} },
		"the other":     func(r *Request) { r.GroupIDs = []string{"sg-2"} },
	} {
		plan := newPlan(t, groups, ranges, change)
		if !isHeld(plan.Failures()) {
			t.Errorf("%s: not held: %v", name, plan.Failures())
		}
		checkSteps(t, plan)
		if counted := strings.Contains(fmt.Sprint(plan.Failures()), "counting the rules of sg-2"); counted != (name == "refused" || name == "not asked for") {
			t.Errorf("%s: %v", name, plan.Failures())
		}
	}
}
