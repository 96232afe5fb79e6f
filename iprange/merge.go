package iprange

import (
	"net/netip"

	"go4.org/netipx"
)

// Merge returns the smallest sorted list of prefixes that covers the same addresses as prefixes: IPv4 first, none
// overlapping, no two of them the halves of one. Invalid prefixes are left out.
func Merge(prefixes []netip.Prefix) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		if p.IsValid() {
			b.AddPrefix(p)
		}
	}
	// The builder fails only on invalid input, of which it was given none.
	set, err := b.IPSet()
	if err != nil {
		panic(err)
	}
	return set.Prefixes()
}
