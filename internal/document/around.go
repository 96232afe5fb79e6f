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
	// Err says why the network interfaces, and the other groups attached to them, are unknown.
	Err error
}

// interfaces returns the state of the network interfaces that have a group of a pool or, without one, of all.
func (s Surroundings) interfaces(pool *secgroup.PoolPlan) []door.SubjectReport {
	if s.Door == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Door.Subjects), func(subject door.SubjectReport) bool {
		return subject.Interface == nil || pool != nil && !slices.ContainsFunc(subject.Groups, func(g door.GroupID) bool { return has(*pool, g.ID) })
	})
}

func has(pool secgroup.PoolPlan, id string) bool {
	return slices.Contains(pool.IDs(), id)
}

// revokes reports whether a step of a pool takes a rule away.
func revokes(pool secgroup.PoolPlan, w door.WorldRule) bool {
	return slices.ContainsFunc(pool.Steps, func(s secgroup.Step) bool {
		return s.HolderID == w.Group.ID && slices.Contains(s.Remove, w.Rule)
	})
}

// A partialPool says where groups of a pool are missing.
type partialPool struct {
	name       string
	interfaces []string // by ID
	missing    []secgroup.Group
}

// partialPools returns where groups of a pool are not attached along with the others.
func partialPools(v engine.Preview) []partialPool {
	var partial []partialPool
	if v.Plan == nil || v.Plan.Attachments == nil {
		return nil
	}
	for _, pool := range v.Pools {
		for _, i := range v.Plan.Attachments.Interfaces {
			var missing []secgroup.Group
			some := false
			for _, h := range pool.Holders {
				switch {
				case slices.Contains(i.Groups, h.ID):
					some = true
				case len(h.Settings.Ports) > 0:
					missing = append(missing, *h.Holder)
				}
			}
			if !some || len(missing) == 0 {
				continue
			}
			k := slices.IndexFunc(partial, func(p partialPool) bool {
				return p.name == pool.Name && slices.EqualFunc(p.missing, missing, func(a, b secgroup.Group) bool { return a.ID == b.ID })
			})
			if k < 0 {
				k = len(partial)
				partial = append(partial, partialPool{name: pool.Name, missing: missing})
			}
			partial[k].interfaces = append(partial[k].interfaces, i.ID)
		}
	}
	return partial
}

func (p partialPool) String() string {
	var missing []string
	for _, g := range p.missing {
		missing = append(missing, strings.TrimSpace(g.ID+" "+g.Name))
	}
	has, it := "has", "it"
	if len(p.interfaces) > 1 {
		has, it = "have", "them"
	}
	return fmt.Sprintf("%s %s only part of pool %s, and part of CloudFront may be shut out there: attach %s to %s", words.Few(p.interfaces), has, p.name, strings.Join(missing, ", "), it)
}
