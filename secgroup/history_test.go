package secgroup

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
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
// group there is never a gap. Where a state, or the one before, fills the pool to the last slot, each gap is told, and
// the next call makes it good.
func TestHistory(t *testing.T) {
	for _, service := range []string{"CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING"} {
		states := history(t, service)
		for _, ports := range [][]string{
			{"80 443", "443", "80"},
			{"80 443", "80 443", "80 443", "443 8443", "8443"},
			{"443", "443", "443"},
		} {
			var quotas []int
			for i, ranges := range states {
				quotas = append(quotas, needed(t, ports, ranges))
				if i > 0 {
					quotas[i-1] = max(quotas[i-1], quotas[i])
				}
			}
			for spare := range 2 {
				t.Run(fmt.Sprintf("%s/%s/spare=%d", service, strings.Join(ports, "+"), spare), func(t *testing.T) {
					groups, gaps := tagged(ports...), 0
					for i, ranges := range states {
						quota := spare + quotas[max(0, i-1)]
						plan, err := NewPlan(context.Background(), groups, Request{
							Stamp:  Stamp{TagKey: testKey, Services: []string{service}, Published: testStamp.Published.Add(time.Duration(i) * time.Hour)},
							Ranges: ranges, RulesPerGroup: quota, MaxRevokePercent: 100,
						})
						if err != nil || plan.Failures() != nil {
							t.Fatalf("state %d: %v, %v", i, err, plan.Failures())
						}
						var told int
						groups, told = followSteps(t, groups, plan.Pools[0].Steps, ranges, quota)
						gaps += told
						checkHolds(t, groups, ranges)
						if t.Failed() {
							t.Fatalf("in state %d", i)
						}
					}
					if spare > 0 && gaps > 0 {
						t.Errorf("%d gaps", gaps)
					}
					t.Logf("%d states, %d gaps", len(states), gaps)
				})
			}
		}
	}
}

// followSteps takes steps, and returns the groups then and how many gaps there were. It fails where a step closes what
// it does not tell, or the next one does not open that again.
func followSteps(t *testing.T, groups []Group, steps []Step, ranges []netip.Prefix, quota int) ([]Group, int) {
	t.Helper()
	groups = slices.Clone(groups)
	wanted, gaps := ipspace.Of(ranges), 0
	for n, s := range steps {
		i := slices.IndexFunc(groups, func(g Group) bool { return g.ID == s.HolderID })
		before := openOn(groups)
		groups[i].Ingress = after(groups[i], []Step{s})
		for _, f := range []Family{IPv4, IPv6} {
			if used := ofFamily(sourcesOf(groups[i].Ingress), f); len(s.Add) > 0 && len(used) > quota {
				t.Errorf("%v: %d %v rules of %d", s, len(used), f, quota)
			}
		}
		open := openOn(groups)
		if len(s.Gap) > 0 {
			gaps++
			if n+1 == len(steps) || !steps[n+1].Reopens {
				t.Errorf("%v opens a gap that the next step does not close", s)
				continue
			}
			next := slices.Clone(groups)
			k := slices.IndexFunc(next, func(g Group) bool { return g.ID == steps[n+1].HolderID })
			next[k].Ingress = after(next[k], steps[n+1:n+2])
			open = openOn(next)
		}
		for port, had := range before {
			if lost := ipspace.Common(ipspace.Minus(ipspace.Of(had), ipspace.Of(open[port])), wanted).Prefixes(); len(lost) > 0 {
				t.Errorf("%v closes %v on port %v", s, lost, port)
			}
		}
	}
	return groups, gaps
}

// openOn returns what rules open, by port.
func openOn(groups []Group) map[PortRange][]netip.Prefix {
	open := map[PortRange][]netip.Prefix{}
	for _, g := range groups {
		for _, r := range g.Ingress {
			port := PortRange{uint16(r.From), uint16(r.To)}
			open[port] = append(open[port], r.Source.Prefix)
		}
	}
	return open
}

// checkHolds fails unless the groups have each range on each port once, in a group that lists it, and nothing else.
func checkHolds(t *testing.T, groups []Group, ranges []netip.Prefix) {
	t.Helper()
	ports := map[PortRange]bool{}
	for _, g := range groups {
		s, err := ParseSettings(testKey, g.Tags)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Ports {
			ports[p] = true
		}
		for _, r := range g.Ingress {
			if !slices.Contains(s.Ports, PortRange{uint16(r.From), uint16(r.To)}) {
				t.Errorf("%s has %v, and lists %v", g.ID, r.RuleID, s.Ports)
			}
		}
	}
	open := openOn(groups)
	for port := range ports {
		slices.SortFunc(open[port], netip.Prefix.Compare)
		if !slices.Equal(open[port], ranges) {
			t.Errorf("on port %v are %d rules, want those of %d ranges", port, len(open[port]), len(ranges))
		}
		delete(open, port)
	}
	if len(open) > 0 {
		t.Errorf("rules on ports that nobody lists: %v", open)
	}
}
