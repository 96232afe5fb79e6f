package planner

import (
	"cmp"
	"slices"
)

// settle finds what has a place in the end, when all surplus is gone: the missing rules, the rest being unplaced. Where
// the room is too short for all, a surplus rule may be all that opens something wanted. Such a rule stays, its slot is
// taken, and the rest is settled anew.
//
// What replaces a surplus rule goes to where the same interfaces have it. Where that leaves others without a place,
// places count more: then the surplus rule stays, and somebody has to attach the group that has the rest.
func (p *problem) settle() {
	stays := make([]bool, len(p.surplus))
	for s := range p.surplus {
		stays[s] = p.surplus[s].stays
	}
	p.settleWhere(true)
	if len(p.unplaced) == 0 || len(p.world.Views) == 0 {
		return
	}
	strict, after := *p, slices.Clone(p.surplus)
	for s := range p.surplus {
		p.surplus[s].stays = stays[s]
	}
	p.settleWhere(false)
	if len(p.unplaced) >= len(strict.unplaced) {
		*p = strict
		copy(p.surplus, after)
	}
}

func (p *problem) settleWhere(awaited bool) {
	p.hasPlace = nil
	for {
		b := p.board()
		b.settling = true
		for s := range b.surplus {
			if b.goes(s) {
				b.drop(s)
			}
		}
		b.dropSpare()
		if awaited {
			b.awaits = b.awaited()
		}
		p.missing, p.unplaced = b.fillAwaited()
		if !b.keepNeeded() {
			p.settled = b.copies
			p.hasPlace = make([]bool, len(p.copies))
			for w := range p.copies {
				p.hasPlace[w] = len(b.copies[w]) > 0
			}
			return
		}
	}
}

// keepNeeded lets the surplus stay that nothing replaces, the widest first, and reports whether there is any.
// Interfaces that have different groups ask for different things of the same rules, so then it is one holder at a time.
func (b *board) keepNeeded() bool {
	var kept []int
	for s := len(b.surplus) - 1; s >= 0; s-- {
		sur := &b.surplus[s]
		if sur.stays || len(kept) > 0 && len(b.world.Views) > 1 && b.surplus[kept[0]].holder != sur.holder {
			continue
		}
		if b.cover.opensAgain(b.start, sur.span, sur.holder) {
			b.undrop(s)
			kept = append(kept, s)
		}
	}
	for _, s := range slices.Backward(kept) { // a later one may do for an earlier one
		b.drop(s)
		if b.cover.opensAgain(b.start, b.surplus[s].span, b.surplus[s].holder) {
			b.undrop(s)
			b.surplus[s].stays = true
		}
	}
	return len(kept) > 0
}

// awaited returns, by wanted rule, the views in which something was open at the start that only this rule can open once
// the surplus is gone.
func (b *board) awaited() map[int][]int {
	awaited := map[int][]int{}
	for s := range b.surplus {
		if b.surplus[s].stays {
			continue
		}
		b.cover.each(b.surplus[s].span, b.surplus[s].holder, 0, func(v, k, i int) bool {
			if b.start.count[v][k*len(b.cover.prefixes)+i] > 0 {
				w := b.opener(v, k, b.cover.rangeOf[i])
				if !slices.Contains(awaited[w], v) {
					awaited[w] = append(awaited[w], v)
				}
			}
			return true
		})
	}
	return awaited
}

// fillAwaited places all lacking rules, the awaited ones first, and these where the views have them if there is such a
// place. A rule that is there, but not where it is awaited, moves.
func (b *board) fillAwaited() (placed, unplaced []int) {
	awaited := b.awaits
	var first, rest []int
	for _, w := range b.lacking() {
		if len(awaited[w]) > 0 {
			first = append(first, w)
		} else {
			rest = append(rest, w)
		}
	}
	if len(b.world.Views) > 0 {
		var elsewhere []int
		for w := range b.copies {
			views := awaited[w]
			if len(views) == 0 || !b.squeeze(w, func(h int) bool { return b.seen(h, views) }) {
				continue
			}
			elsewhere = append(elsewhere, w)
			if len(b.problem.copies[w]) == 0 {
				placed = append(placed, w)
			}
		}
		b.dropSpare()
		first = slices.DeleteFunc(first, func(w int) bool { return slices.Contains(elsewhere, w) })
	}
	for _, rules := range [][]int{first, rest} {
		in, out := b.fill(rules, true)
		placed, unplaced = append(placed, in...), append(unplaced, out...)
	}
	return placed, unplaced
}

// opensAgain reports whether a rule that was taken away would open a wanted cell that was open at the start.
func (c *cover) opensAgain(start *cover, sp span, holder int) bool {
	found := false
	c.each(sp, holder, 0, func(v, k, i int) bool {
		found = start.count[v][k*len(c.prefixes)+i] > 0
		return !found
	})
	return found
}

// dropSpare takes away the spare copies, for the sake of the room.
func (b *board) dropSpare() {
	for w := range b.copies {
		for h := b.spare(w); h != nowhere; h = b.spare(w) {
			b.take(w, h)
		}
	}
}

// lacking returns the wanted rules that are nowhere but could be somewhere.
func (p *problem) lacking() []int {
	var all []int
	for w, at := range p.copies {
		if len(at) > 0 || p.satisfied[w] {
			continue
		}
		for h := range p.world.Holders {
			if p.canHold(h, w) {
				all = append(all, w)
				break
			}
		}
	}
	return all
}

// fill places rules one after another, first those that open the most, so that where the room ends the fewest addresses
// are left out. If it may squeeze, other rules move out of the way where need be.
func (b *board) fill(rules []int, squeeze bool) (placed, unplaced []int) {
	opens := make(map[int]float64, len(rules))
	for _, w := range rules {
		for h := range b.world.Holders {
			if b.canHold(h, w) {
				opens[w] = max(opens[w], b.cover.alone(b.spans[w], h, 0))
			}
		}
	}
	rules = slices.Clone(rules)
	slices.SortStableFunc(rules, func(a, c int) int { return cmp.Compare(opens[c], opens[a]) })
	left := make([]int, len(b.world.Ports))
	for _, w := range rules {
		left[b.portOf(w)]++
	}
	last := slices.Repeat([]int{nowhere}, len(left))
	full := make([]bool, len(left))
	for _, w := range rules {
		k := b.portOf(w)
		h := last[k]
		if h == nowhere || b.free[h] <= 0 || !b.canHold(h, w) {
			h = b.choose(w, left[k])
			last[k] = h
		}
		left[k]--
		switch {
		case h != nowhere:
			b.add(w, h)
			placed = append(placed, w)
		case squeeze && !full[k] && (b.squeeze(w, nil) || b.relieve(w)):
			placed = append(placed, w)
		default:
			// For good, as room is only ever taken here; but where a rule is taken, another may have room.
			full[k] = full[k] || len(b.taken[w]) == 0
			unplaced = append(unplaced, w)
		}
	}
	return placed, unplaced
}

// choose returns a holder with room for a missing rule, one of n on its port, or nowhere. It prefers a holder that more
// views have, so that more interfaces have the rule; then one that is touched anyway; then the tightest that takes all
// n, or else the roomiest, so that few are touched.
func (b *board) choose(w, n int) int {
	best, bestRank := nowhere, [4]int{}
	for h := range b.world.Holders {
		if !b.canHold(h, w) || b.free[h] <= 0 {
			continue
		}
		rank := [4]int{b.reach[h], 0, 0, b.free[h]}
		if b.free[h] >= n {
			rank[1], rank[3] = 1, -b.free[h]
		}
		if b.touched(h) {
			rank[2] = 1
		}
		if best == nowhere || slices.Compare(rank[:], bestRank[:]) > 0 {
			best, bestRank = h, rank
		}
	}
	return best
}

// touched reports whether a move is about the holder, or some surplus there.
func (b *board) touched(h int) bool {
	return slices.ContainsFunc(b.moves, func(m move) bool { return m.holder == h }) ||
		slices.ContainsFunc(b.surplus, func(s surplus) bool { return s.holder == h && !s.stays })
}

// relieve places a wanted rule in a holder that is over its quota, as one may be whose quota was lowered: it moves so
// many of its rules elsewhere that there is room again. It reports whether that was possible.
func (b *board) relieve(w int) bool {
	for h := range b.world.Holders {
		if b.free[h] >= 0 || !b.canHold(h, w) {
			continue
		}
		n := len(b.moves)
		for v, at := range b.copies {
			if b.free[h] > 0 {
				break
			}
			if len(at) != 1 || at[0] != h || v == w {
				continue
			}
			elsewhere := func(to int) bool { return to != h && b.mayMove(v, h, to) }
			if b.squeeze(v, elsewhere) && (b.settling || b.cover.dispensable(b.spans[v], h)) {
				b.remove(v, h)
			}
		}
		if b.free[h] > 0 {
			b.add(w, h)
			return true
		}
		b.undo(n)
	}
	return false
}

// mayMove reports whether a rule can move to another holder without closing anything: every view that has it must have
// it still, or other rules open the same. While it is only being settled where missing rules go, nobody has those yet,
// and it is enough that they are where they are awaited.
func (b *board) mayMove(w, from, to int) bool {
	return b.within[from][to] || b.cover.dispensable(b.spans[w], from) ||
		b.settling && len(b.problem.copies[w]) == 0 && b.seen(to, b.awaits[w])
}

// follow makes the moves of a chain, from its end. Where two rules that move each counted on the other, it makes none
// and returns false.
func (b *board) follow(h int, back func(h int) (rule, from int)) bool {
	n := len(b.moves)
	for h != nowhere {
		rule, from := back(h)
		b.add(rule, h)
		if from != nowhere {
			if !b.settling && !b.cover.dispensable(b.spans[rule], from) {
				b.undo(n)
				return false
			}
			b.remove(rule, from)
		}
		h = from
	}
	return true
}

// squeeze places a wanted rule in a holder for which ok holds, moving other rules out of the way if need be: from a
// holder that can have the rule to one that cannot, and so on to one that has room. It reports whether there is such a
// chain, and takes the shortest. This is an augmenting path of bipartite matching; each of its moves adds a copy before
// it removes one, and goes only to where every view that had the rule has it still.
func (b *board) squeeze(w int, ok func(h int) bool) bool {
	type hop struct{ from, rule int } // rule comes from a holder to the one reached
	reached := make([]*hop, len(b.world.Holders))
	var queue []int
	for h := range reached {
		if b.canHold(h, w) && b.free[h] >= 0 && !slices.Contains(b.copies[w], h) && (ok == nil || ok(h)) {
			reached[h] = &hop{nowhere, w}
			queue = append(queue, h)
		}
	}
	slices.SortStableFunc(queue, func(a, c int) int { return cmp.Compare(b.reach[c], b.reach[a]) })
	for len(queue) > 0 {
		h := queue[0]
		queue = queue[1:]
		if b.free[h] > 0 {
			return b.follow(h, func(h int) (rule, from int) { return reached[h].rule, reached[h].from })
		}
		// One rule of a port stands for all that may move as far.
		tried := make([]bool, len(b.world.Ports))
		for v, at := range b.copies {
			if len(at) != 1 || at[0] != h || v == w || tried[b.portOf(v)] {
				continue
			}
			tried[b.portOf(v)] = true
			for to := range reached {
				switch {
				case reached[to] != nil || !b.lists(to, b.portOf(v)) || b.free[to] < 0:
				case b.canHold(to, v) && b.mayMove(v, h, to):
					reached[to] = &hop{h, v}
					queue = append(queue, to)
				default:
					tried[b.portOf(v)] = false
				}
			}
		}
	}
	return false
}
