package planner

import (
	"math"
	"net/netip"
	"slices"

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
	var b netipx.IPSetBuilder
	for i := range pieces {
		var piece netipx.IPSetBuilder
		piece.AddPrefix(s.prefixes[i])
		for _, below := range s.prefixes[i+1 : s.end[i]] {
			piece.RemovePrefix(below)
		}
		set, err := piece.IPSet()
		if err != nil {
			panic(err) // only invalid prefixes make it fail, and there are none
		}
		b.AddSet(set)
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err) // as above
	}
	return set.Prefixes()
}

// A tally counts, for each cell and each view, the rules that open it.
type tally struct {
	*space
	views [][]int  // by holder: the views that have it
	wants [][]bool // by view and interval
	count [][]int32
}

// newTally returns a tally without any rule. The views want all ports.
func newTally(s *space, views [][]int, nViews int) *tally {
	t := &tally{space: s, views: views, wants: make([][]bool, nViews), count: make([][]int32, nViews)}
	for v := range t.wants {
		t.wants[v] = slices.Repeat([]bool{true}, len(s.intervals))
	}
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
