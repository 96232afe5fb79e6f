package engine

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// published returns what AWS has published, from the data beside the repository. Without it the test is skipped.
func published(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open("../../../shared/data/" + name)
	if err != nil {
		t.Skipf("the published data is not here: %v", err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// A replay is what a run has to do for each of the states that AWS has published from 2017 to 2024, oldest first.
type replay struct {
	service, within string
	ports           string // of a pool of groups; of two lists, if empty
	spare           int    // slots of each family that the largest state leaves
	// mixed are the ports of each group of a pool instead, whose quota is that of the state, and one more.
	mixed    []string
	unforced bool
}

// TestHistory replays what AWS published over seven years on pools and on lists: exact after each state, nothing closed
// within any, no gap with one slot to spare, and no more than one authorize and one revoke for a group or one change of
// a list except where it is full. States that lack the service change nothing.
func TestHistory(t *testing.T) {
	for _, service := range []string{"CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING"} {
		for _, ports := range []string{"443", "80 443", ""} {
			for _, spare := range []int{0, 1, 60} {
				t.Run(fmt.Sprintf("%s/%s/%d to spare", service, ports, spare), func(t *testing.T) {
					t.Parallel()
					t.Log(replay{service: service, ports: ports, spare: spare}.run(t))
				})
			}
		}
		for _, mixed := range [][]string{{"80 443", "443", "80"}, {"80 443", "80 443", "80 443", "443 8443", "8443"}} {
			t.Run(service+"/"+strings.Join(mixed, "+"), func(t *testing.T) {
				t.Parallel()
				t.Log(replay{service: service, mixed: mixed, spare: 1}.run(t))
			})
		}
	}
	t.Run("compact cover", func(t *testing.T) { // one default group with three ports, and never any force
		r := replay{service: "CLOUDFRONT_ORIGIN_FACING", within: "CLOUDFRONT", ports: "80 443 8443", spare: 6, unforced: true}
		want := "45 states, at most 18 ranges of a family; after the first 5 with changes, 6 calls, 30 rules changed, 0 gaps"
		if got := r.run(t); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// run returns a summary of the replay.
func (r replay) run(t *testing.T) string {
	states := strings.Split(published(t, "cloudfront-history-2017-2024.jsonl.gz"), "\n")
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
	s.within(r.service, r.within)
	publications, most := decodeAll(t, states, s.fetcher.Selection)
	for i, ports := range r.mixed {
		s.group(s.here, fmt.Sprint("web-", i), ports, "-pool", "web")
	}
	if n := len(strings.Fields(r.ports)); n > 0 {
		s.fillPool(r.ports, most[0]*n+r.spare, most[1]*n+r.spare)
	} else if r.mixed == nil {
		for i, family := range []string{"IPv4", "IPv6"} {
			l := ec2sim.PrefixList{Name: "cloudfront", Family: family, MaxEntries: max(1, most[i]+r.spare)}
			s.makeList(s.here, l, "ranges")
		}
	}
	var needed []int
	var replayed, changed, calls, rules int
	for i, p := range publications {
		s.file, s.ranges = states[i], nil
		if p != nil {
			s.ranges = p.Merged()
		}
		if r.mixed != nil && p != nil {
			needed = append(needed, r.needed(s))
			s.RulesPerGroup = r.spare + slices.Max(needed[max(0, len(needed)-2):])
			s.here.SetQuota(s.RulesPerGroup)
		}
		s.sim.ResetCalls()
		report, err := s.sync(Request{Force: !r.unforced})
		_, missing := errors.AsType[*iprange.MissingServiceError](err)
		if (err != nil) != (p == nil) || missing != (p == nil) {
			t.Fatalf("state %d: %v", i, err)
		}
		n := r.checkCalls(s, i, replayed == 0)
		if p == nil {
			continue
		}
		s.exact(fmt.Sprint("state ", i), s.ranges, nil)
		if replayed++; replayed > 1 {
			calls += n
			rules += report.Summary.Added + report.Summary.Revoked
			if report.Changed {
				changed++
			}
		}
	}
	if r.spare > 0 && s.announced > 0 {
		t.Errorf("%d gaps though there was room", s.announced)
	}
	return fmt.Sprintf("%d states, at most %d ranges of a family; after the first %d with changes, %d calls, %d rules"+
		" changed, %d gaps", replayed, max(most[0], most[1]), changed, calls, rules, s.announced)
}

// needed returns the smallest quota with which the pool holds the ranges: what the plan for a pool without room says.
func (r replay) needed(s *scene) int {
	var groups []secgroup.Group
	for i, ports := range r.mixed {
		tags := map[string]string{key: ports, key + "-pool": "web"}
		groups = append(groups, secgroup.Group{ID: fmt.Sprint("sg-", i), Tags: tags})
	}
	req := secgroup.Request{Stamp: secgroup.Stamp{TagKey: key}, Ranges: s.ranges, RulesPerGroup: 1}
	plan, err := secgroup.NewPlan(s.t.Context(), groups, req)
	s.must(err)
	short, _ := errors.AsType[*secgroup.ShortageError](plan.Pools[0].Err)
	return short.RulesPerGroup
}

// decodeAll decodes the states, nil for those that lack the service, and returns the most ranges of each family.
func decodeAll(t *testing.T, states []string, selection iprange.Selection) (all []*iprange.Publication, most [2]int) {
	t.Helper()
	for i, state := range states {
		p, err := iprange.Decode(strings.NewReader(state), selection)
		if err != nil && strings.Contains(state, `"service":"`+selection.Services[0]+`"`) {
			t.Fatalf("state %d: %v", i, err)
		}
		if all = append(all, p); p != nil {
			most[0], most[1] = max(most[0], len(p.IPv4)), max(most[1], len(p.IPv6))
		}
	}
	return all, most
}

// fillPool makes a pool with just the given numbers of free slots. Somebody else's rules take the others.
func (s *scene) fillPool(ports string, ipv4, ipv6 int) {
	s.t.Helper()
	n := (max(ipv4, ipv6) + DefaultRulesPerGroup - 1) / DefaultRulesPerGroup
	ssh := func(a netip.Addr) ec2sim.Rule {
		return ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.PrefixFrom(a, a.BitLen()))}
	}
	fill4, fill6 := n*DefaultRulesPerGroup-ipv4, n*DefaultRulesPerGroup-ipv6
	for i := range n {
		id := s.group(s.here, fmt.Sprint("web-", i), ports, "-pool", "web")
		var fill []ec2sim.Rule
		for k := range DefaultRulesPerGroup {
			if fill4 > 0 {
				fill = append(fill, ssh(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(k)})))
				fill4--
			}
			if fill6 > 0 {
				fill = append(fill, ssh(netip.AddrFrom16([16]byte{0xfd, 14: byte(i), 15: byte(k)})))
				fill6--
			}
		}
		s.must(s.here.AddRules(id, fill...))
	}
}

// checkCalls fails on a second describe, and where there is plenty of room on a second call that changes one group or
// list. It returns the mutating calls.
func (r replay) checkCalls(s *scene, state int, first bool) (mutating int) {
	s.t.Helper()
	seen := map[string]int{}
	for _, c := range s.sim.ResetCalls() {
		seen[c.Action+" "+c.Resource]++
		if c.Mutating {
			mutating++
		}
	}
	for call, times := range seen {
		once := strings.HasPrefix(call, "DescribeSecurityGroups") ||
			r.spare >= 6 && strings.Contains(call, "SecurityGroupIngress") ||
			strings.HasPrefix(call, "ModifyManagedPrefixList") && !first // it is filled by 100 entries a call
		if once && times > 1 {
			s.t.Errorf("state %d: %s is called %d times: %v", state, call, times, seen)
		}
	}
	return mutating
}
