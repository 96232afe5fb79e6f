package planner

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go4.org/netipx"
)

var compare = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}

// prefixes parses CIDRs.
func prefixes(cidrs ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range cidrs {
		out = append(out, netip.MustParsePrefix(cidr))
	}
	return out
}

// An IPv6 prefix has more addresses than a float64 tells apart. All the same a single one is never mistaken for none: a
// full holder, whose stale rule opens no other address than that for the halves that replace it, opens a gap.
func TestLastAddressCounts(t *testing.T) {
	whole := netip.MustParsePrefix("2600:9000::/28")
	for single, want := range map[string]int{
		"2600:9000::": 1, "2600:9008::": 1, "2600:900f:ffff:ffff:ffff:ffff:ffff:ffff": 1, "2600:9010::": 0,
	} {
		var rest netipx.IPSetBuilder
		rest.AddPrefix(whole)
		rest.Remove(netip.MustParseAddr(single))
		set, err := rest.IPSet()
		if err != nil {
			t.Fatal(err)
		}
		w := roomy(prefixes("2600:9000::/29", "2600:9008::/29"), []netip.Prefix{whole})
		for _, p := range set.Prefixes() {
			w.Holders[0].Rules = append(w.Holders[0].Rules, Rule{Ports: w.Ports[0], Prefix: p})
		}
		w.Holders[0].Room = [2]int{}
		plan := makePlan(t.Context(), w)
		if _, _, err := replay(w, plan, []netip.Addr{netip.MustParseAddr(single)}); err != nil || countGaps(plan) != want {
			t.Errorf("without %s: %d gaps, want %d: %v\n%+v", single, countGaps(plan), want, err, plan)
		}
	}
}
