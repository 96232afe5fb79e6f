package demo

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/ipspace"

	"go4.org/netipx"
)

// A witness sees the groups between any two calls, and objects to a call that closes an address CloudFront still uses.
type witness struct {
	mu     sync.Mutex
	groups map[string]ec2sim.Group
	wanted *netipx.IPSet // as published last
	states int           // between two calls, since there is something wanted
	gap    error         // the first
}

func newWitness() *witness {
	return &witness{groups: map[string]ec2sim.Group{}, wanted: ipspace.Of(nil)}
}

// expect tells the witness what is wanted from now on.
func (w *witness) expect(d *document) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = ipspace.Of(d.publication.Prefixes)
}

// see is an observer of the endpoint.
func (w *witness) see(change ec2sim.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.open()
	for _, g := range change.Groups {
		w.groups[g.ID] = g
	}
	if change.Call.Seq == 0 {
		return // a change by hand
	}
	w.states++
	lost := ipspace.Common(ipspace.Minus(before, w.open()), w.wanted)
	if ranges := lost.Prefixes(); len(ranges) > 0 && w.gap == nil {
		w.gap = fmt.Errorf("call %d, %s of %s, closed %v, which is still in use", change.Call.Seq, change.Call.Action, change.Call.Resource, ranges)
	}
}

// open returns the addresses for which the port of the pool is open.
func (w *witness) open() *netipx.IPSet {
	var ranges []netip.Prefix
	for _, g := range w.groups {
		for _, r := range g.Ingress {
			if g.Tags[tagPool] == webPool && r.Protocol == "tcp" && r.From <= webPort && webPort <= r.To && r.Source.Prefix.IsValid() {
				ranges = append(ranges, r.Source.Prefix)
			}
		}
	}
	return ipspace.Of(ranges)
}

// verdict returns what the witness has to say: how many states it has seen, and an error if an address was closed, or
// one that is wanted is not open now.
func (w *witness) verdict() (states int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gap != nil {
		return w.states, w.gap
	}
	if closed := ipspace.Minus(w.wanted, w.open()).Prefixes(); len(closed) > 0 {
		return w.states, fmt.Errorf("%v should be open, and is not", closed)
	}
	return w.states, nil
}

// An expectation is what the demo has said a run would do.
type expectation struct {
	added, revoked int
	calls          []string
	feed           int32 // the HTTP status of its answer
}

// verify compares a run and its effects with what they should be: the answer, the calls, the rules of the pool, the
// foreign rules, and all states between.
func (s *story) verify(r *run, want expectation) error {
	var calls []string
	for _, c := range r.calls {
		calls = append(calls, c.Action)
	}
	if want.calls == nil { // of the first run: one call for each group
		want.calls = append([]string{describe, getQuota}, slices.Repeat([]string{authorize}, r.Summary.Changed)...)
	}
	d := s.feed.Load()
	switch rules := s.ownedRanges(); {
	case r.Summary.Added != want.added || r.Summary.Revoked != want.revoked:
		return s.wrong("%d rules were added and %d revoked, instead of %d and %d", r.Summary.Added, r.Summary.Revoked, want.added, want.revoked)
	case !slices.Equal(calls, want.calls):
		return s.wrong("the function called %v instead of %v", calls, want.calls)
	case s.answered.Load() != want.feed:
		return s.wrong("the feed answered %d instead of %d", s.answered.Load(), want.feed)
	case !slices.Equal(rules, d.publication.Merged()):
		return s.wrong("the rules are %v instead of %v", rules, d.publication.Merged())
	case !maps.Equal(s.foreign, s.rules(foreign)):
		return s.wrong("a rule that is not the function's was changed")
	}
	_, err := s.witness.verdict()
	return err
}

func (s *story) wrong(format string, args ...any) error {
	return fmt.Errorf("step %d: "+format, append([]any{s.steps}, args...)...)
}

// ownedRanges returns the ranges of the function's own rules for the port of the pool, sorted, one for each rule.
func (s *story) ownedRanges() []netip.Prefix {
	var ranges []netip.Prefix
	for _, g := range s.list(webPool) {
		for _, r := range g.Ingress {
			if owned(r) && r.Protocol == "tcp" && r.From == webPort && r.To == webPort {
				ranges = append(ranges, r.Source.Prefix)
			}
		}
	}
	slices.SortFunc(ranges, netip.Prefix.Compare)
	return ranges
}
