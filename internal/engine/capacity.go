package engine

import (
	"errors"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/secgroup"
)

// A Capacity says how much the pools of a run have to hold, and what room they have left after it.
type Capacity struct {
	// Wanted counts the rules that there should be: each range once for each port of each pool.
	Wanted int
	// Measured counts the pools whose room is known; Free is the number of free slots of the tightest of them.
	Measured, Free int
	// Short counts the pools that are too small.
	Short int
}

// capacityOf returns the capacity of a planned pool of groups that shall hold the ranges.
func capacityOf(pool secgroup.PoolPlan, ranges []netip.Prefix) Capacity {
	c := Capacity{Wanted: len(pool.Ports()) * len(ranges)}
	_, short := errors.AsType[*secgroup.ShortageError](pool.Err)
	if short {
		c.Short = 1
	}
	if c.Wanted > 0 && (pool.Err == nil || short) { // a pool that is left alone for another reason has no plan to measure
		c.Measured, c.Free = 1, freeSlots(pool, ranges)
	}
	return c
}

// add adds the capacity of other pools.
func (c *Capacity) add(o Capacity) {
	if o.Measured > 0 && (c.Measured == 0 || o.Free < c.Free) {
		c.Free = o.Free
	}
	c.Wanted += o.Wanted
	c.Measured += o.Measured
	c.Short += o.Short
}

// freeSlots returns how many more rules a pool surely holds: of its ports and of the families of the ranges, those that
// have the least room.
func freeSlots(pool secgroup.PoolPlan, ranges []netip.Prefix) int {
	var all []int
	for _, f := range []secgroup.Family{secgroup.IPv4, secgroup.IPv6} {
		if !slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return secgroup.FamilyOf(p) == f }) {
			continue
		}
		for _, port := range pool.Ports() {
			free := 0
			for _, g := range pool.Holders {
				if slices.Contains(g.Settings.Ports, port) {
					free += max(g.Free[f], 0) // a group over its quota takes no room from the others
				}
			}
			all = append(all, free)
		}
	}
	return slices.Min(all)
}
