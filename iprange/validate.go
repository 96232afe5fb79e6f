package iprange

import (
	"errors"
	"fmt"
	"net/netip"

	"cloudfront-sg-sync/internal/ipspace"
)

// family is one of the two lists of a document.
type family struct {
	name   string // IPv4 or IPv6
	list   string // the member that holds the list
	member string // the member of an entry that holds the prefix
}

var (
	familyIPv4 = family{name: "IPv4", list: "prefixes", member: "ip_prefix"}
	familyIPv6 = family{name: "IPv6", list: "ipv6_prefixes", member: "ipv6_prefix"}
)

// parsePrefix reads a prefix of the family. It accepts only the canonical form (RFC 4632, RFC 5952) of a public range of
// plausible width.
func (f family) parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("not a prefix in CIDR notation")
	}
	switch {
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("an IPv4 address mapped into IPv6")
	case p.Addr().Is4() != (f == familyIPv4):
		return netip.Prefix{}, fmt.Errorf("not an %s prefix, though listed in %s", f.name, f.list)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("host bits are set: %s would be the network", p.Masked())
	case p.String() != text:
		return netip.Prefix{}, fmt.Errorf("not in canonical form: %s would be", p)
	}
	return p, checkPrefix(p)
}

// checkPrefix refuses a prefix that must never be let in.
func checkPrefix(p netip.Prefix) error {
	if widest := ipspace.Widest(p.Addr()); p.Bits() < widest {
		return fmt.Errorf("too wide: wider than /%d", widest)
	}
	if block, ok := ipspace.ReservedWithin(p); ok {
		return fmt.Errorf("not a public range: %s is %s", block.Prefix, block.Use)
	}
	if p.Addr().Is6() && !ipspace.GlobalUnicastIPv6.Overlaps(p) {
		return fmt.Errorf("not a public range: it is outside %s", ipspace.GlobalUnicastIPv6)
	}
	return nil
}
