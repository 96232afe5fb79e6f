package planner

import (
	"cmp"
	"slices"
)

// A state says which holder has which rules after some moves.
type state struct {
	*drift
	open   *tally
	free   []int
	copies [][]int // by wanted rule: the holders that have one
	gone   []bool  // by stale rule
	moves  []move
	busy   []int // by holder: the moves and stale rules there
	freed  []int // by holder: the room that stale rules leave which go in this round; it is there in the next

	regardless bool // only room counts, and not whether anything is closed on the way
}

// A turn is the rule of a family that a move is about.
type turn struct {
	family int
	place
}

// A move adds one rule to a holder or removes one.
type move struct {
	turn
	adds bool
	// gap marks a removal that closes something, and the addition after it that opens that again.
	gap    bool
	closed map[int]bool // the pieces that the removal closes
	number int          // in the order that works
}

func (d *drift) state() *state {
	s := &state{
		drift: d, open: d.start.clone(), free: slices.Clone(d.free), gone: make([]bool, len(d.stale)),
		copies: make([][]int, len(d.copies)), busy: make([]int, len(d.free)), freed: make([]int, len(d.free)),
	}
	for w, at := range d.copies {
		s.copies[w] = slices.Clone(at)
	}
	for _, st := range d.stale {
		s.busy[st.holder]++
	}
	return s
}

// add gives a holder a wanted rule.
func (s *state) add(w, h int) { s.do(move{turn: turn{s.family, place{w, h}}, adds: true}) }

// remove takes a wanted rule from a holder.
func (s *state) remove(w, h int) { s.do(move{turn: turn{s.family, place{w, h}}}) }

// retire removes a stale rule.
func (s *state) retire(i int) { s.do(move{turn: turn{s.family, place{^i, s.stale[i].holder}}}) }

func (s *state) do(m move) {
	s.moves = append(s.moves, m)
	s.busy[m.holder]++
	s.apply(m, 1)
}

// undo takes back the moves after the first n.
func (s *state) undo(n int) {
	for len(s.moves) > n {
		m := s.moves[len(s.moves)-1]
		s.moves = s.moves[:len(s.moves)-1]
		s.busy[m.holder]--
		s.apply(m, -1)
	}
}

// apply counts what a move changes, or with -1 what it has changed.
func (s *state) apply(m move, n int) {
	if !m.adds {
		n = -n
	}
	s.open.add(s.spanOf(m.item), m.holder, int32(n))
	if m.item < 0 {
		s.gone[^m.item] = n < 0
		s.freed[m.holder] -= n * s.stale[^m.item].weight[s.family]
		return
	}
	s.free[m.holder] -= n
	at := s.copies[m.item]
	if n > 0 {
		s.copies[m.item] = append(at, m.holder)
	} else {
		i := slices.Index(at, m.holder)
		s.copies[m.item] = slices.Delete(at, i, i+1)
	}
}

// afterwards returns the world as the next family finds it: references that are gone take no room in it.
func (s *state) afterwards() World {
	w, other := s.world, 1-s.family
	w.Holders = slices.Clone(w.Holders)
	for i, st := range s.stale {
		if s.gone[i] {
			w.Holders[st.holder].Room[other] += st.weight[other]
		}
	}
	return w
}

// endRound makes the room available that stale rules have left.
func (s *state) endRound() {
	for h, n := range s.freed {
		s.free[h] += n
		s.freed[h] = 0
	}
}

// dispensable reports whether a stale rule can go without closing anything.
func (s *state) dispensable(i int) bool {
	return s.open.dispensable(s.stale[i].span, s.stale[i].holder)
}

// redundant returns a holder whose copy of a wanted rule can go: another has one, or a fixed rule is equal, and nothing
// is closed. Of several it is the one that the fewest views have, and in a holder that is touched anyway.
func (s *state) redundant(w int) int {
	at := s.copies[w]
	if len(at) == 0 || len(at) == 1 && !s.satisfied[w] {
		return nowhere
	}
	best := nowhere
	for _, h := range at {
		better := best == nowhere || cmp.Or(cmp.Compare(s.reach(h), s.reach(best)), cmp.Compare(s.busy[best], s.busy[h])) < 0
		if better && s.open.dispensable(s.spans[w], h) {
			best = h
		}
	}
	return best
}

// reach counts the views that a holder is in.
func (s *state) reach(h int) int { return len(s.start.views[h]) }

// revokeUnneeded removes all that can go without closing anything: stale rules, the narrow ones first, which frees the
// most room, and then redundant copies, because a stale rule may have left an interface with just one of them. It
// reports whether there was any.
func (s *state) revokeUnneeded() bool {
	n := len(s.moves)
	for i := range s.stale {
		if !s.gone[i] && !s.stale[i].opaque && s.dispensable(i) {
			s.retire(i)
		}
	}
	for w := range s.copies {
		for h := s.redundant(w); h != nowhere; h = s.redundant(w) {
			s.remove(w, h)
		}
	}
	s.endRound()
	return len(s.moves) > n
}

// revokeOpaque removes the stale rules whose addresses are unknown. They go when all else is done, or there is no other
// room. It reports whether there was any.
func (s *state) revokeOpaque() bool {
	n := len(s.moves)
	for i := range s.stale {
		if !s.gone[i] && s.stale[i].opaque {
			s.retire(i)
		}
	}
	s.endRound()
	return len(s.moves) > n
}

// absent returns the missing rules of a pool that are not there yet.
func (s *state) absent(pool int) (all []int) {
	for _, w := range s.missing[pool] {
		if len(s.copies[w]) == 0 {
			all = append(all, w)
		}
	}
	return all
}

func (s *state) allAbsent() (all []int) {
	for pool := range s.missing {
		all = append(all, s.absent(pool)...)
	}
	return all
}

// room returns how many more rules the holders of a pool take together.
func (s *state) room(pool int) int {
	room := 0
	counted := map[int]bool{}
	for k, p := range s.pool {
		if p != pool {
			continue
		}
		for _, h := range s.givers[k] {
			if !counted[h] {
				counted[h] = true
				room += max(s.free[h], 0)
			}
		}
	}
	return room
}
