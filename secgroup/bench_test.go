package secgroup

import (
	"fmt"
	"slices"
	"testing"
)

// BenchmarkNewPlan plans pools of three groups: from nothing, with nothing to do, and with a range cut in two, one gone
// and one new.
func BenchmarkNewPlan(b *testing.B) {
	req := Request{Stamp: testStamp, Ranges: apart("13.0.0.0/24", 170), RulesPerGroup: 60, MaxRevokePercent: 50}
	changed := req
	changed.Ranges = slices.Concat(prefixes("13.0.0.0/25", "13.0.0.128/25"), apart("13.0.0.0/24", 171)[2:])
	for _, n := range []int{10, 100, 1000} {
		var empty []Group
		for i := range n {
			empty = append(empty, group(fmt.Sprintf("sg-%04d", i), "443", []string{fmt.Sprint("pool=p", i/3)}))
		}
		full := take(b, mustPlan(b, empty, req))
		for _, c := range []struct {
			name   string
			groups []Group
			req    Request
		}{{"first", empty, req}, {"idle", full, req}, {"change", full, changed}} {
			b.Run(fmt.Sprintf("%s/groups=%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					mustPlan(b, c.groups, c.req)
				}
			})
		}
	}
}
