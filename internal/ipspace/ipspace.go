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

// Of returns the addresses that prefixes cover. Invalid prefixes are left out.
func Of(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		if p.IsValid() {
			b.AddPrefix(p)
		}
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
		panic(err) // only invalid prefixes make it fail, and they are left out
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

// A Loss is what lists of prefixes lose to another: how many of their prefixes lose addresses, which addresses go, and
// how many per cent of the addresses of IPv4, and of IPv6, that is.
type Loss struct {
	Losing, Prefixes int
	Lost             []netip.Prefix
	Percent          [2]float64
}

// Lose returns what the lists before lose where after takes the place of each. An address counts in each list that has
// it.
func Lose(after []netip.Prefix, before ...[]netip.Prefix) Loss {
	var l Loss
	var had, lost [2]float64
	kept, gone := Of(after), &Set{}
	for _, list := range before {
		l.Prefixes += len(list)
		for _, p := range list {
			if !kept.ContainsPrefix(p) {
				l.Losing++
			}
		}
		all := Of(list)
		less := Minus(all, kept)
		gone = Union(gone, less)
		all4, all6 := Split(all.Prefixes())
		less4, less6 := Split(less.Prefixes())
		for f, sizes := range [2][2]uint64{{Size(all4), Size(less4)}, {Size(all6), Size(less6)}} {
			had[f], lost[f] = had[f]+float64(sizes[0]), lost[f]+float64(sizes[1])
		}
	}
	l.Lost = gone.Prefixes()
	for f := range had {
		if had[f] > 0 {
			l.Percent[f] = lost[f] * 100 / had[f]
		}
	}
	return l
}

// Exceeds reports whether more than so many per cent are lost: of the prefixes, or of the addresses of a family.
func (l Loss) Exceeds(percent int) bool {
	return l.Losing*100 > l.Prefixes*percent || max(l.Percent[0], l.Percent[1]) > float64(percent)
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
