package planner

import "slices"

// maxRules is the most rules that go into one call, and maxSwapped the most that a call adds to a holder that swaps,
// and the most that it removes. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
const (
	maxRules   = 1000
	maxSwapped = 100
)

// A packer turns moves into calls, as few as it can: it takes moves of one holder together, and those of both families,
// where the order allows it.
//
// The moves as they come are one order that works. Moves change places only as follows, so that whatever is left can
// always be done in the order it came in: additions to a holder keep their order, and are made while there is room; a
// removal is made if what opens its cells stays to the end, or else if nothing is closed and no removal before it is
// about the same cells.
type packer struct {
	drifts  [2]*drift
	free    [2][]int
	now     [2]*tally // of the rules there are
	lasting [2]*tally // of those that are not to be removed
	adds    [][]move
	removes []move
	turns   map[turn][]int // by rule: the numbers of the moves that are about it, in order
	calls   []Call
	most    int // rules that a call adds or removes
}

func pack(drifts [2]*drift, moves []move) []Call {
	p := &packer{drifts: drifts, most: maxRules}
	for f, d := range drifts {
		p.now[f] = d.start.clone()
		for _, h := range drifts[0].world.Holders {
			p.free[f] = append(p.free[f], h.Room[f])
		}
	}
	if drifts[0].swaps() {
		p.most = maxSwapped
		for i, m := range moves { // in order; a gap begins and ends in one call, so it is none
			p.make(m, i == 0 || m.gap && !m.adds && len(p.calls[len(p.calls)-1].Add) == p.most)
		}
		return p.calls
	}
	for len(moves) > 0 {
		n := slices.IndexFunc(moves, func(m move) bool { return m.gap })
		if n < 0 {
			n = len(moves)
		}
		p.arrange(moves[:n])
		for moves = moves[n:]; len(moves) > 0 && moves[0].gap; moves = moves[1:] {
			p.gap(moves[0])
		}
	}
	return p.calls
}

// queue queues moves. Rules that are there and not removed last.
func (p *packer) queue(moves []move) {
	p.adds, p.removes, p.turns = make([][]move, len(p.free[0])), nil, map[turn][]int{}
	for f := range p.now {
		p.lasting[f] = p.now[f].clone()
	}
	for i, m := range moves {
		m.number = i
		p.turns[m.turn] = append(p.turns[m.turn], i)
		if m.adds {
			p.adds[m.holder] = append(p.adds[m.holder], m)
			continue
		}
		p.removes = append(p.removes, m)
		if len(p.turns[m.turn]) == 1 {
			p.lasting[m.family].add(p.span(m), m.holder, -1)
		}
	}
}

// arrange makes moves.
//
// Adding all that a holder is to get comes before anything else, removing after all of that. Where a holder has no
// room, what it need not keep goes first; then it gets a part; then the other holders give up what they need not keep.
func (p *packer) arrange(moves []move) {
	p.queue(moves)
	for n := 0; n < len(moves); {
		before := n
		for h := range p.adds {
			if add := p.additions(h); len(add) == len(p.adds[h]) {
				n += p.add(h, len(add))
			}
		}
		if n == before {
			n += p.remove(func(m move) bool { return len(p.adds[m.holder]) > 0 })
		}
		if n == before {
			for h := range p.adds {
				n += p.add(h, len(p.additions(h)))
			}
		}
		if n == before {
			n += p.remove(func(move) bool { return true })
		}
		if n == before {
			panic("planner: the moves cannot be made in the order they came in")
		}
	}
}

func (p *packer) span(m move) span { return p.drifts[m.family].spanOf(m.item) }

// isNext reports whether no other move about the same rule comes before.
func (p *packer) isNext(m move) bool { return p.turns[m.turn][0] == m.number }

// additions returns the rules to add to a holder, in order, as many as fit.
func (p *packer) additions(h int) []move {
	room := [2]int{p.free[0][h], p.free[1][h]}
	for i, m := range p.adds[h] {
		if room[m.family] <= 0 || !p.isNext(m) {
			return p.adds[h][:i]
		}
		room[m.family]--
	}
	return p.adds[h]
}

// add makes the first n additions to a holder.
func (p *packer) add(h, n int) int {
	for i, m := range p.adds[h][:n] {
		p.turns[m.turn] = p.turns[m.turn][1:]
		if len(p.turns[m.turn]) == 0 {
			p.lasting[m.family].add(p.span(m), h, 1)
		}
		p.make(m, i == 0)
	}
	p.adds[h] = p.adds[h][n:]
	return n
}

// remove makes all removals that can be made now and are asked for, and returns how many.
func (p *packer) remove(asked func(move) bool) int {
	ready := make([][]move, len(p.adds))
	var waiting [2][]span
	n := 0
	rest := p.removes[:0:0]
	for _, m := range p.removes {
		sp := p.span(m)
		now := p.now[m.family]
		can := asked(m) && p.isNext(m) && (!p.lasting[m.family].any(sp, m.holder, 0) ||
			now.dispensable(sp, m.holder) && !slices.ContainsFunc(waiting[m.family], sp.meets))
		if !can {
			waiting[m.family] = append(waiting[m.family], sp)
			rest = append(rest, m)
			continue
		}
		now.add(sp, m.holder, -1)
		ready[m.holder] = append(ready[m.holder], m)
		n++
	}
	p.removes = rest
	for _, moves := range ready {
		for i, m := range moves {
			p.now[m.family].add(p.span(m), m.holder, 1) // make takes it away
			p.turns[m.turn] = p.turns[m.turn][1:]
			p.make(m, i == 0)
		}
	}
	return n
}

// gap makes a move that opens or closes a gap; it keeps its place.
func (p *packer) gap(m move) {
	p.make(m, true)
	call := &p.calls[len(p.calls)-1]
	if m.adds {
		call.Reopens = true
	} else {
		call.Gap = p.now[m.family].ranges(m.closed)
	}
}

// make makes a move, in the last call or, if asked for or needed, in a new one.
func (p *packer) make(m move, another bool) {
	last := len(p.calls) - 1
	if another || m.adds && len(p.calls[last].Add) == p.most || !m.adds && len(p.calls[last].Remove) == p.most {
		p.calls = append(p.calls, Call{Holder: m.holder})
		last++
	}
	d, call := p.drifts[m.family], &p.calls[last]
	switch {
	case m.adds:
		p.now[m.family].add(p.span(m), m.holder, 1)
		p.free[m.family][m.holder]--
		call.Add = append(call.Add, d.wanted(m.item))
		return
	case m.item >= 0:
		p.free[m.family][m.holder]++
		call.Remove = append(call.Remove, Item{Holder: m.holder, Rule: nowhere, Wanted: d.wanted(m.item)})
	default:
		st := d.stale[^m.item]
		for f, weight := range st.weight {
			p.free[f][m.holder] += weight
		}
		call.Remove = append(call.Remove, Item{Holder: m.holder, Rule: st.rule})
	}
	p.now[m.family].add(p.span(m), m.holder, -1)
}
