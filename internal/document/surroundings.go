package document

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// Surroundings hold the interfaces, groups and tags around the managed groups of a target.
type Surroundings struct {
	Stray    []secgroup.StrayTag
	StrayErr error // why mistyped tags could not be looked for
	// Door judges the network interfaces of the groups, and apart from these the groups that are attached to none.
	Door *door.Report
	// Elsewhere are, by the ID of a group that is not managed and opens a port to the world, the network interfaces that
	// it has beyond those.
	Elsewhere map[string][]string
	// Referring are, by the ID of a managed prefix list, the groups with rules that refer to it.
	Referring map[string][]door.GroupID
	// Err says why the network interfaces, and the other groups attached to them, are unknown.
	Err error
}

// subjects returns the state of the network interfaces that have a group of a pool, or one that refers to a prefix list,
// and of groups of the pool that are attached to none; without a pool, of all.
func (s Surroundings) subjects(pool *secgroup.PoolPlan) []door.SubjectReport {
	if s.Door == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Door.Subjects), func(subject door.SubjectReport) bool {
		return pool != nil && !slices.ContainsFunc(subject.Groups, func(g door.GroupID) bool {
			return has(g.ID, *pool) || slices.Contains(s.Referring[pool.Name], g)
		})
	})
}

// has reports whether a holder is in any of some pools.
func has(id string, pools ...secgroup.PoolPlan) bool {
	return slices.ContainsFunc(pools, func(pool secgroup.PoolPlan) bool { return slices.Contains(pool.IDs(), id) })
}

// worldOf returns the rules that open ports which count to the world, at the pools asked for and beside them.
func worldOf(p *engine.Proposal, around []Surroundings) []door.WorldRule {
	rules := []door.WorldRule{}
	for i, v := range p.Previews {
		if around[i].Door == nil {
			continue
		}
		for _, w := range around[i].Door.OpenToWorld {
			if v.Plan == nil || has(w.Group.ID, v.Pools...) || !has(w.Group.ID, v.Plan.Pools...) {
				rules = append(rules, w)
			}
		}
	}
	return rules
}

// revokes reports whether a step takes a rule away.
func revokes(steps []secgroup.Step, w door.WorldRule) bool {
	return slices.ContainsFunc(steps, func(s secgroup.Step) bool {
		return s.HolderID == w.Group.ID && slices.Contains(s.Remove, w.Rule)
	})
}

// A PartialPool says where groups of a pool are not attached along with the others.
type PartialPool struct {
	Pool       string   `json:"pool"`
	Interfaces []string `json:"interfaces"`
	Missing    []string `json:"missing"`
	names      []string // of these groups
}

// partialPools returns where groups of pools are missing.
func partialPools(pools ...secgroup.PoolPlan) []PartialPool {
	partial := []PartialPool{}
	for _, pool := range pools {
		for _, i := range pool.Interfaces {
			here := PartialPool{Pool: pool.Name}
			for _, h := range pool.Holders {
				if len(h.Settings.Ports) > 0 && !slices.Contains(i.Groups, h.ID) {
					here.Missing, here.names = append(here.Missing, h.ID), append(here.names, strings.TrimSpace(h.ID+" "+h.Name))
				}
			}
			if len(here.Missing) == 0 {
				continue
			}
			k := slices.IndexFunc(partial, func(p PartialPool) bool { return p.Pool == pool.Name && slices.Equal(p.Missing, here.Missing) })
			if k < 0 {
				k = len(partial)
				partial = append(partial, here)
			}
			partial[k].Interfaces = append(partial[k].Interfaces, i.ID)
		}
	}
	return partial
}

func (p PartialPool) String() string {
	has, it := "has", "it"
	if len(p.Interfaces) > 1 {
		has, it = "have", "them"
	}
	return fmt.Sprintf("%s %s only part of pool %s, and part of CloudFront may be shut out there: attach %s to %s",
		words.Few(p.Interfaces), has, p.Pool, strings.Join(p.names, ", "), it)
}
