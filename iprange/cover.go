package iprange

import (
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/ipspace"
)

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
