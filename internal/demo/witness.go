package demo

import (
	"fmt"
	"net/netip"
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
