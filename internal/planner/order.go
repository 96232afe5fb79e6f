package planner

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// maxVictims is how many rules are tried as the one that a gap is opened for, where there is no way without one. With
// more than maxGaps gaps, which is the last one makes no difference.
const (
	maxVictims = 16
	maxGaps    = 3
)

// order returns the moves that lead from the start to what is settled. Any of them that closes something wanted is
// marked as a gap.
func (p *problem) order(ctx context.Context) []move {
	b := p.board()
	if b.quick() {
		return b.moves
	}
	b = p.careful(ctx)
	if below := b.gap(); below > 0 || !b.complete() {
		if !b.complete() {
			below = math.Inf(1)
		}
		if found := p.search(ctx, below); found != nil {
			b = found
		}
	}
	if b.gap() > 0 && (len(p.unplaced) > 0 || !b.complete()) && p.keep(b.moves) {
		return p.order(ctx)
	}
	p.unplaced = append(p.unplaced, b.absent()...)
	return b.moves
}

// keep lets the surplus stay that moves would open a gap for, and settles the rest anew. That is for a pool that is too
// small: it comes to no good end anyway, so that no gap is opened for it. It reports whether there is any.
func (p *problem) keep(moves []move) bool {
	kept := false
	for _, m := range moves {
		if m.gap && m.item < 0 {
			p.surplus[^m.item].stays, kept = true, true
		}
	}
	if kept {
		p.settle()
	}
	return kept
}

// quick adds all that is missing and then removes all surplus, where there is room for both at a time, or as soon as
// that is gone which nothing replaces. It reports whether that was possible.
func (b *board) quick() bool {
	for _, fill := range []func() bool{
		func() bool { return b.fillAll(false) },
		func() bool { b.clear(); return b.fillAll(false) },
		func() bool { return b.fillAll(true) },
		func() bool { b.clear(); return b.fillAll(true) },
		b.fillSettled,
		func() bool { b.clear(); return b.fillSettled() },
	} {
		if fill() {
			b.clear()
			b.clearOpaque()
			if b.left() == 0 {
				return true
			}
		}
		b.undo(0)
	}
	return false
}

// room returns how many more rules the holders take together.
func (b *board) room() int {
	room := 0
	for h, free := range b.free {
		if !b.world.Holders[h].Frozen {
			room += max(free, 0)
		}
	}
	return room
}

// fillSettled places all that is missing, and what moves out of its way, where it was settled, or nothing.
func (b *board) fillSettled() bool {
	n := len(b.moves)
	for w, at := range b.settled {
		for _, h := range at {
			if slices.Contains(b.copies[w], h) {
				continue
			}
			if b.free[h] <= 0 {
				b.undo(n)
				return false
			}
			before := slices.Clone(b.copies[w])
			b.add(w, h)
			for _, from := range before {
				if !slices.Contains(at, from) && b.cover.dispensable(b.spans[w], from) {
					b.remove(w, from)
				}
			}
		}
	}
	return true
}

// fillAll places all that is missing, or nothing.
func (b *board) fillAll(squeeze bool) bool {
	missing, n := b.absent(), len(b.moves)
	if b.room() < len(missing) {
		return false
	}
	if _, unplaced := b.fill(missing, squeeze); len(unplaced) > 0 {
		b.undo(n)
		return false
	}
	return true
}

// complete reports whether nothing is left to do.
func (b *board) complete() bool { return b.left() == 0 && len(b.absent()) == 0 }

// absent returns the missing rules that have a place but are not there yet.
func (b *board) absent() []int {
	return slices.DeleteFunc(slices.Clone(b.missing), func(w int) bool { return len(b.copies[w]) > 0 })
}

// careful returns a board after moves that lead to what is settled in any case, one surplus rule after another. Where
// no order without a gap is found, it tries which rule is the best to open the gap for.
func (p *problem) careful(ctx context.Context) *board {
	best := p.board()
	best.replaceAll(ctx, nil)
	if best.gap() == 0 || best.gaps() > maxGaps {
		return best
	}
	// The rule that is left for the end is the one that there is no room for.
	start := p.board()
	start.clear()
	jobs := start.jobs()
	slices.SortStableFunc(jobs, func(a, c job) int { return cmp.Compare(a.smallest(), c.smallest()) })
	for n, last := range jobs {
		if n == maxVictims || last.smallest() >= best.gap() || ctx.Err() != nil {
			break
		}
		b := p.board()
		b.replaceAll(ctx, last.needs)
		if b.gap() < best.gap() && len(b.absent()) <= len(best.absent()) {
			best = b
		}
	}
	return best
}

// replaceAll replaces one surplus rule after another, the one that the needs belong to at the end.
func (b *board) replaceAll(ctx context.Context, last []need) {
	for ctx.Err() == nil {
		b.clear()
		n := len(b.moves)
		if b.fillAll(true) || b.fillSettled() {
			b.clear()
			b.clearOpaque()
			if b.left() == 0 {
				return
			}
			b.undo(n) // what is surplus needs the room more
		}
		if !b.replaceOne(last) && !b.clearOpaque() && !b.openGap() {
			break
		}
	}
	b.fill(b.absent(), true)
	b.clear()
}

// A need is a wanted rule that a surplus rule waits for: it opens cells that only the surplus rule opens now, in some
// views.
type need struct {
	wanted int
	size   float64 // of these cells
	views  []int
}

// A job is a surplus rule and what it waits for.
type job struct {
	surplus int
	needs   []need
	frees   int // how many surplus rules wait for exactly this
}

// smallest returns how much the smallest of the needs opens.
func (j job) smallest() float64 {
	return slices.MinFunc(j.needs, func(a, b need) int { return cmp.Compare(a.size, b.size) }).size
}

// jobs returns what is to be done, in the order in which it asks for the least room: first what frees as much as it
// takes, the smallest first; then what frees the most. Among equals the one with the smallest need comes last.
func (b *board) jobs() []job {
	var jobs []job
	index := map[string]int{}
	for s := range b.surplus {
		if !b.goes(s) || b.surplus[s].opaque {
			continue
		}
		needs := b.needs(s)
		if len(needs) == 0 {
			continue // dispensable, once something else is gone
		}
		key := make([]byte, 0, 4*len(needs))
		for _, n := range needs {
			key = append(key, byte(n.wanted), byte(n.wanted>>8), byte(n.wanted>>16), byte(len(n.views)))
		}
		i, ok := index[string(key)]
		if !ok {
			i = len(jobs)
			index[string(key)] = i
			jobs = append(jobs, job{surplus: s, needs: needs})
		}
		jobs[i].frees += b.surplus[s].weight
		// Of several that wait for the same, the one that opens the least is the first to go.
		if total(needs) < total(jobs[i].needs) {
			jobs[i].surplus, jobs[i].needs = s, needs
		}
	}
	slices.SortStableFunc(jobs, func(a, c job) int {
		aGains, cGains := a.frees >= len(a.needs), c.frees >= len(c.needs)
		switch {
		case aGains && cGains:
			return cmp.Compare(len(a.needs), len(c.needs))
		case aGains != cGains:
			if aGains {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(c.frees, a.frees), cmp.Compare(len(a.needs), len(c.needs)), cmp.Compare(c.smallest(), a.smallest()))
	})
	return jobs
}

func total(needs []need) float64 {
	var sum float64
	for _, n := range needs {
		sum += n.size
	}
	return sum
}

// needs returns what a surplus rule waits for.
func (b *board) needs(s int) []need {
	sur := &b.surplus[s]
	var needs []need
	type cell struct{ interval, piece int }
	counted := map[cell]bool{} // whatever the view
	b.cover.each(sur.span, sur.holder, 1, func(v, k, i int) bool {
		w := b.opener(v, k, b.cover.rangeOf[i])
		n := slices.IndexFunc(needs, func(n need) bool { return n.wanted == w })
		if n < 0 {
			n = len(needs)
			needs = append(needs, need{wanted: w})
		}
		if !slices.Contains(needs[n].views, v) {
			needs[n].views = append(needs[n].views, v)
		}
		if !counted[cell{k, i}] {
			counted[cell{k, i}] = true
			needs[n].size += b.cover.size[i]
		}
		return true
	})
	return needs
}

// opener returns the wanted rule that opens a range on an interval of ports in a view. Of several, it is one that has a
// place, if it can be of a class that a holder there lists.
func (b *board) opener(view, interval, rng int) int {
	first, listed := nowhere, false
	for k, port := range b.world.Ports {
		if !port.contain(b.cover.intervals[interval]) {
			continue
		}
		w := k*len(b.ranges) + rng
		here := len(b.world.Views) == 0 || slices.ContainsFunc(b.world.Views[view].Holders, func(h int) bool { return b.lists(h, k) })
		if here && !listed {
			first, listed = w, true
		}
		if !here && listed {
			continue
		}
		if here && (b.hasPlace == nil && len(b.copies[w]) == 0 || b.hasPlace != nil && b.hasPlace[w]) {
			return w
		}
		if first == nowhere {
			first = w
		}
	}
	return first
}

// seen reports whether a holder is in all of some views.
func (b *board) seen(h int, views []int) bool {
	return !slices.ContainsFunc(views, func(v int) bool { return !slices.Contains(b.cover.views[h], v) })
}

// replaceOne finds a job that there is room for, and does it. The one with the last needs is left alone as long as
// there is any other.
func (b *board) replaceOne(last []need) bool {
	if b.room() == 0 {
		return false
	}
	jobs := b.jobs()
	if len(last) > 0 && len(jobs) > 1 {
		jobs = slices.DeleteFunc(jobs, func(j job) bool { return sameNeeds(j.needs, last) })
	}
	room := b.room()
	for _, j := range jobs {
		if len(j.needs) > room {
			continue
		}
		n := len(b.moves)
		// A rule that moved for a later need may have counted on the surplus rule.
		if b.meet(j.needs) && b.dispensable(j.surplus) {
			b.retire(j.surplus)
			return true
		}
		b.undo(n)
	}
	return false
}

func sameNeeds(a, b []need) bool {
	return slices.EqualFunc(a, b, func(x, y need) bool { return x.wanted == y.wanted })
}

// meet gives the views of each need a rule, and reports whether there was room for all.
func (b *board) meet(needs []need) bool {
	for _, n := range needs {
		if !b.squeeze(n.wanted, func(h int) bool { return b.seen(h, n.views) }) {
			return false
		}
	}
	return true
}

// openGap removes one surplus rule before all that it waits for is there, and at once adds in its place what is not. It
// takes the smallest gap that one call opens and the next one closes. Where there is none, the gap lasts longer.
func (b *board) openGap() bool {
	type option struct {
		job
		left int // the need that is not met before
	}
	var options []option
	for _, j := range b.jobs() {
		for i := range j.needs {
			options = append(options, option{j, i})
		}
	}
	slices.SortStableFunc(options, func(x, y option) int { return cmp.Compare(x.needs[x.left].size, y.needs[y.left].size) })
	room, opened := b.room(), false
	for _, lasting := range []bool{false, true} {
		for _, o := range options {
			if len(o.needs)-1 > room || !b.goes(o.surplus) {
				continue
			}
			n := len(b.moves)
			met := b.meet(slices.Concat(o.needs[:o.left], o.needs[o.left+1:]))
			rest := b.needs(o.surplus)
			if !met || len(rest) != 1 || !b.gapFor(o.surplus, rest[0], lasting) {
				b.undo(n)
				continue
			}
			opened = true
			// In a full pool a gap leaves no room: the next smallest is the next.
			if b.clear(); lasting || room > 0 || b.room() > 0 {
				return true
			}
		}
		if opened {
			return true
		}
	}
	return false
}

// gapFor removes a surplus rule and adds what it leaves closed.
func (b *board) gapFor(s int, left need, lasting bool) bool {
	before := len(b.moves)
	closed := b.closes(b.surplus[s].span, b.surplus[s].holder)
	b.retire(s)
	b.moves[before].gap = true
	b.moves[before].closed = closed
	b.moves[before].size = left.size
	seen := func(h int) bool { return b.seen(h, left.views) }
	for h := range b.world.Holders {
		if b.canHold(h, left.wanted) && b.free[h] > 0 && seen(h) && !slices.Contains(b.copies[left.wanted], h) {
			b.add(left.wanted, h)
			b.moves[len(b.moves)-1].gap = true
			return true
		}
	}
	if !lasting {
		b.undo(before)
		return false
	}
	n := len(b.moves)
	if !b.squeeze(left.wanted, seen) {
		b.undo(before)
		return false
	}
	for i := range b.moves[n:] {
		b.moves[n+i].gap = true
	}
	b.moves[before].size *= float64(len(b.moves) - n) // for so many calls
	return true
}

// closes returns the pieces that taking a rule away closes.
func (b *board) closes(sp span, holder int) map[int]bool {
	closed := map[int]bool{}
	b.cover.each(sp, holder, 1, func(_, _, i int) bool {
		closed[i] = true
		return true
	})
	return closed
}

// gaps counts the gaps that the moves open.
func (b *board) gaps() int {
	n := 0
	for _, m := range b.moves {
		if m.size > 0 {
			n++
		}
	}
	return n
}

// gap returns how much the moves close for the time being.
func (b *board) gap() float64 {
	var sum float64
	for _, m := range b.moves {
		sum += m.size
	}
	return sum
}
