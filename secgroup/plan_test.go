package secgroup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// olderStamp is what rules say that an earlier run has made.
var olderStamp = Stamp{TagKey: testKey, Services: []string{"CLOUDFRONT"}, Published: testStamp.Published.Add(-48 * time.Hour)}

// group returns a group with the tags, given as the ports and then, each optional, "pool=NAME" and "mode=MODE".
func group(id, ports string, options []string, rules ...[]Rule) Group {
	g := Group{ID: id, Name: "web", VPC: "vpc-1", Tags: map[string]string{testKey: ports}, Ingress: slices.Concat(rules...)}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		g.Tags[testKey+"-"+name] = value
	}
	return g
}

// rulesFor returns TCP rules for ports such as "443" or "80-81".
func rulesFor(description, ports string, cidrs ...string) []Rule {
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	if err := errors.Join(err1, err2); err != nil {
		panic(err)
	}
	var rules []Rule
	for _, cidr := range cidrs {
		rules = append(rules, Rule{RuleID: tcp(PortRange{uint16(from), uint16(to)}, cidr), Description: description})
	}
	return rules
}

// ours returns rules that an earlier run has made, theirs rules of others.
func ours(ports string, cidrs ...string) []Rule {
	return rulesFor(olderStamp.String(), ports, cidrs...)
}

func theirs(ports string, cidrs ...string) []Rule { return rulesFor("office", ports, cidrs...) }

// newPlan plans with a quota of 60, for the publication of testStamp.
func newPlan(t *testing.T, groups []Group, ranges []netip.Prefix, change func(*Request)) *Plan {
	t.Helper()
	req := Request{Stamp: testStamp, Ranges: ranges, RulesPerGroup: 60, MaxRevokePercent: 50}
	if change != nil {
		change(&req)
	}
	if !slices.IsSortedFunc(ranges, netip.Prefix.Compare) {
		t.Fatal("the test's ranges are not sorted")
	}
	plan, err := NewPlan(context.Background(), groups, req)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// steps writes the steps of a plan a line each, such as
//
//	revoke sg-1: 443 13.32.0.0/15, 443 13.34.0.0/15 (gap: 13.32.0.0/15)
func steps(plan *Plan) []string {
	var lines []string
	for _, pool := range plan.Pools {
		for _, s := range pool.Steps {
			var rules []string
			for _, r := range s.Rules() {
				rules = append(rules, fmt.Sprintf("%v %v", PortRange{uint16(r.From), uint16(r.To)}, r.Source))
			}
			line := fmt.Sprintf("%v %s: %s", s.Operation(), s.HolderID, strings.Join(rules, ", "))
			if len(s.Gap) > 0 {
				line += fmt.Sprintf(" (gap: %s)", strings.Trim(fmt.Sprint(s.Gap), "[]"))
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func checkSteps(t *testing.T, plan *Plan, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, steps(plan), compare); diff != "" {
		t.Errorf("steps: -want +got\n%s", diff)
	}
}

// take returns the groups as they are once all steps of a plan are taken.
func take(t *testing.T, plan *Plan) []Group {
	t.Helper()
	m := newModel(t, 1000, nil)
	for _, pool := range plan.Pools {
		for _, h := range pool.Holders {
			group := *h.Holder
			group.Ingress = slices.Clone(group.Ingress)
			m.groups[h.ID] = &group
		}
		for _, s := range pool.Steps {
			m.run(s)
		}
	}
	return m.list()
}

// The planner's promises on one group with tag 443.
func TestPlanOneGroup(t *testing.T) {
	whole := prefixes("13.32.0.0/15")
	for _, test := range []struct {
		name   string
		rules  []Rule
		ranges []netip.Prefix
		quota  int // 60 where it is 0
		want   []string
		kept   int
	}{
		{
			name: "first sync", ranges: prefixes("13.32.0.0/15", "18.64.0.0/14", "2600:9000::/28"),
			want: []string{"authorize sg-1: 443 13.32.0.0/15, 443 18.64.0.0/14, 443 2600:9000::/28"},
		},
		{
			name: "nothing to do", ranges: prefixes("13.32.0.0/15", "2600:9000::/28"),
			rules: ours("443", "2600:9000::/28", "13.32.0.0/15"), kept: 2,
		},
		{
			name: "a range is added", ranges: prefixes("13.32.0.0/15", "18.64.0.0/14"),
			rules: ours("443", "13.32.0.0/15"), kept: 1,
			want: []string{"authorize sg-1: 443 18.64.0.0/14"},
		},
		{
			name: "a range is withdrawn", ranges: prefixes("13.32.0.0/15", "18.64.0.0/14"),
			rules: ours("443", "13.32.0.0/15", "15.158.0.0/16", "18.64.0.0/14"), kept: 2,
			want: []string{"redescribe sg-1: 443 13.32.0.0/15", "revoke sg-1: 443 15.158.0.0/16"}, // the date, see TestPlanLeavesTheDate
		},
		{
			name: "authorize comes before revoke", ranges: prefixes("13.32.0.0/15", "18.64.0.0/14"),
			rules: ours("443", "13.32.0.0/15", "15.158.0.0/16"), kept: 1,
			want: []string{"authorize sg-1: 443 18.64.0.0/14", "revoke sg-1: 443 15.158.0.0/16"},
		},
		{
			name: "a full group gives up what is withdrawn first", quota: 2, ranges: prefixes("13.32.0.0/15", "18.64.0.0/14"),
			rules: ours("443", "13.32.0.0/15", "15.158.0.0/16"), kept: 1,
			want: []string{"revoke sg-1: 443 15.158.0.0/16", "authorize sg-1: 443 18.64.0.0/14"},
		},
		{
			name: "IPv6 is full, IPv4 has room", quota: 1, ranges: prefixes("13.32.0.0/15", "2600:9000::/28"),
			rules: ours("443", "2600:9000:1::/48"),
			want:  []string{"authorize sg-1: 443 13.32.0.0/15", "revoke sg-1: 443 2600:9000:1::/48 (gap: 2600:9000:1::/48)", "authorize sg-1: 443 2600:9000::/28"},
		},

		{
			name: "whole replaces pieces in a full group: one gap, the smallest piece", quota: 2, ranges: whole, rules: ours("443", "13.32.0.0/16", "13.33.0.0/17"),
			want: []string{
				"revoke sg-1: 443 13.33.0.0/17 (gap: 13.33.0.0/17)",
				"authorize sg-1: 443 13.32.0.0/15",
				"revoke sg-1: 443 13.32.0.0/16",
			},
		},

		{
			name: "a foreign rule equal to a wanted one", ranges: prefixes("13.32.0.0/15", "18.64.0.0/14"), rules: theirs("443", "13.32.0.0/15"),
			want: []string{"authorize sg-1: 443 18.64.0.0/14"},
		},
		{
			name: "foreign rules are not touched", ranges: whole, kept: 1,
			rules: slices.Concat(
				ours("443", "13.32.0.0/15"),
				theirs("443", "15.158.0.0/16", "0.0.0.0/0", "::/0"), theirs("22", "198.51.100.7/32"),
				rulesFor("", "443", "52.222.128.0/17"),
				rulesFor("cloudfront-ingress2: CLOUDFRONT 2026-08-22T15:17:05Z", "443", "52.84.0.0/15"),
				rulesFor("cloudfront-ingress", "443", "54.182.0.0/16"),
				rulesFor("was cloudfront-ingress: x", "443", "54.192.0.0/16"),
				[]Rule{{RuleID: RuleID{"tcp", 443, 443, Source{Reference: "pl-3b927c52"}}}, {RuleID: RuleID{"-1", -1, -1, Source{Reference: "111122223333/sg-9"}}}},
			),
		},
		{
			name: "what the tool owns goes, whatever it is", ranges: whole, kept: 1,
			rules: slices.Concat(
				ours("443", "13.32.0.0/15"), ours("80", "13.32.0.0/15"), rulesFor(testKey+": by hand", "22", "198.51.100.7/32"),
				[]Rule{{RuleID: RuleID{"tcp", 443, 443, Source{Reference: "pl-3b927c52"}}, Description: testKey + ":"}},
			),
			want: []string{"redescribe sg-1: 443 13.32.0.0/15", "revoke sg-1: 22 198.51.100.7/32, 80 13.32.0.0/15, 443 pl-3b927c52"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			groups := []Group{group("sg-1", "443", nil, test.rules)}
			change := func(r *Request) {
				r.RulesPerGroup, r.MaxRevokePercent = max(test.quota, 60*(1-min(test.quota, 1))), 100
			}
			plan := newPlan(t, groups, test.ranges, change)
			checkSteps(t, plan, test.want...)
			if err := plan.Failures(); err != nil {
				t.Error(err)
			}
			for _, s := range plan.Pools[0].Steps {
				for _, r := range s.Rules() {
					if len(s.Remove) == 0 && r.Description != "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z" {
						t.Errorf("%v gets the description %q", r, r.Description)
					}
				}
			}
			foreign := 0
			for _, r := range test.rules {
				if !strings.HasPrefix(r.Description, "cloudfront-ingress:") {
					foreign++
				}
			}
			if g := plan.Pools[0].Holders[0]; g.Kept != test.kept || g.Foreign != foreign {
				t.Errorf("%d rules kept and %d foreign, want %d and %d", g.Kept, g.Foreign, test.kept, foreign)
			}
			checkSteps(t, newPlan(t, take(t, plan), test.ranges, change)) // a second run has nothing to do
		})
	}
}

// The tags of one group.
func TestPlanTags(t *testing.T) {
	ranges := prefixes("13.32.0.0/15", "2600:9000::/28")
	for _, test := range []struct {
		name, ports string
		options     []string
		rules       []Rule
		want        []string
	}{
		{name: "two ports", ports: "80 443", want: []string{"authorize sg-1: 80 13.32.0.0/15, 80 2600:9000::/28, 443 13.32.0.0/15, 443 2600:9000::/28"}},
		{name: "a range of ports", ports: "8000-8080", want: []string{"authorize sg-1: 8000-8080 13.32.0.0/15, 8000-8080 2600:9000::/28"}},
		{
			name: "another port", ports: "80", rules: ours("443", "13.32.0.0/15", "2600:9000::/28"),
			want: []string{"authorize sg-1: 80 13.32.0.0/15, 80 2600:9000::/28", "revoke sg-1: 443 13.32.0.0/15, 443 2600:9000::/28"},
		},
		{
			name: "none", ports: "none", rules: slices.Concat(ours("443", "13.32.0.0/15", "2600:9000::/28"), ours("80", "13.32.0.0/15"), theirs("443", "15.158.0.0/16")),
			want: []string{"revoke sg-1: 80 13.32.0.0/15, 443 13.32.0.0/15, 443 2600:9000::/28"},
		},
		{name: "none, exclusive", ports: "none", options: []string{"mode=exclusive"}, rules: theirs("443", "13.32.0.0/15")},
		{
			name: "exclusive takes over the listed ports", ports: "443", options: []string{"mode=exclusive"},
			rules: slices.Concat(theirs("443", "13.32.0.0/15", "15.158.0.0/16", "0.0.0.0/0"), rulesFor("", "443", "::/0")),
			want: []string{
				"authorize sg-1: 443 2600:9000::/28",
				"revoke sg-1: 443 0.0.0.0/0, 443 15.158.0.0/16, 443 ::/0",
				"redescribe sg-1: 443 13.32.0.0/15",
			},
		},
		{
			name: "exclusive takes over what is inside listed ports side by side", ports: "80 81", options: []string{"mode=exclusive"},
			rules: slices.Concat(ours("80", "13.32.0.0/15", "2600:9000::/28"), ours("81", "13.32.0.0/15", "2600:9000::/28"), theirs("80-81", "0.0.0.0/0")),
			want:  []string{"redescribe sg-1: 80 13.32.0.0/15", "revoke sg-1: 80-81 0.0.0.0/0"},
		},
		{
			name: "exclusive leaves what also opens other ports, or is no IP range over TCP", ports: "443", options: []string{"mode=exclusive"},
			rules: slices.Concat(
				ours("443", "13.32.0.0/15", "2600:9000::/28"), theirs("80-443", "15.158.0.0/16"), theirs("443-444", "15.158.0.0/16"),
				theirs("80", "15.158.0.0/16"), theirs("0-65535", "0.0.0.0/0"),
				[]Rule{
					{RuleID: RuleID{"udp", 443, 443, Source{Prefix: prefixes("15.158.0.0/16")[0]}}},
					{RuleID: RuleID{"-1", -1, -1, Source{Prefix: prefixes("15.158.0.0/16")[0]}}},
					{RuleID: RuleID{"tcp", 443, 443, Source{Reference: "pl-3b927c52"}}},
					{RuleID: RuleID{"tcp", 443, 443, Source{Reference: "111122223333/sg-9"}}},
				},
			),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := newPlan(t, []Group{group("sg-1", test.ports, test.options, test.rules)}, ranges, nil)
			checkSteps(t, plan, test.want...)
			if err := plan.Failures(); err != nil {
				t.Error(err)
			}
			checkSteps(t, newPlan(t, take(t, plan), ranges, nil))
		})
	}
}

// manyCIDRs returns n ranges, none next to another, in order.
func manyCIDRs(n int) []string {
	var cidrs []string
	for i := range n {
		cidrs = append(cidrs, fmt.Sprintf("18.%d.0.0/16", 2*i))
	}
	return cidrs
}

// A group whose tags cannot be read is left alone, and the others go on. What it opens still counts in its pool.
func TestPlanBadTag(t *testing.T) {
	for _, test := range []struct {
		ports   string
		options []string
		want    string
	}{
		{"https,", nil, `sg-2: tag cloudfront-ingress="https,": a port is missing`},
		{"443", []string{"pool="}, "sg-2: tag cloudfront-ingress-pool is empty"},
		{"443", []string{"mode=shared"}, `sg-2: tag cloudfront-ingress-mode="shared": unknown mode`},
	} {
		groups := []Group{
			group("sg-1", "443", nil), group("sg-2", test.ports, test.options, ours("443", "15.158.0.0/16"), theirs("443", "0.0.0.0/0")), group("sg-3", "443", nil),
		}
		plan := newPlan(t, groups, prefixes("13.32.0.0/15"), nil)
		checkSteps(t, plan, "authorize sg-1: 443 13.32.0.0/15", "authorize sg-3: 443 13.32.0.0/15")
		checkError(t, plan.Failures(), test.want)
	}
	web := []string{"pool=web"}
	groups := []Group{group("sg-1", "443", web), group("sg-2", "443 x", web, ours("443", "13.32.0.0/15", "15.158.0.0/16"))}
	plan := newPlan(t, groups, prefixes("13.32.0.0/15", "18.64.0.0/14"), nil)
	checkSteps(t, plan, "authorize sg-1: 443 18.64.0.0/14") // the other one is open, in sg-2
	checkError(t, plan.Failures(), `sg-2: tag cloudfront-ingress="443 x": "x" is not a port`)
}

// A pool with a rule from a newer file is left as it is, in whichever of its groups that is, unless force is given; the
// other pools go on.
func TestPlanRefusesOlderPublication(t *testing.T) {
	at := func(d time.Duration, key string, services ...string) string {
		return Stamp{TagKey: key, Services: services, Published: testStamp.Published.Add(d)}.String()
	}
	web := []string{"pool=web"}
	for description, older := range map[string]bool{
		at(24*time.Hour, testKey, "CLOUDFRONT"): true, at(time.Second, testKey, "CLOUDFRONT"): true,
		at(time.Hour, testKey, "S3"): true, at(time.Hour, testKey, "CLOUDFRONT") + " held": true,
		at(0, testKey, "CLOUDFRONT"): false, at(-time.Second, testKey, "CLOUDFRONT"): false,
		at(time.Hour, testKey+"2", "CLOUDFRONT"): false, testKey + ": by hand": false, "office until 2030-01-01T00:00:00Z": false,
	} {
		for _, where := range []struct {
			ports string
			ids   []string
		}{{"443", nil}, {"bad,", nil}, {"443", []string{"sg-1", "sg-3"}}} {
			groups := []Group{
				group("sg-1", "443", nil),
				group("sg-2", where.ports, web, ours("443", "15.158.0.0/16"), rulesFor(description, "443", "18.64.0.0/14")),
				group("sg-3", "443", web),
			}
			change := func(r *Request) { r.GroupIDs, r.MaxRevokePercent = where.ids, 100 }
			plan := newPlan(t, groups, prefixes("13.32.0.0/15"), change)
			checkSteps(t, &Plan{Pools: plan.Pools[:1]}, "authorize sg-1: 443 13.32.0.0/15")
			refused, ok := errors.AsType[*OlderError](plan.Failures())
			if idle := len(plan.Pools[1].Steps) == 0; ok != older || idle != older {
				t.Fatalf("%q: steps %q, failures: %v", description, steps(plan), plan.Failures())
			}
			if !older {
				continue
			}
			checkError(t, plan.Pools[1].Err, "the file was published at 2026-08-22T15:17:05Z", "rule tcp 443 from 18.64.0.0/14 of sg-2 was made from a newer one", description, "its pool was left as it is", "run with force")
			if refused.HolderID != "sg-2" || refused.Rule.Description != description || !refused.Newest.After(refused.Published) {
				t.Errorf("%+v", refused)
			}
			forced := newPlan(t, groups, prefixes("13.32.0.0/15"), func(r *Request) { change(r); r.Force = true })
			if len(forced.Pools[1].Steps) == 0 || errors.As(forced.Failures(), &refused) {
				t.Errorf("with force: steps %q, %v", steps(forced), forced.Failures())
			}
		}
	}
}

func TestPlanRefusesPool(t *testing.T) {
	in := func(vpc, id, ports, pool string) Group {
		g := group(id, ports, []string{"pool=" + pool}, ours("443", "15.158.0.0/16", "13.32.0.0/15"))
		g.VPC = vpc
		return g
	}
	for _, test := range []struct {
		groups []Group
		want   string // empty where the pool is good
	}{
		{[]Group{in("vpc-1", "sg-1", "443", "web"), in("vpc-2", "sg-2", "443", "web")}, `pool "web" has groups in two VPCs, sg-1 in vpc-1 and sg-2 in vpc-2`},
		{[]Group{in("vpc-1", "sg-1", "443", "web"), in("vpc-2", "sg-2", "none", "web")}, "in two VPCs"},
		{[]Group{in("vpc-1", "sg-1", "443", "a"), in("vpc-2", "sg-2", "443", "b")}, ""},
		{[]Group{in("v", "sg-1", "443", "web"), in("v", "sg-2", "80", "web")}, `pool "web": sg-1 has no port in common with the other groups of the pool (its ports are [443])`},
		{
			[]Group{in("v", "sg-1", "443", "web"), in("v", "sg-2", "443 80", "web"), in("v", "sg-3", "8080-8081", "web")},
			"sg-3 has no port in common with the other groups of the pool (its ports are [8080-8081])",
		},
		{[]Group{in("v", "sg-1", "80-90", "web"), in("v", "sg-2", "80", "web")}, "no port in common"},
		{[]Group{in("v", "sg-1", "80", "web"), in("v", "sg-2", "80 443", "web"), in("v", "sg-3", "443", "web")}, ""},
		{[]Group{in("v", "sg-1", "443", "web"), in("v", "sg-2", "none", "web")}, ""},
		{[]Group{in("v", "sg-1", "none", "web"), in("v", "sg-2", "none", "web")}, ""},
	} {
		plan := newPlan(t, append([]Group{group("sg-0", "443", nil)}, test.groups...), prefixes("13.32.0.0/15"), nil)
		if test.want != "" {
			checkError(t, plan.Failures(), test.want)
			checkSteps(t, plan, "authorize sg-0: 443 13.32.0.0/15") // others go on
		} else if err := plan.Failures(); err != nil || len(steps(plan)) < 2 {
			t.Errorf("%v: %v, steps %q", test.groups, err, steps(plan))
		}
	}
}

func TestPlanGroupIDs(t *testing.T) {
	groups := []Group{
		group("sg-1", "443", nil),
		group("sg-2", "443", nil, ours("443", "13.32.0.0/15", "15.158.0.0/16")),
		group("sg-3", "443", []string{"pool=web"}, ours("443", "13.32.0.0/15")),
		group("sg-4", "443", []string{"pool=web"}, ours("443", "15.158.0.0/16")),
	}
	ranges := prefixes("13.32.0.0/15", "18.64.0.0/14")
	for _, test := range []struct {
		ids  []string
		want []string
	}{
		{[]string{"sg-1"}, []string{"authorize sg-1: 443 13.32.0.0/15, 443 18.64.0.0/14"}},
		{[]string{"sg-2"}, []string{"authorize sg-2: 443 18.64.0.0/14", "revoke sg-2: 443 15.158.0.0/16"}},
		{[]string{"sg-2", "sg-1"}, []string{
			"authorize sg-1: 443 13.32.0.0/15, 443 18.64.0.0/14", "authorize sg-2: 443 18.64.0.0/14", "revoke sg-2: 443 15.158.0.0/16",
		}},
		{[]string{"sg-4"}, []string{"authorize sg-4: 443 18.64.0.0/14", "revoke sg-4: 443 15.158.0.0/16"}}, // sg-3 opens the rest of the pool's
		{[]string{"sg-3"}, []string{"authorize sg-3: 443 18.64.0.0/14"}},
		{[]string{"sg-5"}, nil},
	} {
		t.Run(strings.Join(test.ids, " "), func(t *testing.T) {
			checkSteps(t, newPlan(t, groups, ranges, func(r *Request) { r.GroupIDs, r.MaxRevokePercent = test.ids, 100 }), test.want...)
		})
	}
}

// Where a group that could hold the rest is left alone, no more groups are asked for.
func TestPlanShortageOfGroupsLeftAlone(t *testing.T) {
	for ports, ids := range map[string][]string{"443": {"sg-1"}, "443,": nil} {
		groups := []Group{group("sg-1", "443", []string{"pool=web"}), group("sg-2", ports, []string{"pool=web"})}
		plan := newPlan(t, groups, prefixes("1.0.0.0/24", "2.0.0.0/16"), func(r *Request) { r.RulesPerGroup, r.GroupIDs = 1, ids })
		checkSteps(t, plan, "authorize sg-1: 443 2.0.0.0/16")
		checkError(t, plan.Failures(), "port 443 needs 2 IPv4 rules, room for 1: groups of the pool that this run leaves alone may have room for the rest")
	}
}

// CLOUDFRONT of today: 180 IPv4 and 31 IPv6 ranges, and groups of 60 rules. Where there is no room for all, the widest
// ranges come first.
func TestPlanCloudFront(t *testing.T) {
	var ranges []netip.Prefix
	for i := range 180 {
		bits := 24
		if i%3 == 0 {
			bits = 22 // 60 wide ones
		}
		ranges = append(ranges, netip.PrefixFrom(netip.AddrFrom4([4]byte{13, byte(i), 0, 0}), bits))
	}
	for i := range 31 {
		ranges = append(ranges, netip.MustParsePrefix(fmt.Sprintf("2600:%x::/32", 0x9000+2*i)))
	}
	for _, test := range []struct {
		ports         string
		groups, quota int
		placed, wide  int // IPv4 rules
		short         string
	}{
		{"443", 3, 60, 180, 60, ""},
		{"443", 1, 180, 180, 60, ""},
		{"80 443", 6, 60, 360, 120, ""},
		{"443", 2, 60, 120, 60, `pool "web" is too small: port 443 needs 180 IPv4 rules, room for 120; make 1 more group`},
		{"443", 1, 60, 60, 60, `pool "web" is too small: port 443 needs 180 IPv4 rules, room for 60; make 2 more groups`},
		{"443", 1, 20, 20, 20, `pool "web" is too small: port 443 needs 180 IPv4 rules, room for 20; port 443 needs 31 IPv6 rules, room for 20; make 8 more groups`},
	} {
		t.Run(fmt.Sprint(test.ports, test.groups, test.quota), func(t *testing.T) {
			var groups []Group
			for i := range test.groups {
				groups = append(groups, group(fmt.Sprintf("sg-%d", i), test.ports, []string{"pool=web"}))
			}
			change := func(r *Request) { r.RulesPerGroup = test.quota }
			plan := newPlan(t, groups, ranges, change)
			if err := plan.Failures(); (err != nil) != (test.short != "") || err != nil && !strings.HasPrefix(err.Error(), test.short) {
				t.Errorf("error %v, want one that begins with %q", err, test.short)
			}
			placed, wide := 0, 0
			for i, g := range take(t, plan) {
				free := Weight{test.quota, test.quota}
				for _, r := range g.Ingress {
					free.Add(r.Weighs(), -1)
					if r.Source.Prefix.Addr().Is4() {
						placed++
					}
					if r.Source.Prefix.Bits() == 22 {
						wide++
					}
				}
				if got := plan.Pools[0].Holders[i].Free; got != free || min(free[IPv4], free[IPv6]) < 0 {
					t.Errorf("%s has %v rules left of its quota, the plan says %v", g.ID, free, got)
				}
			}
			if placed != test.placed || wide != test.wide {
				t.Errorf("%d IPv4 rules are placed, %d of them wide; want %d and %d", placed, wide, test.placed, test.wide)
			}
			if len(steps(plan)) > test.groups {
				t.Errorf("%d calls for %d groups", len(steps(plan)), test.groups)
			}
			checkSteps(t, newPlan(t, take(t, plan), ranges, change))
		})
	}
}

// shortage returns why the one pool of the plan is too small, or nil.
func shortage(plan *Plan) *ShortageError {
	var short *ShortageError
	errors.As(plan.Failures(), &short)
	return short
}

// Failures returns everything that keeps the plan from being whole, joined, in order: of the plan, of its pools, of its
// groups.
func (plan *Plan) Failures() error {
	var errs []error
	for _, pool := range plan.Pools {
		errs = append(errs, pool.Err)
		for _, g := range pool.Holders {
			if g.Problem != nil {
				errs = append(errs, fmt.Errorf("%s: %w", g.ID, g.Problem))
			}
		}
	}
	return errors.Join(errs...)
}
