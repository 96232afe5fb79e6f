// Package planner decides in which order rules are added to holders and removed from them, so that nothing is closed on
// the way that was open and is still wanted.
//
// It knows holders (a security group, with a quota and the ports it lists), rules (ports open to a prefix) and views (a
// network interface, seen as the holders attached to it). It knows nothing of EC2 or of tags: package secgroup
// translates.
//
// [Make] is a pure function. It plans IPv4 and IPv6 apart, as neither takes room from the other, in these steps, each
// in a file of its own:
//
//	drift.go  compares current with desired rules: which are missing, which are stale
//	order.go  one loop: fill what fits, revoke what nothing needs, replace what can be replaced, open the smallest gap
//	place.go  finds a place for a rule, moving others out of the way where need be
//	calls.go  packs the moves into the fewest calls that keep their order
package planner

import (
	"context"
	"net/netip"
)

// A World is a pool, or several that share network interfaces: the rules they have, and those they should have.
type World struct {
	// Ports and Ranges are what is wanted: each range on each port, in one holder that lists the port. The index of a
	// port is a class: a port of one pool. Pools that list the same port have a class each, with equal Ports. Ranges
	// are sorted, and none lies in another.
	Ports   []Ports
	Ranges  []netip.Prefix
	Holders []Holder
	Views   []View // the network interfaces that have different holders
}

// A View is a network interface, seen as the holders attached to it. A rule is open there if one of them has it.
type View struct {
	Holders []int // by index
	// Wants tells by class whether the interface wants its port: its cells are the ports it wants on all ranges.
	Wants []bool
}

// A Holder holds rules.
type Holder struct {
	Lists  []bool // by class: which rules the holder may be given, those of one pool
	Rules  []Rule
	Room   [2]int // for more rules of each family; negative where a quota was lowered
	Frozen bool   // left as it is
	// Swaps is true if a call adds and removes rules at once, as for a prefix list; otherwise a call does one of the
	// two. Such a holder is alone in its world, which has one port and one view, and its rules weigh one.
	Swaps bool
}

// A Rule is one that a holder has.
type Rule struct {
	Ports
	Prefix netip.Prefix // what the rule lets in, or the zero value if that is not a range
	Weight [2]int       // what the rule takes of its holder's room, for each family
	Owned  bool         // may be removed
	Held   bool         // an owned rule stays where it is, whether it is wanted or not
}

// Ports are an inclusive range of TCP ports. A rule for all protocols has ports from 0 to 65535. A rule that opens no
// TCP port has a Last before its First.
type Ports struct{ First, Last int }

func (p Ports) contain(o Ports) bool { return p.First <= o.First && o.Last <= p.Last }

// A Plan is what makes a world as it is wanted.
type Plan struct {
	Calls    []Call   // to be made in this order
	Unplaced []Wanted // the wanted rules that no holder has room for
	// Stays are the owned rules that are not wanted, or not there, but without which something wanted would be closed
	// at a view for good.
	Stays []Item
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
	Holder  int
	Add     []Wanted
	Remove  []Item
	Gap     []netip.Prefix // wanted ranges that this call closes until the next one opens them again
	Reopens bool           // ends a gap: it belongs right behind the call before it
}

// Make plans a world. If the context ends, the plan leaves more undone.
func Make(ctx context.Context, w World) *Plan {
	plan := &Plan{}
	var drifts [2]*drift
	var moves []move
	for f := range drifts {
		d := newDrift(w, f)
		drifts[f] = d
		s := d.order(ctx)
		moves = append(moves, s.moves...)
		for _, u := range s.allAbsent() {
			plan.Unplaced = append(plan.Unplaced, d.wanted(u))
		}
		for i, st := range s.stale {
			if !s.gone[i] {
				plan.Stays = append(plan.Stays, Item{Holder: st.holder, Rule: st.rule})
			}
		}
		w = s.afterwards()
	}
	plan.Calls = pack(drifts, moves)
	return plan
}

// Unplaced counts the wanted rules that no holder has room for even once all that is stale is gone.
func Unplaced(w World) int {
	n := 0
	for f := range 2 {
		s := newDrift(w, f).withoutStale()
		n += len(s.allAbsent())
		w = s.afterwards()
	}
	return n
}
