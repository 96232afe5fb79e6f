package coverage

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
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		if secgroup.FamilyOf(p) == f {
			b.AddPrefix(p)
		}
	}
	return built(&b)
}

// minus returns the addresses of a that are not in b.
func minus(a, b *netipx.IPSet) *netipx.IPSet {
	var s netipx.IPSetBuilder
	s.AddSet(a)
	s.RemoveSet(b)
	return built(&s)
}

// common returns the addresses that are in both a and b.
func common(a, b *netipx.IPSet) *netipx.IPSet {
	var s netipx.IPSetBuilder
	s.AddSet(a)
	s.Intersect(b)
	return built(&s)
}

func built(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		panic(err) // only invalid prefixes make it fail, of which there are none
	}
	return set
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
