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

// next returns the prefix of the same size that follows p, or an invalid one at the end of the address space.
func next(p netip.Prefix) netip.Prefix {
	after := netipx.PrefixLastIP(p).Next()
	if !after.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(after, p.Bits())
}
