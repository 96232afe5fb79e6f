package planner

import "slices"

// board is a state of a problem: which rules stand where, after some moves.
type board struct {
	*problem
	cover  *cover
	free   []int
	copies [][]int // by wanted rule: the holders that have one
	gone   []bool  // by surplus rule
	moves  []move
	// settling is true while the places of the end are sought, whatever the way there; awaits are then the views where
	// a missing rule has to be.
	settling bool
	awaits   map[int][]int
}

// A move adds one rule to a holder or removes one.
type move struct {
	family int
	holder int
	item   int // a wanted rule, or ^s for surplus s
	span   span
	weight int
	spare  int // the room that a removal makes in the other family
	adds   bool
	// gap marks a removal that closes something, and then the additions after it that open that again.
	gap bool
	// names for the plan
	wanted Wanted
	rule   int
	// closed are the pieces that a removal with a gap closes, and size how many addresses that are.
	closed map[int]bool
	size   float64
}

func (p *problem) board() *board {
	b := &board{
		problem: p,
		cover:   p.start.clone(),
		free:    slices.Clone(p.free),
		copies:  make([][]int, len(p.copies)),
		gone:    make([]bool, len(p.surplus)),
	}
	for w, at := range p.copies {
		b.copies[w] = slices.Clone(at)
	}
	return b
}

// add gives a holder a wanted rule.
func (b *board) add(w, h int) {
	b.moves = append(b.moves, move{family: b.family, holder: h, item: w, span: b.spans[w], weight: 1, adds: true, wanted: b.wanted(w)})
	b.put(w, h)
}

// remove takes a wanted rule from a holder.
func (b *board) remove(w, h int) {
	b.moves = append(b.moves, move{family: b.family, holder: h, item: w, span: b.spans[w], weight: 1, wanted: b.wanted(w), rule: nowhere})
	b.take(w, h)
}

// retire removes a surplus rule.
func (b *board) retire(s int) {
	b.moves = append(b.moves, move{family: b.family, holder: b.surplus[s].holder, item: ^s, span: b.surplus[s].span, weight: b.surplus[s].weight, spare: b.surplus[s].spare, rule: b.surplus[s].rule})
	b.drop(s)
}

func (b *board) put(w, h int) {
	b.copies[w] = append(b.copies[w], h)
	b.free[h]--
	b.cover.add(b.spans[w], h, 1)
}

func (b *board) take(w, h int) {
	i := slices.Index(b.copies[w], h)
	b.copies[w] = slices.Delete(b.copies[w], i, i+1)
	b.free[h]++
	b.cover.add(b.spans[w], h, -1)
}

func (b *board) drop(s int) {
	b.gone[s] = true
	b.free[b.surplus[s].holder] += b.surplus[s].weight
	b.cover.add(b.surplus[s].span, b.surplus[s].holder, -1)
}

func (b *board) undrop(s int) {
	b.gone[s] = false
	b.free[b.surplus[s].holder] -= b.surplus[s].weight
	b.cover.add(b.surplus[s].span, b.surplus[s].holder, 1)
}

// undo takes back the moves after the first n.
func (b *board) undo(n int) {
	for len(b.moves) > n {
		m := b.moves[len(b.moves)-1]
		b.moves = b.moves[:len(b.moves)-1]
		switch {
		case m.item < 0:
			b.undrop(^m.item)
		case m.adds:
			b.take(m.item, m.holder)
		default:
			b.put(m.item, m.holder)
		}
	}
}

// dispensable reports whether a surplus rule can go without closing anything.
func (b *board) dispensable(s int) bool {
	return b.cover.dispensable(b.surplus[s].span, b.surplus[s].holder)
}

// spare returns a holder whose copy of a wanted rule can go: another has one, or a fixed rule is equal, and nothing is
// closed. Of several it is the one that the fewest views have.
func (b *board) spare(w int) int {
	at := b.copies[w]
	if len(at) == 0 || len(at) == 1 && !b.satisfied[w] {
		return nowhere
	}
	best := nowhere
	for _, h := range at {
		if (best == nowhere || b.reach[h] < b.reach[best]) && b.cover.dispensable(b.spans[w], h) {
			best = h
		}
	}
	return best
}

// clear removes all that can go without closing anything: surplus rules, the narrow ones first, which frees the most
// room, and then spare copies, one of which may be what a surplus rule leaves an interface with.
func (b *board) clear() {
	for s := range b.surplus {
		if b.goes(s) && !b.surplus[s].opaque && b.dispensable(s) {
			b.retire(s)
		}
	}
	for w := range b.copies {
		for h := b.spare(w); h != nowhere; h = b.spare(w) {
			b.remove(w, h)
		}
	}
}

// clearOpaque removes the rules of which nobody knows what they let in. They go when all else is done, or there is no
// other room. It reports whether there were any.
func (b *board) clearOpaque() bool {
	n := len(b.moves)
	for s := range b.surplus {
		if b.goes(s) && b.surplus[s].opaque {
			b.retire(s)
		}
	}
	return len(b.moves) > n
}

// goes reports whether a surplus rule is there and shall go.
func (b *board) goes(s int) bool { return !b.gone[s] && !b.surplus[s].stays }

// left counts the surplus rules that are still to go.
func (b *board) left() int {
	n := 0
	for s := range b.surplus {
		if b.goes(s) {
			n++
		}
	}
	return n
}
