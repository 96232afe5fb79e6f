package planner

import (
	"context"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
	"slices"
)

// The oracle knows tiny worlds of four addresses and two ports. It is written from the words of the promises and shares
// no code with the planner: a state is the set of rules that the holders have, a call adds a rule or removes one (or,
// of a prefix list, adds and removes at once), and what is open is asked of every address on every port at every view.

var tinyAddrs = []netip.Addr{
	netip.AddrFrom4([4]byte{18, 64, 0, 0}), netip.AddrFrom4([4]byte{18, 64, 0, 1}),
	netip.AddrFrom4([4]byte{18, 64, 0, 2}), netip.AddrFrom4([4]byte{18, 64, 0, 3}),
}

var tinyPorts = []Ports{{80, 80}, {443, 443}}

// tinyRule is a rule of a tiny world: a mask of addresses on a mask of ports.
type tinyRule struct {
	prefix netip.Prefix
	ports  Ports
}

func (r tinyRule) opens() (cells uint8) {
	for k, p := range tinyPorts {
		if p.First < r.ports.First || r.ports.Last < p.Last {
			continue
		}
		for i, a := range tinyAddrs {
			if r.prefix.Contains(a) {
				cells |= 1 << (4*k + i)
			}
		}
	}
	return cells
}

// tinyPrefix returns a prefix of the tiny world by its first address and its number of addresses.
func tinyPrefix(first, n int) netip.Prefix {
	return netip.PrefixFrom(tinyAddrs[first], 32-bits.TrailingZeros(uint(n)))
}

// tinySlot is one rule in one holder: something that can be there or not.
type tinySlot struct {
	holder int
	rule   tinyRule
	wanted bool // may be added
	owned  bool // may be removed
	weight int
}

// oracle is a world as the oracle sees it.
type oracle struct {
	world World
	slots []tinySlot
	room  []int // of each holder, without any slot taken
	views []View
	start uint32
	want  []uint8 // cells by view
	fixed []uint8
	// needs are the wanted rules, each as the slots that could hold it; one that a rule of somebody else's satisfies at
	// every view is none.
	needs []uint32
}

// viewsOf returns the views of a world, or the one that has all.
func viewsOf(w World) []View {
	if len(w.Views) > 0 {
		return w.Views
	}
	all := View{Wants: slices.Repeat([]bool{true}, len(w.Ports))}
	for h := range w.Holders {
		all.Holders = append(all.Holders, h)
	}
	return []View{all}
}

// makePlan plans a world. One without views has all holders at one interface.
func makePlan(ctx context.Context, w World) *Plan {
	w.Views = viewsOf(w)
	return Make(ctx, w)
}

func newOracle(w World) *oracle {
	o := &oracle{world: w, views: viewsOf(w)}
	o.want = make([]uint8, len(o.views))
	for v, view := range o.views {
		for k, p := range w.Ports {
			for _, rng := range w.Ranges {
				if view.Wants[k] {
					o.want[v] |= tinyRule{rng, p}.opens()
				}
			}
		}
	}
	o.room = make([]int, len(w.Holders))
	o.fixed = make([]uint8, len(w.Holders))
	satisfied := map[Wanted]bool{}
	index := map[string]int{}
	for h, holder := range w.Holders {
		o.room[h] = holder.Room[0]
		for _, r := range holder.Rules {
			rule := tinyRule{r.Prefix, r.Ports}
			if !r.Owned || r.Held || holder.Frozen {
				o.fixed[h] |= rule.opens()
				for k, p := range w.Ports {
					for i, rng := range w.Ranges {
						if p == r.Ports && rng == r.Prefix && holder.Lists[k] && (r.Owned || o.everywhere(h, k)) {
							satisfied[Wanted{k, i}] = true
						}
					}
				}
				continue
			}
			o.room[h] += r.Weight[0]
			index[fmt.Sprint(h, rule)] = len(o.slots)
			o.start |= 1 << len(o.slots)
			o.slots = append(o.slots, tinySlot{holder: h, rule: rule, owned: true, weight: r.Weight[0]})
		}
	}
	for k, p := range w.Ports {
		for i, rng := range w.Ranges {
			rule := tinyRule{rng, p}
			var could uint32
			for h, holder := range w.Holders {
				if holder.Frozen || !holder.Lists[k] {
					continue
				}
				there := func(r Rule) bool { return (!r.Owned || r.Held) && r.Ports == p && r.Prefix == rng }
				if slices.ContainsFunc(holder.Rules, there) {
					continue // EC2 would not add what is there
				}
				n, ok := index[fmt.Sprint(h, rule)]
				if !ok {
					n = len(o.slots)
					o.slots = append(o.slots, tinySlot{holder: h, rule: rule, owned: true, weight: 1})
				}
				o.slots[n].wanted = true
				could |= 1 << n
			}
			if could != 0 && !satisfied[Wanted{k, i}] {
				o.needs = append(o.needs, could)
			}
		}
	}
	return o
}

func (o *oracle) everywhere(h, class int) bool {
	for _, v := range o.views {
		if v.Wants[class] && !slices.Contains(v.Holders, h) {
			return false
		}
	}
	return true
}

// open returns the wanted cells that are open in a state, by view.
func (o *oracle) open(state uint32) (open [4]uint8) {
	for v, view := range o.views {
		for _, h := range view.Holders {
			open[v] |= o.fixed[h]
		}
		for n, s := range o.slots {
			if state>>n&1 == 1 && slices.Contains(view.Holders, s.holder) {
				open[v] |= s.rule.opens()
			}
		}
		open[v] &= o.want[v]
	}
	return open
}

func (o *oracle) used(state uint32, h int) int {
	n := 0
	for i, s := range o.slots {
		if state>>i&1 == 1 && s.holder == h {
			n += s.weight
		}
	}
	return n
}

// state returns the current state.
func (o *oracle) state(there map[standing]bool) (state uint32) {
	for n, s := range o.slots {
		if there[standing{s.holder, s.rule.ports, s.rule.prefix, true}] {
			state |= 1 << n
		}
	}
	return state
}

// exact reports whether each wanted rule is there once and no other owned rule.
func (o *oracle) exact(state uint32) bool {
	left := state
	for _, could := range o.needs {
		if bits.OnesCount32(state&could) != 1 {
			return false
		}
		left &^= could
	}
	return left == 0
}

// fits reports whether there is room for every wanted rule that is nowhere beside all rules that are there, and for all
// that the interfaces need in place of those that are to go.
func (o *oracle) fits() bool {
	var wanted uint32
	for n, s := range o.slots {
		if s.wanted {
			wanted |= 1 << n
		}
	}
	before := o.open(o.start)
	var place func(n int, state uint32) bool
	place = func(n int, state uint32) bool {
		if n == len(o.slots) {
			return closed(before, o.open(state&wanted)) == 0 &&
				!slices.ContainsFunc(o.needs, func(could uint32) bool { return could&state == 0 })
		}
		s := o.slots[n]
		adds := s.wanted && state>>n&1 == 0 && o.used(state, s.holder) < o.room[s.holder]
		return adds && place(n+1, state|1<<n) || place(n+1, state)
	}
	return place(0, o.start)
}

// uniform reports whether every interface has all groups of a pool or none of them.
func (o *oracle) uniform() bool {
	for k := range o.world.Ports {
		var pool []int
		for h, holder := range o.world.Holders {
			if holder.Lists[k] {
				pool = append(pool, h)
			}
		}
		for _, v := range o.views {
			n := 0
			for _, h := range pool {
				if slices.Contains(v.Holders, h) {
					n++
				}
			}
			if n > 0 && n < len(pool) {
				return false
			}
		}
	}
	return true
}

// settled reports whether each wanted rule is there and every other owned rule, or second copy, is one without which a
// view would lack something. Without views that is exact.
func (o *oracle) settled(state uint32) bool {
	if len(o.world.Views) == 0 {
		return o.exact(state)
	}
	needed := func(n int) bool { return closed(o.open(state), o.open(state&^(1<<n))) > 0 }
	single := uint32(0)
	for _, could := range o.needs {
		switch bits.OnesCount32(state & could) {
		case 0:
			return false
		case 1:
			single |= state & could
		}
	}
	for n := range o.slots {
		if state>>n&1 == 1 && single>>n&1 == 0 && !needed(n) {
			return false
		}
	}
	return true
}

// closed returns how many cells are open before and not after, at any view.
func closed(before, after [4]uint8) int {
	var cells uint8
	for v := range before {
		cells |= before[v] &^ after[v]
	}
	return bits.OnesCount8(cells)
}

// least returns the least number of cells that have to be closed for one call on the way to a state for which goal
// holds, or -1 if there is no way. A gap is a removal that the very next call makes good.
func (o *oracle) least(goal func(uint32) bool) int {
	best := map[uint32]int{o.start: 0}
	reached := [][]uint32{{o.start}} // states by the cells closed on the way
	push := func(state uint32, gap int) {
		if known, ok := best[state]; !ok || gap < known {
			best[state] = gap
			for len(reached) <= gap {
				reached = append(reached, nil)
			}
			reached[gap] = append(reached[gap], state)
		}
	}
	for gap := 0; gap < len(reached); gap++ {
		for n := 0; n < len(reached[gap]); n++ {
			state := reached[gap][n]
			if gap > best[state] {
				continue
			}
			if goal(state) {
				return gap
			}
			here := o.open(state)
			for there := range o.calls(state) {
				closes := closed(here, o.open(there))
				if closes == 0 {
					push(there, gap)
					continue
				}
				for with := range o.calls(there) { // the next call opens it again
					if closed(here, o.open(with)) == 0 {
						push(with, gap+closes)
					}
				}
			}
		}
	}
	return -1
}

// calls yields the states that one call leads to. A call adds a rule or removes one; to a holder that swaps, it does
// any of both at once, and what is there then has to fit.
func (o *oracle) calls(state uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for h, holder := range o.world.Holders {
			for there := range o.changes(state, h) {
				adds := there&^state != 0
				if !holder.Swaps && bits.OnesCount32(there^state) > 1 || there == state || adds && o.used(there, h) > o.room[h] {
					continue
				}
				if !yield(there) {
					return
				}
			}
		}
	}
}

// changes yields the states that differ in nothing but what a holder has: it may get what is wanted and lose what is
// there.
func (o *oracle) changes(state uint32, h int) iter.Seq[uint32] {
	var free uint32
	for n, s := range o.slots {
		if s.holder == h && (s.wanted || state>>n&1 == 1) {
			free |= 1 << n
		}
	}
	return func(yield func(uint32) bool) {
		for set := free; ; set = (set - 1) & free { // each part of free
			if !yield(state&^free|set) || set == 0 {
				return
			}
		}
	}
}

// A standing is a rule that a holder has.
type standing struct {
	holder int
	Ports
	netip.Prefix
	removable bool
}

// replay makes the calls of a plan in a world of any size whose ports are single ones. It returns the final rules and
// how many wanted cells, of some addresses on each port, were closed on the way, each for every call that it lasted. It
// fails where a call cannot be made, closes what it does not tell, or leaves closed what was open.
func replay(w World, plan *Plan, addrs []netip.Addr) (there map[standing]bool, lost int, err error) {
	type cell struct {
		port int
		netip.Addr
	}
	type seen struct {
		view int
		cell
	}
	views := viewsOf(w)
	there = map[standing]bool{}
	open, was := map[seen]int{}, map[seen]bool{} // the rules that open it; whether it was ever open
	for v, view := range views {
		for k, port := range w.Ports {
			for _, a := range addrs {
				if view.Wants[k] && slices.ContainsFunc(w.Ranges, func(r netip.Prefix) bool { return r.Contains(a) }) {
					open[seen{v, cell{port.First, a}}] = 0
				}
			}
		}
	}
	room := make([][2]int, len(w.Holders))
	turn := func(r standing, n int) {
		there[r] = n > 0
		room[r.holder][familyOf(r.Prefix)] -= n
		for c := range open {
			if r.First <= c.port && c.port <= r.Last && r.Contains(c.Addr) && slices.Contains(views[c.view].Holders, r.holder) {
				open[c] += n
			}
		}
	}
	has := func(h int, r Rule) standing {
		return standing{h, r.Ports, r.Prefix, r.Owned && !r.Held && !w.Holders[h].Frozen}
	}
	for h, holder := range w.Holders {
		for _, r := range holder.Rules {
			turn(has(h, r), 1)
		}
		room[h] = holder.Room
	}
	told := false
	for i := -1; i < len(plan.Calls); i++ {
		if i >= 0 {
			c := plan.Calls[i]
			told = len(c.Gap) > 0
			for _, a := range c.Add {
				r := standing{c.Holder, w.Ports[a.Port], w.Ranges[a.Range], true}
				duplicate := there[r] || there[standing{r.holder, r.Ports, r.Prefix, false}]
				if h := w.Holders[c.Holder]; duplicate || !h.Lists[a.Port] || h.Frozen {
					return there, lost, fmt.Errorf("call %d cannot add %v", i, r)
				}
				turn(r, 1)
			}
			for _, item := range c.Remove {
				r := standing{c.Holder, Ports{}, netip.Prefix{}, true}
				if item.Rule >= 0 {
					r = has(c.Holder, w.Holders[c.Holder].Rules[item.Rule])
				} else {
					r.Ports, r.Prefix = w.Ports[item.Wanted.Port], w.Ranges[item.Wanted.Range]
				}
				if !there[r] || !r.removable {
					return there, lost, fmt.Errorf("call %d cannot remove %v", i, r)
				}
				turn(r, -1)
			}
			left, mixed := min(room[c.Holder][0], room[c.Holder][1]), len(c.Remove) > 0 && !w.Holders[c.Holder].Swaps
			if len(c.Add) > 0 && (left < 0 || mixed) {
				return there, lost, fmt.Errorf("call %d does too much", i)
			}
		}
		closed := map[cell]bool{}
		for c, n := range open {
			if n == 0 && was[c] {
				closed[c.cell] = true
			}
			was[c] = was[c] || n > 0
		}
		closes := len(closed) > 0
		if lost += len(closed); closes != told || closes && i == len(plan.Calls)-1 {
			return there, lost, fmt.Errorf("call %d leaves %v closed, and tells of it: %t", i, closed, told)
		}
	}
	return there, lost, nil
}
