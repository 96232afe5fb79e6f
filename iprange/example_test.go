package iprange_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"cloudfront-sg-sync/iprange"
)

// published is a small ip-ranges.json.
const published = `{
  "syncToken": "1787411825",
  "prefixes": [
    {"ip_prefix": "13.32.0.0/16", "service": "CLOUDFRONT"},
    {"ip_prefix": "13.33.0.0/16", "service": "CLOUDFRONT"},
    {"ip_prefix": "13.32.64.0/24", "service": "CLOUDFRONT_ORIGIN_FACING"},
    {"ip_prefix": "3.5.140.0/22", "service": "S3"}
  ],
  "ipv6_prefixes": [
    {"ipv6_prefix": "2600:9000::/28", "service": "CLOUDFRONT"}
  ]
}`

func ExampleFetcher() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, published)
	}))
	defer server.Close()

	fetcher := &iprange.Fetcher{
		URL:       server.URL, // leave it out for the file of AWS
		Selection: iprange.Selection{Services: []string{iprange.CloudFront}, IPv4: true, IPv6: true},
	}
	publication, err := fetcher.Fetch(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(publication.Published)
	fmt.Println(publication.IPv4)
	fmt.Println(publication.IPv6)
	// Output:
	// 2026-08-22 15:17:05 +0000 UTC
	// [13.32.0.0/15]
	// [2600:9000::/28]
}

func ExampleDecode() {
	_, err := iprange.Decode(strings.NewReader(published[:200]), iprange.Selection{Services: []string{"S3"}, IPv4: true})
	fmt.Println(err)

	_, err = iprange.Decode(strings.NewReader(published), iprange.Selection{Services: []string{"CLOUDFORNT"}, IPv4: true})
	fmt.Println(err)
	// Output:
	// the file is cut short after 200 bytes: unexpected EOF
	// no IPv4 range for service CLOUDFORNT
}

// The servers that connect to origins, in the fewest prefixes that hold no address but CloudFront's.
func ExampleCover() {
	parse := netip.MustParsePrefix
	originFacing := []netip.Prefix{parse("13.32.64.0/24"), parse("13.33.9.0/25")}
	cloudFront := []netip.Prefix{parse("13.32.0.0/16"), parse("13.33.0.0/16"), parse("18.64.0.0/14")}
	fmt.Println(iprange.Cover(originFacing, cloudFront))
	// Output:
	// [13.32.0.0/15]
}

func ExampleMerge() {
	parse := netip.MustParsePrefix
	halves := []netip.Prefix{parse("198.51.100.128/25"), parse("198.51.100.0/25"), parse("198.51.100.7/32")}
	fmt.Println(iprange.Merge(halves))
	// Output:
	// [198.51.100.0/24]
}
