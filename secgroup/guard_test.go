package secgroup

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
)

// publish plans for a file that was published some hours after testStamp, takes the steps, and returns the holders then
// and what failed.
func publish(
	t *testing.T, holders []Holder, hours int, ranges []netip.Prefix, change func(*Request),
) ([]Holder, error) {
	t.Helper()
	plan := newPlan(t, holders, ranges, func(r *Request) {
		r.Published, r.RulesPerGroup = testStamp.Published.Add(time.Duration(hours)*time.Hour), 1000
		if change != nil {
			change(r)
		}
	})
	return take(t, plan), plan.Failures()
}

// sources returns the sources of the rules of groups, sorted.
func sources(groups []Group) (all []netip.Prefix) {
	for _, g := range groups {
		for _, r := range g.Ingress {
			all = append(all, r.Source.Prefix)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all
}

// Which rules count, in whose favour, and how much they may lose. Where a pool is held, nothing is removed, and what is
// new is authorized all the same. The simulation of the engine decides in its own way whether pools are held, by the
// default percentage, in both families.
func TestGuardCounts(t *testing.T) {
	within := olderStamp
	within.Within = []string{"AMAZON"}
	one := func(rules ...[]Rule) Group { return group("sg-1", "443", nil, rules...) }
	percent := func(n int) func(*Request) { return func(r *Request) { r.MaxRevokePercent = n } }
	onlyIPv4 := func(r *Request) { r.Families = []Family{IPv4} }
	ten, first, v6 := apart("18.0.0.0/16", 10), prefixes("1.0.0.0/24"), "2600:9000::/28"
	old := words.Strings(ten)
	exclusive := group("sg-1", "443", []string{"mode=exclusive"}, theirs("443", old...))
	both := one(ours("443", old...), ours("443", v6))
	for name, test := range map[string]struct {
		group  Group
		ranges []netip.Prefix
		change func(*Request)
		held   string // empty for not held
	}{
		"half of the rules": {one(ours("443", "1.0.0.0/24", "2.0.0.0/24")), first, nil, ""},
		"more than half": {
			one(ours("443", "1.0.0.0/24", "2.0.0.0/24", "3.0.0.0/24")), first, nil, "2 of its 3 rules, and 66 % of its IPv4",
		},
		"0 percent":              {one(ours("443", "1.0.0.0/24", "2.0.0.0/24")), first, percent(0), "from 1 of its 2 rules"},
		"100 percent":            {one(ours("443", "2.0.0.0/24", "3.0.0.0/24")), first, percent(100), ""},
		"replaced by narrower":   {one(ours("443", "1.0.0.0/23")), prefixes("1.0.0.0/24", "1.0.1.0/24"), percent(0), ""},
		"half of its addresses":  {one(ours("443", "1.0.0.0/23")), first, nil, "from 1 of its 1 rule"},
		"open by a foreign rule": {one(ours("443", "2.0.0.0/24"), theirs("443", "0.0.0.0/0")), first, nil, "1 of its 1"},
		"IPv6 is emptied":        {both, ten, nil, "1 of its 11 rules, and 100 % of its IPv6 addresses"},
		"IPv6 is not asked for":  {both, ten, onlyIPv4, ""},
		"many rules, few addresses": {
			one(ours("443", "52.0.0.0/10", "1.0.0.0/24", "2.0.0.0/24")), prefixes("52.0.0.0/10"), nil,
			"from 2 of its 3 rules, more than MAX_REVOKE_PERCENT=50 allows, so nothing is closed and only new ranges are" +
				" authorized; this would be lost: 1.0.0.0/24, 2.0.0.0/24; ",
		},
		"unlisted ports dilute nothing": {one(ours("443", old[:3]...), ours("80", old[:5]...)), ten[:1], nil, "2 of its 3"},
		"made within other services":    {one(rulesFor(within.String(), "443", old...)), first, nil, ""},
		"rules of others":               {exclusive, ten[:1], nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := newPlan(t, []Group{test.group}, test.ranges, test.change)
			err := plan.Failures()
			if isA[*HeldError](err) != (test.held != "") || err != nil && !strings.Contains(err.Error(), test.held) {
				t.Errorf("%v, want %q", err, test.held)
			}
			removes := slices.ContainsFunc(plan.Pools[0].Steps, func(s Step) bool { return len(s.Remove) > 0 })
			if removes == (test.held != "") {
				t.Errorf("steps %q", steps(plan))
			}
			if lacks := ipspace.Minus(ipspace.Of(test.ranges), ipspace.Of(sources(take(t, plan)))).Prefixes(); len(lacks) > 0 {
				t.Errorf("%v are wanted and not open", lacks)
			}
		})
	}
	full := one(ours("443", "1.0.0.0/24", "2.0.0.0/24"))
	plan := newPlan(t, []Group{full}, prefixes("3.0.0.0/24"), func(r *Request) { r.RulesPerGroup = 2 })
	checkError(t, plan.Failures(),
		`pool "sg-1" is too small: port 443 needs 1 IPv4 rules, room for 0: rules that are held back take the rest`)
	e := &HeldError{Loss: ipspace.Loss{Lost: apart("18.0.0.0/16", maxNamed+2)}}
	checkError(t, e, "this would be lost: 18.0.0.0/16, 18.2.0.0/16, ", ", 18.38.0.0/16, 2 more", "run once with force")
}

// Publications are drawn at random. As long as each takes too many addresses of what the pool had at the start, nothing
// that it had is closed. What is new is open if there is room, and is marked, so that it does not count the next time;
// nor does a rule that was made for another service. Both ways out work: a list that takes nothing away, and force.
func TestPlanHoldsWhateverIsPublished(t *testing.T) {
	heldRuns := 0
	rapid.Check(t, func(t *rapid.T) {
		had := genRanges(t, 8)
		full := rapid.Bool().Draw(t, "full")
		groups := pooled("443", "443")
		for i, p := range had {
			g := &groups[i%2]
			g.Ingress = append(g.Ingress, ours("443", p.String())...)
		}
		n := len(had)
		if other := genPrefix(t); !slices.Contains(had, other) {
			groups[1].Ingress = append(groups[1].Ingress, rulesFor(stampOf("OTHER", -48).String(), "443", other.String())...)
			n++
		}
		req := Request{Stamp: testStamp, RulesPerGroup: 100, MaxRevokePercent: 50}
		if full {
			req.RulesPerGroup = max(len(groups[0].Ingress), len(groups[1].Ingress))
		}
		whole := Interface{Groups: []string{"sg-0", "sg-1"}}
		for i := range rapid.IntRange(1, 4).Draw(t, "publications") {
			req.Ranges = genRanges(t, 8)
			req.Published = testStamp.Published.Add(time.Duration(i) * time.Hour)
			if !takesTooMuch(had, req.Ranges, req.MaxRevokePercent) {
				return
			}
			m := newModel(t, req.RulesPerGroup, groups)
			plan := mustPlan(t, groups, req)
			if !isA[*HeldError](plan.Failures()) {
				t.Fatalf("publication %d, %v, is not held: the pool had %v and is %v", i, req.Ranges, had, groups)
			}
			heldRuns++
			before := m.openAt(whole)
			for _, s := range plan.Pools[0].Steps {
				if m.run(s); len(s.Remove) > 0 {
					t.Fatalf("publication %d: %v removes something in a held pool", i, s)
				}
			}
			for _, p := range req.Ranges {
				openPoints(before, tcp(tcp443, p.String()))
			}
			if after := m.openAt(whole); !full && len(after) != len(before) {
				t.Fatalf("publication %d: %v is open, want %v", i, after, before)
			}
			groups = m.list()
			marked := 0
			for _, r := range slices.Concat(groups[0].Ingress, groups[1].Ingress) {
				if strings.HasSuffix(r.Description, held) {
					marked++
				}
			}
			if added := len(sources(groups)) - n; marked != added {
				t.Fatalf("after publication %d, %d rules are marked, want %d", i, marked, added)
			}
			checkRest(t, m, req, true)
			for _, way := range []struct {
				ranges []netip.Prefix
				force  bool
			}{{had, false}, {req.Ranges, true}} {
				out := req
				out.Ranges, out.Force, out.Published = way.ranges, way.force, out.Published.Add(time.Hour)
				plan := mustPlan(t, groups, out)
				if after := sources(take(t, plan)); !full && (plan.Failures() != nil || !slices.Equal(after, way.ranges)) {
					t.Fatalf("force %t: %v, rules from %v, want %v", way.force, plan.Failures(), after, way.ranges)
				}
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
// group EC2 refuses to change or has a tag that cannot be read.
func TestGuardCountsFrozenGroups(t *testing.T) {
	// Two of the first and four of the second go, which is 60 % of the pool and 40 % of the first.
	ranges := prefixes("1.0.0.0/24", "1.0.2.0/24", "1.0.4.0/24", "2.0.0.0/24")
	for name, test := range map[string]struct {
		ports   string // of the second
		change  func(*Request)
		counted bool // the rules of the second are named as counted
	}{
		"all":           {"443", nil, false},
		"refused":       {"443", func(r *Request) { r.Leave = map[string]error{"sg-1": errors.New("refused")} }, true},
		"not asked for": {"443", func(r *Request) { r.GroupIDs = []string{"sg-0"} }, true},
		"the other":     {"443", func(r *Request) { r.GroupIDs = []string{"sg-1"} }, false},
		"unreadable":    {"443,", nil, true},
	} {
		groups := pooled("443", test.ports)
		groups[0].Ingress = ours("443", words.Strings(apart("1.0.0.0/24", 5))...)
		groups[1].Ingress = ours("443", words.Strings(apart("2.0.0.0/24", 5))...)
		plan := newPlan(t, groups, ranges, test.change)
		held, ok := errors.AsType[*HeldError](plan.Failures())
		if !ok || slices.Equal(held.Frozen, []string{"sg-1"}) != test.counted ||
			strings.Contains(held.Error(), "counting the rules of sg-1") != test.counted {
			t.Errorf("%s: %v", name, plan.Failures())
		}
		checkSteps(t, plan)
	}
}
