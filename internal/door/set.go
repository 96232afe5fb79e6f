package door

import (
	"cmp"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/secgroup"

	"go4.org/netipx"
)

// setOf returns the addresses that prefixes of a family cover.
func setOf(f secgroup.Family, prefixes []netip.Prefix) *netipx.IPSet {
	ipv4, ipv6 := ipspace.Split(prefixes)
	if f == secgroup.IPv4 {
		return ipspace.Of(ipv4)
	}
	return ipspace.Of(ipv6)
}

// rangesOf returns the ranges of a set, the widest first.
func rangesOf(set *netipx.IPSet) Ranges {
	prefixes := slices.Clone(set.Prefixes())
	size := ipspace.Size(prefixes)
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Compare(b))
	})
	if prefixes == nil {
		prefixes = []netip.Prefix{}
	}
	return Ranges{Size: size, Prefixes: prefixes}
}
