package iprange

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ipspace"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestCoverProperties takes lists as they are published: split, overlapping, and in any order. A cover has those blocks
// of all addresses, merged, that hold a wanted one.
func TestCoverProperties(t *testing.T) {
	blocks := prefixes("52.1.2.0/24 2600:9000::ff00/120")
	list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
		block, offset := rapid.SampledFrom(blocks).Draw(t, "block"), rapid.Byte().Draw(t, "offset")
		return subPrefix(block, offset, rapid.IntRange(1, 8).Draw(t, "depth"))
	}), 0, 20)
	rapid.Check(t, func(t *rapid.T) {
		services, within := list.Draw(t, "services"), list.Draw(t, "within")
		before := [][]netip.Prefix{slices.Clone(services), slices.Clone(within)}
		got := Cover(services, within)
		var want []netip.Prefix
		for _, block := range mergeTwin(blocks, slices.Concat(services, within)) {
			if slices.ContainsFunc(services, block.Overlaps) {
				want = append(want, block)
			}
		}
		if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
			t.Fatal(diff)
		}
		bad := []netip.Prefix{{}, netip.PrefixFrom(netip.MustParseAddr("13.32.0.0"), 99)}
		again := Cover(slices.Concat(bad, services), slices.Concat(bad, within))
		if diff := cmp.Diff(got, again, comparePrefixes); diff != "" {
			t.Fatalf("with invalid prefixes: %s", diff)
		}
		if !slices.EqualFunc(before, [][]netip.Prefix{services, within}, slices.Equal) {
			t.Fatal("the input was changed")
		}
	})
}

// compact selects the servers that connect to origins by the compact cover.
var compact = Selection{
	Services: []string{CloudFrontOriginFacing}, Within: []string{CloudFront}, IPv4: true, IPv6: true,
}

func TestDecodeWithin(t *testing.T) {
	const (
		file = `{"syncToken":"1","prefixes":[
		{"ip_prefix":"52.0.0.0/15","service":"EC2"},
		{"ip_prefix":"13.33.0.0/16","service":"CLOUDFRONT"},
		{"ip_prefix":"13.32.1.0/24","service":"CLOUDFRONT_ORIGIN_FACING"},
		{"ip_prefix":"18.64.0.0/14","service":"CLOUDFRONT"},
		{"ip_prefix":"52.84.0.0/15","service":"CLOUDFRONT"},
		{"ip_prefix":"15.158.0.0/16","service":"CLOUDFRONT_ORIGIN_FACING"},
		{"ip_prefix":"13.32.0.0/16","service":"CLOUDFRONT"},
		{"ip_prefix":"13.33.7.0/24","service":"EC2"},
		{"ip_prefix":"13.32.1.0/25","service":"EC2"},
		{"ip_prefix":"10.0.0.0/99","service":"EC2"}],
		"ipv6_prefixes":[
		{"ipv6_prefix":"2600:9000:1::/48","service":"CLOUDFRONT_ORIGIN_FACING"},
		{"ipv6_prefix":"2600:9000::/28","service":"CLOUDFRONT"},
		{"ipv6_prefix":"2600:9000:7::/48","service":"EC2"},
		{"ipv6_prefix":"2600:9000:7::/48","service":"EC2_INSTANCE_CONNECT"}]}`
		beyond = "13.32.0.0/24 13.32.2.0/23 13.32.4.0/22 13.32.8.0/21 13.32.16.0/20 13.32.32.0/19 13.32.64.0/18" +
			" 13.32.128.0/17 13.33.0.0/16"
		facing4, covers4 = "13.32.1.0/24 15.158.0.0/16", "13.32.0.0/15 15.158.0.0/16"
	)
	itself := []string{CloudFrontOriginFacing}
	ipv4 := compact
	ipv4.IPv6 = false
	for _, test := range []struct {
		sel                                     Selection
		prefixes, merged, ec2, beyond4, compact string
	}{
		{compact, facing4 + " 2600:9000:1::/48", covers4 + " 2600:9000::/28", "13.33.7.0/24 2600:9000:7::/48", beyond, ""},
		{ipv4, facing4, covers4, "13.33.7.0/24", beyond, ""},
		{Selection{Services: itself, Within: itself, IPv4: true}, facing4, facing4, "", "", ""},
		// Where every range is let in, the compact cover is on offer.
		{
			cloudfront, "13.33.0.0/16 18.64.0.0/14 52.84.0.0/15 13.32.0.0/16 2600:9000::/28",
			"13.32.0.0/15 18.64.0.0/14 52.84.0.0/15 2600:9000::/28", "", "", covers4 + " 2600:9000::/28",
		},
		{
			Selection{Services: []string{CloudFront, EC2}, IPv6: true},
			"2600:9000::/28 2600:9000:7::/48", "2600:9000::/28", "", "", "",
		},
	} {
		file := file
		if slices.Contains(test.sel.Services, EC2) { // invalid in what is wanted
			file = strings.Replace(file, "10.0.0.0/99", "52.2.0.0/16", 1)
		}
		p, err := Decode(strings.NewReader(file), test.sel)
		if err != nil {
			t.Fatal(err)
		}
		beyond4, _ := ipspace.Split(p.Beyond)
		got := [][]netip.Prefix{p.Prefixes, p.Merged(), p.BeyondEC2, beyond4, p.Compact()}
		want := [][]netip.Prefix{
			prefixes(test.prefixes), prefixes(test.merged), prefixes(test.ec2), prefixes(test.beyond4), prefixes(test.compact),
		}
		if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
			t.Errorf("%+v: -want +got\n%s", test.sel, diff)
		}
	}
}

// Ranges that may be taken in have to be as valid as wanted ones; those that serve an estimate are skipped if invalid.
func TestDecodeWithinRefused(t *testing.T) {
	const (
		wanted = `{"ip_prefix":"13.32.1.0/24","service":"CLOUDFRONT_ORIGIN_FACING"}`
		cover  = `{"ip_prefix":"13.32.0.0/15","service":"CLOUDFRONT"}`
		half   = `{"ip_prefix":"12.0.0.0/8","service":"CLOUDFRONT"},{"ip_prefix":"13.0.0.0/8","service":"CLOUDFRONT"}`
	)
	for ipv4, want := range map[string]string{
		wanted: "no IPv4 or IPv6 range for service CLOUDFRONT",
		cover:  "no IPv4 or IPv6 range for service CLOUDFRONT_ORIGIN_FACING",
		wanted + `,{"ip_prefix":"10.0.0.0/8","service":"CLOUDFRONT"}`: `"10.0.0.0/8" (CLOUDFRONT): not a public range`,
		wanted + "," + half: "merged prefix 12.0.0.0/7: too wide",
	} {
		p, err := Decode(strings.NewReader(lists(ipv4, "")), compact)
		checkError(t, err, want)
		if p != nil {
			t.Errorf("something is returned with the error: %+v", p)
		}
	}
	// A cover with no fewer ranges is not offered, nor one of an invalid range.
	for ipv4, facing := range map[string]int{
		wanted + "," + cover: 1,
		cover + `,{"ip_prefix":"x","service":"CLOUDFRONT_ORIGIN_FACING"}`: 0,
	} {
		every, err := Decode(strings.NewReader(lists(ipv4, "")), cloudfront)
		if err != nil || len(every.OriginFacing) != facing || len(every.Compact()) > 0 {
			t.Errorf("%+v, %v", every, err)
		}
	}
}

// The figures of the README, and of the design.
func TestDecodeRealCover(t *testing.T) {
	data := realData(t, "ip-ranges-2026-08-22.json.gz")
	size := func(ps []netip.Prefix) [2]uint64 {
		ipv4, ipv6 := ipspace.Split(ps)
		return [2]uint64{ipspace.Size(ipv4), ipspace.Size(ipv6)}
	}
	decode := func(services, within string) *Publication {
		t.Helper()
		sel := Selection{Services: strings.Fields(services), Within: strings.Fields(within), IPv4: true, IPv6: true}
		p, err := Decode(bytes.NewReader(data), sel)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := decode("CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT")
	got := fmt.Sprint(len(p.IPv4), len(p.IPv6), size(p.Merged())[0], size(p.Beyond)[0], size(p.BeyondEC2))
	if got != "19 3 423232 79616 [0 0]" {
		t.Errorf("compact cover: %s", got)
	}
	every := decode("CLOUDFRONT", "")
	if got := fmt.Sprint(len(every.IPv4), len(every.IPv6), size(every.Merged())[0]); got != "180 31 4224645" {
		t.Errorf("every range: %s", got)
	}
	if diff := cmp.Diff(p.Merged(), every.Compact(), comparePrefixes); diff != "" {
		t.Errorf("what is offered is not what is made:\n%s", diff)
	}
	all := decode("CLOUDFRONT_ORIGIN_FACING", "AMAZON")
	if beyond, ec2 := size(all.Beyond)[0], size(all.BeyondEC2)[0]; ec2 == 0 || ec2 > beyond {
		t.Errorf("within AMAZON: %d addresses beyond, %d of them of EC2", beyond, ec2)
	}
}
