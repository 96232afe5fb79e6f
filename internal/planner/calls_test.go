package planner

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// many returns n ranges of a family, none next to another, in order.
func many(family, n int) []netip.Prefix {
	var all []netip.Prefix
	for i := range n {
		if family == 0 {
			all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{18, byte(i >> 7), byte(2 * i), 0}), 24))
			continue
		}
		all = append(all, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x26, 0, byte(i >> 7), byte(2 * i)}), 32))
	}
	return all
}

// roomy returns a world with one port and holders that have room for all.
func roomy(ranges []netip.Prefix, holders ...[]netip.Prefix) World {
	w := World{Ports: []Ports{{443, 443}}, Ranges: ranges}
	for _, prefixes := range holders {
		h := Holder{Lists: []bool{true}, Room: [2]int{5000, 5000}}
		for _, p := range prefixes {
			weight := [2]int{}
			weight[familyOf(p)] = 1
			h.Rules = append(h.Rules, Rule{Ports: w.Ports[0], Prefix: p, Weight: weight, Owned: true})
		}
		w.Holders = append(w.Holders, h)
	}
	return w
}

// outline returns the calls of a plan as holders and numbers of rules.
func outline(plan *Plan) (calls [][3]int) {
	for _, c := range plan.Calls {
		calls = append(calls, [3]int{c.Holder, len(c.Add), len(c.Remove)})
	}
	return calls
}

func TestFewestCalls(t *testing.T) {
	both := slices.Concat(many(0, 60), many(1, 30))
	old := prefixes("1.0.0.0/24", "2a00::/32")
	for _, test := range []struct {
		name  string
		world World
		want  [][3]int // holder, added, removed
	}{
		{"nothing to do", roomy(both, both), nil},
		{"both families in one call", roomy(both, nil), [][3]int{{0, 90, 0}}},
		{"what is added comes first", roomy(both, old), [][3]int{{0, 90, 0}, {0, 0, 2}}},
		{
			"of all holders", roomy(both, slices.Concat(both[:10], old[:1]), slices.Concat(both[10:80], old[1:])),
			[][3]int{{1, 10, 0}, {0, 0, 1}, {1, 0, 1}},
		},
		{"no more than EC2 takes in a call", roomy(many(0, 2345), nil), [][3]int{{0, 1000, 0}, {0, 1000, 0}, {0, 345, 0}}},
		{"exactly that many", roomy(many(0, 1000), nil), [][3]int{{0, 1000, 0}}},
		{"nor removes", roomy(nil, many(0, 1500)), [][3]int{{0, 0, 1000}, {0, 0, 500}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, outline(makePlan(t.Context(), test.world)), compare); diff != "" {
				t.Errorf("calls: -want +got\n%s", diff)
			}
		})
	}
}
