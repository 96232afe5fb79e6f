package planner

import (
	"cmp"
	"net/netip"
	"slices"
)

// drift is how one family of a world differs from what is desired. Wanted rules are numbered: rule w is
// ports[w/len(ranges)] open to ranges[w%len(ranges)]. Stale rules are numbered as well; where both meet, stale rule s
// is item ^s.
//
// A rule that is there is one of three:
//
//	owned and wanted             a copy; one is enough, unless a view needs another
//	owned and not wanted         stale
//	not owned, held or frozen    fixed: it opens what it opens
type drift struct {
	world  World
	family int
	ranges []netip.Prefix
	first  int // index of ranges[0] in World.Ranges
	free   []int

	lists     [][]int // by holder: the classes of the rules that it may be given
	givers    [][]int // by class: the holders that may be given its rules
	wanters   [][]int // by class: the views that want it
	classesAt [][]int // by view: the classes that its holders list
	pool      []int   // by class: a number that classes share if a holder lists both
	short     []bool  // by pool: not all that is wanted will find room
	weighed   bool    // short is what withoutStale says

	spans     []span // of the wanted rules
	satisfied []bool // by wanted rule: a fixed rule is equal to it
	copies    [][]int
	taken     map[place]bool // a fixed rule there is equal
	stale     []stale        // the narrow ones first
	missing   [][]int        // by pool: the wanted rules that are nowhere but could be somewhere
	start     *tally         // of all rules there are
}

const nowhere = -1

// A place is a rule, by its item number, in a holder.
type place struct{ item, holder int }

// stale is an owned rule that is to go.
type stale struct {
	span
	holder int
	rule   int    // its index in the holder
	weight [2]int // a reference may count in both families
	bits   int    // of its prefix
	// opaque rules let in addresses that the planner does not know, by a reference.
	opaque bool
}

func newDrift(w World, family int) *drift {
	d := &drift{world: w, family: family, taken: map[place]bool{}}
	at := func(f int) int {
		i, _ := slices.BinarySearchFunc(w.Ranges, f, func(r netip.Prefix, f int) int { return cmp.Compare(familyOf(r), f) })
		return i
	}
	d.first = at(family)
	d.ranges = w.Ranges[d.first:at(family+1)]
	d.index()
	d.measure()
	n := len(w.Ports) * len(d.ranges)
	d.satisfied, d.copies = make([]bool, n), make([][]int, n)
	for h := range w.Holders {
		d.sort(h)
	}
	// Among equals those come first whose room more rules can use.
	slices.SortStableFunc(d.stale, func(a, b stale) int {
		return cmp.Or(cmp.Compare(b.bits, a.bits), cmp.Compare(len(d.lists[b.holder]), len(d.lists[a.holder])))
	})
	d.missing = make([][]int, len(w.Ports))
	for i, at := range d.copies {
		if len(at) == 0 && !d.satisfied[i] && slices.ContainsFunc(d.givers[d.class(i)], func(h int) bool { return !d.taken[place{i, h}] }) {
			p := d.pool[d.class(i)]
			d.missing[p] = append(d.missing[p], i)
		}
	}
	return d
}

func familyOf(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// index notes which holders, classes and views have to do with one another.
func (d *drift) index() {
	w := d.world
	d.lists, d.givers = make([][]int, len(w.Holders)), make([][]int, len(w.Ports))
	d.wanters, d.pool, d.short = make([][]int, len(w.Ports)), make([]int, len(w.Ports)), make([]bool, len(w.Ports))
	for k := range d.pool {
		d.pool[k] = k
	}
	for h, holder := range w.Holders {
		if holder.Frozen {
			continue
		}
		for _, k := range d.classes(holder.Lists) {
			d.lists[h] = append(d.lists[h], k)
			d.givers[k] = append(d.givers[k], h)
		}
	}
	for _, lists := range d.lists {
		for _, k := range lists {
			low, high := min(d.pool[lists[0]], d.pool[k]), max(d.pool[lists[0]], d.pool[k])
			for c := range d.pool {
				if d.pool[c] == high {
					d.pool[c] = low
				}
			}
		}
	}
	d.classesAt = make([][]int, len(d.world.Views))
	for v, view := range d.world.Views {
		for _, k := range d.classes(view.Wants) {
			d.wanters[k] = append(d.wanters[k], v)
		}
		for _, h := range view.Holders {
			d.classesAt[v] = append(d.classesAt[v], d.lists[h]...)
		}
		slices.Sort(d.classesAt[v])
		d.classesAt[v] = slices.Compact(d.classesAt[v])
	}
}

// classes returns the indexes that are true.
func (d *drift) classes(is []bool) (all []int) {
	for k, yes := range is {
		if yes {
			all = append(all, k)
		}
	}
	return all
}

// measure cuts the space and counts the rules that open each cell.
func (d *drift) measure() {
	w := d.world
	views := make([][]int, len(w.Holders))
	for v, view := range w.Views {
		for _, h := range view.Holders {
			views[h] = append(views[h], v)
		}
	}
	var rules []Rule
	for _, holder := range w.Holders {
		d.free = append(d.free, holder.Room[d.family])
		for _, r := range holder.Rules {
			if d.opens(r) {
				rules = append(rules, r)
			}
		}
	}
	s := newSpace(w.Ports, d.ranges, rules)
	wants := make([][]bool, len(d.world.Views))
	for v, view := range d.world.Views {
		classes := d.classes(view.Wants)
		for _, interval := range s.intervals {
			wants[v] = append(wants[v], slices.ContainsFunc(classes, func(c int) bool { return w.Ports[c].contain(interval) }))
		}
	}
	d.start = newTally(s, views, wants)
	for h, holder := range w.Holders {
		for _, r := range holder.Rules {
			if d.opens(r) {
				d.start.add(s.spanOf(r.Ports, r.Prefix), h, 1)
			}
		}
	}
	for _, port := range w.Ports {
		for _, r := range d.ranges {
			d.spans = append(d.spans, s.spanOf(port, r))
		}
	}
}

// opens reports whether a rule opens addresses of the family.
func (d *drift) opens(r Rule) bool { return r.Prefix.IsValid() && familyOf(r.Prefix) == d.family }

// removedHere reports whether it is in this family that a rule is removed: its own, or if it opens no range, the first
// that it takes room in.
func (d *drift) removedHere(r Rule) bool {
	if r.Prefix.IsValid() {
		return d.opens(r)
	}
	return (d.family == 0) == (r.Weight[0] > 0)
}

// sort finds out what the rules of a holder are. One that is somebody else's satisfies a want only if every view that
// wants its class has it.
func (d *drift) sort(h int) {
	holder := d.world.Holders[h]
	for i, r := range holder.Rules {
		w := d.equal(h, r)
		fixed := holder.Frozen || r.Held || !r.Owned
		switch {
		case fixed && w != nowhere:
			d.satisfied[w] = d.satisfied[w] || r.Owned || d.seen(h, d.wanters[d.class(w)])
			d.taken[place{w, h}] = true
		case fixed:
		case w != nowhere:
			d.copies[w] = append(d.copies[w], h)
		case d.removedHere(r):
			d.stale = append(d.stale, stale{
				span: d.start.spanOf(r.Ports, r.Prefix), holder: h, rule: i, weight: r.Weight,
				bits: r.Prefix.Bits(), opaque: !r.Prefix.IsValid() && r.First <= r.Last,
			})
		}
	}
}

// equal returns the wanted rule that a rule of a holder is equal to, if the holder lists its class.
func (d *drift) equal(h int, r Rule) int {
	if !d.opens(r) {
		return nowhere
	}
	i, found := slices.BinarySearchFunc(d.ranges, r.Prefix, netip.Prefix.Compare)
	for k, lists := range d.world.Holders[h].Lists {
		if found && lists && d.world.Ports[k] == r.Ports {
			return k*len(d.ranges) + i
		}
	}
	return nowhere
}

// swaps reports whether the world is a holder that swaps.
func (d *drift) swaps() bool { return len(d.world.Holders) == 1 && d.world.Holders[0].Swaps }

func (d *drift) class(w int) int  { return w / len(d.ranges) }
func (d *drift) poolOf(w int) int { return d.pool[d.class(w)] }

// seen reports whether a holder is in all of some views.
func (d *drift) seen(h int, views []int) bool {
	for _, v := range views {
		if !slices.Contains(d.start.views[h], v) {
			return false
		}
	}
	return true
}

// spanOf returns the cells that an item opens.
func (d *drift) spanOf(item int) span {
	if item < 0 {
		return d.stale[^item].span
	}
	return d.spans[item]
}

func (d *drift) wanted(w int) Wanted {
	return Wanted{Port: d.class(w), Range: d.first + w%len(d.ranges)}
}
