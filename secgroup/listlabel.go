package secgroup

import (
	"fmt"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/planner"
	"cloudfront-sg-sync/internal/words"
)

// redescribe adds what makes the descriptions of entries true, as relabel does for rules, and returns how many entries
// of each list keep an untrue one for want of room.
//
// EC2 neither describes an entry anew nor removes and adds the same range in one call. See
// https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_managed_prefix_list.go
// So one call puts the halves of the range in its place, and the next one puts it back:
//
//	18.64.0.0/14 (old)  →  18.64.0.0/15, 18.66.0.0/15 (new)  →  18.64.0.0/14 (new)
//
// Nothing is closed on the way, and a run that ends between the two calls leaves what the next run makes exact. The
// first of the two goes into a call that is made anyway, if one has room for it.
func (p *pool) redescribe(lists []ListPlan, changes []Change) (all []Change, untrue map[int]int) {
	untrue = map[int]int{}
	if p.req.Withdraw || p.held {
		return changes, untrue
	}
	wrong, stays, dated := p.descriptions(func(list *Group) []Rule {
		return slices.DeleteFunc(slices.Clone(list.Ingress), func(r Rule) bool {
			return slices.ContainsFunc(changes, func(c Change) bool { return c.ListID == list.ID && c.touches(r.Source.Prefix) })
		})
	})
	closes := len(changes) > 0 && !dated && !slices.ContainsFunc(changes, func(c Change) bool { return len(c.Add) > 0 })
	if closes && !slices.ContainsFunc(wrong, func(rules []Rule) bool { return slices.ContainsFunc(rules, hasHalves) }) {
		p.chooseDated(lists, changes, wrong, stays)
	}
	made := false
	for i, l := range lists {
		if len(wrong[i]) == 0 {
			continue
		}
		s := &splitting{list: l.List.ID, stamp: p.req.Stamp.String(), there: l.entriesAfter(changes)}
		s.free = l.List.MaxEntries - len(s.there)
		var rest int
		if changes, rest = s.split(changes, wrong[i], closes); rest > 0 {
			untrue[i] = rest
		}
		made = made || rest < len(wrong[i])
	}
	if closes && !made {
		return p.moveDated(lists, changes, wrong, stays, untrue), untrue
	}
	return changes, untrue
}

// chooseDated chooses the entry that is described anew only for the date: one in a list that is changed anyway, if
// there is any.
func (p *pool) chooseDated(lists []ListPlan, changes []Change, wrong, stays [][]Rule) {
	for _, changed := range []bool{true, false} {
		for i, l := range lists {
			free := l.List.MaxEntries - len(l.entriesAfter(changes))
			if free == 0 || changed != slices.ContainsFunc(changes, func(c Change) bool { return c.ListID == l.List.ID }) {
				continue
			}
			for _, r := range stays[i] {
				if hasHalves(r) {
					wrong[i] = append(wrong[i], r)
					return
				}
			}
		}
	}
}

// moveDated moves an entry to another list of the pool for the date, where the lists that hold any have no room to
// describe one anew. It goes to a list that is in use, if there is one with room: nobody may refer to an empty list
// yet.
func (p *pool) moveDated(lists []ListPlan, changes []Change, wrong, stays [][]Rule, untrue map[int]int) []Change {
	for _, i := range p.inUseFirst(lists) {
		l := lists[i]
		there := l.entriesAfter(changes)
		if p.frozen(i) || !l.Settings.Filled || l.List.MaxEntries == len(there) {
			continue
		}
		for k, from := range lists {
			for _, r := range slices.Concat(wrong[k], stays[k]) {
				if there[r.Source.Prefix] || k == i {
					continue
				}
				if slices.Contains(wrong[k], r) {
					untrue[k]--
				}
				to, out := Change{ListID: l.List.ID}, Change{ListID: from.List.ID}
				to.add(Entry{r.Source.Prefix, p.req.Stamp.String()})
				out.remove(Entry{r.Source.Prefix, r.Description})
				s := &splitting{list: l.List.ID, free: l.List.MaxEntries - len(there)}
				return s.merge(changes, []Change{to, out}, true)
			}
		}
	}
	return changes
}

// inUseFirst returns the indexes of lists, first of those that hold entries of ours.
func (p *pool) inUseFirst(lists []ListPlan) (order []int) {
	var empty []int
	for i, l := range lists {
		if slices.ContainsFunc(l.List.Entries, func(e Entry) bool { return stamped(p.req.TagKey, e.Description) }) {
			order = append(order, i)
		} else {
			empty = append(empty, i)
		}
	}
	return append(order, empty...)
}

// entriesAfter returns the ranges that a list holds once the changes are made.
func (l *ListPlan) entriesAfter(changes []Change) map[netip.Prefix]bool {
	there := map[netip.Prefix]bool{}
	for _, e := range l.List.Entries {
		there[e.Prefix] = true
	}
	for _, c := range changes {
		if c.ListID != l.List.ID {
			continue
		}
		for _, e := range c.Remove {
			delete(there, e.Prefix)
		}
		for _, e := range c.Add {
			there[e.Prefix] = true
		}
	}
	return there
}

// touches reports whether a change adds or removes a range.
func (c *Change) touches(prefix netip.Prefix) bool {
	is := func(e Entry) bool { return e.Prefix == prefix }
	return slices.ContainsFunc(c.Add, is) || slices.ContainsFunc(c.Remove, is)
}

// A splitting describes entries of one list anew.
type splitting struct {
	list  string
	stamp string
	there map[netip.Prefix]bool
	free  int // entries that the list takes beside them
}

// halves returns the halves of a range that are not entries themselves.
func (s *splitting) halves(p netip.Prefix) (halves []netip.Prefix) {
	first := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	for _, half := range []netip.Prefix{first, sibling(first)} {
		if !s.there[half] {
			halves = append(halves, half)
		}
	}
	return halves
}

// hasHalves reports whether an entry can be described anew where it is.
func hasHalves(r Rule) bool { return !r.Source.Prefix.IsSingleIP() }

// sibling returns the other half of what a range is the first half of.
func sibling(p netip.Prefix) netip.Prefix {
	bytes := p.Addr().AsSlice()
	bit := p.Bits() - 1
	bytes[bit/8] |= 0x80 >> (bit % 8)
	addr, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(addr, p.Bits())
}

// split adds the changes that describe entries anew, and returns how many it leaves. Where the others only close, what
// carries the new date comes first: an older file is then refused, whatever becomes of the run.
func (s *splitting) split(changes []Change, rules []Rule, first bool) (all []Change, left int) {
	before := len(rules)
	rules = slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return !hasHalves(r) })
	left = before - len(rules)
	size := min(s.free, planner.MaxSwapped/2)
	if len(rules) > size { // calls follow on one another
		size = min(s.free, planner.MaxSwapped/3)
	}
	if size <= 0 {
		return changes, before
	}
	var back []Entry // to put back, with halves to take out
	var halves []netip.Prefix
	var made []Change
	for batch := range slices.Chunk(rules, size) {
		c := Change{ListID: s.list}
		s.putBack(&c, back, halves)
		back, halves = nil, nil
		for _, r := range batch {
			c.remove(Entry{r.Source.Prefix, r.Description})
			back = append(back, Entry{r.Source.Prefix, s.stamp})
			for _, half := range s.halves(r.Source.Prefix) {
				c.add(Entry{half, s.stamp})
				halves = append(halves, half)
			}
		}
		made = append(made, c)
	}
	if len(made) > 0 {
		last := Change{ListID: s.list}
		s.putBack(&last, back, halves)
		made = append(made, last)
	}
	return s.merge(changes, made, first), left
}

func (s *splitting) putBack(c *Change, back []Entry, halves []netip.Prefix) {
	for _, e := range back {
		c.add(e)
	}
	for _, half := range halves {
		c.remove(Entry{half, s.stamp})
	}
}

func (c *Change) add(e Entry)    { c.Add, c.anew = append(c.Add, e), append(c.anew, e.Prefix) }
func (c *Change) remove(e Entry) { c.Remove, c.anew = append(c.Remove, e), append(c.anew, e.Prefix) }

// merge puts changes behind others, the first of them into one of the others that is about the same list if that can
// take it: the last of them or, where all of them only close, any, which is then made before the rest.
func (s *splitting) merge(changes, made []Change, first bool) []Change {
	if len(made) == 0 {
		return changes
	}
	for i := range made {
		made[i].sort()
	}
	own := s.own(changes)
	if first && len(own) == 0 {
		return slices.Concat(made[:1], changes, made[1:])
	}
	for n, i := range slices.Backward(own) {
		if n < len(own)-1 && !first {
			break
		}
		c := changes[i]
		if !s.takes(changes, i, &made[0], first) {
			continue
		}
		c.Add, c.Remove, c.anew = slices.Concat(c.Add, made[0].Add), slices.Concat(c.Remove, made[0].Remove), made[0].anew
		c.sort()
		if first {
			return slices.Concat([]Change{c}, changes[:i], changes[i+1:], made[1:])
		}
		changes[i] = c
		return append(changes, made[1:]...)
	}
	return append(changes, made...)
}

// own returns which of the changes are about the list.
func (s *splitting) own(changes []Change) (own []int) {
	for i, c := range changes {
		if c.ListID == s.list {
			own = append(own, i)
		}
	}
	return own
}

// takes reports whether one of the changes can do what another does as well, be it as the first of them.
func (s *splitting) takes(changes []Change, i int, o *Change, first bool) bool {
	c := changes[i]
	free := s.free
	for _, n := range s.own(changes) {
		if first && n != i {
			free += len(changes[n].Add) - len(changes[n].Remove) // not made yet
		}
		if slices.ContainsFunc(slices.Concat(o.Add, o.Remove), func(e Entry) bool { return changes[n].touches(e.Prefix) }) {
			return false
		}
	}
	return len(c.Gap) == 0 && !c.Closes && len(o.Add)-len(o.Remove) <= free &&
		len(c.Add)+len(o.Add) <= planner.MaxSwapped && len(c.Remove)+len(o.Remove) <= planner.MaxSwapped
}

func (c *Change) sort() {
	for _, entries := range [][]Entry{c.Add, c.Remove} {
		slices.SortFunc(entries, func(a, b Entry) int { return a.Prefix.Compare(b.Prefix) })
	}
}

// Added returns the entries that the change adds, and Removed those that it removes, without those that only serve to
// describe entries anew.
func (c Change) Added() []Entry { return c.lasting(c.Add) }

// Removed is described at [Change.Added].
func (c Change) Removed() []Entry { return c.lasting(c.Remove) }

func (c Change) lasting(entries []Entry) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return slices.Contains(c.anew, e.Prefix) })
}

// untrueWarning says that entries keep descriptions that are not true.
func untrueWarning(l *ListPlan, n int) string {
	return fmt.Sprintf("%s has no room to describe %s anew, which %s made from another file or for other services: enlarge it by one entry",
		l.List.ID, words.Count(n, l.List.Family.String()+" entry"), wasOrWere(n))
}

func wasOrWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
