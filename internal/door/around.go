package door

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"cloudfront-sg-sync/secgroup"
)

// Around returns the scene at the network interfaces of the groups of a plan. The groups of a pool that none has, or
// that nobody looked for, come as one. Rules and entries are those of the plan, less any that are gone since. With
// complete set, it also describes the other groups of the interfaces, and reads the other prefix lists that rules refer
// to; without, it makes no call. If a call fails, the scene lacks only its data.
func Around(ctx context.Context, api API, plan *secgroup.Plan, gone func(holder string, id secgroup.RuleID) bool, complete bool) (scene *Scene, err error) {
	scene = &Scene{Lists: map[string]secgroup.Holder{}}
	var groups []secgroup.Group
	var pools []Subject
	for _, pool := range plan.Pools {
		var together Subject
		for _, h := range pool.Holders {
			holder := *h.Holder
			isGone := func(r secgroup.Rule) bool { return gone(h.ID, r.RuleID) }
			if slices.ContainsFunc(h.Ingress, isGone) { // else it is not copied: a run may have hundreds of thousands of rules
				holder.Ingress = slices.DeleteFunc(slices.Clone(h.Ingress), isGone)
			}
			if h.Kind == secgroup.SecurityGroup {
				together.Groups = append(together.Groups, holder)
			} else {
				scene.Lists[h.ID] = holder
			}
		}
		if len(together.Groups) > 0 {
			pools, groups = append(pools, together), append(groups, together.Groups...)
		}
	}
	if at := plan.Attachments; at != nil && !at.Unknown {
		scene.Subjects, groups, err = SubjectsAt(ctx, api, at.Interfaces, groups, complete)
	}
	attached := map[string]bool{}
	for _, s := range scene.Subjects {
		for _, g := range s.Groups {
			attached[g.ID] = true
		}
	}
	for _, pool := range pools {
		pool.Groups = slices.DeleteFunc(pool.Groups, func(g secgroup.Group) bool { return attached[g.ID] })
		if len(pool.Groups) > 0 {
			scene.Subjects = append(scene.Subjects, pool)
		}
	}
	if complete && err == nil {
		err = scene.ReadLists(ctx, api, groups)
	}
	return scene, err
}

// Unread says of each prefix list whose entries could not be read that it may open a port to the world.
func (s *Scene) Unread() []string {
	var unread []string
	for _, id := range slices.Sorted(maps.Keys(s.Lists)) {
		if err := s.Lists[id].Err; err != nil {
			unread = append(unread, fmt.Sprintf("cannot tell whether rules that refer to %s are open to the world: %v", id, err))
		}
	}
	return unread
}
