package secgroup

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Following the hint of a shortage to the letter makes room: each tag that is named, and no other, on the groups that
// it is named for.
func TestShortageDoneLiterally(t *testing.T) {
	made := regexp.MustCompile(
		`make (\d+) more groups?, attach .* and then tag (?:it|them) (\S+?)=("[^"]*"|\S+) and ([^ =]+)=([^ =,]+)`)
	retagged := regexp.MustCompile(`, and (sg-\d+) (\S+?)=(\S+) as well`)
	raised := regexp.MustCompile(`raise quota L-0EA8095F \(inbound rules per security group\) to (\d+)`)
	for name, groups := range map[string][]Group{
		"a group of its own":            {group("sg-1", "443", nil)},
		"a group of its own, two ports": {group("sg-1", "80 443", nil)},
		"a pool":                        pooled("443", "443"),
	} {
		ranges := apart("13.0.0.0/24", 130)
		text := newPlan(t, groups, ranges, nil).Failures().Error()
		m, quota := made.FindStringSubmatch(text), raised.FindStringSubmatch(text)
		if m == nil || quota == nil {
			t.Fatalf("%s: no groups to make, or no quota: %s", name, text)
		}
		tagged := slices.Clone(groups)
		if again := retagged.FindStringSubmatch(text); again != nil {
			for i, g := range groups {
				if tagged[i].Tags = maps.Clone(g.Tags); g.ID == again[1] {
					tagged[i].Tags[again[2]] = again[3]
				}
			}
		}
		n, _ := strconv.Atoi(m[1])
		for i := range n {
			more := Group{ID: fmt.Sprintf("sg-9%d", i), VPC: groups[0].VPC}
			more.Tags = map[string]string{m[2]: strings.Trim(m[3], `"`), m[4]: m[5]}
			tagged = append(tagged, more)
		}
		if plan := newPlan(t, tagged, ranges, nil); plan.Failures() != nil || len(plan.Pools) != 1 {
			t.Errorf("%s: %d pools and %v after doing what it says: %s", name, len(plan.Pools), plan.Failures(), text)
		}
		plan := newPlan(t, groups, ranges, func(r *Request) { r.RulesPerGroup, _ = strconv.Atoi(quota[1]) })
		if err := plan.Failures(); err != nil {
			t.Errorf("%s: with the quota that it names: %v", name, err)
		}
	}
}

// The ways out are those there are: no more groups than can be attached together, no quota that AWS does not grant, and
// no cover for another service.
func TestShortageNamesWhatIsPossible(t *testing.T) {
	const cover = "SERVICES=CLOUDFRONT_ORIGIN_FACING and WITHIN=CLOUDFRONT (cfsg --service CLOUDFRONT_ORIGIN_FACING" +
		" --within CLOUDFRONT): 19 IPv4 and 3 IPv6 rules a port"
	short := func(change func(*ShortageError)) *ShortageError {
		e := &ShortageError{
			Pool: "web", Ports: []PortShortage{{tcp443, IPv4, 180, 60}}, MoreGroups: 2, RulesPerGroup: 180,
			TagKey: testKey, IDs: []string{"sg-1"}, Compact: Weight{19, 3},
		}
		change(e)
		return e
	}
	for _, c := range []struct {
		err       *ShortageError
		want, not string
	}{
		{short(func(*ShortageError) {}), cover, "in all"},
		{short(func(*ShortageError) {}), "takes 5 groups by default, an Application Load Balancer 5", "in all"},
		{
			short(func(e *ShortageError) { e.MoreGroups = 8 }),
			"9 groups in all, but a network interface takes 5 by default (quota L-2AFB9258, at most 16), and an Application" +
				" Load Balancer 5", "open fewer",
		},
		{short(func(e *ShortageError) { e.MoreGroups = 16 }), "raise quota", "more group"},
		{short(func(e *ShortageError) { e.RulesPerGroup = 400 }), "to 400, with which a network interface takes", "open"},
		{short(func(e *ShortageError) { e.RulesPerGroup = 1001 }), "2 more groups", "raise quota"},
		{short(func(e *ShortageError) { e.Compact = Weight{} }), "2 more groups", "WITHIN"},
		{
			short(func(e *ShortageError) { e.Compact, e.MoreGroups, e.RulesPerGroup = Weight{}, 99, 9999 }),
			"room for 60; open fewer ports, or ask for fewer services", "make",
		},
	} {
		if text := c.err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, c.not) {
			t.Errorf("%q, want %q and not %q", text, c.want, c.not)
		}
	}
}
