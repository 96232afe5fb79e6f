package secgroup

import (
	"slices"

	"cloudfront-sg-sync/internal/planner"
)

// shortage returns a *[ShortageError] if not all wanted rules have a place.
func (p *pool) shortage(plan *planner.Plan) error {
	if len(plan.Unplaced) == 0 {
		return nil
	}
	e := newShortage(p.groups, p.req)
	var lack Weight
	short := map[PortShortage]int{}
	for _, w := range plan.Unplaced {
		f := FamilyOf(p.req.Ranges[w.Range])
		lack[f]++
		short[PortShortage{Port: p.ports[w.Port], Family: f}]++
	}
	for _, port := range p.ports {
		for _, f := range []Family{IPv4, IPv6} {
			if n := short[PortShortage{Port: port, Family: f}]; n > 0 {
				needed := len(both(p.req.Ranges)[f])
				e.Ports = append(e.Ports, PortShortage{Port: port, Family: f, Needed: needed, Available: needed - n})
			}
		}
	}
	q := p.req.RulesPerGroup
	e.MoreGroups = (max(lack[IPv4], lack[IPv6]) + q - 1) / q
	e.RulesPerGroup = q + p.lacking(len(plan.Unplaced))
	switch {
	case p.held:
		e.Cause = "the rules that are held back take the rest"
	case slices.ContainsFunc(p.world.Holders, func(h planner.Holder) bool { return h.Frozen }):
		e.Cause = "groups of the pool that this run leaves alone may have room for the rest"
	}
	return e
}

// lacking returns how many more rules each group would have to hold so that all wanted rules have a place; most is
// enough in any case.
func (p *pool) lacking(most int) int {
	low, high := 1, most
	for low < high {
		mid := (low + high) / 2
		roomier := p.world
		roomier.Holders = slices.Clone(p.world.Holders)
		for i := range roomier.Holders {
			for f := range roomier.Holders[i].Room {
				roomier.Holders[i].Room[f] += mid
			}
		}
		if planner.Unplaced(roomier) == 0 {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}
