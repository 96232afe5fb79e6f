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

// GlobalUnicastIPv6 holds all public IPv6 addresses that are assigned so far.
// https://www.iana.org/assignments/ipv6-address-space
var GlobalUnicastIPv6 = netip.MustParsePrefix("2000::/3")

// A Reserved is a block of addresses that are reserved for a use, such as "private use, RFC 1918".
type Reserved struct {
	Prefix netip.Prefix
	Use    string
}

// reserved are the blocks whose addresses do not identify a host on the Internet: those of the two IANA registries that
// RFC 6890 set up which are not globally reachable as a whole, and multicast. Small exceptions within a block
// (192.0.0.9/32, 2001:20::/28, …) are anycast services and identifiers that AWS cannot be assigned.
// https://www.iana.org/assignments/iana-ipv4-special-registry
// https://www.iana.org/assignments/iana-ipv6-special-registry
var reserved = []Reserved{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network, RFC 791"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private use, RFC 1918"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared address space, RFC 6598"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback, RFC 1122"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link local, RFC 3927"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private use, RFC 1918"},
	{netip.MustParsePrefix("192.0.0.0/24"), "IETF protocol assignments, RFC 6890"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("192.88.99.0/24"), "deprecated 6to4 relay anycast, RFC 7526"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private use, RFC 1918"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking, RFC 2544"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast, RFC 5771"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, RFC 1112"},
	{netip.MustParsePrefix("2001::/23"), "IETF protocol assignments, RFC 2928"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation, RFC 3849"},
	{netip.MustParsePrefix("2002::/16"), "6to4, RFC 3056"},
	{netip.MustParsePrefix("3fff::/20"), "documentation, RFC 9637"},
}

// localIPv6 are the blocks outside [GlobalUnicastIPv6] in which people put origins by mistake.
// https://www.iana.org/assignments/iana-ipv6-special-registry
var localIPv6 = []Reserved{
	{netip.MustParsePrefix("::1/128"), "loopback, RFC 4291"},
	{netip.MustParsePrefix("fc00::/7"), "unique local, RFC 4193"},
	{netip.MustParsePrefix("fe80::/10"), "link local, RFC 4291"},
	{netip.MustParsePrefix("ff00::/8"), "multicast, RFC 4291"},
}

// ReservedFor returns what an address is reserved for, such as "private use, RFC 1918". It returns nothing for an
// address that can belong to a host on the Internet.
func ReservedFor(addr netip.Addr) (use string) {
	addr = addr.Unmap().WithZone("")
	for _, block := range slices.Concat(reserved, localIPv6) {
		if block.Prefix.Contains(addr) {
			return block.Use
		}
	}
	if addr.Is6() && !GlobalUnicastIPv6.Contains(addr) {
		return "outside " + GlobalUnicastIPv6.String()
	}
	return ""
}

// ReservedWithin returns a reserved block that overlaps a prefix, if there is any.
func ReservedWithin(p netip.Prefix) (block Reserved, ok bool) {
	i := slices.IndexFunc(reserved, func(r Reserved) bool { return r.Prefix.Overlaps(p) })
	if i < 0 {
		return Reserved{}, false
	}
	return reserved[i], true
}

// Widest returns the length of the widest prefix of an address's family that AWS could publish. It holds nothing wider
// that it does not publish in pieces: a wider prefix is a mistake, or the whole world.
func Widest(addr netip.Addr) int {
	if addr.Is6() {
		return 20
	}
	return 8
}

// IsWorld reports whether a prefix holds so many addresses that a rule which lets it in is open to the world.
func IsWorld(p netip.Prefix) bool {
	return p.IsValid() && p.Bits() < Widest(p.Addr()) && !slices.ContainsFunc(localIPv6, func(local Reserved) bool {
		return local.Prefix.Bits() <= p.Bits() && local.Prefix.Contains(p.Addr())
	})
}
