// Package ipspace works with address space: what one list of prefixes covers and another does not, how much that is,
// and what is reserved.
package ipspace

import (
	"math"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// A Set is a set of addresses.
type Set = netipx.IPSet

// Of returns the addresses that prefixes cover.
func Of(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	return built(&b)
}

// Minus returns the addresses of a that are not in b.
func Minus(a, b *netipx.IPSet) *netipx.IPSet {
	var s netipx.IPSetBuilder
	s.AddSet(a)
	s.RemoveSet(b)
	return built(&s)
}

// Union returns the addresses that are in a or b, or both.
func Union(a, b *netipx.IPSet) *netipx.IPSet {
	var s netipx.IPSetBuilder
	s.AddSet(a)
	s.AddSet(b)
	return built(&s)
}

// Common returns the addresses that are in both a and b.
func Common(a, b *netipx.IPSet) *netipx.IPSet {
	var s netipx.IPSetBuilder
	s.AddSet(a)
	s.Intersect(b)
	return built(&s)
}

func built(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		panic(err) // only invalid prefixes make it fail, and there are none
	}
	return set
}

// Split returns the prefixes of IPv4, and those of IPv6.
func Split(prefixes []netip.Prefix) (ipv4, ipv6 []netip.Prefix) {
	for _, p := range prefixes {
		if p.Addr().Is4() {
			ipv4 = append(ipv4, p)
		} else {
			ipv6 = append(ipv6, p)
		}
	}
	return ipv4, ipv6
}

// Size returns how many addresses prefixes of IPv4 have, or how many /64 networks those of IPv6 touch: one is what an
// IPv6 host has to itself, and the smallest that networks are counted in. Prefixes of one family are expected, sorted
// and none overlapping, as merged ones are. The largest number there is stands for all of IPv6.
func Size(prefixes []netip.Prefix) uint64 {
	var size uint64
	var last netip.Prefix // the /64 that was counted last for a part of it
	for _, p := range prefixes {
		unit := 64
		if p.Addr().Is4() {
			unit = 32
		}
		if p.Bits() > unit {
			network := netip.PrefixFrom(p.Addr(), unit).Masked()
			if network == last {
				continue
			}
			last = network
		}
		n := uint64(1) << max(0, unit-p.Bits()) // 0 for all of IPv6
		if size+n <= size {
			return math.MaxUint64
		}
		size += n
	}
	return size
}

// A Loss is what a list of prefixes loses to another: how many of them lose addresses, which addresses go, and how many
// per cent of the addresses of IPv4, and of IPv6, that is.
type Loss struct {
	Losing  int
	Lost    []netip.Prefix
	Percent [2]float64
}

// Lose returns what the list before loses where after takes its place.
func Lose(before, after []netip.Prefix) Loss {
	var l Loss
	kept := Of(after)
	for _, p := range before {
		if !kept.ContainsPrefix(p) {
			l.Losing++
		}
	}
	had := Of(before)
	l.Lost = Minus(had, kept).Prefixes()
	all4, all6 := Split(had.Prefixes())
	lost4, lost6 := Split(l.Lost)
	for i, share := range [2][2][]netip.Prefix{{lost4, all4}, {lost6, all6}} {
		if len(share[1]) > 0 {
			l.Percent[i] = float64(Size(share[0])) * 100 / float64(Size(share[1]))
		}
	}
	return l
}

// Exceeds reports whether more than so many per cent are lost: of so many prefixes, or of the addresses of a family.
func (l Loss) Exceeds(percent, prefixes int) bool {
	return l.Losing*100 > prefixes*percent || max(l.Percent[0], l.Percent[1]) > float64(percent)
}

// Change compares two lists of prefixes as they are written: it returns those that only the new one has, and those that
// only the old one has, sorted.
func Change(before, after []netip.Prefix) (added, removed []netip.Prefix) {
	return without(after, before), without(before, after)
}

// without returns the prefixes of a that are not written in b, sorted.
func without(a, b []netip.Prefix) []netip.Prefix {
	in := make(map[netip.Prefix]bool, len(b))
	for _, p := range b {
		in[p] = true
	}
	var rest []netip.Prefix
	for _, p := range a {
		if !in[p] {
			rest = append(rest, p)
		}
	}
	slices.SortFunc(rest, netip.Prefix.Compare)
	return slices.Compact(rest)
}
