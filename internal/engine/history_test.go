package engine

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"

	"go4.org/netipx"
)

// history returns the real states of the CloudFront services from 2017 to 2024, oldest first. Without the data beside
// the repository the test is skipped.
func history(t *testing.T) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "cloudfront-history-2017-2024.jsonl.gz"))
	if err != nil {
		t.Skipf("the published history is not here: %v", err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	lines := bufio.NewReader(gz)
	for {
		line, err := lines.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			states = append(states, line)
		}
		if err == io.EOF {
			return states
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// watch checks every state between two calls: no wanted address that was open on a port is closed, unless the run said
// so beforehand.
type watch struct {
	t      testing.TB
	ports  []int32
	groups map[string]ec2sim.Group
	open   map[int32]*netipx.IPSet
	wanted *netipx.IPSet
	gaps   []netip.Prefix // announced by the run
	closed int            // addresses' worth of gaps, in prefixes
}

func (w *watch) observe(c ec2sim.Change) {
	for _, g := range c.Groups {
		w.groups[g.ID] = g
	}
	for _, port := range w.ports {
		var now netipx.IPSetBuilder
		for _, g := range w.groups {
			for _, r := range g.Ingress {
				if r.Protocol == "tcp" && r.From <= port && port <= r.To {
					now.AddPrefix(r.Source.Prefix)
				}
			}
		}
		open, _ := now.IPSet()
		if before := w.open[port]; before != nil && w.wanted != nil {
			var lost netipx.IPSetBuilder
			lost.AddSet(before)
			lost.RemoveSet(open)
			lost.Intersect(w.wanted)
			for _, p := range w.gaps {
				lost.RemovePrefix(p)
			}
			if set, _ := lost.IPSet(); len(set.Prefixes()) > 0 {
				w.t.Errorf("%s %s closes %v on port %d", c.Call.Action, c.Call.Resource, set.Prefixes(), port)
			}
		}
		w.open[port] = open
	}
}

// gapLog is a log handler that hands the gaps a run announces to the watch.
type gapLog struct {
	slog.Handler
	watch *watch
}

func (gapLog) Enabled(context.Context, slog.Level) bool { return true }

func (l gapLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if ranges, ok := a.Value.Any().([]netip.Prefix); ok {
			l.watch.gaps = append(l.watch.gaps, ranges...)
			l.watch.closed += len(ranges)
		}
		return true
	})
	return nil
}

// TestHistory replays what AWS published over seven years: exact after each state, no gap within any, and no more than
// one authorize and one revoke for a group but where the pool is full.
func TestHistory(t *testing.T) {
	states := history(t)
	for _, service := range []string{"CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING"} {
		for _, ports := range []string{"443", "80 443"} {
			for _, c := range []struct {
				name  string
				spare int
			}{{"just large enough", 0}, {"one slot to spare", 1}, {"plenty", 60}} {
				t.Run(fmt.Sprintf("%s/%s/%s", service, ports, c.name), func(t *testing.T) {
					t.Parallel()
					replay(t, states, service, ports, c.spare)
				})
			}
		}
	}
}

// replay runs the engine on each state with a pool that has, for the largest of them, the given number of spare slots
// in each family.
func replay(t *testing.T, states []string, service, ports string, spare int) {
	publications, most := decodeAll(t, states, service)
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
	w := &watch{t: t, groups: map[string]ec2sim.Group{}, open: map[int32]*netipx.IPSet{}}
	for p := range strings.FieldsSeq(ports) {
		var port int32
		_, _ = fmt.Sscan(p, &port)
		w.ports = append(w.ports, port)
	}
	ids := s.pool(ports, most[0]*len(w.ports)+spare, most[1]*len(w.ports)+spare)
	s.sim.Observe(w.observe)
	s.Log = slog.New(gapLog{slog.DiscardHandler, w})
	s.fetcher.Selection.Services = []string{service}
	s.Services = s.fetcher.Selection.Services
	var current string
	s.fetcher.Transport = transport(func() string { return current })
	s.sim.ResetCalls()
	calls := 0
	for i, p := range publications {
		if p == nil {
			continue // the service is not in this state
		}
		current = states[i]
		w.wanted = setOf(p.Merged())
		w.gaps = nil
		if _, err := s.Run(t.Context(), Request{Force: true}); err != nil {
			t.Fatalf("state %d: %v", i, err)
		}
		s.checkExact(ids, p, w.ports, i)
		calls += s.checkCalls(i, spare)
	}
	t.Logf("%d groups, %d authorizes and revokes, %d gaps", len(ids), calls, w.closed)
	if spare > 0 && w.closed > 0 {
		t.Errorf("%d gaps though there was room", w.closed)
	}
}

// decodeAll decodes the states and returns the most ranges of each family that any of them has.
func decodeAll(t *testing.T, states []string, service string) (publications []*iprange.Publication, most [2]int) {
	t.Helper()
	for i, state := range states {
		p, err := iprange.Decode(strings.NewReader(state), iprange.Selection{Services: []string{service}, IPv4: true, IPv6: true})
		if err != nil && strings.Contains(state, `"service":"`+service+`"`) {
			t.Fatalf("state %d: %v", i, err)
		}
		publications = append(publications, p)
		if p != nil {
			most[0], most[1] = max(most[0], len(p.IPv4)), max(most[1], len(p.IPv6))
		}
	}
	return publications, most
}

// pool makes a pool with just the given numbers of free slots. Somebody else's rules take the slots that are too many.
func (s *scene) pool(ports string, ipv4, ipv6 int) []string {
	s.t.Helper()
	n := (max(ipv4, ipv6) + DefaultRulesPerGroup - 1) / DefaultRulesPerGroup
	fill4, fill6 := n*DefaultRulesPerGroup-ipv4, n*DefaultRulesPerGroup-ipv6
	var ids []string
	for i := range n {
		id := s.group(s.here, fmt.Sprint("web-", i), ports, "-pool", "web")
		var fill []ec2sim.Rule
		for k := range DefaultRulesPerGroup {
			if fill4 > 0 {
				fill = append(fill, ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(k)}), 32))})
				fill4--
			}
			if fill6 > 0 {
				fill = append(fill, ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 14: byte(i), 15: byte(k)}), 128))})
				fill6--
			}
		}
		if err := s.here.AddRules(id, fill...); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// transport answers every request with a document.
type transport func() string

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(f())), Request: req}, nil
}

func setOf(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	set, _ := b.IPSet()
	return set
}

// checkExact fails unless the groups hold each range on each port once.
func (s *scene) checkExact(ids []string, p *iprange.Publication, ports []int32, state int) {
	s.t.Helper()
	missing := map[ec2sim.Permission]bool{}
	for _, port := range ports {
		for _, r := range p.Merged() {
			missing[ec2sim.TCP(port, port, r)] = true
		}
	}
	for _, id := range ids {
		g, _ := s.here.Group(id)
		for _, r := range g.Ingress {
			if r.From == 22 {
				continue
			}
			if !missing[r.Permission] {
				s.t.Errorf("state %d: %s has %v, twice or unwanted", state, id, r.Permission)
			}
			delete(missing, r.Permission)
		}
	}
	if len(missing) > 0 {
		s.t.Errorf("state %d: %d rules are missing", state, len(missing))
	}
}

// checkCalls fails on a second describe, and where the pool has plenty of room on a second authorize or revoke of a
// group. It returns the mutating calls.
func (s *scene) checkCalls(state, spare int) int {
	s.t.Helper()
	n := 0
	seen := map[string]int{}
	calls := s.sim.ResetCalls()
	for _, c := range calls {
		seen[c.Action+" "+c.Resource]++
		if c.Mutating {
			n++
		}
	}
	for call, times := range seen {
		if times > 1 && (spare >= DefaultRulesPerGroup || strings.HasPrefix(call, "Describe")) {
			s.t.Errorf("state %d: %s is called %d times: %+v", state, call, times, calls)
		}
	}
	return n
}
