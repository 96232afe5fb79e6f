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

	"cloudfront-sg-sync/internal/ec2sim"
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

// Which rules count, and in whose favour.
func TestGuardCounts(t *testing.T) {
	stamp := func(change func(*Stamp)) string {
		s := olderStamp
		change(&s)
		return s.String()
	}
	s3 := stamp(func(s *Stamp) { s.Services = []string{"S3"} })
	cover := stamp(func(s *Stamp) { s.Within = []string{"AMAZON"} })
	web := []string{"pool=web"}
	ten, v6 := prefixes(manyCIDRs(10)...), prefixes("2600:9000::/28", "2600:9010::/28")
	for _, test := range []struct {
		name   string
		groups []Group
		ranges []netip.Prefix
		change func(*Request)
		held   string // empty for not held
		lost   []netip.Prefix
	}{
		{
			name: "IPv6 is emptied", groups: []Group{group("sg-1", "443", nil, ours("443", manyCIDRs(10)...), ours("443", "2600:9000::/28"))}, ranges: ten,
			held: `from 1 of its 11 rules, and 100 % of its IPv6 addresses`, lost: prefixes("2600:9000::/28"),
		},
		{
			name: "IPv6 is not asked for any more", groups: []Group{group("sg-1", "443", nil, ours("443", manyCIDRs(10)...), ours("443", "2600:9000::/28"))}, ranges: ten,
			change: func(r *Request) { r.Families = []Family{IPv4} },
		},
		{
			name: "one rule of many, but most addresses", groups: []Group{group("sg-1", "443", nil, ours("443", manyCIDRs(10)...), ours("443", "52.0.0.0/10"))}, ranges: ten,
			held: `from 1 of its 11 rules, and 86 % of its IPv4 addresses`, lost: prefixes("52.0.0.0/10"),
		},
		{
			name: "many rules, but few addresses", groups: []Group{group("sg-1", "443", nil, ours("443", "52.0.0.0/10", "1.0.0.0/24", "2.0.0.0/24"))}, ranges: prefixes("52.0.0.0/10"),
			held: `from 2 of its 3 rules`, lost: prefixes("1.0.0.0/24", "2.0.0.0/24"),
		},
		{
			name: "half of either", groups: []Group{group("sg-1", "443", nil, ours("443", manyCIDRs(10)...), ours("443", "2600:9000::/28", "2600:9010::/28"))},
			ranges: slices.Concat(ten[:5], v6[:1]),
		},
		{
			name: "the same on two ports", groups: []Group{group("sg-1", "80 443", nil, ours("80", "1.0.0.0/24", "2.0.0.0/24"), ours("443", "1.0.0.0/24", "2.0.0.0/24", "3.0.0.0/24"))}, ranges: prefixes("1.0.0.0/24"),
			held: `from 3 of its 5 rules, and 60 % of its IPv4 addresses`, lost: prefixes("2.0.0.0/24", "3.0.0.0/24"),
		},
		{
			name: "ports that are not listed any more", ranges: ten[:1],
			groups: []Group{group("sg-1", "443", nil, ours("443", manyCIDRs(1)...), ours("80", manyCIDRs(10)...), ours("8000-8080", manyCIDRs(10)...))},
		},
		{
			name: "they dilute nothing either", ranges: ten[:1],
			groups: []Group{group("sg-1", "443", nil, ours("443", manyCIDRs(3)...), ours("80", manyCIDRs(1)...), ours("8080", manyCIDRs(1)...))},
			held:   `from 2 of its 3 rules, and 66 % of its IPv4 addresses`, lost: ten[1:3],
		},
		{
			name: "rules made for other services", ranges: others(1),
			groups: []Group{group("sg-1", "443", nil, rulesFor(s3, "443", manyCIDRs(10)...))},
		},
		{
			name: "rules made for another cover", ranges: others(1),
			groups: []Group{group("sg-1", "443", nil, rulesFor(cover, "443", manyCIDRs(10)...))},
		},
		{
			name: "a group whose tags cannot be read", ranges: append(ten[:1:1], others(1)...),
			groups: []Group{
				group("sg-1", "443", web, ours("443", manyCIDRs(3)...)),
				group("sg-2", "443,", web, ours("443", "60.0.0.0/16"), ours("80", manyCIDRs(9)...)),
			},
			held: `from 2 of its 3 rules, and 66 % of its IPv4 addresses`, lost: ten[1:3],
		},
		{
			name: "a group that is not asked for", ranges: append(ten[:1:1], others(1)...),
			groups: []Group{
				group("sg-1", "443", web, ours("443", manyCIDRs(3)...)),
				group("sg-2", "443", web, ours("443", "60.0.0.0/16")),
			},
			change: func(r *Request) { r.GroupIDs = []string{"sg-1"} },
			held:   `from 2 of its 3 rules, and 66 % of its IPv4 addresses`, lost: ten[1:3],
		},
		{
			name: "rules of others", ranges: ten[:1],
			groups: []Group{group("sg-1", "443", []string{"mode=exclusive"}, theirs("443", manyCIDRs(10)...))},
		},
		{
			name: "a group tagged none", ranges: ten[:1],
			groups: []Group{group("sg-1", "none", nil, ours("443", manyCIDRs(10)...))},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := newPlan(t, test.groups, test.ranges, test.change)
			var held *HeldError
			errors.As(plan.Failures(), &held)
			switch {
			case (held != nil) != (test.held != ""):
				t.Errorf("held: %v", held)
			case held != nil && (!strings.Contains(held.Error(), test.held) || !slices.Equal(held.Lost, test.lost)):
				t.Errorf("%v, want %s of %v", held, test.held, test.lost)
			}
			closes := slices.ContainsFunc(plan.Pools[0].Steps, func(s Step) bool { return len(s.Remove) > 0 })
			if closes == (test.held != "") {
				t.Errorf("steps %q", steps(plan))
			}
		})
	}
}

// Nothing is revoked in a held pool, not even a rule that a wider one replaces: the guard counts it as long as it is
// held. What is authorized meanwhile is marked.
func TestGuardRecuts(t *testing.T) {
	groups := []Group{group("sg-1", "443", nil, ours("443", "1.0.0.0/24", "1.0.1.0/24", "2.0.0.0/24", "3.0.0.0/24", "4.0.0.0/24"))}
	plan := newPlan(t, groups, prefixes("1.0.0.0/23", "5.0.0.0/24"), nil)
	checkSteps(t, plan, "authorize sg-1: 443 1.0.0.0/23, 443 5.0.0.0/24")
	if !isHeld(plan.Failures()) {
		t.Errorf("not held: %v", plan.Failures())
	}
	want := []string{testStamp.String() + " held", testStamp.String() + " held"}
	if added := plan.Pools[0].Steps[0].Add; added[0].Description != want[0] || added[1].Description != want[1] {
		t.Errorf("descriptions %q and %q, want %q", added[0].Description, added[1].Description, want)
	}
}

// A rule that is held because half of it was withdrawn stays, and the other half comes beside it. It does not count
// beside it: otherwise one rule of two would lose addresses in the next run, and that would be let go.
func TestGuardHoldsBesideARecut(t *testing.T) {
	groups := []Group{group("sg-1", "443", nil, ours("443", "1.0.0.0/23"))}
	w := newListWorld(ec2sim.Options{})
	id := w.create(t, "ranges", 10, entriesFrom(prefixes("1.0.0.0/23"), oldEntry)...)
	for n := range 3 {
		var err error
		if groups, err = publish(t, groups, n, prefixes("1.0.0.0/24"), nil); !isHeld(err) {
			t.Errorf("run %d: the group is let go: %v", n, err)
		}
		if pools := w.run(t, fileOf(n, prefixes("1.0.0.0/24")), map[int]int{0: 1}[n]); !isHeld(pools[0].Err) {
			t.Errorf("run %d: the list is let go: %v", n, pools[0].Err)
		}
	}
	if all, _ := sources(groups); !slices.Equal(all, prefixes("1.0.0.0/23", "1.0.0.0/24")) || !slices.Equal(w.owned(id), all) {
		t.Errorf("the group opens %v, the list %v", all, w.owned(id))
	}
}

// Rules made for another service do not count for what the pool had, and neither does the one that replaces them while
// the pool is held: otherwise one rule of two would lose addresses in the next run, and that would be let go.
func TestGuardHoldsBesideAnotherService(t *testing.T) {
	other := ours("443", "2.0.0.0/25", "2.0.0.128/25")
	for i := range other {
		other[i].Description = testKey + ": OTHER 2026-01-01T00:00:00Z"
	}
	groups := []Group{group("sg-1", "443", nil, append(ours("443", "1.0.0.0/24"), other...))}
	for n := range 3 {
		var err error
		if groups, err = publish(t, groups, n, prefixes("2.0.0.0/24"), nil); !isHeld(err) {
			t.Errorf("run %d: the group is let go: %v", n, err)
		}
	}
	if all, _ := sources(groups); !slices.Contains(all, netip.MustParsePrefix("1.0.0.0/24")) {
		t.Errorf("the group opens %v", all)
	}
}

// In a held pool no address is closed for a moment, not even where a rule could be replaced by a wider one if that were
// done.
func TestGuardClosesNothingInFullGroup(t *testing.T) {
	groups := []Group{group("sg-1", "443", nil, ours("443", "1.0.0.0/24", "1.0.1.0/24", "2.0.0.0/24", "3.0.0.0/24", "4.0.0.0/24"))}
	plan := newPlan(t, groups, prefixes("1.0.0.0/23"), func(r *Request) { r.RulesPerGroup = 5 })
	if !isHeld(plan.Failures()) {
		t.Errorf("not held: %v", plan.Failures())
	}
	for _, s := range plan.Pools[0].Steps {
		if len(s.Remove) > 0 {
			t.Errorf("steps %q", steps(plan))
		}
	}
}

// A rule that a held pool has in two groups is not authorized again.
func TestGuardAuthorizesNothingTwice(t *testing.T) {
	web := []string{"pool=web"}
	groups := []Group{
		group("sg-1", "80 443", web, ours("443", "1.0.0.0/24", "2.0.0.0/24", "3.0.0.0/24")),
		group("sg-2", "443", web, ours("443", "1.0.0.0/24", "4.0.0.0/24")),
	}
	plan := newPlan(t, groups, prefixes("1.0.0.0/24"), func(r *Request) { r.RulesPerGroup = 3 })
	if !isHeld(plan.Failures()) {
		t.Errorf("not held: %v", plan.Failures())
	}
	take(t, plan) // fails where what is authorized is there
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
