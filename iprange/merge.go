package iprange

import "net/netip"

// Merge returns the smallest sorted list of prefixes that covers the same addresses as prefixes: IPv4 first, none
// overlapping, no two of them the halves of one. Invalid prefixes are left out.
func Merge(prefixes []netip.Prefix) []netip.Prefix {
	return setOf(prefixes).Prefixes()
}
