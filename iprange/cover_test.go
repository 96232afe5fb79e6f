package iprange

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ipspace"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCover(t *testing.T) {
	for _, test := range []struct{ name, services, within, want string }{
		{"nothing", "", "13.32.0.0/15", ""},
		{"nothing to take in", "13.33.0.0/16 13.32.0.0/16", "", "13.32.0.0/15"},
		{"a part of a block", "13.32.1.0/24 13.33.7.0/24", "13.32.0.0/15 18.64.0.0/14", "13.32.0.0/15"},
		{"a block that is published in pieces", "13.32.1.0/24", "13.32.0.0/17 13.32.128.0/17 13.33.0.0/16", "13.32.0.0/15"},
		{"outside of all blocks", "52.1.0.0/24", "13.32.0.0/15", "52.1.0.0/24"},
		{"partly outside", "13.32.0.0/14", "13.32.0.0/15", "13.32.0.0/14"},
		{"beside a block, and the other half of it", "13.33.0.0/16", "13.32.0.0/16", "13.32.0.0/15"},
		{"beside a block, and not of it", "13.33.0.0/16", "13.34.0.0/16", "13.33.0.0/16"},
		{"a gap that it fills", "13.33.0.0/17", "13.32.0.0/16 13.33.128.0/17", "13.32.0.0/15"},
		{"two blocks that are no halves", "13.33.1.0/24 13.34.1.0/24", "13.33.0.0/16 13.34.0.0/16", "13.33.0.0/16 13.34.0.0/16"},
		{"families apart", "2600:9000:1::/48 13.32.1.0/24", "13.32.0.0/15 2600:9000::/28 2600:1f00::/28", "13.32.0.0/15 2600:9000::/28"},
		{"one family only", "13.32.1.0/24", "2600:9000::/28", "13.32.1.0/24"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(prefixes(test.want), Cover(prefixes(test.services), prefixes(test.within)), comparePrefixes); diff != "" {
				t.Error(diff)
			}
		})
	}
	bad := netip.PrefixFrom(netip.MustParseAddr("13.32.0.0"), 99)
	if got := Cover([]netip.Prefix{{}, bad}, []netip.Prefix{{}, bad}); len(got) != 0 {
		t.Errorf("invalid prefixes make %s", got)
	}
}

// TestCoverIsSmallest compares Cover with all covers of any addresses among eight, within any others: it is
// one of the smallest, and reaches as far as any of these.
func TestCoverIsSmallest(t *testing.T) {
	for _, block := range prefixes("52.1.2.8/29 2600:9000::ff08/125") {
		t.Run(block.String(), func(t *testing.T) {
			all := partsOf(block, 3)
			// addresses returns the addresses of the block that prefixes hold, one bit each.
			addresses := func(ps []netip.Prefix) (set uint) {
				addr := block.Addr()
				for i := range 8 {
					if slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(addr) }) {
						set |= 1 << i
					}
					addr = addr.Next()
				}
				return set
			}
			// Each choice of the prefixes, by the number of its bits, and what it holds.
			holds := make([]uint, 1<<len(all))
			for choice := range holds {
				if choice > 0 {
					first := bits.TrailingZeros(uint(choice))
					holds[choice] = holds[choice&(choice-1)] | addresses(all[first:first+1])
				}
			}
			hosts := all[len(all)-8:]
			chosen := func(set uint) (ps []netip.Prefix) {
				for i, host := range hosts {
					if set>>i&1 == 1 {
						ps = append(ps, host)
					}
				}
				return ps
			}
			for union := range uint(1 << 8) {
				for services := range union + 1 {
					if services&^union != 0 {
						continue
					}
					cover := Cover(chosen(services), chosen(union&^services))
					reach := addresses(cover)
					if services&^reach != 0 || reach&^union != 0 {
						t.Fatalf("%08b within %08b: %s is no cover", services, union, cover)
					}
					for choice, held := range holds {
						if services&^held != 0 || held&^union != 0 {
							continue
						}
						if n := bits.OnesCount(uint(choice)); n < len(cover) || n == len(cover) && held&^reach != 0 {
							t.Fatalf("%08b within %08b: %s is a cover, but %08b holds as much by %d prefixes", services, union, cover, held, n)
						}
					}
				}
			}
		})
	}
}

// partsOf returns a block and all prefixes within it to a depth, the widest first.
func partsOf(block netip.Prefix, depth int) []netip.Prefix {
	var parts []netip.Prefix
	for d := range depth + 1 {
		for i := range 1 << d {
			parts = append(parts, subPrefix(block, byte(i<<(depth-d)), d))
		}
	}
	return parts
}

// TestCoverProperties takes lists as they are published: split, overlapping, and in any order.
func TestCoverProperties(t *testing.T) {
	blocks := prefixes("52.1.2.0/24 2600:9000::ff00/120")
	list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
		return subPrefix(rapid.SampledFrom(blocks).Draw(t, "block"), rapid.Byte().Draw(t, "offset"), rapid.IntRange(1, 8).Draw(t, "depth"))
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
		if !slices.EqualFunc(before, [][]netip.Prefix{services, within}, slices.Equal) {
			t.Fatal("the input was changed")
		}
	})
}

// compact selects the servers that connect to origins by the compact cover.
var compact = Selection{Services: []string{CloudFrontOriginFacing}, Within: []string{CloudFront}, IPv4: true, IPv6: true}

func TestDecodeWithin(t *testing.T) {
	const file = `{"syncToken":"1","prefixes":[
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
	ipv4 := compact
	ipv4.IPv6 = false
	for _, test := range []struct {
		name                                    string
		sel                                     Selection
		prefixes, merged, ec2, beyond4, compact string
	}{
		{
			"the compact cover", compact,
			"13.32.1.0/24 15.158.0.0/16 2600:9000:1::/48", "13.32.0.0/15 15.158.0.0/16 2600:9000::/28",
			"13.33.7.0/24 2600:9000:7::/48", "13.32.0.0/24 13.32.2.0/23 13.32.4.0/22 13.32.8.0/21 13.32.16.0/20 13.32.32.0/19 13.32.64.0/18 13.32.128.0/17 13.33.0.0/16", "",
		},
		{
			"of one family", ipv4,
			"13.32.1.0/24 15.158.0.0/16", "13.32.0.0/15 15.158.0.0/16",
			"13.33.7.0/24", "13.32.0.0/24 13.32.2.0/23 13.32.4.0/22 13.32.8.0/21 13.32.16.0/20 13.32.32.0/19 13.32.64.0/18 13.32.128.0/17 13.33.0.0/16", "",
		},
		{
			"within itself",
			Selection{Services: []string{CloudFrontOriginFacing}, Within: []string{CloudFrontOriginFacing}, IPv4: true},
			"13.32.1.0/24 15.158.0.0/16", "13.32.1.0/24 15.158.0.0/16", "", "", "",
		},
		{
			"every range, for which the compact cover is offered", cloudfront,
			"13.33.0.0/16 18.64.0.0/14 52.84.0.0/15 13.32.0.0/16 2600:9000::/28", "13.32.0.0/15 18.64.0.0/14 52.84.0.0/15 2600:9000::/28",
			"", "", "13.32.0.0/15 15.158.0.0/16 2600:9000::/28",
		},
		{
			"two services, which no other cover has",
			Selection{Services: []string{CloudFront, EC2}, IPv6: true},
			"2600:9000::/28 2600:9000:7::/48", "2600:9000::/28", "", "", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := file
			if slices.Contains(test.sel.Services, EC2) {
				file = strings.Replace(file, "10.0.0.0/99", "52.2.0.0/16", 1)
			}
			p, err := Decode(strings.NewReader(file), test.sel)
			if err != nil {
				t.Fatal(err)
			}
			beyond4, _ := ipspace.Split(p.Beyond)
			got := [][]netip.Prefix{p.Prefixes, p.Merged(), p.BeyondEC2, beyond4, p.Compact()}
			want := [][]netip.Prefix{prefixes(test.prefixes), prefixes(test.merged), prefixes(test.ec2), prefixes(test.beyond4), prefixes(test.compact)}
			if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Ranges that may be taken in have to be as valid as wanted ones.
func TestDecodeWithinRefused(t *testing.T) {
	const (
		wanted = `{"ip_prefix":"13.32.1.0/24","service":"CLOUDFRONT_ORIGIN_FACING"}`
		cover  = `{"ip_prefix":"13.32.0.0/15","service":"CLOUDFRONT"}`
	)
	for _, test := range []struct{ name, ipv4, want string }{
		{"no range to take in", wanted, "no IPv4 or IPv6 range for service CLOUDFRONT"},
		{"no wanted range", cover, "no IPv4 or IPv6 range for service CLOUDFRONT_ORIGIN_FACING"},
		{"private", wanted + `,{"ip_prefix":"10.0.0.0/8","service":"CLOUDFRONT"}`, `prefixes entry 1: "10.0.0.0/8" (CLOUDFRONT): not a public range`},
		{"wide", wanted + `,{"ip_prefix":"0.0.0.0/0","service":"CLOUDFRONT"}`, "too wide"},
		{"not canonical", wanted + `,{"ip_prefix":"13.33.0.0/15","service":"CLOUDFRONT"}`, "host bits are set"},
		{"wanted and private", cover + `,{"ip_prefix":"10.0.0.0/8","service":"CLOUDFRONT_ORIGIN_FACING"}`, "not a public range"},
		{"without a prefix", wanted + `,{"service":"CLOUDFRONT"}`, "has no ip_prefix"},
		{
			"wide when merged", wanted + `,{"ip_prefix":"12.0.0.0/8","service":"CLOUDFRONT"},{"ip_prefix":"13.0.0.0/8","service":"CLOUDFRONT"}`,
			"merged prefix 12.0.0.0/7: too wide",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := Decode(strings.NewReader(lists(test.ipv4, "")), compact)
			checkError(t, err, test.want)
			if p != nil {
				t.Errorf("something is returned with the error: %+v", p)
			}
		})
	}
	if _, err := Decode(strings.NewReader(document("1")), Selection{Services: []string{CloudFront}, Within: []string{""}, IPv4: true}); err == nil {
		t.Error("a service without a name is taken in")
	}
	// A cover with no fewer ranges is not offered.
	every, err := Decode(strings.NewReader(lists(wanted+","+cover, "")), cloudfront)
	if err != nil || len(every.OriginFacing) != 1 || len(every.Compact()) > 0 {
		t.Errorf("%+v, %v", every, err)
	}
	// Entries that only serve as estimates are skipped if they are wrong.
	p, err := Decode(strings.NewReader(lists(cover+`,{"ip_prefix":"x","service":"CLOUDFRONT_ORIGIN_FACING"}`, "")), cloudfront)
	if err != nil || len(p.Compact()) > 0 {
		t.Errorf("%v, %v", p, err)
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
		p, err := Decode(bytes.NewReader(data), Selection{Services: strings.Fields(services), Within: strings.Fields(within), IPv4: true, IPv6: true})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := decode("CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT")
	if got := fmt.Sprint(len(p.IPv4), len(p.IPv6), size(p.Merged())[0], size(p.Beyond)[0], size(p.BeyondEC2)); got != "19 3 423232 79616 [0 0]" {
		t.Errorf("compact cover: %s", got)
	}
	every := decode("CLOUDFRONT", "")
	if got := fmt.Sprint(len(every.IPv4), len(every.IPv6), size(every.Merged())[0]); got != "180 31 4224645" {
		t.Errorf("every range: %s", got)
	}
	if diff := cmp.Diff(p.Merged(), every.Compact(), comparePrefixes); diff != "" {
		t.Errorf("what is offered is not what is made:\n%s", diff)
	}
	if all := decode("CLOUDFRONT_ORIGIN_FACING", "AMAZON"); size(all.BeyondEC2)[0] == 0 || size(all.BeyondEC2)[0] > size(all.Beyond)[0] {
		t.Errorf("within AMAZON: %d addresses beyond, %d of them of EC2", size(all.Beyond)[0], size(all.BeyondEC2)[0])
	}
}
