package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// Strangers says whom else than its services a cover lets in, if these may be anyone: machines that AWS's customers run
// in EC2. It returns nothing if there are none.
func Strangers(p *iprange.Publication) string {
	if len(p.BeyondEC2) == 0 {
		return ""
	}
	return fmt.Sprintf("WITHIN adds %s beyond SERVICES, %s of them in EC2's ranges, where any AWS customer can run machines: name a narrower service, or none",
		sizeOf(p.Beyond), sizeOf(p.BeyondEC2))
}

// sizeOf says how much address space it is.
func sizeOf(prefixes []netip.Prefix) string {
	ipv4, ipv6 := ipspace.Split(prefixes)
	var parts []string
	if len(ipv4) > 0 {
		parts = append(parts, fmt.Sprintf("%d IPv4 addresses", ipspace.Size(ipv4)))
	}
	if len(ipv6) > 0 {
		parts = append(parts, fmt.Sprintf("%d IPv6 /64 networks", ipspace.Size(ipv6)))
	}
	return strings.Join(parts, " and ")
}

// offerCompact completes the errors of pools that are too small: how few rules CloudFront's compact cover needs, and in
// which region a list is.
func offerCompact(plan *secgroup.Plan, p *iprange.Publication, region string) {
	for _, pool := range plan.Pools {
		if short, ok := errors.AsType[*secgroup.ShortageError](pool.Err); ok {
			ipv4, ipv6 := ipspace.Split(p.Compact())
			short.Compact = secgroup.Weight{secgroup.IPv4: len(ipv4), secgroup.IPv6: len(ipv6)}
			short.Region = region
		}
	}
}
