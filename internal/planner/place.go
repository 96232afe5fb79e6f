package planner

import (
	"cmp"
	"slices"
)

// withoutStale returns the state without stale rules and with as many missing ones as fit, whatever the way to it.
func (d *drift) withoutStale() *state {
	s := d.state()
	s.regardless = true
	for i := range s.stale {
		s.retire(i)
	}
	s.endRound()
	for w := range s.copies {
		for len(s.copies[w]) > 1 || len(s.copies[w]) > 0 && s.satisfied[w] {
			s.remove(w, s.copies[w][0])
		}
	}
	for pool := range s.missing {
		s.fill(s.absent(pool), nil)
	}
	return s
}

// fill places rules one after another, first those that open the most, so that where the room ends the fewest addresses
// are left out. Other rules move out of the way where need be. A rule that stale rules wait for in some views goes to
// where these see it, if there is room. It reports whether all have a place.
func (s *state) fill(rules []int, awaits map[int][]int) bool {
	opens, homes := make(map[int]float64, len(rules)), make(map[int]int, len(rules))
	left := map[int]int{} // by class
	for _, w := range rules {
		left[s.class(w)]++
		for _, h := range s.givers[s.class(w)] {
			if !s.taken[place{w, h}] {
				opens[w] = max(opens[w], s.open.addresses(s.spans[w], h, 0))
				if awaits != nil && s.free[h] > 0 && s.seen(h, awaits[w]) {
					homes[w]++
				}
			}
		}
	}
	rules = slices.Clone(rules)
	slices.SortStableFunc(rules, func(a, c int) int {
		return cmp.Or(cmp.Compare(homes[a], homes[c]), cmp.Compare(opens[c], opens[a]))
	})
	full, last := map[int]bool{}, map[int]int{}
	all := true
	for _, w := range rules {
		k := s.class(w)
		h, ok := last[k]
		if !ok || s.free[h] <= 0 || s.taken[place{w, h}] || !s.seen(h, awaits[w]) {
			h = s.choose(w, left[k], awaits[w])
		}
		left[k]--
		switch {
		case h != nowhere:
			last[k] = h
			s.add(w, h)
		case full[k] || !s.makeRoom(w, nil):
			// Nobody has room for good, as room is only ever taken here; but a holder that has an equal rule may have
			// room for others.
			full[k] = full[k] || !slices.ContainsFunc(s.givers[k], func(h int) bool { return s.taken[place{w, h}] })
			all = false
		}
	}
	return all
}

// choose returns a holder with room for a missing rule, one of n of its class, or nowhere. It prefers a holder that the
// waiting views have; then one that more views have, so that more interfaces have the rule; then one that takes all n;
// then one that is touched anyway; then the tightest that takes all n, or else the roomiest, so that few are touched.
func (s *state) choose(w, n int, waiting []int) int {
	best, bestRank := nowhere, [5]int{}
	for _, h := range s.givers[s.class(w)] {
		if s.free[h] <= 0 || s.taken[place{w, h}] {
			continue
		}
		rank := [5]int{0, s.reach(h), 0, min(s.busy[h], 1), s.free[h]}
		if s.seen(h, waiting) {
			rank[0] = 1
		}
		if s.free[h] >= n {
			rank[2], rank[4] = 1, -s.free[h]
		}
		if best == nowhere || slices.Compare(rank[:], bestRank[:]) > 0 {
			best, bestRank = h, rank
		}
	}
	return best
}

// mayMove reports whether a rule can move to another holder without closing anything: every view that has it must have
// it still, or other rules open the same.
func (s *state) mayMove(w, from, to int) bool {
	return s.regardless || s.seen(to, s.start.views[from]) || s.open.dispensable(s.spans[w], from)
}

// makeRoom places a wanted rule in a holder that all of some views have, moving other rules out of the way if need be:
// from a holder that can have the rule to one that cannot, and so on to one that has room. It reports whether there is
// such a chain, and takes the shortest. This is an augmenting path of bipartite matching; each of its moves adds a copy
// before it removes one, and goes only to where every view that had the rule has it still.
func (s *state) makeRoom(w int, views []int) bool {
	reached := map[int]hop{}
	var queue []int
	for _, h := range s.givers[s.class(w)] {
		if s.free[h] >= 0 && !s.taken[place{w, h}] && s.seen(h, views) && !slices.Contains(s.copies[w], h) {
			reached[h] = hop{nowhere, w}
			queue = append(queue, h)
		}
	}
	slices.SortStableFunc(queue, func(a, c int) int { return cmp.Compare(s.reach(c), s.reach(a)) })
	for len(queue) > 0 {
		h := queue[0]
		queue = queue[1:]
		if s.free[h] > 0 {
			return s.follow(h, reached)
		}
		for _, k := range s.lists[h] {
			if len(s.givers[k]) == 1 {
				continue
			}
			unreached := func(to int) bool { _, ok := reached[to]; return !ok && s.free[to] >= 0 }
			for v := k * len(s.ranges); v < (k+1)*len(s.ranges) && slices.ContainsFunc(s.givers[k], unreached); v++ {
				if v == w || len(s.copies[v]) != 1 || s.copies[v][0] != h {
					continue
				}
				for _, to := range s.givers[k] {
					if unreached(to) && !s.taken[place{v, to}] && s.mayMove(v, h, to) {
						reached[to] = hop{h, v}
						queue = append(queue, to)
					}
				}
			}
		}
	}
	return false
}

// A hop is a rule that comes from a holder to another, or from nowhere.
type hop struct{ from, rule int }

// follow makes the moves of a chain, from its end. Where two rules that move each counted on the other, it makes none
// and returns false.
func (s *state) follow(h int, reached map[int]hop) bool {
	n := len(s.moves)
	for h != nowhere {
		from, rule := reached[h].from, reached[h].rule
		s.add(rule, h)
		if from != nowhere {
			if !s.regardless && !s.open.dispensable(s.spans[rule], from) {
				s.undo(n)
				return false
			}
			s.remove(rule, from)
		}
		h = from
	}
	return true
}
