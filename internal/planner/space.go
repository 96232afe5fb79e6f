package planner

import (
	"math"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/ipspace"

	"go4.org/netipx"
)

// space cuts the addresses of one family, and the wanted ports, into cells that no rule opens in part.
//
// Prefixes either nest or lie apart, so sorted by address and then by length they are a forest in preorder, and what
// lies below a prefix is one run:
//
//	i  prefixes[i]         end[i]
//	0  13.32.0.0/14        4       13.32.0.0/14 ─┬─ 13.32.0.0/15 ─── 13.33.0.0/16
//	1    13.32.0.0/15      3                     └─ 13.35.0.0/16
//	2      13.33.0.0/16    3
//	3    13.35.0.0/16      4
//
// Piece i is prefixes[i] without the prefixes below it. A cell is a piece on an interval of ports.
type space struct {
	prefixes  []netip.Prefix
	end       []int
	size      []float64 // addresses of a piece; 0 where the prefixes below leave nothing
	rangeOf   []int     // the wanted range that a piece lies in, or -1
	intervals []Ports
}

// A span is the cells that a rule opens: a run of pieces on a run of intervals.
type span struct{ firstPiece, endPiece, firstInterval, endInterval int }

func newSpace(ports []Ports, ranges []netip.Prefix, rules []Rule) *space {
	prefixes := slices.Grow(slices.Clone(ranges), len(rules))
	for _, r := range rules {
		prefixes = append(prefixes, r.Prefix)
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	s := &space{prefixes: slices.Compact(prefixes), intervals: intervals(ports, rules)}
	s.end, s.size = preorder(s.prefixes)
	s.rangeOf = slices.Repeat([]int{-1}, len(s.prefixes))
	for n, r := range ranges {
		start, end := s.run(r)
		for i := start; i < end; i++ {
			s.rangeOf[i] = n
		}
	}
	return s
}

// preorder returns where the run of each prefix ends and how many addresses each piece has.
func preorder(prefixes []netip.Prefix) (end []int, size []float64) {
	end, size = make([]int, len(prefixes)), make([]float64, len(prefixes))
	for i, p := range slices.Backward(prefixes) {
		size[i] = addresses(p)
		next, below := p.Addr(), i+1 // the first address not yet seen below p
		for below < len(prefixes) && p.Contains(prefixes[below].Addr()) {
			child := prefixes[below]
			size[i] -= addresses(child)
			if child.Addr() == next {
				next = netipx.PrefixLastIP(child).Next()
			}
			below = end[below]
		}
		end[i] = below
		size[i] = max(size[i], 1) // whatever the rounding
		if next == netipx.PrefixLastIP(p).Next() {
			size[i] = 0 // tiled by the prefixes below
		}
	}
	return end, size
}

// addresses returns how many addresses a prefix has.
func addresses(p netip.Prefix) float64 { return math.Ldexp(1, p.Addr().BitLen()-p.Bits()) }

// intervals cuts the ports at every port where a rule begins or ends.
func intervals(ports []Ports, rules []Rule) []Ports {
	var cuts []int
	for _, p := range ports {
		cuts = append(cuts, p.First, p.Last+1)
	}
	for _, r := range rules {
		cuts = append(cuts, r.First, r.Last+1)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var all []Ports
	for i := range len(cuts) - 1 {
		cut := Ports{cuts[i], cuts[i+1] - 1}
		if slices.ContainsFunc(ports, func(p Ports) bool { return p.contain(cut) }) {
			all = append(all, cut)
		}
	}
	return all
}

// run returns the pieces of a prefix, as a half-open run.
func (s *space) run(p netip.Prefix) (start, end int) {
	i, found := slices.BinarySearchFunc(s.prefixes, p, netip.Prefix.Compare)
	if !found {
		return 0, 0
	}
	return i, s.end[i]
}

// spanOf returns the cells that a prefix on some ports opens.
func (s *space) spanOf(ports Ports, p netip.Prefix) span {
	var sp span
	if !p.IsValid() || ports.Last < ports.First {
		return sp
	}
	sp.firstPiece, sp.endPiece = s.run(p)
	// The intervals are sorted and cut where the ports end, so that those inside are one run.
	sp.firstInterval = slices.IndexFunc(s.intervals, ports.contain)
	if sp.firstInterval < 0 {
		return span{}
	}
	sp.endInterval = sp.firstInterval
	for sp.endInterval < len(s.intervals) && ports.contain(s.intervals[sp.endInterval]) {
		sp.endInterval++
	}
	return sp
}

// meets reports whether two spans may have cells in common.
func (sp span) meets(o span) bool {
	return sp.firstPiece < o.endPiece && o.firstPiece < sp.endPiece &&
		sp.firstInterval < o.endInterval && o.firstInterval < sp.endInterval
}

// ranges returns the addresses of some pieces.
func (s *space) ranges(pieces map[int]bool) []netip.Prefix {
	all := &ipspace.Set{}
	for i := range pieces {
		all = ipspace.Union(all, ipspace.Minus(ipspace.Of(s.prefixes[i:i+1]), ipspace.Of(s.prefixes[i+1:s.end[i]])))
	}
	return all.Prefixes()
}

// A tally counts, for each cell and each view, the rules that open it.
type tally struct {
	*space
	views [][]int  // by holder: the views that have it
	wants [][]bool // by view and interval
	count [][]int32
}

// newTally returns a tally without any rule.
func newTally(s *space, views [][]int, wants [][]bool) *tally {
	t := &tally{space: s, views: views, wants: wants, count: make([][]int32, len(wants))}
	for v := range t.count {
		t.count[v] = make([]int32, len(s.prefixes)*len(s.intervals))
	}
	return t
}

func (t *tally) clone() *tally {
	c := *t
	c.count = make([][]int32, len(t.count))
	for v := range t.count {
		c.count[v] = slices.Clone(t.count[v])
	}
	return &c
}

// add counts a rule of a holder n times more, or fewer.
func (t *tally) add(sp span, holder int, n int32) {
	for _, v := range t.views[holder] {
		for k := sp.firstInterval; k < sp.endInterval; k++ {
			row := t.count[v][k*len(t.prefixes):]
			for i := sp.firstPiece; i < sp.endPiece; i++ {
				row[i] += n
			}
		}
	}
}

// each calls f for every wanted cell of a span, in every view that has the holder, which exactly n rules open; it ends
// where f returns false.
func (t *tally) each(sp span, holder int, n int32, f func(view, interval, piece int) bool) {
	for k := sp.firstInterval; k < sp.endInterval; k++ {
		for i := sp.firstPiece; i < sp.endPiece; i++ {
			if t.rangeOf[i] < 0 || t.size[i] == 0 {
				continue
			}
			for _, v := range t.views[holder] {
				if t.wants[v][k] && t.count[v][k*len(t.prefixes)+i] == n && !f(v, k, i) {
					return
				}
			}
		}
	}
}

// any reports whether exactly n rules open a wanted cell of a span in some view of the holder.
func (t *tally) any(sp span, holder int, n int32) bool {
	found := false
	t.each(sp, holder, n, func(int, int, int) bool {
		found = true
		return false
	})
	return found
}

// dispensable reports whether a rule that counts can be taken away without closing a wanted cell in any view.
func (t *tally) dispensable(sp span, holder int) bool { return !t.any(sp, holder, 1) }

// addresses returns how many addresses, summed over the intervals of ports, exactly n rules open in some view of the
// holder: with 1 what taking the rule away closes, with 0 what adding it opens.
func (t *tally) addresses(sp span, holder int, n int32) float64 {
	var sum float64
	lastInterval, lastPiece := -1, -1
	t.each(sp, holder, n, func(_, k, i int) bool {
		if k != lastInterval || i != lastPiece {
			lastInterval, lastPiece = k, i
			sum += t.size[i]
		}
		return true
	})
	return sum
}
