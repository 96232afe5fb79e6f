package demo

import (
	"net/netip"

	"go4.org/netipx"
)

// halves returns the two prefixes that a prefix consists of.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	low = netip.PrefixFrom(p.Addr(), p.Bits()+1)
	return low, next(low)
}

// next returns the prefix of the same size that follows p, or an invalid one
// at the end of the address space.
func next(p netip.Prefix) netip.Prefix {
	after := netipx.PrefixLastIP(p).Next()
	if !after.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(after, p.Bits())
}

// setOf returns the addresses that prefixes cover.
func setOf(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	return setFrom(&b)
}

// minus returns the addresses of a that are not in b, and common those that are
// in both.
func minus(a, b *netipx.IPSet) *netipx.IPSet {
	var s netipx.IPSetBuilder
	s.AddSet(a)
	s.RemoveSet(b)
	return setFrom(&s)
}

func common(a, b *netipx.IPSet) *netipx.IPSet {
	var s netipx.IPSetBuilder
	s.AddSet(a)
	s.Intersect(b)
	return setFrom(&s)
}

func setFrom(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		panic(err) // only invalid input makes it fail, of which there is none
	}
	return set
}
