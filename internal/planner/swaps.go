package planner

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// MaxSwapped is the most rules that one call adds to a holder that swaps, and the most that it removes. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
const MaxSwapped = 100

// swaps reports whether every holder of the world swaps.
func (w *World) swaps() bool {
	return len(w.Holders) > 0 && !slices.ContainsFunc(w.Holders, func(h Holder) bool { return !h.Swaps })
}

// swaps returns the calls that lead from the start to what is settled, for holders that swap. Where the room is short,
// what is placed without a look at the way there may open a gap; then it is placed on the way, and in a small pool
// every way is tried.
func (p *problem) swaps(ctx context.Context) []Call {
	room, surplus := slices.Clone(p.free), slices.Clone(p.surplus)
	p.vacate()
	s := p.swap(p.order(ctx), room)
	best, lost := s.calls, s.lost
	if len(best) <= len(s.holders()) && lost == 0 {
		return best
	}
	for i := range p.surplus { // from here on what is there takes room
		p.surplus[i].weight = surplus[i].weight
	}
	copy(p.free, room)
	b := p.board()
	if ends, ok := b.swapAll(); ok && lost > 0 {
		calls := b.swapped(ends)
		if s := p.swap(b.moves, room); s.lost == 0 { // fewer calls, most often
			calls = s.calls
		}
		if !slices.ContainsFunc(calls, tooLong) {
			best, lost = calls, 0
		}
	}
	below := lost
	if below == 0 {
		below = math.SmallestNonzeroFloat64 // fewer calls will do
	}
	if found := p.search(ctx, below); found != nil {
		if calls := found.swapped(nil); lost > 0 || len(calls) < len(best) {
			return calls
		}
	}
	return best
}

// tooLong reports whether a call does more than one may.
func tooLong(c Call) bool { return len(c.Add) > MaxSwapped || len(c.Remove) > MaxSwapped }

// swapAll replaces all surplus without a gap, and reports whether that was possible. What can be replaced where it is
// goes first, and makes the room that the rest needs elsewhere. At the ends of moves that it returns, every holder has
// room for what it has.
func (b *board) swapAll() (ends map[int]bool, ok bool) {
	ends = map[int]bool{}
	each := func(f func()) { // of the moves that f makes
		first := len(b.moves)
		f()
		for i := range len(b.moves) - first + 1 {
			ends[first+i] = true
		}
	}
	for each(b.clear); b.left() > 0; each(b.clear) {
		if !b.swapOne() {
			return nil, false
		}
	}
	each(func() { b.fill(b.absent(), false) })
	return ends, b.complete()
}

// swapOne replaces the surplus rules of a holder that wait for the same: as far as there is room there once they are
// gone, and then elsewhere. It takes those that ask for the least room elsewhere, and make the most.
func (b *board) swapOne() bool {
	type swap struct {
		job
		holder, elsewhere, gain int
		goes                    []int
	}
	var swaps []swap
	for _, j := range b.jobs() {
		byHolder := map[int][]int{}
		for s := range b.surplus {
			if !b.goes(s) || b.surplus[s].opaque {
				continue
			}
			needs := b.needs(s)
			if !slices.ContainsFunc(needs, func(n need) bool {
				return !slices.ContainsFunc(j.needs, func(o need) bool { return o.wanted == n.wanted })
			}) {
				byHolder[b.surplus[s].holder] = append(byHolder[b.surplus[s].holder], s)
			}
		}
		for h := range b.world.Holders {
			if goes := byHolder[h]; len(goes) > 0 {
				swaps = append(swaps, swap{j, h, max(0, len(j.needs)-len(goes)-max(0, b.free[h])), len(goes) - len(j.needs), goes})
			}
		}
	}
	slices.SortStableFunc(swaps, func(x, y swap) int {
		return cmp.Or(cmp.Compare(x.elsewhere, y.elsewhere), cmp.Compare(y.gain, x.gain))
	})
	for _, s := range swaps {
		n := len(b.moves)
		if b.swapWith(s.holder, s.elsewhere, s.needs, s.goes) {
			return true
		}
		b.undo(n)
	}
	return false
}

// swapWith adds what surplus rules of a holder wait for, so many of it elsewhere, and removes them.
func (b *board) swapWith(h, elsewhere int, needs []need, goes []int) bool {
	var here []int
	for _, n := range needs {
		to := nowhere
		for o := range b.world.Holders {
			if o != h && b.canHold(o, n.wanted) && b.free[o] > 0 && b.seen(o, n.views) {
				to = o
			}
		}
		can := b.canHold(h, n.wanted) && b.seen(h, n.views)
		switch {
		case (elsewhere > 0 || !can) && to != nowhere:
			b.add(n.wanted, to)
			elsewhere--
		case can:
			here = append(here, n.wanted)
		default:
			return false
		}
	}
	if len(here) > max(0, b.free[h])+len(goes) {
		return false
	}
	for _, w := range here {
		b.add(w, h)
	}
	for _, s := range goes {
		if b.dispensable(s) {
			b.retire(s)
		}
	}
	return b.free[h] >= 0 && slices.ContainsFunc(goes, func(s int) bool { return b.gone[s] })
}

// vacate takes the surplus for gone as far as room is concerned: where a holder swaps, what replaces it needs no room
// beside it.
func (p *problem) vacate() {
	for i := range p.surplus {
		if s := &p.surplus[i]; !s.stays {
			p.free[s.holder] += s.weight
			s.weight = 0
		}
	}
}

// swapped returns the calls that moves are, those of one holder together as far as one call goes. It may end where the
// holder has room for what it has: at ends.
func (b *board) swapped(ends map[int]bool) []Call {
	var calls []Call
	for i, m := range b.moves {
		if i == 0 || m.holder != b.moves[i-1].holder || ends[i] && b.tooMany(&calls[len(calls)-1], i, ends) {
			calls = append(calls, Call{Holder: m.holder, Closes: m.gap && m.adds})
		}
		call := &calls[len(calls)-1]
		if m.adds {
			call.Add = append(call.Add, m.wanted)
		} else if n := slices.Index(call.Add, m.wanted); n >= 0 && m.item >= 0 {
			call.Add = slices.Delete(call.Add, n, n+1) // added in the same call
		} else {
			call.Remove = append(call.Remove, Item{Holder: m.holder, Rule: m.rule, Wanted: m.wanted})
		}
		if len(m.closed) > 0 {
			call.Gap = append(call.Gap, b.cover.ranges(m.closed)...)
		}
	}
	return calls
}

// tooMany reports whether a call cannot do as well what the moves from number i to the next end do.
func (b *board) tooMany(c *Call, i int, ends map[int]bool) bool {
	adds, removes := len(c.Add), len(c.Remove)
	for n, m := range b.moves[i:] {
		if n > 0 && ends[i+n] {
			break
		}
		if m.adds {
			adds++
		} else {
			removes++
		}
	}
	return adds > MaxSwapped || removes > MaxSwapped
}

// A swapping turns moves into calls about holders that swap, as few as it can. It takes of the moves only what they
// come to, and finds an order of its own: in each call the holder gets what fits and gives up what is open elsewhere
// then.
type swapping struct {
	now     *cover // of the rules there are
	free    []int
	adds    [][]move // by holder: what is to do, by address
	removes [][]move
	calls   []Call
	closed  map[int]bool // the pieces of a gap that is not closed yet
	lost    float64      // addresses that the gaps close, for each call that they last
}

// swap returns the calls that moves come to, for holders with some room.
func (p *problem) swap(moves []move, free []int) *swapping {
	n := len(p.world.Holders)
	s := &swapping{now: p.start.clone(), free: slices.Clone(free), adds: make([][]move, n), removes: make([][]move, n)}
	balance := map[rule]int{}
	for _, m := range moves {
		if m.adds {
			balance[m.about()]++
		} else {
			balance[m.about()]--
		}
	}
	for _, m := range moves {
		switch left := balance[m.about()]; {
		case left > 0:
			s.adds[m.holder] = append(s.adds[m.holder], m)
		case left < 0:
			s.removes[m.holder] = append(s.removes[m.holder], m)
		}
		balance[m.about()] = 0 // each once
	}
	// What replaces one another is taken together.
	byAddress := func(a, b move) int {
		return cmp.Or(cmp.Compare(a.span.firstPiece, b.span.firstPiece), cmp.Compare(b.span.endPiece, a.span.endPiece))
	}
	for h := range n {
		slices.SortStableFunc(s.adds[h], byAddress)
		slices.SortStableFunc(s.removes[h], byAddress)
	}
	for s.step() {
	}
	return s
}

// holders returns those that the calls are about.
func (s *swapping) holders() map[int]bool {
	holders := map[int]bool{}
	for _, c := range s.calls {
		holders[c.Holder] = true
	}
	return holders
}

// step makes one call: about a holder of which nothing is left to do then, if there is any, or as little as can be.
func (s *swapping) step() bool {
	best, least := nowhere, 0
	var adds, removes []int
	busy := nowhere
	for h := range s.adds {
		todo := len(s.adds[h]) + len(s.removes[h])
		if todo == 0 {
			continue
		}
		busy = h
		add, remove := s.next(h)
		left := todo - len(add) - len(remove)
		if left < todo && (best == nowhere || left < least) {
			best, least, adds, removes = h, left, add, remove
		}
	}
	switch {
	case best != nowhere:
		s.make(best, adds, removes)
	case busy != nowhere:
		s.force(busy)
	}
	return busy != nowhere
}

// next returns which additions to a holder and which removals go into a call now, by their indexes: nothing wanted is
// closed by it, and what is there then fits.
func (s *swapping) next(h int) (adds, removes []int) {
	for n := min(len(s.adds[h]), MaxSwapped); ; {
		s.count(s.adds[h][:n], 1)
		removes = s.dispensable(h)
		s.count(s.adds[h][:n], -1)
		over := n - len(removes) - s.free[h]
		if over <= 0 || n == 0 {
			return indexes(n), removes
		}
		n = max(0, n-over)
	}
}

// dispensable returns which removals from a holder close nothing wanted, taken together.
func (s *swapping) dispensable(h int) (removes []int) {
	for i, m := range s.removes[h] {
		if len(removes) < MaxSwapped && s.now.dispensable(m.span, h) {
			s.now.add(m.span, h, -1)
			removes = append(removes, i)
		}
	}
	for _, i := range removes {
		s.now.add(s.removes[h][i].span, h, 1)
	}
	return removes
}

// force makes a call although it closes something, as nothing else is left: it removes one rule, and adds what fits
// then.
func (s *swapping) force(h int) {
	for o := range s.removes { // a holder that has something to give up
		if len(s.removes[o]) > 0 {
			h = o
		}
	}
	if len(s.removes[h]) == 0 {
		panic("planner: a holder was given more than it has room for")
	}
	s.make(h, indexes(min(len(s.adds[h]), MaxSwapped, max(s.free[h]+1, 0))), []int{0})
}

// make makes a call.
func (s *swapping) make(h int, adds, removes []int) {
	call := Call{Holder: h, Closes: len(s.closed) > 0}
	before := s.now.clone()
	var closed []span
	for _, i := range adds {
		m := s.adds[h][i]
		s.now.add(m.span, h, 1)
		call.Add = append(call.Add, m.wanted)
	}
	for _, i := range removes {
		m := s.removes[h][i]
		s.now.add(m.span, h, -1)
		call.Remove = append(call.Remove, Item{Holder: h, Rule: m.rule, Wanted: m.wanted})
		closed = append(closed, m.span)
	}
	s.free[h] += len(removes) - len(adds)
	s.adds[h] = without(s.adds[h], adds)
	s.removes[h] = without(s.removes[h], removes)
	gap := map[int]bool{}
	for _, sp := range closed {
		s.now.each(sp, h, 0, func(v, k, i int) bool {
			if before.count[v][k*len(s.now.prefixes)+i] > 0 {
				gap[i] = true
			}
			return true
		})
	}
	if len(gap) > 0 {
		call.Gap = s.now.ranges(gap)
	}
	s.reopen(gap)
	s.calls = append(s.calls, call)
}

// reopen notes what is closed still, of what was and what a call has closed.
func (s *swapping) reopen(gap map[int]bool) {
	still := gap
	for i := range s.closed {
		if s.now.count[0][i] == 0 {
			still[i] = true
		}
	}
	for i := range still {
		s.lost += s.now.size[i]
	}
	s.closed = still
}

// count counts rules that moves add.
func (s *swapping) count(moves []move, n int32) {
	for _, m := range moves {
		s.now.add(m.span, m.holder, n)
	}
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// without returns the moves that are not among those with the indexes, which are in order.
func without(moves []move, indexes []int) []move {
	var rest []move
	for i, m := range moves {
		if _, found := slices.BinarySearch(indexes, i); !found {
			rest = append(rest, m)
		}
	}
	return rest
}
