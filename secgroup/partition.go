package secgroup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"
)

// partition reads the groups' tags and sorts the groups into pools. A group whose tags cannot be read stays in its
// pool, untouched: what it opens still counts.
func partition(groups []Group, req Request) [][]GroupPlan {
	byName := map[string][]GroupPlan{}
	for i := range groups {
		g := GroupPlan{Group: &groups[i]}
		if !req.Withdraw { // else no tag counts, not even one that cannot be read
			g.Settings, g.Err = ParseSettings(req.TagKey, g.Group.Tags)
		}
		if g.Err == nil {
			g.Err = g.Group.Err
		}
		g.unread = g.Err != nil
		if g.unread {
			g.Settings = Settings{Pool: strings.TrimSpace(g.Group.Tags[req.TagKey+poolSuffix])}
		}
		if err := req.Leave[g.Group.ID]; err != nil && g.Err == nil {
			g.Err = err
		}
		// A pool's name and a group's ID are kept apart by the kind of key.
		name := "id " + g.Group.ID
		if g.Settings.Pool != "" {
			name = "pool " + g.Settings.Pool
		}
		byName[name] = append(byName[name], g)
	}
	pools := make([][]GroupPlan, 0, len(byName))
	for _, members := range byName {
		slices.SortFunc(members, func(a, b GroupPlan) int { return cmp.Compare(a.Group.ID, b.Group.ID) })
		pools = append(pools, members)
	}
	slices.SortFunc(pools, func(a, b []GroupPlan) int {
		return cmp.Or(cmp.Compare(poolName(a[0]), poolName(b[0])), cmp.Compare(a[0].Group.ID, b[0].Group.ID))
	})
	return pools
}

func poolName(g GroupPlan) string { return cmp.Or(g.Settings.Pool, g.Group.ID) }

// checkPool refuses a pool whose groups cannot share rules.
func checkPool(members []GroupPlan) error {
	first := members[0]
	for _, m := range members[1:] {
		if m.Group.VPC != first.Group.VPC {
			return hint.New(fmt.Sprintf("pool %q has groups in two VPCs, %s in %s and %s in %s, but a pool belongs to one VPC",
				poolName(first), first.Group.ID, first.Group.VPC, m.Group.ID, m.Group.VPC), "give each VPC a pool name of its own")
		}
	}
	var active []GroupPlan
	for _, m := range members {
		if len(m.Settings.Ports) > 0 {
			active = append(active, m)
		}
	}
	if len(active) < 2 {
		return nil
	}
	for i, m := range active {
		if !slices.ContainsFunc(active, func(o GroupPlan) bool { return o.Group != m.Group && commonPort(o, m) }) {
			return hint.New(fmt.Sprintf("pool %q: %s has no port in common with the other groups of the pool (its ports are %v)",
				poolName(first), active[i].Group.ID, m.Settings.Ports), "give it one of theirs, or another pool")
		}
	}
	return nil
}

func commonPort(a, b GroupPlan) bool {
	return slices.ContainsFunc(a.Settings.Ports, func(p PortRange) bool { return slices.Contains(b.Settings.Ports, p) })
}
