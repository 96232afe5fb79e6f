package secgroup

import (
	"net/netip"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	tcp443  = PortRange{443, 443}
	compare = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
)

// prefixes parses CIDRs.
func prefixes(cidrs ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range cidrs {
		out = append(out, netip.MustParsePrefix(cidr))
	}
	return out
}

// tcp returns what identifies a TCP rule.
func tcp(ports PortRange, cidr string) RuleID {
	return RuleID{"tcp", int32(ports.From), int32(ports.To), Source{Prefix: netip.MustParsePrefix(cidr)}}
}
