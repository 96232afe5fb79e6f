package planner

import "slices"

// maxRules is the most rules that go into one call, and MaxSwapped the most that a call adds to a holder that swaps,
// and the most that it removes. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
const (
	maxRules   = 1000
	MaxSwapped = 100
)

// A packer turns moves into calls, as few as it can: it takes moves of one holder together, and those of both families,
// where the order allows it.
//
// The moves as they come are one order that works. The packer makes them in rounds. A round adds all that there is room
// for, and then removes all that does not come after a move that has to wait and is about the same cells at the same
// view. So the moves about a cell keep their order, except that some additions come early, and nothing is closed that
// the order does not close.
type packer struct {
	drifts [2]*drift
	free   [2][]int
	calls  []Call
	most   int // rules that a call adds or removes
}

func pack(drifts [2]*drift, moves []move) []Call {
	p := &packer{drifts: drifts, most: maxRules}
	for f := range drifts {
		for _, h := range drifts[0].world.Holders {
			p.free[f] = append(p.free[f], h.Room[f])
		}
	}
	if drifts[0].swaps() {
		p.most = MaxSwapped
		for i, m := range moves { // a gap begins and ends in one call, so it is none
			p.make(m, i == 0 || m.gap && !m.adds && len(p.calls[len(p.calls)-1].Add) == p.most)
		}
		return p.calls
	}
	for len(moves) > 0 {
		n := slices.IndexFunc(moves, func(m move) bool { return m.gap })
		if n < 0 {
			n = len(moves)
		}
		for rest := moves[:n]; len(rest) > 0; {
			before := len(rest)
			if rest = p.round(rest, false); len(rest) == before {
				rest = p.round(rest, true)
			}
		}
		for moves = moves[n:]; len(moves) > 0 && moves[0].gap; moves = moves[1:] {
			p.make(moves[0], true) // it keeps its place
			call := &p.calls[len(p.calls)-1]
			if call.Closes = moves[0].adds; !call.Closes {
				call.Gap = drifts[moves[0].family].start.ranges(moves[0].closed)
			}
		}
	}
	return p.calls
}

// round makes the moves of a round, and returns the others. Additions to a holder keep their order, and so do moves
// about the same rule. A holder that has no room for all that it is to get gets only what it may in part.
func (p *packer) round(moves []move, part bool) (rest []move) {
	adds, removes := make([][]move, len(p.free[0])), make([][]move, len(p.free[0]))
	type rule struct {
		family int
		place
	}
	full, taken, later := map[int]bool{}, map[rule]int{}, map[rule]bool{}
	for _, m := range moves {
		if room := (rule{m.family, place{holder: m.holder}}); m.adds && !part {
			if taken[room]++; taken[room] > p.free[m.family][m.holder] {
				full[m.holder] = true
			}
		}
	}
	clear(taken)
	waiting := map[[2]int][]span{} // by family and view: what the moves that wait are about
	for _, m := range moves {
		d, about, room := p.drifts[m.family], rule{m.family, m.place}, rule{m.family, place{holder: m.holder}}
		sp, views := d.spanOf(m.item), d.start.views[m.holder]
		waits := func(v int) bool { return slices.ContainsFunc(waiting[[2]int{m.family, v}], sp.meets) }
		switch {
		case later[about]:
		case m.adds && !full[m.holder] && taken[room] < p.free[m.family][m.holder]:
			taken[room]++
			adds[m.holder] = append(adds[m.holder], m)
			continue
		case !m.adds && !slices.ContainsFunc(views, waits):
			removes[m.holder] = append(removes[m.holder], m)
			later[about] = true // what is added again is added in a later round
			continue
		}
		rest = append(rest, m)
		later[about], full[m.holder] = true, full[m.holder] || m.adds
		for _, v := range views {
			waiting[[2]int{m.family, v}] = append(waiting[[2]int{m.family, v}], sp)
		}
	}
	for _, all := range [][][]move{adds, removes} {
		for _, some := range all {
			for i, m := range some {
				p.make(m, i == 0)
			}
		}
	}
	return rest
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
		p.free[m.family][m.holder]--
		call.Add = append(call.Add, d.wanted(m.item))
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
}
