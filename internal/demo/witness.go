package demo

import (
	"fmt"
	"net/netip"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/ipspace"

	"go4.org/netipx"
)

// A witness sees the groups between any two calls, and objects to a call that closes an address CloudFront still uses.
// The endpoint's lock guards it: [ec2sim.Server.Observe].
type witness struct {
	open    *netipx.IPSet // on the port of the pool
	wanted  *netipx.IPSet // as published last
	changes int           // that calls have made
	gap     error         // the first
}

// see compares the groups after a call with those before.
func (w *witness) see(call ec2sim.Call, groups map[string]ec2sim.Group) {
	var ranges []netip.Prefix
	for _, g := range groups {
		for _, r := range g.Ingress {
			if g.Tags[tagPool] == webPool && r.Protocol == "tcp" && r.From <= webPort && webPort <= r.To && r.Source.Prefix.IsValid() {
				ranges = append(ranges, r.Source.Prefix)
			}
		}
	}
	before := w.open
	w.open = ipspace.Of(ranges)
	if call.Seq == 0 {
		return // a change by hand
	}
	w.changes++
	lost := ipspace.Common(ipspace.Minus(before, w.open), w.wanted).Prefixes()
	if len(lost) > 0 && w.gap == nil {
		w.gap = fmt.Errorf("call %d, %s of %s, closed %v, which is still in use", call.Seq, call.Action, call.Resource, lost)
	}
}

// verdict returns an error if a call closed an address, or if one that is wanted is not open now.
func (w *witness) verdict() error {
	if closed := ipspace.Minus(w.wanted, w.open).Prefixes(); w.gap == nil && len(closed) > 0 {
		return fmt.Errorf("%v should be open, and is not", closed)
	}
	return w.gap
}
