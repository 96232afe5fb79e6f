// Package iprange fetches the IP ranges that AWS publishes in ip-ranges.json, and turns them into prefixes that a
// firewall can rely on: verified, validated, selected by service and address family, and merged without loss.
//
// A [Selection] names the wanted ranges. A [Fetcher] gets the file, retries failed requests, and returns the selected
// ranges as a [Publication]:
//
//	fetcher := &iprange.Fetcher{Selection: iprange.Selection{Services: []string{iprange.CloudFront}, IPv4: true, IPv6: true}}
//	publication, err := fetcher.Fetch(ctx, nil)
//	for _, prefix := range publication.Merged() { … }
//
// AWS announces each new file on an SNS topic. With the announcement, which [ParseNotice] reads, the fetcher waits
// until the caches serve that file, and checks its MD5:
//
//	notice, err := iprange.ParseNotice(message)
//	publication, err = fetcher.Fetch(ctx, &notice)
//
// [Decode] reads a file from elsewhere. Either way the result is a whole publication or an error, never a part: a file
// that is truncated, malformed or implausible is refused. [Services] lists the services of a file; [Merge] and [Cover]
// reduce the number of prefixes.
package iprange

import (
	"crypto/md5"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
)

// DefaultURL is where AWS publishes its ranges.
// https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html
const DefaultURL = "https://ip-ranges.amazonaws.com/ip-ranges.json"

// Publication is one published state of ip-ranges.json, reduced to a [Selection]. Treat it as read-only: others share
// it.
type Publication struct {
	SyncToken string         // as published: the time of publication in Unix seconds
	Published time.Time      // SyncToken as a time, in UTC
	MD5       [md5.Size]byte // of the whole file, as AWS announces it
	Prefixes  []netip.Prefix // the prefixes of the selected services as published, in the order of the file

	// IPv4 and IPv6 are the wanted ranges, sorted: Prefixes merged without loss or, if the Selection has Within, their
	// [Cover].
	IPv4, IPv6 []netip.Prefix

	// Beyond are the addresses of a cover beyond Prefixes, merged, IPv4 first. BeyondEC2 are those that are published
	// for EC2 as well, where any customer of AWS can have machines. Both are empty if the Selection has no Within.
	Beyond, BeyondEC2 []netip.Prefix

	// OriginFacing are the prefixes of CLOUDFRONT_ORIGIN_FACING, not merged, if only CLOUDFRONT is selected: the input of
	// [Publication.Compact].
	OriginFacing []netip.Prefix
}

// Compact returns the compact cover, CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT, which lets in all servers that connect
// to origins with a fraction of the rules. It returns nothing unless only CLOUDFRONT is selected and takes more ranges.
func (p *Publication) Compact() []netip.Prefix {
	if len(p.OriginFacing) == 0 {
		return nil
	}
	cover := Cover(p.OriginFacing, p.Prefixes)
	if len(cover) >= len(p.IPv4)+len(p.IPv6) {
		return nil
	}
	return cover
}

// Merged returns the wanted ranges of both families, IPv4 first.
func (p *Publication) Merged() []netip.Prefix {
	merged := make([]netip.Prefix, 0, len(p.IPv4)+len(p.IPv6))
	return append(append(merged, p.IPv4...), p.IPv6...)
}

// Strangers says whom a cover lets in besides the services, if these may be anyone: machines that AWS's customers run in
// EC2. It returns nothing if there are none.
func (p *Publication) Strangers() string {
	if len(p.BeyondEC2) == 0 {
		return ""
	}
	return fmt.Sprintf("WITHIN adds %s beyond SERVICES, %s of them in EC2's ranges, where any AWS customer can run machines: name a narrower service, or none",
		sizeOf(p.Beyond), sizeOf(p.BeyondEC2))
}

// sizeOf says how much address space prefixes take.
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
