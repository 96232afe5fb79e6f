// Package iprange fetches the IP ranges that AWS publishes, and turns them into prefixes that can be relied on:
// verified, validated, selected by service and address family, and merged without loss.
package iprange

import (
	"crypto/md5"
	"net/netip"
	"time"
)

// DefaultURL is where AWS publishes its ranges.
// https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html
const DefaultURL = "https://ip-ranges.amazonaws.com/ip-ranges.json"

// Publication is one published state of ip-ranges.json, reduced to a [Selection]. It is not changed once made:
// whoever receives one must treat it as read-only.
type Publication struct {
	SyncToken string         // as published: the time of publication in Unix seconds
	Published time.Time      // SyncToken as a time, in UTC
	MD5       [md5.Size]byte // of the whole file, as AWS announces it
	Prefixes  []netip.Prefix // the selected prefixes as published, in the order of the file
	IPv4      []netip.Prefix // the selected IPv4 prefixes, merged without loss and sorted
	IPv6      []netip.Prefix // the selected IPv6 prefixes, merged without loss and sorted
}

// Merged returns the merged prefixes of both families, IPv4 first.
func (p *Publication) Merged() []netip.Prefix {
	merged := make([]netip.Prefix, 0, len(p.IPv4)+len(p.IPv6))
	return append(append(merged, p.IPv4...), p.IPv6...)
}
