package document

import (
	"slices"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// worldOf returns the rules that open ports which count to the world, at the pools asked for and beside them.
func worldOf(p *engine.Proposal, around []Surroundings) []door.WorldRule {
	rules := []door.WorldRule{}
	for i, v := range p.Previews {
		if around[i].Door == nil {
			continue
		}
		in := func(pools []secgroup.PoolPlan, id string) bool {
			return slices.ContainsFunc(pools, func(pool secgroup.PoolPlan) bool { return has(pool, id) })
		}
		for _, w := range around[i].Door.OpenToWorld {
			if v.Plan == nil || in(v.Pools, w.Group.ID) || !in(v.Plan.Pools, w.Group.ID) {
				rules = append(rules, w)
			}
		}
	}
	return rules
}
