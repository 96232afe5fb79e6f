package planner

import (
	"cmp"
	"context"
	"slices"
)

// MaxSwapped is the most rules that one call adds to a holder that swaps, and the most that it removes. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
const MaxSwapped = 100

// planList plans a world of one holder that swaps. A call adds and removes at once, so a piece and its replacement go
// into one call where there is no room for both. What shrinks comes first and makes the room that the rest needs: with
// room for all in the end, no call closes anything. What has no room in the end is unplaced, the narrowest first, and
// what it would have replaced stays.
func (d *drift) planList(ctx context.Context, plan *Plan) {
	s := d.state()
	adds, removes := s.fitList()
	for len(adds)+len(removes) > 0 && ctx.Err() == nil {
		call := Call{}
		n := min(len(adds), MaxSwapped)
		var ready []int
		for {
			for _, w := range adds[:n] {
				s.add(w, 0)
			}
			before := len(s.moves)
			for _, i := range removes {
				if len(s.moves) < before+MaxSwapped && s.dispensable(i) {
					s.retire(i)
				}
			}
			ready = nil
			for _, m := range s.moves[before:] {
				ready = append(ready, ^m.item)
			}
			over := -s.free[0] - len(ready)
			if over <= 0 || n == 0 {
				break
			}
			s.undo(before - n)
			n = max(0, n-over)
		}
		if n+len(ready) == 0 {
			break
		}
		s.endRound()
		for _, w := range adds[:n] {
			call.Add = append(call.Add, d.wanted(w))
		}
		for _, i := range ready {
			call.Remove = append(call.Remove, Item{Rule: d.stale[i].rule})
		}
		adds = adds[n:]
		removes = slices.DeleteFunc(removes, func(i int) bool { return s.gone[i] })
		plan.Calls = append(plan.Calls, call)
	}
	for _, w := range s.allAbsent() {
		plan.Unplaced = append(plan.Unplaced, d.wanted(w))
	}
	for i, gone := range s.gone {
		if !gone {
			plan.Stays = append(plan.Stays, Item{Rule: d.stale[i].rule})
		}
	}
}

// fitList returns the missing rules that find room in the end and the stale rules that go then, each cluster of rules
// that overlap together, and those first that free the most room.
func (s *state) fitList() (adds, removes []int) {
	end := s.drift.state()
	for i := range s.stale {
		end.retire(i)
	}
	end.endRound()
	stays := make([]bool, len(s.stale))
	for {
		n := len(end.moves)
		adds = s.allAbsent()
		opens := map[int]float64{}
		for _, w := range adds {
			opens[w] = end.open.addresses(s.spans[w], 0, 0)
		}
		slices.SortStableFunc(adds, func(a, b int) int { return cmp.Compare(opens[b], opens[a]) })
		adds = adds[:min(len(adds), max(end.free[0], 0))]
		for _, w := range adds {
			end.add(w, 0)
		}
		kept := false
		for i := len(s.stale) - 1; i >= 0; i-- { // the widest first
			if !stays[i] && end.closed(s.stale[i].span) {
				stays[i], kept = true, true
				end.open.add(s.stale[i].span, 0, 1)
			}
		}
		if !kept {
			break
		}
		end.undo(n)
		end.free[0] = s.free[0]
		for i := range s.stale {
			if !stays[i] {
				end.free[0]++
			}
		}
	}
	for i := range s.stale {
		if !stays[i] {
			removes = append(removes, i)
		}
	}
	s.cluster(adds, removes)
	return adds, removes
}

// closed reports whether a span has a wanted cell that was open at the start and is not now.
func (s *state) closed(sp span) bool {
	found := false
	s.open.each(sp, 0, 0, func(v, k, i int) bool {
		found = s.start.count[v][k*len(s.open.prefixes)+i] > 0
		return !found
	})
	return found
}

// cluster sorts additions and removals by the clusters of prefixes that overlap.
func (s *state) cluster(adds, removes []int) {
	top := make([]int, len(s.open.prefixes)) // by piece: the widest prefix around it
	for i := 0; i < len(top); {
		for n, end := i, s.open.end[i]; i < end; i++ {
			top[i] = n
		}
	}
	takes := map[int]int{}
	for _, w := range adds {
		takes[top[s.spans[w].firstPiece]]++
	}
	for _, i := range removes {
		takes[top[s.stale[i].firstPiece]]--
	}
	by := func(a, b span) int {
		x, y := top[a.firstPiece], top[b.firstPiece]
		return cmp.Or(cmp.Compare(takes[x], takes[y]), cmp.Compare(x, y), cmp.Compare(a.firstPiece, b.firstPiece))
	}
	slices.SortStableFunc(adds, func(a, b int) int { return by(s.spans[a], s.spans[b]) })
	slices.SortStableFunc(removes, func(a, b int) int { return by(s.stale[a].span, s.stale[b].span) })
}
