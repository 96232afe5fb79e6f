package ipspace

import (
	"net/netip"
	"slices"
)

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
