package secgroup

import (
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"cloudfront-sg-sync/iprange"
)

// realRanges returns the CLOUDFRONT ranges of the published file that lies beside the repository; without it the test
// or benchmark is skipped.
func realRanges(tb testing.TB) []netip.Prefix {
	tb.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "ip-ranges-2026-08-22.json.gz"))
	if err != nil {
		tb.Skipf("the published file is not here: %v", err)
	}
	defer f.Close()
	document, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := iprange.Decode(document, iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true})
	if err != nil {
		tb.Fatal(err)
	}
	return p.Merged()
}

// BenchmarkNewPlan plans pools of three groups: from nothing, with nothing to do, and with one range of the list cut in
// two, one gone and one new.
func BenchmarkNewPlan(b *testing.B) {
	ranges := realRanges(b)
	req := Request{Stamp: testStamp, Ranges: ranges, RulesPerGroup: 60, MaxRevokePercent: 50}
	changed := req
	changed.Ranges = canonicalChange(ranges)
	for _, n := range []int{10, 100, 1000} {
		var empty []Group
		for i := range n {
			empty = append(empty, Group{ID: fmt.Sprintf("sg-%04d", i), VPC: "vpc-1", Tags: map[string]string{testKey: "443", testKey + "-pool": fmt.Sprint("pool-", i/3)}})
		}
		first, err := NewPlan(b.Context(), empty, req)
		if err != nil {
			b.Fatal(err)
		}
		full := make([]Group, 0, n)
		for _, pool := range first.Pools {
			for _, g := range pool.Holders {
				synced := *g.Holder
				synced.Ingress = g.after(pool.Steps)
				full = append(full, synced)
			}
		}
		for _, c := range []struct {
			name   string
			groups []Group
			req    Request
		}{{"first", empty, req}, {"idle", full, req}, {"change", full, changed}} {
			b.Run(fmt.Sprintf("%s/groups=%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := NewPlan(b.Context(), c.groups, c.req); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkFullPools plans the most expensive change: every block of the list is split again, {0-1, 2} becoming {1,
// 2-3}, on one port and on more, in pools that are full to the last slot.
func BenchmarkFullPools(b *testing.B) {
	for _, c := range []struct {
		name          string
		groups, quota int
		ports         string
		pools         int
	}{
		{"1x900", 1, 900, "80 443 8080 8443 9443", 1},
		{"5x180", 5, 180, "80 443 8080 8443 9443", 1},
		{"3x120", 3, 120, "80 443", 1},
		{"1000 groups in threes", 3, 60, "443", 334},
	} {
		var before, after []netip.Prefix
		for i := range 90 {
			block := func(k, bits int) netip.Prefix {
				return netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i / 64), byte(4*(i%64) + k), 0}), bits)
			}
			before = append(before, block(0, 23), block(2, 24))
			after = append(after, block(1, 24), block(2, 23))
		}
		var empty []Group
		for i := range c.groups * c.pools {
			empty = append(empty, group(fmt.Sprintf("sg-%04d", i), c.ports, []string{fmt.Sprint("pool=p", i/c.groups)}))
		}
		req := Request{Stamp: testStamp, Ranges: before, RulesPerGroup: c.quota, MaxRevokePercent: 100}
		first, err := NewPlan(b.Context(), empty, req)
		if err != nil || first.Failures() != nil {
			b.Fatal(err, first.Failures())
		}
		var full []Group
		for _, pool := range first.Pools {
			for _, g := range pool.Holders {
				synced := *g.Holder
				synced.Ingress = g.after(pool.Steps)
				full = append(full, synced)
			}
		}
		req.Ranges = after
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NewPlan(b.Context(), full, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// canonicalChange replaces the first range by its upper half and the last by its neighbour.
func canonicalChange(ranges []netip.Prefix) []netip.Prefix {
	out := append([]netip.Prefix(nil), ranges...)
	out[0] = netip.PrefixFrom(out[0].Addr(), out[0].Bits()+1)
	return append(out[:len(out)-1], netip.MustParsePrefix("2c0f:ffff::/40"))
}
