package planner

import (
	"container/heap"
	"context"
	"math/bits"
	"slices"
)

const (
	// maxSlots and maxCells are how large a problem may be that is searched.
	maxSlots = 64
	maxCells = 256
	// maxStates is after how many states a search gives up.
	maxStates = 20000
)

// A finder looks for the order of moves with the smallest gap by going through all states that there are. That is for
// pools of a few rules, in which every slot counts and a rule of somebody else's may have to serve in between; in
// larger ones there is always some other rule to move.
type finder struct {
	*problem
	slots  []slot
	free   []int // of each holder, without any slot taken
	sizes  []float64
	region []int // by cell: its interval and piece, whatever the view
	fixed  cells // what is open whatever the state
	copies []uint64
	queue  trails
	best   map[place]*trail
}

// A place is where a search has come to: a state and, where holders swap, the one that the last call is about. That one
// may have more than it has room for, as long as the call goes on.
type place struct {
	state  uint64
	holder int
}

// A slot is a rule in a holder, which a state has or has not: a wanted rule, or surplus s as ^s.
type slot struct {
	holder int
	item   int
	weight int
	opens  cells
}

// cells are a set of wanted cells in views.
type cells [maxCells / 64]uint64

func (c *cells) add(o *cells) {
	for i := range c {
		c[i] |= o[i]
	}
}

// A trail is a way to a place.
type trail struct {
	place
	gap   float64
	steps int // moves or, where holders swap, calls
	last  *trail
	// slots are those that the last step changes: one or, where the first opens a gap that the second closes, two.
	slots [2]int
}

type trails []*trail

func (q trails) Len() int { return len(q) }
func (q trails) Less(i, j int) bool {
	if q[i].gap != q[j].gap {
		return q[i].gap < q[j].gap
	}
	return q[i].steps < q[j].steps
}
func (q trails) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *trails) Push(x any)   { *q = append(*q, x.(*trail)) }
func (q *trails) Pop() any {
	old := *q
	t := old[len(old)-1]
	*q = old[:len(old)-1]
	return t
}

// search returns a board after moves with a gap below the given one, or nil if there are none, or it is too much to
// look for them.
func (p *problem) search(ctx context.Context, below float64) *board {
	f := &finder{problem: p, best: map[place]*trail{}}
	if !f.lay() {
		return nil
	}
	var start uint64
	for n, s := range f.slots {
		if s.item < 0 || slices.Contains(p.copies[s.item], s.holder) {
			start |= 1 << n
		}
	}
	f.push(&trail{place: place{start, nowhere}})
	for n := 0; f.queue.Len() > 0 && n < maxStates && ctx.Err() == nil; n++ {
		t := heap.Pop(&f.queue).(*trail)
		if t.gap >= below {
			break
		}
		if f.best[t.place] != t {
			continue
		}
		room := f.rooms(t.state)
		whole := t.holder == nowhere || room[t.holder] >= 0
		if whole && f.done(t.state) {
			return f.replay(t)
		}
		f.expand(t, room, whole)
	}
	return nil
}

// lay lays out the slots and the cells; it fails where there are too many.
func (f *finder) lay() bool {
	for w := range f.problem.copies {
		var could uint64
		for h := range f.world.Holders {
			if !f.canHold(h, w) || !f.hasPlace[w] && !slices.Contains(f.problem.copies[w], h) {
				continue
			}
			if len(f.slots) == maxSlots {
				return false
			}
			could |= 1 << len(f.slots)
			f.slots = append(f.slots, slot{holder: h, item: w, weight: 1})
		}
		f.copies = append(f.copies, could)
	}
	for s, sur := range f.surplus {
		if sur.stays {
			continue
		}
		if len(f.slots) == maxSlots || sur.opaque {
			return false
		}
		f.slots = append(f.slots, slot{holder: sur.holder, item: ^s, weight: sur.weight})
	}
	return f.layCells()
}

func (f *finder) layCells() bool {
	c := f.start
	type cell struct{ view, interval, piece int }
	index := map[cell]int{}
	regions := map[[2]int]int{}
	fits := true
	number := func(v, k, i int) int {
		n, ok := index[cell{v, k, i}]
		if !ok {
			if n = len(index); n == maxCells {
				fits = false
				return 0
			}
			index[cell{v, k, i}] = n
			r, ok := regions[[2]int{k, i}]
			if !ok {
				r = len(regions)
				regions[[2]int{k, i}] = r
				f.sizes = append(f.sizes, c.size[i])
			}
			f.region = append(f.region, r)
		}
		return n
	}
	f.free = slices.Clone(f.problem.free)
	owned := f.start.clone()
	for n := range f.slots {
		s := &f.slots[n]
		sp := f.spanOf(s.item)
		for _, v := range c.views[s.holder] {
			for k := sp.firstInterval; k < sp.endInterval; k++ {
				for i := sp.firstPiece; i < sp.endPiece; i++ {
					if c.wants[v][k] && c.rangeOf[i] >= 0 && c.size[i] > 0 {
						m := number(v, k, i)
						s.opens[m/64] |= 1 << (m % 64)
					}
				}
			}
		}
		if s.item < 0 || slices.Contains(f.problem.copies[s.item], s.holder) {
			f.free[s.holder] += s.weight
			owned.add(sp, s.holder, -1)
		}
	}
	for at, m := range index {
		if owned.count[at.view][at.interval*len(c.prefixes)+at.piece] > 0 {
			f.fixed[m/64] |= 1 << (m % 64)
		}
	}
	return fits
}

func (f *finder) push(t *trail) {
	if known := f.best[t.place]; known == nil || t.gap < known.gap || t.gap == known.gap && t.steps < known.steps {
		f.best[t.place] = t
		heap.Push(&f.queue, t)
	}
}

// rooms returns what room the holders have in a state.
func (f *finder) rooms(state uint64) []int {
	room := slices.Clone(f.free)
	for n, s := range f.slots {
		if state>>n&1 == 1 {
			room[s.holder] -= s.weight
		}
	}
	return room
}

// expand goes to all states that one move leads to, and to those that a removal with a gap and the addition that closes
// it lead to. Where holders swap, moves of one holder are one call, which adds before it removes; the call about the
// last holder is whole if that has room for what it has.
func (f *finder) expand(t *trail, room []int, whole bool) {
	swaps := f.world.swaps()
	open, without := f.open(t.state)
	step := func(from *trail, state uint64, holder int, gap float64, slots [2]int) {
		next := &trail{place{state, nowhere}, gap, from.steps + 1, t, slots}
		if slots[1] != nowhere {
			next.steps++
		}
		if swaps {
			next.holder = holder
			if holder == from.holder {
				next.steps--
			}
		}
		f.push(next)
	}
	for n, s := range f.slots {
		if !whole && s.holder != t.holder {
			continue
		}
		bit := uint64(1) << n
		if t.state&bit == 0 {
			if s.item >= 0 && (room[s.holder] > 0 || swaps) {
				step(t, t.state|bit, s.holder, t.gap, [2]int{n, nowhere})
			}
			continue
		}
		gap := f.closed(open, without[n])
		if gap == 0 {
			step(t, t.state&^bit, s.holder, t.gap, [2]int{n, nowhere})
			continue
		}
		room[s.holder] += s.weight
		for m, add := range f.slots {
			if add.item < 0 || m == n || t.state>>m&1 == 1 || room[add.holder] <= 0 && !swaps {
				continue
			}
			if swaps && (add.holder == s.holder || room[s.holder] < 0) {
				continue // one call would do both, or is not whole
			}
			with := without[n]
			with.add(&add.opens)
			if f.closed(open, with) == 0 {
				step(t, t.state&^bit|1<<m, add.holder, t.gap+gap, [2]int{n, m})
			}
		}
		room[s.holder] -= s.weight
	}
}

// open returns what is open in a state, and for each slot that it has what is open without that.
func (f *finder) open(state uint64) (open cells, without []cells) {
	without = make([]cells, len(f.slots))
	open = f.fixed
	for n, s := range f.slots {
		without[n] = open
		if state>>n&1 == 1 {
			open.add(&s.opens)
		}
	}
	var after cells
	for n := len(f.slots) - 1; n >= 0; n-- {
		without[n].add(&after)
		if state>>n&1 == 1 {
			after.add(&f.slots[n].opens)
		}
	}
	return open, without
}

// closed returns how many addresses are open in the first set and not in the second, at any view.
func (f *finder) closed(before, after cells) float64 {
	var sum float64
	var seen []int
	for i := range before {
		for left := before[i] &^ after[i]; left != 0; left &= left - 1 {
			r := f.region[64*i+bits.TrailingZeros64(left)]
			if !slices.Contains(seen, r) {
				seen = append(seen, r)
				sum += f.sizes[r]
			}
		}
	}
	return sum
}

// done reports whether a state is one where the moves may end: each wanted rule is there once, and more than once only
// where a view would lack it else; no surplus is left.
func (f *finder) done(state uint64) bool {
	for n, s := range f.slots {
		if s.item < 0 && state>>n&1 == 1 {
			return false
		}
	}
	var open cells
	var without []cells
	for w, could := range f.copies {
		n := bits.OnesCount64(state & could)
		if n == 0 && f.hasPlace[w] && !f.satisfied[w] {
			return false
		}
		if n == 0 || n == 1 && !f.satisfied[w] {
			continue
		}
		if without == nil {
			open, without = f.open(state)
		}
		for s := range f.slots {
			if could>>s&1 == 1 && state>>s&1 == 1 && f.closed(open, without[s]) == 0 {
				return false
			}
		}
	}
	return true
}

// replay makes the moves of a trail on a board.
func (f *finder) replay(end *trail) *board {
	var way []*trail
	for t := end; t.last != nil; t = t.last {
		way = append(way, t)
	}
	slices.Reverse(way)
	b := f.problem.board()
	for _, t := range way {
		gap := t.slots[1] != nowhere
		for i, n := range t.slots {
			if n == nowhere {
				continue
			}
			b.turn(f.slots[n], gap && i == 0)
			if gap {
				m := &b.moves[len(b.moves)-1]
				m.gap = true
				if i == 0 {
					m.size = t.gap - t.last.gap
				}
			}
		}
	}
	return b
}

// turn adds the rule of a slot, or removes it if it is there. If that opens a gap, it notes which pieces are closed.
func (b *board) turn(s slot, gap bool) {
	var closed map[int]bool
	if gap {
		sp := b.spanOf(s.item)
		closed = b.closes(sp, s.holder)
	}
	switch {
	case s.item < 0:
		b.retire(^s.item)
	case slices.Contains(b.copies[s.item], s.holder):
		b.remove(s.item, s.holder)
	default:
		b.add(s.item, s.holder)
	}
	b.moves[len(b.moves)-1].closed = closed
}
