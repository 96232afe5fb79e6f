package planner

import (
	"cmp"
	"net/netip"
	"slices"
)

// problem is one family of a world: which rules are wanted, which of them are there, and which rules are surplus.
// Wanted rules are numbered: rule w is ports[w/len(ranges)] open to ranges[w%len(ranges)]. Surplus rules are numbered
// as well; where both meet, surplus s is item ^s.
//
// A rule that is there is one of three:
//
//	owned and wanted             a copy; one is enough, further ones are spare
//	owned and not wanted         surplus
//	not owned, held or frozen    fixed: it opens what it opens
type problem struct {
	world  *World
	family int
	ranges []netip.Prefix
	first  int // index of ranges[0] in World.Ranges
	free   []int
	// within tells of two holders whether every view that has the first has the second as well; reach counts the views
	// that a holder is in.
	within [][]bool
	reach  []int

	spans     []span    // of the wanted rules
	satisfied []bool    // by wanted rule: a fixed rule is equal to it
	copies    [][]int   // by wanted rule: the holders that have one
	taken     [][]int   // by wanted rule: the holders where a fixed rule is equal
	surplus   []surplus // the narrow ones first
	start     *cover    // of all rules there are
	// What settle finds: the missing rules that have a place in the end, those that have none, and which surplus has to
	// stay.
	missing, unplaced []int
	settled           [][]int // by wanted rule: the holders that have it in the end
	hasPlace          []bool  // by wanted rule: it is there, or one of missing
}

const nowhere = -1

// surplus is an owned rule that is to go.
type surplus struct {
	span
	holder int
	rule   int // its index in the holder
	weight int
	spare  int // what it takes of the other family's room: a reference may count in both
	bits   int // of its prefix
	// opaque rules let in what nobody here knows, by a reference.
	opaque bool
	stays  bool
}

// survey sorts the rules of one family.
func survey(w *World, family int) *problem {
	p := &problem{world: w, family: family}
	p.first, _ = slices.BinarySearchFunc(w.Ranges, family, func(r netip.Prefix, f int) int { return cmp.Compare(familyOf(r), f) })
	end, _ := slices.BinarySearchFunc(w.Ranges, family+1, func(r netip.Prefix, f int) int { return cmp.Compare(familyOf(r), f) })
	p.ranges = w.Ranges[p.first:end]
	views := p.look()
	p.measure(views)
	n := len(w.Ports) * len(p.ranges)
	p.satisfied = make([]bool, n)
	p.copies = make([][]int, n)
	p.taken = make([][]int, n)
	for h := range w.Holders {
		p.sort(h)
	}
	// Among equals those come first whose room more rules can use.
	use := func(s surplus) (n int) {
		for _, lists := range w.Holders[s.holder].Lists {
			if lists {
				n++
			}
		}
		return n
	}
	slices.SortStableFunc(p.surplus, func(a, b surplus) int {
		return cmp.Or(cmp.Compare(b.bits, a.bits), cmp.Compare(use(b), use(a)))
	})
	return p
}

func familyOf(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// look returns, by holder, the views that have it.
func (p *problem) look() [][]int {
	w := p.world
	views := make([][]int, len(w.Holders))
	if len(w.Views) == 0 {
		for h := range views {
			views[h] = []int{0}
		}
	}
	for v, view := range w.Views {
		for _, h := range view.Holders {
			views[h] = append(views[h], v)
		}
	}
	p.within = make([][]bool, len(views))
	p.reach = make([]int, len(views))
	for h := range views {
		p.reach[h] = len(views[h])
		p.within[h] = make([]bool, len(views))
		for o := range views {
			p.within[h][o] = !slices.ContainsFunc(views[h], func(v int) bool { return !slices.Contains(views[o], v) })
		}
	}
	return views
}

// measure cuts the space and counts what is open.
func (p *problem) measure(views [][]int) {
	w := p.world
	var rules []Rule
	p.free = make([]int, len(w.Holders))
	for h, holder := range w.Holders {
		p.free[h] = holder.Room[p.family]
		for _, r := range holder.Rules {
			if p.mine(r) {
				rules = append(rules, r)
			}
		}
	}
	s := newSpace(w.Ports, p.ranges, rules)
	p.start = newCover(s, views, max(1, len(w.Views)))
	for v, view := range w.Views {
		for k, interval := range s.intervals {
			p.start.wants[v][k] = slices.ContainsFunc(classes(view.Wants), func(c int) bool { return w.Ports[c].contain(interval) })
		}
	}
	for h, holder := range w.Holders {
		for _, r := range holder.Rules {
			if p.mine(r) {
				p.start.add(s.spanOf(r.Ports, r.Prefix), h, 1)
			}
		}
	}
	for _, port := range w.Ports {
		for _, r := range p.ranges {
			p.spans = append(p.spans, s.spanOf(port, r))
		}
	}
}

// mine reports whether a rule opens addresses of the family.
func (p *problem) mine(r Rule) bool { return r.Prefix.IsValid() && familyOf(r.Prefix) == p.family }

// weighs reports whether it is here that a rule is removed: in its own family, or if it opens no range, in the first
// that it takes room in.
func (p *problem) weighs(r Rule) bool {
	if r.Prefix.IsValid() {
		return p.mine(r)
	}
	return (p.family == 0) == (r.Weight[0] > 0)
}

// sort puts the rules of a holder in their class. A rule that is somebody else's satisfies a want only if every view
// has it.
func (p *problem) sort(h int) {
	holder := p.world.Holders[h]
	for i, r := range holder.Rules {
		w := p.equal(h, r)
		fixed := holder.Frozen || r.Held || !r.Owned
		switch {
		case fixed && w != nowhere:
			p.satisfied[w] = p.satisfied[w] || r.Owned || p.everywhere(h, p.portOf(w))
			p.taken[w] = append(p.taken[w], h)
		case fixed:
		case w != nowhere:
			p.copies[w] = append(p.copies[w], h)
		case p.weighs(r):
			p.surplus = append(p.surplus, surplus{
				span:   p.start.spanOf(r.Ports, r.Prefix),
				holder: h,
				rule:   i,
				weight: r.Weight[p.family],
				spare:  r.Weight[1-p.family],
				bits:   r.Prefix.Bits(),
				opaque: !r.Prefix.IsValid() && r.First <= r.Last,
			})
		}
	}
}

// equal returns the wanted rule that a rule of a holder is equal to, if the holder lists its port.
func (p *problem) equal(h int, r Rule) int {
	if !p.mine(r) {
		return nowhere
	}
	i, found := slices.BinarySearchFunc(p.ranges, r.Prefix, netip.Prefix.Compare)
	for _, k := range classes(p.world.Holders[h].Lists) {
		if found && p.world.Ports[k] == r.Ports {
			return k*len(p.ranges) + i
		}
	}
	return nowhere
}

// classes returns the indexes that are true.
func classes(is []bool) (all []int) {
	for k, yes := range is {
		if yes {
			all = append(all, k)
		}
	}
	return all
}

// everywhere reports whether every view that wants a class has the holder.
func (p *problem) everywhere(h, class int) bool {
	for _, view := range p.world.Views {
		if view.Wants[class] && !slices.Contains(view.Holders, h) {
			return false
		}
	}
	return true
}

func (p *problem) portOf(w int) int  { return w / len(p.ranges) }
func (p *problem) rangeOf(w int) int { return w % len(p.ranges) }

// canHold reports whether a holder may be given a wanted rule. It takes none that is equal to one that it has, whosever
// that is.
func (p *problem) canHold(h, w int) bool {
	return p.lists(h, p.portOf(w)) && !slices.Contains(p.taken[w], h)
}

// lists reports whether a holder may be given rules on a port.
func (p *problem) lists(h, port int) bool {
	holder := &p.world.Holders[h]
	return !holder.Frozen && holder.Lists[port]
}

// spanOf returns the cells of a wanted rule or, as ^s, of surplus s.
func (p *problem) spanOf(item int) span {
	if item < 0 {
		return p.surplus[^item].span
	}
	return p.spans[item]
}

func (p *problem) wanted(w int) Wanted {
	return Wanted{Port: p.portOf(w), Range: p.first + p.rangeOf(w)}
}
