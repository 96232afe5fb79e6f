package iprange

import (
	"errors"
	"fmt"
	"net/netip"
)

// The widest prefix that is believed, of each family. AWS holds nothing wider that it does not publish in pieces; a
// wider one is a mistake that would open a security group to strangers.
const (
	widestIPv4 = 8
	widestIPv6 = 20
)

// globalUnicastIPv6 holds all public IPv6 addresses that are assigned so far.
// https://www.iana.org/assignments/ipv6-address-space
var globalUnicastIPv6 = netip.MustParsePrefix("2000::/3")

// notPublic are the blocks whose addresses do not identify a host on the Internet: those of the two IANA registries
// that RFC 6890 set up which are not globally reachable as a whole, and multicast. Small exceptions within a block
// (192.0.0.9/32, 2001:20::/28, …) are anycast services and identifiers that AWS cannot be assigned.
// https://www.iana.org/assignments/iana-ipv4-special-registry
// https://www.iana.org/assignments/iana-ipv6-special-registry
var notPublic = []struct {
	prefix netip.Prefix
	use    string
}{
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

// parsePrefix reads a prefix of the family as AWS publishes it, and as nobody should: only the canonical form (RFC
// 4632, RFC 5952) of a public range of believable width is accepted.
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

// checkPrefix reports a prefix that must never be let in.
func checkPrefix(p netip.Prefix) error {
	widest := widestIPv4
	if p.Addr().Is6() {
		widest = widestIPv6
	}
	if p.Bits() < widest {
		return fmt.Errorf("too wide: nothing wider than /%d is believed", widest)
	}
	for _, block := range notPublic {
		if block.prefix.Overlaps(p) {
			return fmt.Errorf("not a public range: %s is %s", block.prefix, block.use)
		}
	}
	if p.Addr().Is6() && !globalUnicastIPv6.Overlaps(p) {
		return fmt.Errorf("not a public range: it is outside %s", globalUnicastIPv6)
	}
	return nil
}
