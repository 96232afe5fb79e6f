package iprange

import (
	"net/netip"
	"slices"
)

// localIPv6 are the blocks outside [globalUnicastIPv6] in which people put origins by mistake.
// https://www.iana.org/assignments/iana-ipv6-special-registry
var localIPv6 = []struct {
	prefix netip.Prefix
	use    string
}{
	{netip.MustParsePrefix("::1/128"), "loopback, RFC 4291"},
	{netip.MustParsePrefix("fc00::/7"), "unique local, RFC 4193"},
	{netip.MustParsePrefix("fe80::/10"), "link local, RFC 4291"},
	{netip.MustParsePrefix("ff00::/8"), "multicast, RFC 4291"},
}

// ReservedFor returns what an address is reserved for, such as "private use, RFC 1918". It returns nothing for an address
// that can belong to a host on the Internet.
func ReservedFor(addr netip.Addr) (use string) {
	addr = addr.Unmap().WithZone("")
	for _, block := range slices.Concat(notPublic, localIPv6) {
		if block.prefix.Contains(addr) {
			return block.use
		}
	}
	if addr.Is6() && !globalUnicastIPv6.Contains(addr) {
		return "outside " + globalUnicastIPv6.String()
	}
	return ""
}
