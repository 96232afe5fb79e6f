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
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
)

// DefaultURL is where AWS publishes its ranges. https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html
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

// Selection names the wanted ranges.
type Selection struct {
	Services []string // as AWS writes them, for example CLOUDFRONT; a range of any of them is selected

	// Within are services whose ranges may be included to need fewer ranges: the result is then the [Cover] of Services
	// within these.
	Within []string

	IPv4 bool
	IPv6 bool
}

// String names the selection, for example "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT".
func (s Selection) String() string {
	text := strings.Join(s.Services, ", ")
	if len(s.Within) > 0 {
		text += " within " + strings.Join(s.Within, ", ")
	}
	return text
}

// validate refuses a selection that selects nothing.
func (s Selection) validate() error {
	switch {
	case len(s.Services) == 0:
		return errors.New("no service is selected")
	case slices.Contains(slices.Concat(s.Services, s.Within), ""):
		return errors.New("a selected service has no name")
	case !s.IPv4 && !s.IPv6:
		return errors.New("neither IPv4 nor IPv6 is selected")
	}
	return nil
}

// families names the selected address families in prose.
func (s Selection) families() string {
	switch {
	case s.IPv4 && s.IPv6:
		return "IPv4 or IPv6"
	case s.IPv4:
		return "IPv4"
	default:
		return "IPv6"
	}
}

// MissingServiceError reports wanted services for which a published file has no range in the selected families. The
// file itself is fine: most likely the name is misspelled.
type MissingServiceError struct {
	Services []string
	Families string // in prose, for example "IPv4 or IPv6"
}

func (e *MissingServiceError) Error() string {
	return fmt.Sprintf("no %s range for service %s", e.Families, strings.Join(e.Services, ", "))
}

// Some services of ip-ranges.json. CLOUDFRONT holds all servers of CloudFront, CLOUDFRONT_ORIGIN_FACING those that
// connect to origins, and EC2 what AWS's customers run. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/LocationsOfEdgeServers.html and
// https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html
const (
	CloudFront             = "CLOUDFRONT"
	CloudFrontOriginFacing = "CLOUDFRONT_ORIGIN_FACING"
	EC2                    = "EC2"
)

// Cover returns the fewest prefixes that hold every address of services, and no address but those of services and
// within: IPv4 first, sorted. Invalid prefixes are left out. A range of services that touches none of within stays as
// it is; if within is empty, the result is that of [Merge].
//
// The prefixes are the merged ones of both lists, without those that hold nothing of services:
//
//	services          ····──··─···············├──┤
//	within            ├──────────────┤├──────┤····
//	merged            ├──────────────┤├──────┤├──┤
//	cover             ├──────────────┤        ├──┤
//
// No smaller cover exists. Two prefixes are either disjoint or one contains the other, so every prefix that both lists
// together cover lies in exactly one merged prefix. Hence no prefix of a cover can serve two merged ones, and each that
// holds an address of services needs one. Among the smallest covers this is the one that changes least often: a prefix
// stays the same when AWS adds servers of services within it, or withdraws them.
func Cover(services, within []netip.Prefix) []netip.Prefix {
	wanted := ipspace.Of(services)
	var cover []netip.Prefix
	for _, block := range ipspace.Of(slices.Concat(services, within)).Prefixes() {
		if wanted.OverlapsPrefix(block) {
			cover = append(cover, block)
		}
	}
	return cover
}

// Merge returns the smallest sorted list of prefixes that covers the same addresses as prefixes: IPv4 first, none
// overlapping, no two of them the halves of one. Invalid prefixes are left out.
func Merge(prefixes []netip.Prefix) []netip.Prefix { return ipspace.Of(prefixes).Prefixes() }
