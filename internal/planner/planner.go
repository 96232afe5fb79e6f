// Package planner decides in which order rules are added to the holders of a pool and removed from them, so that
// nothing is closed on the way that was open and is still wanted.
//
// It knows holders (a security group, with a quota and the ports it lists), rules (ports open to a prefix) and views (a
// network interface, seen as the holders attached to it). It knows nothing of EC2 or of tags: package secgroup
// translates.
//
// [Make] is a pure function. It goes through a pool in four stages, each in a file of its own, for IPv4 and IPv6 apart,
// as neither takes room from the other:
//
//	survey.go  which rules are wanted, missing or surplus, who holds what
//	place.go   what finds room in the end, and by which moves it gets there
//	order.go   an order without a gap: the quick one for the many, a careful
//	           one where room is short; search.go tries everything for the few
//	calls.go   the fewest calls that keep that order; swaps.go those for holders
//	           that add and remove at once, and so need no room beside
package planner

import (
	"context"
	"net/netip"
	"slices"
)

// A World is what there is, and what is wanted of it: a pool, or several that share network interfaces.
type World struct {
	// Ports and Ranges are what is wanted: each range on each port, in one holder that lists the port. The index of a
	// port is a class: a port of one pool. Pools that list the same port have a class each, with equal Ports. Ranges
	// are sorted, and none lies in another.
	Ports   []Ports
	Ranges  []netip.Prefix
	Holders []Holder
	// Views are the network interfaces that have different holders. Without any view, one has all holders and wants
	// all classes.
	Views []View
}

// A View is a network interface, seen as the holders attached to it. A rule is open there if one of them has it.
type View struct {
	Holders []int // by index
	// Wants tells by class whether the interface wants its port: its cells are the ports it wants on all ranges.
	Wants []bool
}

// A Holder holds rules.
type Holder struct {
	// Lists tells by class which rules the holder may be given: those of one pool.
	Lists []bool
	Rules []Rule
	// Room is how many more rules the holder takes, for each family. It is negative where a quota was lowered.
	Room [2]int
	// Frozen holders are left as they are.
	Frozen bool
	// Swaps is true if a call adds and removes rules at once, as for a prefix list; otherwise a call does one of the
	// two. All holders of a world are of one kind; a world of those that swap has one port, and rules weigh one.
	Swaps bool
}

// A Rule is one that is there.
type Rule struct {
	Ports
	// Prefix is what the rule lets in, or the zero value if that is not a range.
	Prefix netip.Prefix
	// Weight is what the rule takes of its holder's room, for each family.
	Weight [2]int
	// Owned rules may be removed.
	Owned bool
	// Held keeps an owned rule where it is, whether it is wanted or not.
	Held bool
}

// Ports are an inclusive range of TCP ports. A rule for all protocols has ports from 0 to 65535. A rule that opens no
// TCP port has a Last before its First.
type Ports struct{ First, Last int }

func (p Ports) contain(o Ports) bool { return p.First <= o.First && o.Last <= p.Last }

// A Plan is what makes a world as it is wanted.
type Plan struct {
	// Calls are to be made in this order.
	Calls []Call
	// Unplaced are the wanted rules that no holder has room for.
	Unplaced []Wanted
	// Stays are the owned rules that are not wanted, or not there, but without which something wanted would be closed
	// at a view for good.
	Stays []Item
}

// Gaps counts the calls that close something for the time being.
func (p *Plan) Gaps() int {
	n := 0
	for _, c := range p.Calls {
		if len(c.Gap) > 0 {
			n++
		}
	}
	return n
}

// Wanted names a wanted rule by the indexes of its port and its range.
type Wanted struct{ Port, Range int }

// An Item is a rule of a holder: the one there is with this index or, if that is negative, a wanted rule that the plan
// has added.
type Item struct {
	Holder, Rule int
	Wanted       Wanted
}

// A Call is one call about one holder. It adds rules or removes some; if the holder swaps, it may do both at once.
type Call struct {
	Holder int
	Add    []Wanted
	Remove []Item
	// Gap lists wanted ranges that this call closes until the next calls open them again. It is empty wherever the
	// planner found an order without.
	Gap []netip.Prefix
	// Closes is true for a call that ends a gap: it belongs right behind the call before it.
	Closes bool
}

// Make plans a world. Planning ends early where the context does; what it has found by then is a plan all the same, if
// perhaps with a gap more.
func Make(ctx context.Context, w World) *Plan {
	plan := &Plan{}
	var problems [2]*problem
	var moves []move
	for f := range problems {
		world := w
		p := survey(&world, f)
		p.settle()
		if w.swaps() {
			plan.Calls = append(plan.Calls, p.swaps(ctx)...)
		} else {
			moves = append(moves, p.order(ctx)...)
		}
		for _, u := range p.unplaced {
			plan.Unplaced = append(plan.Unplaced, p.wanted(u))
		}
		for _, s := range p.surplus {
			if s.stays {
				plan.Stays = append(plan.Stays, Item{Holder: s.holder, Rule: s.rule})
			}
		}
		problems[f] = p
		w = roomier(w, moves)
	}
	plan.Calls = append(plan.Calls, calls(problems, moves)...)
	return plan
}

// roomier returns a world with the room that the first family's moves make for the second.
func roomier(w World, moves []move) World {
	w.Holders = slices.Clone(w.Holders)
	for _, m := range moves {
		w.Holders[m.holder].Room[1-m.family] += m.spare
	}
	return w
}

// Unplaced counts the wanted rules that no holder of the world will have room for in the end.
func Unplaced(w World) int {
	n := 0
	for f := range 2 {
		world := w
		p := survey(&world, f)
		p.settle()
		n += len(p.unplaced)
		w.Holders = slices.Clone(w.Holders)
		for _, s := range p.surplus {
			w.Holders[s.holder].Room[1-f] += s.spare
		}
	}
	return n
}
