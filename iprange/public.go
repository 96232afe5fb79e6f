package iprange

import (
	"net/netip"
	"slices"
)

// localIPv6 are the blocks outside [globalUnicastIPv6] that origins are found in by mistake.
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

// NotPublic returns what an address is set aside for ("private use, RFC 1918") if it does not identify a host on the
// Internet, and nothing if it does.
func NotPublic(addr netip.Addr) (use string) {
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
