package planner

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
)

// order returns a state whose moves lead from the start to what is desired, or as far as they can. Moves that close
// something wanted are marked as a gap. A pool that is too small stays incomplete anyway, so no gap is opened for it.
func (d *drift) order(ctx context.Context) *state {
	for {
		s := d.state()
		s.converge(ctx)
		again := false
		for _, m := range s.moves {
			if m.gap && m.adds && !d.swaps() && !d.short[d.poolOf(m.item)] && len(s.absent(d.poolOf(m.item))) > 0 {
				d.short[d.poolOf(m.item)], again = true, true
			}
		}
		if !again {
			return s
		}
	}
}

// converge is the loop: fill what fits, revoke what nothing needs, replace what needs least and frees most, and if none
// of these is possible, open the smallest gap. Rules that are still missing have no room for all of them, so some are
// added; if stale rules can go then, what they leave is room for more. The stale rules that open the addresses of
// missing ones stay.
func (s *state) converge(ctx context.Context) {
	for again := true; again; again = s.revokeUnneeded() {
		for ctx.Err() == nil {
			jobs := s.jobs()
			filled := s.fillPools(jobs)
			if s.revokeUnneeded() || filled || s.replace(ctx, jobs) || s.revokeOpaque() {
				continue
			}
			if !s.lend(ctx, jobs) && !s.openGap(ctx, jobs) {
				break
			}
		}
		if ctx.Err() != nil {
			return
		}
		for pool := range s.missing {
			s.fill(s.absent(pool), nil)
		}
	}
}

// A need is a wanted rule that a stale rule waits for: it opens cells that only the stale rule opens now, in some
// views.
type need struct {
	wanted int
	size   float64 // of these cells
	views  []int
}

// A job is a stale rule and what it waits for.
type job struct {
	stale int
	needs []need
	frees int // the room of all stale rules that wait for exactly this
}

// jobs returns what is to be done, in the order in which it asks for the least room: first what frees as much as it
// takes, the smallest first; then what frees the most, holder by holder. The one with the smallest need comes last, as
// that need is the one that there may be no room for.
func (s *state) jobs() []job {
	var jobs []job
	index := map[string]int{}
	for i := range s.stale {
		if s.gone[i] || s.stale[i].opaque {
			continue
		}
		needs := s.needs(i)
		if len(needs) == 0 {
			continue // dispensable
		}
		var key []byte
		for _, n := range needs {
			key = binary.AppendVarint(binary.AppendVarint(key, int64(n.wanted)), int64(len(n.views)))
		}
		at, ok := index[string(key)]
		if !ok {
			at = len(jobs)
			index[string(key)] = at
			jobs = append(jobs, job{stale: i, needs: needs})
		}
		jobs[at].frees += s.stale[i].weight[s.family]
	}
	slices.SortStableFunc(jobs, func(a, c job) int {
		return cmp.Or(cmp.Compare(len(a.needs)-a.frees, len(c.needs)-c.frees), cmp.Compare(len(a.needs), len(c.needs)),
			cmp.Compare(s.stale[a.stale].holder, s.stale[c.stale].holder))
	})
	return jobs
}

// needs returns what a stale rule waits for.
func (s *state) needs(i int) []need {
	var needs []need
	lastInterval, lastPiece := -1, -1
	var counted []int // the needs that the cell counts for, whatever the view
	s.open.each(s.stale[i].span, s.stale[i].holder, 1, func(v, k, piece int) bool {
		w := s.opener(v, k, s.open.rangeOf[piece])
		n := slices.IndexFunc(needs, func(n need) bool { return n.wanted == w })
		if n < 0 {
			n = len(needs)
			needs = append(needs, need{wanted: w})
		}
		if !slices.Contains(needs[n].views, v) {
			needs[n].views = append(needs[n].views, v)
		}
		if k != lastInterval || piece != lastPiece {
			lastInterval, lastPiece, counted = k, piece, counted[:0]
		}
		if !slices.Contains(counted, n) {
			counted = append(counted, n)
			needs[n].size += s.open.size[piece]
		}
		return true
	})
	return needs
}

// opener returns the wanted rule that opens a range on an interval of ports in a view. Of several, it is one that a
// holder there has room for, or else one that is missing.
func (s *state) opener(view, interval, rng int) int {
	best, bestRank := nowhere, -1
	for _, classes := range [][]int{s.classesAt[view], s.classes(s.world.Views[view].Wants)} {
		for _, k := range classes {
			if !s.world.Ports[k].contain(s.open.intervals[interval]) {
				continue
			}
			w, rank := k*len(s.ranges)+rng, 0
			if len(s.copies[w]) == 0 {
				rank++
			}
			if slices.ContainsFunc(s.givers[k], func(h int) bool {
				return s.free[h] > 0 && !s.taken[place{w, h}] && s.seen(h, []int{view})
			}) {
				rank += 2
			}
			if rank > bestRank {
				best, bestRank = w, rank
			}
		}
		if best != nowhere {
			return best
		}
	}
	return best
}

// fillPools fills every pool that has room for all that it lacks, unless its stale rules need that room more. It
// reports whether there was any.
func (s *state) fillPools(jobs []job) bool {
	awaits := map[int][]int{} // by wanted rule: the views that wait for it
	for _, j := range jobs {
		for _, n := range j.needs {
			awaits[n.wanted] = append(awaits[n.wanted], n.views...)
		}
	}
	filled := false
	for pool := range s.missing {
		absent := s.absent(pool)
		if len(absent) == 0 || s.room(pool) < len(absent) {
			continue
		}
		n := len(s.moves)
		inPool := func(n need) bool { return s.poolOf(n.wanted) == pool }
		waits := func(j job) bool {
			return slices.ContainsFunc(j.needs, inPool) && slices.ContainsFunc(s.needs(j.stale), inPool)
		}
		if s.fill(absent, awaits) && !slices.ContainsFunc(jobs, waits) {
			filled = true
		} else {
			s.undo(n)
		}
	}
	return filled
}

// replace does as many jobs as there is room for now, and reports whether there was any. The room that they leave is
// for the next round, so that a round takes few calls.
func (s *state) replace(ctx context.Context, jobs []job) bool {
	did := false
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		n := len(s.moves)
		needs := s.needs(j.stale)
		// A rule that moved for a later need may have counted on the stale rule.
		if s.meet(needs) && s.dispensable(j.stale) {
			s.retire(j.stale)
			did = true
		} else {
			s.undo(n)
		}
	}
	s.endRound()
	return did
}

// meet gives the views of each need a rule, one for all or several, and reports whether there was room.
func (s *state) meet(needs []need) bool {
	for _, n := range needs {
		if s.makeRoom(n.wanted, n.views) {
			continue
		}
		for i := range n.views {
			view := n.views[i : i+1]
			has := func(h int) bool { return s.seen(h, view) }
			if !slices.ContainsFunc(s.copies[n.wanted], has) && !s.makeRoom(n.wanted, view) {
				return false
			}
		}
	}
	return true
}

// lend does a job with the room of a wanted rule that other rules open for the time being, and puts that rule back
// where there is room then. It reports whether there is such a rule.
func (s *state) lend(ctx context.Context, jobs []job) bool {
	for w, at := range s.copies {
		if s.swaps() || len(at) != 1 || !s.open.dispensable(s.spans[w], at[0]) {
			continue
		}
		h := at[0]
		for _, j := range jobs {
			if ctx.Err() != nil {
				return false
			}
			n := len(s.moves)
			s.remove(w, h)
			needs := s.needs(j.stale)
			if s.meet(needs) && s.dispensable(j.stale) {
				s.retire(j.stale)
				s.endRound()
				if s.makeRoom(w, nil) {
					return true
				}
			}
			s.undo(n)
			s.endRound()
		}
	}
	return false
}

// openGap removes one stale rule before all that it waits for is there, and at once adds in its place what is not. It
// takes the smallest gap that one call opens and the next one closes; in a pool that is full still, the next smallest
// is the next. It reports whether there is any.
func (s *state) openGap(ctx context.Context, jobs []job) bool {
	type option struct {
		job
		left int // the need that is not met before
	}
	var options []option
	for _, j := range jobs {
		for i := range j.needs {
			options = append(options, option{j, i})
		}
	}
	slices.SortStableFunc(options, func(x, y option) int { return cmp.Compare(x.needs[x.left].size, y.needs[y.left].size) })
	opened := false
	for _, o := range options {
		if ctx.Err() != nil {
			break
		}
		n, pool := len(s.moves), s.poolOf(o.needs[o.left].wanted)
		others := slices.Concat(o.needs[:o.left], o.needs[o.left+1:])
		if s.gone[o.stale] || !s.swaps() && s.tooSmall(pool) {
			continue
		}
		if s.meet(others) {
			if rest := s.needs(o.stale); len(rest) == 1 && s.gapFor(o.stale, rest[0]) {
				opened = true
				if s.revokeUnneeded(); s.room(pool) > 0 {
					break
				}
				continue
			}
		}
		s.undo(n)
	}
	return opened
}

// tooSmall reports whether a pool is too small for all that it lacks. It weighs once.
func (s *state) tooSmall(pool int) bool {
	if !s.weighed {
		s.weighed = true
		for _, u := range s.withoutStale().allAbsent() {
			s.short[s.poolOf(u)] = true
		}
	}
	return s.short[pool]
}

// gapFor removes a stale rule and adds what it leaves closed, and reports whether there is room for that then.
func (s *state) gapFor(i int, left need) bool {
	st := s.stale[i]
	for _, h := range s.givers[s.class(left.wanted)] {
		room := s.free[h]
		if h == st.holder {
			room += st.weight[s.family]
		}
		if room <= 0 || s.taken[place{left.wanted, h}] || !s.seen(h, left.views) || slices.Contains(s.copies[left.wanted], h) {
			continue
		}
		closed := map[int]bool{}
		s.open.each(st.span, st.holder, 1, func(_, _, piece int) bool {
			closed[piece] = true
			return true
		})
		s.retire(i)
		s.moves[len(s.moves)-1].gap = true
		s.moves[len(s.moves)-1].closed = closed
		s.add(left.wanted, h)
		s.moves[len(s.moves)-1].gap = true
		return true
	}
	return false
}
