package planner

import "slices"

// maxRules is the most rules that go into one call.
const maxRules = 1000

// A schedule turns moves into calls, as few as it can: it takes moves of one holder together, and those of both
// families, where nothing stands against it.
//
// The moves as they come are one order that works. Moves change places only as follows, so that whatever is left can
// always be done in the order it came in: additions to a holder keep their order, and are made while there is room; a
// removal is made if what opens its cells stays to the end, or else if nothing is closed and no removal before it is
// about the same cells.
type schedule struct {
	holders int
	free    [2][]int
	now     [2]*cover // of the rules there are
	lasting [2]*cover // of those that are not to be removed
	todo    []move
	calls   []Call
}

func calls(problems [2]*problem, moves []move) []Call {
	s := &schedule{holders: len(problems[0].world.Holders)}
	for f, p := range problems {
		s.now[f] = p.start.clone()
		for _, h := range problems[0].world.Holders {
			s.free[f] = append(s.free[f], h.Room[f])
		}
	}
	for len(moves) > 0 {
		n := slices.IndexFunc(moves, func(m move) bool { return m.gap })
		if n < 0 {
			n = len(moves)
		}
		s.todo = slices.Clone(moves[:n])
		s.arrange()
		for moves = moves[n:]; len(moves) > 0 && moves[0].gap; moves = moves[1:] {
			s.gap(moves[0])
		}
	}
	return s.calls
}

// arrange makes all moves there are to do.
//
// Adding all that a holder is to get comes before anything else, removing after all of that. Where a holder has no
// room, what it can spare goes first; then it gets a part; then the other holders give up what they can spare.
func (s *schedule) arrange() {
	for f := range s.now {
		s.lasting[f] = s.now[f].clone()
	}
	added := map[rule]bool{}
	for _, m := range s.todo {
		if m.adds {
			added[m.about()] = true
		} else if !added[m.about()] {
			s.lasting[m.family].add(m.span, m.holder, -1)
		}
	}
	for len(s.todo) > 0 {
		switch {
		case s.each(s.addAll):
		case s.each(s.removeForRoom):
		case s.each(s.addPart):
		case s.each(s.remove):
		default:
			s.make([]int{0}) // always possible
		}
	}
}

// rule is what a move adds or removes.
type rule struct{ family, holder, item int }

func (m move) about() rule { return rule{m.family, m.holder, m.item} }

// each calls f for every holder and reports whether any of them did something.
func (s *schedule) each(f func(holder int) bool) bool {
	did := false
	for h := range s.holders {
		did = f(h) || did
	}
	return did
}

// additions returns what there is room for of what is to be added to a holder, in order, and whether that is all.
func (s *schedule) additions(holder int) (moves []int, all bool) {
	room := [2]int{s.free[0][holder], s.free[1][holder]}
	var blocked [2]bool
	removed := map[rule]bool{}
	for i, m := range s.todo {
		switch {
		case m.holder != holder:
		case !m.adds:
			removed[m.about()] = true
		case blocked[m.family] || room[m.family] <= 0 || removed[m.about()]:
			blocked[m.family] = true
		default:
			room[m.family]--
			moves = append(moves, i)
		}
	}
	return moves, !blocked[0] && !blocked[1]
}

func (s *schedule) addAll(holder int) bool {
	moves, all := s.additions(holder)
	return all && s.make(moves)
}

func (s *schedule) addPart(holder int) bool {
	moves, _ := s.additions(holder)
	return s.make(moves)
}

// removeForRoom removes what it can from a holder that waits for room.
func (s *schedule) removeForRoom(holder int) bool {
	return slices.ContainsFunc(s.todo, func(m move) bool { return m.holder == holder && m.adds }) && s.remove(holder)
}

func (s *schedule) remove(holder int) bool {
	var moves []int
	added := map[rule]bool{}
	for i, m := range s.todo {
		if m.holder != holder {
			continue
		}
		if m.adds {
			added[m.about()] = true
			continue
		}
		if added[m.about()] {
			continue // it is not there yet
		}
		if s.lasts(m) || s.now[m.family].dispensable(m.span, holder) && !s.removesBefore(i, moves) {
			moves = append(moves, i)
			s.now[m.family].add(m.span, holder, -1)
		}
	}
	for _, i := range moves { // they count until they are made
		s.now[s.todo[i].family].add(s.todo[i].span, holder, 1)
	}
	return s.make(moves)
}

// lasts reports whether what opens the cells of a removal is there to stay.
func (s *schedule) lasts(m move) bool {
	lasts := true
	s.lasting[m.family].each(m.span, m.holder, 0, func(int, int, int) bool {
		lasts = false
		return false
	})
	return lasts
}

// removesBefore reports whether a removal that comes before number i, and is not one of those that are made with it, is
// about the same cells.
func (s *schedule) removesBefore(i int, with []int) bool {
	for j, m := range s.todo[:i] {
		if !m.adds && m.family == s.todo[i].family && m.span.meets(s.todo[i].span) && !slices.Contains(with, j) {
			return true
		}
	}
	return false
}

// make makes moves of one holder and one kind, and takes them off the list.
func (s *schedule) make(moves []int) bool {
	if len(moves) == 0 {
		return false
	}
	for _, i := range moves {
		m := s.todo[i]
		if m.adds && !slices.ContainsFunc(s.todo[i+1:], func(o move) bool { return o.about() == m.about() }) {
			s.lasting[m.family].add(m.span, m.holder, 1)
		}
		s.count(m)
		s.note(m, len(moves) > 0 && i == moves[0])
	}
	made := moves
	n := 0
	for i, m := range s.todo {
		if len(made) > 0 && made[0] == i {
			made = made[1:]
			continue
		}
		s.todo[n] = m
		n++
	}
	s.todo = s.todo[:n]
	return true
}

// count counts what a move changes.
func (s *schedule) count(m move) {
	if m.adds {
		s.free[m.family][m.holder]--
		s.now[m.family].add(m.span, m.holder, 1)
	} else {
		s.free[m.family][m.holder] += m.weight
		s.free[1-m.family][m.holder] += m.spare
		s.now[m.family].add(m.span, m.holder, -1)
	}
}

// gap makes a move that opens or closes a gap; it keeps its place.
func (s *schedule) gap(m move) {
	s.count(m)
	s.note(m, true)
	call := &s.calls[len(s.calls)-1]
	if len(m.closed) > 0 {
		call.Gap = s.now[m.family].ranges(m.closed)
	} else {
		call.Closes = true
	}
}

// note adds a move to the last call or, if asked for or needed, to a new one.
func (s *schedule) note(m move, anew bool) {
	last := len(s.calls) - 1
	if anew || len(s.calls[last].Add)+len(s.calls[last].Remove) == maxRules {
		s.calls = append(s.calls, Call{Holder: m.holder})
		last++
	}
	if m.adds {
		s.calls[last].Add = append(s.calls[last].Add, m.wanted)
	} else {
		s.calls[last].Remove = append(s.calls[last].Remove, Item{Holder: m.holder, Rule: m.rule, Wanted: m.wanted})
	}
}
