package secgroup

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/iprange"
)

// history returns the ranges of a service in every state that was published since 2017, from the documents that lie
// beside the repository.
func history(t *testing.T, service string) (states [][]netip.Prefix) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "cloudfront-history-2017-2024.jsonl.gz"))
	if err != nil {
		t.Skipf("the published files are not here: %v", err)
	}
	defer f.Close()
	documents, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(documents)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if !strings.Contains(lines.Text(), `"`+service+`"`) {
			continue // before there was such a service
		}
		p, err := iprange.Decode(strings.NewReader(lines.Text()), iprange.Selection{Services: []string{service}, IPv4: true, IPv6: strings.Contains(lines.Text(), "ipv6_prefix\"")})
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, p.Merged())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(states) < 10 {
		t.Fatalf("%d states of %s", len(states), service)
	}
	return states
}

// tagged returns empty groups of a pool, with these ports.
func tagged(ports ...string) (groups []Group) {
	for i, p := range ports {
		groups = append(groups, group(fmt.Sprintf("sg-%d", i), p, []string{"pool=web"}))
	}
	return groups
}

// needed returns the smallest quota with which a pool holds the ranges: what the plan for a pool without room says.
func needed(t *testing.T, ports []string, ranges []netip.Prefix) int {
	plan := newPlan(t, tagged(ports...), ranges, func(r *Request) { r.RulesPerGroup = 1 })
	return shortage(plan).RulesPerGroup
}

// Every state since 2017, one after the other, in pools whose groups list different ports. With a slot to spare in each
// group there is never a gap; each state is exact, and a second run is quiet.
func TestHistory(t *testing.T) {
	for _, service := range []string{"CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING"} {
		states := history(t, service)
		for _, ports := range [][]string{{"80 443", "443", "80"}, {"80 443", "80 443", "80 443", "443 8443", "8443"}} {
			quotas := []int{}
			for i, ranges := range states {
				quotas = append(quotas, needed(t, ports, ranges))
				if i > 0 {
					quotas[i-1] = max(quotas[i-1], quotas[i])
				}
			}
			t.Run(fmt.Sprintf("%s/%s", service, strings.Join(ports, "+")), func(t *testing.T) {
				groups := tagged(ports...)
				for i, ranges := range states {
					change := func(r *Request) {
						r.Services, r.Published = []string{service}, testStamp.Published.Add(time.Duration(i)*time.Hour)
						r.RulesPerGroup, r.MaxRevokePercent = 1+quotas[max(0, i-1)], 100
					}
					plan := newPlan(t, groups, ranges, change)
					if plan.Failures() != nil || slices.ContainsFunc(plan.Pools[0].Steps, func(s Step) bool { return len(s.Gap) > 0 }) {
						t.Fatalf("state %d: %v, %q", i, plan.Failures(), steps(plan))
					}
					groups = take(t, plan)
					checkSteps(t, newPlan(t, groups, ranges, change))
				}
			})
		}
	}
}
