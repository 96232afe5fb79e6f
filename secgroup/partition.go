package secgroup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"
)

// partition reads the holders' tags and sorts groups into pools; a list is a pool of its own. A group whose tags cannot
// be read stays in its pool, untouched: what it opens still counts.
func partition(holders []Holder, req Request) []PoolPlan {
	byName := map[string]*PoolPlan{}
	for i := range holders {
		h := newHolderPlan(&holders[i], req)
		// A pool's name and a group's ID are kept apart by the kind of key.
		key := "id " + h.ID
		if h.Settings.Pool != "" {
			key = "pool " + h.Settings.Pool
		}
		if byName[key] == nil {
			byName[key] = &PoolPlan{Kind: h.Kind, Name: cmp.Or(h.Settings.Pool, h.ID)}
		}
		byName[key].Holders = append(byName[key].Holders, h)
	}
	pools := make([]PoolPlan, 0, len(byName))
	for _, p := range byName {
		slices.SortFunc(p.Holders, func(a, b HolderPlan) int { return cmp.Compare(a.ID, b.ID) })
		pools = append(pools, *p)
	}
	slices.SortFunc(pools, func(a, b PoolPlan) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Holders[0].ID, b.Holders[0].ID))
	})
	return pools
}

func newHolderPlan(h *Holder, req Request) HolderPlan {
	p := HolderPlan{Holder: h, tagKey: req.TagKey, FreeNow: Weight{req.RulesPerGroup, req.RulesPerGroup}}
	parse := ParseSettings
	if h.Kind == ManagedPrefixList {
		parse = parseListSettings
		p.FreeNow = Weight{}
		p.FreeNow[h.Family] = h.MaxEntries
	}
	for _, r := range h.Ingress {
		p.FreeNow.Add(r.Weighs(), -1)
	}
	p.date(req)
	if !req.Withdraw { // else no tag counts, not even one that cannot be read
		p.Settings, p.Problem = parse(req.TagKey, h.Tags)
	}
	p.Problem = cmp.Or(p.Problem, h.Err)
	if p.Unread = p.Problem != nil; p.Unread {
		p.Settings = Settings{}
		if h.Kind == SecurityGroup {
			p.Settings.Pool = strings.TrimSpace(h.Tags[req.TagKey+poolSuffix])
		}
	}
	p.Problem = cmp.Or(p.Problem, req.Leave[h.ID])
	return p
}

// connect returns the pools by what has to be planned together: pools that meet at a network interface, directly or by
// way of others. If it is unknown where groups are attached, each pool is apart.
func connect(pools []PoolPlan, a *Attachments) [][]*PoolPlan {
	of := map[string]int{}          // by group ID: its pool
	with := make([]int, len(pools)) // by pool: the first of those that it meets
	for i, p := range pools {
		with[i] = i
		for _, h := range p.Holders {
			of[h.ID] = i
		}
	}
	for _, eni := range cmp.Or(a, &Attachments{}).Interfaces {
		var met []int
		for _, id := range eni.Groups {
			if i, managed := of[id]; managed {
				met = append(met, with[i])
			}
		}
		if met = slices.Compact(met); len(met) < 2 {
			continue
		}
		for k := range with {
			if slices.Contains(met, with[k]) {
				with[k] = slices.Min(met)
			}
		}
	}
	connected := make([][]*PoolPlan, len(pools))
	for i := range pools {
		connected[with[i]] = append(connected[with[i]], &pools[i])
	}
	return slices.DeleteFunc(connected, func(together []*PoolPlan) bool { return together == nil })
}

// checkPool refuses a pool whose groups cannot share rules.
func checkPool(members []HolderPlan) error {
	first := members[0]
	pool := first.Settings.Pool
	for _, m := range members[1:] {
		if m.VPC != first.VPC {
			return hint.New(fmt.Sprintf("pool %q has groups in two VPCs, %s in %s and %s in %s, but a pool belongs to one VPC",
				pool, first.ID, first.VPC, m.ID, m.VPC), "give each VPC a pool name of its own")
		}
	}
	active := slices.DeleteFunc(slices.Clone(members), func(m HolderPlan) bool { return len(m.Settings.Ports) == 0 })
	for _, m := range active {
		if len(active) > 1 && !slices.ContainsFunc(active, func(o HolderPlan) bool { return o.ID != m.ID && commonPort(o, m) }) {
			return hint.New(fmt.Sprintf("pool %q: %s has no port in common with the other groups of the pool (its ports are %v)",
				pool, m.ID, m.Settings.Ports), "give it one of theirs, or another pool")
		}
	}
	return nil
}

func commonPort(a, b HolderPlan) bool {
	return slices.ContainsFunc(a.Settings.Ports, func(p PortRange) bool { return slices.Contains(b.Settings.Ports, p) })
}
