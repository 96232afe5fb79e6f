package secgroup

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// BenchmarkNewPlan plans pools of three groups: from nothing, with nothing to do, and with a range cut in two, one gone
// and one new.
func BenchmarkNewPlan(b *testing.B) {
	req := Request{Stamp: testStamp, Ranges: consecutive(170), RulesPerGroup: 60, MaxRevokePercent: 50}
	changed := req
	changed.Ranges = slices.Concat(prefixes("13.0.0.0/25", "13.0.0.128/25"), consecutive(171)[2:])
	for _, n := range []int{10, 100, 1000} {
		var empty, full []Group
		for i := range n {
			empty = append(empty, group(fmt.Sprintf("sg-%04d", i), "443", []string{fmt.Sprint("pool=p", i/3)}))
		}
		first, err := NewPlan(b.Context(), empty, req)
		if err != nil {
			b.Fatal(err)
		}
		for _, pool := range first.Pools {
			for _, h := range pool.Holders {
				synced := *h.Holder
				synced.Ingress = slices.Collect(maps.Values(h.after.Rules))
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
