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

// An IPv6 prefix has more addresses than a float64 tells apart, so their number is not exact; but one address is never
// mistaken for none, nor none for one.
func TestTallyCountsTheLastAddress(t *testing.T) {
	port := Ports{443, 443}
	whole := netip.MustParsePrefix("2600:9000::/28")
	for single, want := range map[string]bool{
		"2600:9000::": true, "2600:9008::": true, "2600:900f:ffff:ffff:ffff:ffff:ffff:ffff": true, "2600:9010::": false,
	} {
		var rest netipx.IPSetBuilder
		rest.AddPrefix(whole)
		rest.Remove(netip.MustParseAddr(single))
		set, err := rest.IPSet()
		if err != nil {
			t.Fatal(err)
		}
		rules := []Rule{{Ports: port, Prefix: whole}}
		for _, p := range set.Prefixes() {
			rules = append(rules, Rule{Ports: port, Prefix: p})
		}
		c := newTally(newSpace([]Ports{port}, []netip.Prefix{whole}, rules), [][]int{{0}}, [][]bool{{true}})
		for _, r := range rules {
			c.add(c.spanOf(r.Ports, r.Prefix), 0, 1)
		}
		sp := c.spanOf(port, whole)
		if got := c.addresses(sp, 0, 1); (got > 0) != want || got < 0 || c.dispensable(sp, 0) == want {
			t.Errorf("without %s, %g addresses of %s have no other rule, want any: %t", single, got, whole, want)
		}
	}
}
