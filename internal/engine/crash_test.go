package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"

	gocmp "github.com/google/go-cmp/cmp"
	"go4.org/netipx"
)

// A killer lets a run die at one of its calls: neither that call's answer nor anything after it reaches the run, and
// nothing of it the outside.
type killer struct {
	world  http.RoundTripper
	kill   context.CancelFunc
	at     int  // the call to die at, counted from 1; never if zero
	effect bool // whether that call still takes effect
	calls  chan int
}

// newKiller returns a killer and the context of the run to die.
func newKiller(t testing.TB, world http.RoundTripper, at int, effect bool) (*killer, context.Context) {
	ctx, kill := context.WithCancel(t.Context())
	t.Cleanup(kill)
	k := &killer{world: world, kill: kill, at: at, effect: effect, calls: make(chan int, 1)}
	k.calls <- 0
	return k, ctx
}

var errDead = errors.New("the run is dead")

// RoundTrip implements http.RoundTripper. Calls go one after the other, so that the run dies at exactly one place.
func (k *killer) RoundTrip(req *http.Request) (*http.Response, error) {
	n := <-k.calls + 1
	defer func() { k.calls <- n }()
	if k.at == 0 || n < k.at {
		return k.world.RoundTrip(req)
	}
	if n == k.at && k.effect {
		res, err := k.world.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
	}
	k.kill()
	return nil, errDead
}

func (k *killer) count() int {
	n := <-k.calls
	k.calls <- n
	return n
}

// crashScene is everything at once: pools, moves between groups, a pool without a slot to spare, a take-over, a
// withdrawal, and rules of others among it all.
type crashScene struct {
	*scene
	pools   map[string][]string // group IDs
	watches map[string]*watch
	foreign map[string][]ec2sim.Rule // by group
	file    string
	runs    int
}

const (
	crashQuota = 20
	staleStamp = key + ": CLOUDFRONT 2026-01-01T00:00:00Z"
)

func newCrashScene(t *testing.T) *crashScene {
	s := &crashScene{
		scene: newScene(t, ec2sim.Options{RulesPerGroup: crashQuota}, nil, nil),
		pools: map[string][]string{}, watches: map[string]*watch{}, foreign: map[string][]ec2sim.Rule{},
	}
	s.sim.Observe(s.observe)
	ranges := spread(8) // a0 … a7, none adjacent
	gone := spread(12)[8:]
	old := func(port int32, prefixes ...netip.Prefix) (rules []ec2sim.Rule) {
		for _, p := range prefixes {
			rules = append(rules, ec2sim.Rule{Permission: ec2sim.TCP(port, port, p), Description: staleStamp})
		}
		return rules
	}
	theirs := func(n int) (rules []ec2sim.Rule) {
		for i := range n {
			rules = append(rules, ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)), Description: "ssh"})
		}
		return rules
	}
	halves := parts(ranges[7].String(), ranges[7].Bits()+1)

	// A list that has moved on: some ranges gone, one joined, the rest to come. A range that somebody else opens
	// already counts as satisfied.
	s.pool("web", "443", slices.Concat(old(443, ranges[:3]...), old(443, gone[:2]...), theirs(2)))
	s.pool("web", "443", slices.Concat(old(443, halves...), theirs(1),
		[]ec2sim.Rule{{Permission: ec2sim.TCP(443, 443, ranges[4]), Description: "mine"}}))
	// Ports that only one of two groups has: the others have to move out of it.
	s.pool("moves", "443", nil)
	s.pool("moves", "80 443", slices.Concat(old(443, ranges...), old(80, ranges[:4]...), theirs(8)))
	// Eight slots, eight ranges, and the halves of one in two of the slots.
	s.pool("full", "443", slices.Concat(old(443, ranges[:6]...), old(443, halves...), theirs(12)))
	// A take-over of rules that nobody has marked.
	unmarked := old(443, slices.Concat(ranges[:5], gone[:1])...)
	for i := range unmarked {
		unmarked[i].Description = ""
	}
	s.pool("", "443", unmarked, "-mode", "exclusive")
	s.pool("", "80 443", slices.Concat(old(443, gone[1:2]...), old(443, ranges[:3]...), theirs(2)))
	s.pool("", "none", slices.Concat(old(443, ranges[:2]...), theirs(2)))

	for _, w := range s.watches {
		w.wanted = setOf(ranges)
	}
	s.file = document(1790000000, prefixStrings(ranges)...)
	return s
}

func prefixStrings(prefixes []netip.Prefix) (out []string) {
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return out
}

// pool makes a group with rules, in a pool of that name or, without one, alone.
func (s *crashScene) pool(name, ports string, rules []ec2sim.Rule, tags ...string) {
	s.t.Helper()
	label := cmp.Or(name, fmt.Sprint("alone-", len(s.watches)))
	if name != "" {
		tags = append(tags, "-pool", name)
	}
	id := s.group(s.here, fmt.Sprint(label, "-", len(s.pools[label])), ports, tags...)
	s.pools[label] = append(s.pools[label], id)
	if s.watches[label] == nil {
		s.watches[label] = &watch{t: s.t, ports: []int32{80, 443}, groups: map[string]ec2sim.Group{}, open: map[int32]*netipx.IPSet{}}
		if ports == "none" { // everything is to be closed
			s.watches[label].ports = nil
		}
	}
	for _, r := range rules {
		exclusive := slices.Contains(tags, "exclusive") && r.From == 443
		if r.Description != staleStamp && !exclusive {
			s.foreign[id] = append(s.foreign[id], r)
		}
	}
	if err := s.here.AddRules(id, rules...); err != nil {
		s.t.Fatal(err)
	}
}

// observe shows each pool's watch the groups of the pool, and checks that the rules of others are as they were.
func (s *crashScene) observe(c ec2sim.Change) {
	for label, ids := range s.pools {
		mine := c
		mine.Groups = slices.DeleteFunc(slices.Clone(c.Groups), func(g ec2sim.Group) bool { return !slices.Contains(ids, g.ID) })
		if len(mine.Groups) > 0 {
			s.watches[label].observe(mine)
		}
	}
	if c.Call.Action == "" {
		return // the scene is being set
	}
	for _, g := range c.Groups {
		for _, r := range s.foreign[g.ID] {
			if !slices.ContainsFunc(g.Ingress, func(o ec2sim.Rule) bool {
				return o.Permission == r.Permission && o.Description == r.Description
			}) {
				s.t.Errorf("%s of %s removes or changes %v, which is not ours", c.Call.Action, g.ID, r.Permission)
			}
		}
	}
}

// run runs a new engine, as a new process would, and dies at a call if at is not zero. It returns how many calls were
// made.
func (s *crashScene) run(at int, effect bool) (calls int, report *Report, err error) {
	s.t.Helper()
	s.runs++
	k, ctx := newKiller(s.t, serveFile{s.sim, s.file}, at, effect)
	cfg := s.cfg.Copy()
	cfg.HTTPClient = &http.Client{Transport: k}
	e := *s.Engine
	e.Targets = Targets(cfg, []string{"us-east-1"}, nil, "")
	e.Targets[0].EC2 = e.Targets[0].EC2.(*paced).API // as fast as the endpoint answers
	e.Fetch = (&iprange.Fetcher{Selection: s.fetcher.Selection, Transport: k, Attempts: 1}).Fetch
	e.Log = slog.New(gapLog{slog.DiscardHandler, s.watches["full"]}) // no other may announce a gap
	report, err = e.Run(ctx, Request{})
	return k.count(), report, err
}

// serveFile is the outside world: the published file, and EC2.
type serveFile struct {
	sim  *ec2sim.Server
	file string
}

func (w serveFile) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return transport(func() string { return w.file }).RoundTrip(req)
	}
	return w.sim.RoundTrip(req)
}

// state returns the rules of each pool, whichever of its groups has them.
func (s *crashScene) state() map[string][]string {
	state := map[string][]string{}
	for label, ids := range s.pools {
		for _, id := range ids {
			g, _ := s.here.Group(id)
			for _, r := range g.Ingress {
				mark, _, _ := strings.Cut(r.Description, ":")
				state[label] = append(state[label], fmt.Sprintf("%d %s %s", r.From, r.Source, mark))
			}
		}
		slices.Sort(state[label])
	}
	return state
}

// finish runs until the end, checks that the state is that of a run that was never killed, and that nothing is left to
// do.
func (s *crashScene) finish(want map[string][]string) {
	s.t.Helper()
	if _, _, err := s.run(0, false); err != nil {
		s.t.Fatalf("the run after: %v", err)
	}
	if diff := gocmp.Diff(want, s.state()); diff != "" {
		s.t.Errorf("not what an undisturbed run leaves: %s", diff)
	}
	s.sim.ResetCalls()
	if _, report, err := s.run(0, false); err != nil || report.Changed || s.mutations() != 0 {
		s.t.Errorf("one more run: %v, %+v", err, report)
	}
	if gaps := s.watches["full"].closed; gaps > s.runs {
		s.t.Errorf("%d ranges closed on the way in the full pool by %d runs: one a run will do", gaps, s.runs)
	}
}

// The run is killed at every single one of its calls, before and after the effect, and started again; and that run
// killed at every single call as well.
func TestKilledAtEveryCall(t *testing.T) {
	undisturbed := newCrashScene(t)
	calls, report, err := undisturbed.run(0, false)
	if err != nil {
		t.Fatal(err)
	}
	want := undisturbed.state()
	t.Logf("%d calls, summary %+v, %d ranges closed on the way", calls, report.Summary, undisturbed.watches["full"].closed)
	for n := 1; n <= calls; n++ {
		for _, effect := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, effect %t", n, effect), func(t *testing.T) {
				t.Parallel()
				s := newCrashScene(t)
				if _, _, err := s.run(n, effect); err == nil {
					t.Error("the run was killed and did not fail")
				}
				s.finish(want)
				for again, killed := 1, true; killed && !testing.Short(); again++ {
					s := newCrashScene(t)
					_, _, _ = s.run(n, effect)
					made, _, _ := s.run(again, !effect)
					killed = made >= again
					s.finish(want)
					if t.Failed() {
						t.Fatalf("killed again at call %d, effect %t", again, !effect)
					}
				}
			})
		}
	}
}
