// Package iprange fetches the IP ranges that AWS publishes in ip-ranges.json, and turns them into prefixes that a
// firewall can rely on: verified, validated, selected by service and address family, and merged without loss.
//
// A [Selection] says which ranges are wanted. A [Fetcher] gets the file, tries again when a request fails, and returns
// the selected ranges as a [Publication]:
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
// A file from elsewhere is read by [Decode]. Either way the result is a whole publication or an error, never a part: a
// file that is truncated, malformed or implausible is refused. [Services] lists what a file holds; [Merge] and [Cover]
// reduce the number of prefixes.
package iprange

import (
	"crypto/md5"
	"net/netip"
	"time"
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

	// IPv4 and IPv6 are the wanted ranges, sorted: Prefixes merged without loss or, where the Selection has Within,
	// their [Cover].
	IPv4, IPv6 []netip.Prefix

	// Beyond is what a cover holds beyond Prefixes, merged, IPv4 first. BeyondEC2 is the part of it that is published
	// for EC2 as well, where any customer of AWS can have machines. Both are empty where the Selection has no Within.
	Beyond, BeyondEC2 []netip.Prefix

	// OriginFacing are the prefixes of CLOUDFRONT_ORIGIN_FACING, not merged, where CLOUDFRONT alone is selected: what
	// [Publication.Compact] is made of.
	OriginFacing []netip.Prefix
}

// Compact returns the ranges that would be wanted of CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT, by which all servers
// that connect to origins get in with a fraction of the rules. It is there to be offered: it returns nothing unless
// CLOUDFRONT alone is selected and takes more ranges.
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
