package secgroup

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// The order of the steps, what is described, and what the plan counts. TestPlanKeepsItsPromises asks whether a plan is
// right, TestTinyWorlds of the planner whether there is a better one.
func TestPlanOneGroup(t *testing.T) {
	for _, test := range []struct {
		name          string
		ports         string
		options       []string
		rules         []Rule
		ranges        []netip.Prefix
		quota         int // 60 where it is 0
		want          []string
		kept, foreign int
	}{
		{
			// The date comes first, see TestPlanLeavesTheDate.
			name: "a range is withdrawn", ports: "443", ranges: prefixes("13.32.0.0/15", "18.64.0.0/14"),
			rules: ours("443", "13.32.0.0/15", "15.158.0.0/16", "18.64.0.0/14"), kept: 2,
			want: []string{"redescribe sg-1: 443 13.32.0.0/15", "revoke sg-1: 443 15.158.0.0/16"},
		},
		{
			name: "IPv6 is full, IPv4 has room", ports: "443", quota: 1, ranges: prefixes("13.32.0.0/15", "2600:9000::/28"),
			rules: ours("443", "2600:9000:1::/48"),
			want: []string{
				"authorize sg-1: 443 13.32.0.0/15", "revoke sg-1: 443 2600:9000:1::/48 (gap: 2600:9000:1::/48)",
				"authorize sg-1: 443 2600:9000::/28",
			},
		},
		{
			name: "whole replaces pieces in a full group: one gap, the smallest piece", ports: "443", quota: 2,
			ranges: prefixes("13.32.0.0/15"), rules: ours("443", "13.32.0.0/16", "13.33.0.0/17"),
			want: []string{
				"revoke sg-1: 443 13.33.0.0/17 (gap: 13.33.0.0/17)", "authorize sg-1: 443 13.32.0.0/15",
				"revoke sg-1: 443 13.32.0.0/16",
			},
		},
		{
			name: "a reference takes room of both families", ports: "443", quota: 2, ranges: prefixes("2600:9000::/125"),
			rules: slices.Concat(ours("443", "2600:9000::/126"), owned("443", testReference)),
			want: []string{
				"revoke sg-1: 443 " + testReference, "authorize sg-1: 443 2600:9000::/125", "revoke sg-1: 443 2600:9000::/126",
			},
		},
		{
			name: "exclusive takes over what opens listed ports", ports: "80 81", options: []string{"mode=exclusive"},
			ranges: prefixes("13.32.0.0/15"), kept: 1, foreign: 2,
			rules: slices.Concat(
				theirs("80", "13.32.0.0/15", "15.158.0.0/16"), theirs("80-81", "0.0.0.0/0"),
				theirs("80-82", "15.158.0.0/16"), theirs("22", "10.0.0.0/8"),
			),
			want: []string{
				"authorize sg-1: 81 13.32.0.0/15", "revoke sg-1: 80 15.158.0.0/16, 80-81 0.0.0.0/0",
				"redescribe sg-1: 80 13.32.0.0/15",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := func(r *Request) {
				if r.MaxRevokePercent = 100; test.quota > 0 {
					r.RulesPerGroup = test.quota
				}
			}
			plan := newPlan(t, []Group{group("sg-1", test.ports, test.options, test.rules)}, test.ranges, change)
			checkSteps(t, plan, test.want...)
			if err := plan.Failures(); err != nil {
				t.Error(err)
			}
			for _, s := range plan.Pools[0].Steps {
				for _, r := range slices.Concat(s.Add, s.Describe) {
					if r.Description != "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z" {
						t.Errorf("%v gets the description %q", r, r.Description)
					}
				}
			}
			if g := plan.Pools[0].Holders[0]; g.Kept != test.kept || g.Foreign != test.foreign {
				t.Errorf("%d rules kept and %d foreign, want %d and %d", g.Kept, g.Foreign, test.kept, test.foreign)
			}
			checkSteps(t, newPlan(t, take(t, plan), test.ranges, change)) // a second run has nothing to do
		})
	}
}

// owned returns a rule of this tool that refers to a list or a group.
func owned(ports, reference string) []Rule {
	r := ours(ports, "0.0.0.0/0")[0]
	r.Source = Source{Reference: reference}
	return []Rule{r}
}

// Full groups at one interface, and one of them opens more than it lists: no rule goes before its replacement is there,
// and no group is revoked from twice.
func TestTightGroupsAtOneInterface(t *testing.T) {
	other := ours("443", "2.0.0.0/24")
	for name, test := range map[string]struct {
		ports    string // of the first; the second lists 443
		inA, inB []Rule
		wanted   string
	}{
		"a group that withdraws holds the range open": {
			"none", ours("443", "1.0.0.0/22"), ours("443", "1.0.0.0/22"), "1.0.0.0/23",
		},
		"stale rules of another port": {
			"80", slices.Concat(ours("80", "1.0.0.0/24", "3.0.0.0/24"), ours("443", "1.0.0.0/24")), other, "1.0.0.0/24",
		},
		"an owned reference": {
			"80", slices.Concat(ours("80", "1.0.0.0/24"), owned("443", "pl-3b927c52")), other, "1.0.0.0/24",
		},
	} {
		groups := []Group{group("sg-a", test.ports, nil, test.inA), group("sg-b", "443", nil, test.inB)}
		plan := newPlan(t, groups, prefixes(test.wanted), func(r *Request) {
			r.RulesPerGroup, r.MaxRevokePercent = 1, 100
			r.Attachments = &Attachments{Interfaces: []Interface{{ID: "eni-1", Groups: []string{"sg-a", "sg-b"}}}}
		})
		var calls []string
		for _, s := range plan.Sequences[0].Steps {
			if len(s.Describe) == 0 {
				calls = append(calls, s.Operation()+" "+s.HolderID)
			}
			if len(s.Gap) > 0 {
				t.Errorf("%s: %v opens a gap", name, s)
			}
		}
		if got := strings.Join(calls, ", "); got != "revoke sg-b, authorize sg-b, revoke sg-a" {
			t.Errorf("%s: it plans %s: %q", name, got, steps(plan))
		}
	}
}

// A pool with a rule from a newer file is left as it is, in whichever of its groups that is, unless force is given; the
// other pools go on.
func TestPlanRefusesOlderPublication(t *testing.T) {
	newer := stampOf("CLOUDFRONT", 1).String()
	for description, older := range map[string]bool{
		newer: true, stampOf("S3", 1).String(): true, newer + held: true,
		testStamp.String(): false, olderStamp.String(): false,
		strings.Replace(newer, testKey, testKey+"2", 1): false, testKey + ": by hand": false,
		"office until 2030-01-01T00:00:00Z": false,
	} {
		for _, where := range []struct {
			ports string
			ids   []string
		}{{"443", nil}, {"bad,", nil}, {"443", []string{"sg-a", "sg-0"}}} {
			groups := append(pooled("443", where.ports), group("sg-a", "443", nil))
			groups[1].Ingress = append(ours("443", "15.158.0.0/16"), rulesFor(description, "443", "18.64.0.0/14")...)
			change := func(r *Request) { r.GroupIDs, r.MaxRevokePercent = where.ids, 100 }
			plan := newPlan(t, groups, prefixes("13.32.0.0/15"), change)
			alone, web := plan.Pools[0], plan.Pools[1]
			refused, ok := errors.AsType[*OlderError](plan.Failures())
			if idle := len(web.Steps) == 0; len(alone.Steps) != 1 || ok != older || idle != older {
				t.Fatalf("%q: steps %q, failures: %v", description, steps(plan), plan.Failures())
			}
			if !older {
				continue
			}
			checkError(t, web.Err, "the file was published at 2026-08-22T15:17:05Z",
				"rule tcp 443 from 18.64.0.0/14 of sg-1 was made from a newer one", description,
				"its pool was left as it is", "run with force")
			if refused.Rule.Description != description || !refused.Newest.After(refused.Published) {
				t.Errorf("%+v", refused)
			}
			forced := newPlan(t, groups, prefixes("13.32.0.0/15"), func(r *Request) { change(r); r.Force = true })
			if len(forced.Pools[1].Steps) == 0 || isA[*OlderError](forced.Failures()) {
				t.Errorf("with force: steps %q, %v", steps(forced), forced.Failures())
			}
		}
	}
}

// Groups in two VPCs, or with a port that no other group of the pool lists, are no pool. Others go on, and a withdrawal
// needs no pool.
func TestPlanRefusesPool(t *testing.T) {
	for _, test := range []struct {
		ports []string
		vpc   string // of the last
		want  string // empty where the pool is good
	}{
		{[]string{"443", "443"}, "vpc-2", `pool "web" has groups in two VPCs, sg-0 in vpc-1 and sg-1 in vpc-2`},
		{[]string{"443", "none"}, "vpc-2", "in two VPCs"},
		{[]string{"443", "80"}, "", `pool "web": sg-0 has no port in common with the other groups of the pool (its ports`},
		{[]string{"443", "443 80", "8080-8081"}, "", "sg-2 has no port in common with the other groups of the pool"},
		{[]string{"80-90", "80"}, "", "no port in common"},
		{[]string{"80", "80 443", "443"}, "", ""},
		{[]string{"443", "none"}, "", ""},
		{[]string{"none", "none"}, "", ""},
	} {
		groups := pooled(test.ports...)
		last := &groups[len(groups)-1]
		if last.Ingress = ours("443", "15.158.0.0/16"); test.vpc != "" {
			last.VPC = test.vpc
		}
		groups = append(groups, group("sg-x", "443", nil))
		plan := newPlan(t, groups, prefixes("13.32.0.0/15"), func(r *Request) { r.MaxRevokePercent = 100 })
		if test.want != "" {
			checkError(t, plan.Failures(), test.want)
			checkSteps(t, plan, "authorize sg-x: 443 13.32.0.0/15")
		} else if err := plan.Failures(); err != nil || len(steps(plan)) < 2 {
			t.Errorf("%v: %v, steps %q", test.ports, err, steps(plan))
		}
		unread := group("sg-y", "443", nil, ours("443", "15.158.0.0/16"))
		unread.Err = errors.New("unread")
		withdrawn := newPlan(t, append(groups, unread), nil, func(r *Request) { r.Withdraw = true })
		checkSteps(t, withdrawn, "revoke "+last.ID+": 443 15.158.0.0/16")
		if err := withdrawn.Failures(); err == nil || err.Error() != "sg-y: unread" {
			t.Errorf("failures of a withdrawal: %v", err)
		}
	}
}

// CLOUDFRONT of today: 180 IPv4 and 31 IPv6 ranges, and groups of 60 rules. Where there is no room for all, the widest
// ranges come first. Where a group that could hold the rest is left alone, no more groups are asked for.
func TestPlanCloudFront(t *testing.T) {
	ranges := slices.Concat(apart("13.0.0.0/22", 60), apart("14.0.0.0/24", 120))
	for i := range 31 {
		ranges = append(ranges, netip.MustParsePrefix(fmt.Sprintf("2600:%x::/32", 0x9000+2*i)))
	}
	for _, test := range []struct {
		ports        []string
		quota        int
		placed, wide int // IPv4 rules
		short        string
	}{
		{[]string{"443", "443", "443"}, 60, 180, 60, ""},
		{slices.Repeat([]string{"80 443"}, 6), 60, 360, 120, ""},
		{[]string{"443", "443"}, 60, 120, 60, "port 443 needs 180 IPv4 rules, room for 120; make 1 more group"},
		{
			[]string{"443"},
			20, 20, 20,
			"port 443 needs 180 IPv4 rules, room for 20; port 443 needs 31 IPv6 rules, room for 20; make 8 more groups",
		},
		{[]string{"443", "443,"}, 100, 100, 60, "groups of the pool that this run leaves alone may have room for the rest"},
	} {
		change := func(r *Request) { r.RulesPerGroup = test.quota }
		plan := newPlan(t, pooled(test.ports...), ranges, change)
		if err := plan.Failures(); (err != nil) != (test.short != "") || !strings.Contains(fmt.Sprint(err), test.short) {
			t.Errorf("error %v, want one with %q", err, test.short)
		}
		placed, wide := 0, 0
		for i, g := range take(t, plan) {
			n := used(&g)
			placed += n[IPv4]
			for _, r := range g.Ingress {
				if r.Source.Prefix.Bits() == 22 {
					wide++
				}
			}
			if free := plan.Pools[0].Holders[i].Free; free != (Weight{test.quota - n[IPv4], test.quota - n[IPv6]}) {
				t.Errorf("%s has %v rules, and by the plan room for %v", g.ID, n, free)
			}
		}
		if placed != test.placed || wide != test.wide || len(steps(plan)) > len(test.ports) {
			t.Errorf("%v: %d IPv4 rules are placed, %d of them wide, by %d calls", test, placed, wide, len(steps(plan)))
		}
	}
}

// An operator's change in a full pool needs no force, closes nothing that is wanted before and after, and leaves a
// second run with nothing to do.
func TestPlanChangesOfSettings(t *testing.T) {
	const quota = 4
	cover := stampOf("CLOUDFRONT_ORIGIN_FACING", 0)
	cover.Within = []string{"CLOUDFRONT"}
	type settings struct {
		Stamp
		ranges []netip.Prefix
	}
	all := settings{stampOf("CLOUDFRONT", 0), apart("13.32.0.0/14", 8)}
	compact := settings{cover, all.ranges[2:5]}
	servers := slices.Concat(apart("13.48.4.0/24", 4), apart("13.56.8.0/24", 3))
	service, words := settings{stampOf("CLOUDFRONT_ORIGIN_FACING", 0), servers}, settings{stampOf("AMAZON", 0), all.ranges}
	for _, test := range [][2]settings{
		{all, compact},
		{compact, all},
		{all, service},
		{service, all},
		{compact, service},
		{service, compact},
		{all, words},
		{words, all},
	} {
		from, to := test[0], test[1]
		use := func(s settings) func(*Request) {
			return func(r *Request) { r.Stamp, r.RulesPerGroup, r.MaxRevokePercent = s.Stamp, quota, 0 }
		}
		groups := take(t, newPlan(t, pooled("443", "443"), from.ranges, use(from)))
		plan := newPlan(t, groups, to.ranges, use(to))
		if err := plan.Failures(); err != nil {
			t.Fatalf("from %v to %v: %v", from, to, err)
		}
		for _, s := range plan.Pools[0].Steps {
			if len(s.Gap) > 0 && len(from.ranges) < 2*quota { // else there may be no other way
				t.Errorf("from %v to %v: %v opens the gap %v", from, to, s, s.Gap)
			}
		}
		after := take(t, plan)
		for _, r := range slices.Concat(after[0].Ingress, after[1].Ingress) {
			if r.Description != to.Stamp.String() {
				t.Errorf("from %v to %v: %v is described %q", from, to, r.RuleID, r.Description)
			}
		}
		checkSteps(t, newPlan(t, after, to.ranges, use(to)))
	}
}
