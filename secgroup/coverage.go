package secgroup

import (
	"math"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// coverage counts, for each piece of a pool's address and port space, the
// rules that open it. It answers what may be closed without a gap.
//
// Prefixes either nest or lie apart, so sorted by address and then by length
// they are a forest in preorder, and what lies below a prefix is one run:
//
//	i  prefixes[i]         end[i]
//	0  13.32.0.0/14        4       13.32.0.0/14 ─┬─ 13.32.0.0/15 ─── 13.33.0.0/16
//	1    13.32.0.0/15      3                     └─ 13.35.0.0/16
//	2      13.33.0.0/16    3
//	3    13.35.0.0/16      4
//
// Piece i is prefixes[i] without the prefixes below it. A rule opens exactly
// the pieces of its run, and no piece is opened in part.
//
// The ports of the pool are cut the same way, into intervals that no rule
// opens in part.
type coverage struct {
	prefixes  []netip.Prefix
	end       []int
	size      []float64 // addresses in a piece; 0 where the prefixes below leave nothing
	wanted    []bool
	intervals []PortRange
	count     [][]int // by interval, by piece
}

// newCoverage returns a coverage that can tell apart the given rules and
// ranges; it counts no rule yet. The ranges are wanted on the ports.
func newCoverage(ports []PortRange, ranges []netip.Prefix, rules []RuleID) *coverage {
	prefixes := slices.Grow(slices.Clone(ranges), len(rules))
	for _, r := range rules {
		if r.Source.Prefix.IsValid() {
			prefixes = append(prefixes, r.Source.Prefix)
		}
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	c := &coverage{prefixes: slices.Compact(prefixes), intervals: portIntervals(ports, rules)}
	c.end, c.size = preorder(c.prefixes)
	c.wanted = make([]bool, len(c.prefixes))
	for _, r := range ranges {
		for i, end := c.run(r); i < end; i++ {
			c.wanted[i] = true
		}
	}
	c.count = make([][]int, len(c.intervals))
	for k := range c.count {
		c.count[k] = make([]int, len(c.prefixes))
	}
	return c
}

// preorder returns where the run of each prefix ends and how many addresses
// each piece has.
func preorder(prefixes []netip.Prefix) (end []int, size []float64) {
	end = make([]int, len(prefixes))
	size = make([]float64, len(prefixes))
	next := make([]netip.Addr, len(prefixes)) // first address of the prefix not yet seen below it
	var open []int                            // prefixes that the current one may lie in
	closeTop := func(i int) {
		top := open[len(open)-1]
		open = open[:len(open)-1]
		end[top] = i
		if next[top] == netipx.PrefixLastIP(prefixes[top]).Next() {
			size[top] = 0 // tiled by the prefixes below
		} else {
			size[top] = max(size[top], 1) // whatever the rounding
		}
	}
	for i, p := range prefixes {
		for len(open) > 0 && !contains(prefixes[open[len(open)-1]], p) {
			closeTop(i)
		}
		size[i] = addresses(p)
		next[i] = p.Addr()
		if len(open) > 0 {
			parent := open[len(open)-1]
			size[parent] -= size[i]
			if next[parent] == p.Addr() {
				next[parent] = netipx.PrefixLastIP(p).Next()
			}
		}
		open = append(open, i)
	}
	for len(open) > 0 {
		closeTop(len(prefixes))
	}
	return end, size
}

// addresses returns how many addresses a prefix has.
func addresses(p netip.Prefix) float64 { return math.Ldexp(1, p.Addr().BitLen()-p.Bits()) }

// contains reports whether every address of q is one of p.
func contains(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }

// portIntervals cuts the ports at every port where a rule begins or ends.
func portIntervals(ports []PortRange, rules []RuleID) []PortRange {
	var cuts []int32
	for _, p := range ports {
		cuts = append(cuts, int32(p.From), int32(p.To)+1)
	}
	for _, r := range rules {
		if r.Protocol == "tcp" {
			cuts = append(cuts, r.From, r.To+1)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var intervals []PortRange
	for i := range len(cuts) - 1 {
		for _, p := range ports {
			if int32(p.From) <= cuts[i] && cuts[i+1]-1 <= int32(p.To) {
				intervals = append(intervals, PortRange{uint16(cuts[i]), uint16(cuts[i+1] - 1)})
				break
			}
		}
	}
	return intervals
}

// run returns the pieces of a prefix, as a half-open run.
func (c *coverage) run(p netip.Prefix) (start, end int) {
	i, found := slices.BinarySearchFunc(c.prefixes, p, netip.Prefix.Compare)
	if !found {
		return 0, 0
	}
	return i, c.end[i]
}

// add counts a rule n times more, or fewer.
func (c *coverage) add(r RuleID, n int) {
	start, end := c.run(r.Source.Prefix)
	for k, interval := range c.intervals {
		if r.OpensTCP(interval) {
			for i := start; i < end; i++ {
				c.count[k][i] += n
			}
		}
	}
}

// exposed returns how many addresses of the rule no counted rule opens, summed
// over the port intervals: of the wanted addresses, or of all.
func (c *coverage) exposed(r RuleID, onlyWanted bool) float64 {
	var n float64
	start, end := c.run(r.Source.Prefix)
	for k, interval := range c.intervals {
		if !r.OpensTCP(interval) {
			continue
		}
		for i := start; i < end; i++ {
			if c.count[k][i] == 0 && (c.wanted[i] || !onlyWanted) {
				n += c.size[i]
			}
		}
	}
	return n
}
