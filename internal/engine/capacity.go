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

// add takes over the pools of another target.
func (c *Capacity) add(o Capacity) {
	if o.Measured > 0 && (c.Measured == 0 || o.Free < c.Free) {
		c.Free = o.Free
	}
	c.Wanted += o.Wanted
	c.Measured += o.Measured
	c.Short += o.Short
}

// capacityOf returns the capacity of planned pools of groups that shall hold the ranges.
func capacityOf(pools []secgroup.PoolPlan, ranges []netip.Prefix) Capacity {
	var c Capacity
	for _, pool := range pools {
		_, short := errors.AsType[*secgroup.ShortageError](pool.Err)
		one := Capacity{Wanted: len(pool.Ports()) * len(ranges)}
		if short {
			one.Short = 1
		}
		// A pool that is left alone for another reason has no plan to measure.
		if one.Wanted > 0 && (short || pool.Err == nil) {
			one.Measured, one.Free = 1, freeSlots(pool, ranges)
		}
		c.add(one)
	}
	return c
}

// freeSlots returns how many more rules a pool surely holds: of its ports and of the families of the ranges, those that
// have the least room.
func freeSlots(pool secgroup.PoolPlan, ranges []netip.Prefix) int {
	least, ports := -1, pool.Ports()
	for _, f := range []secgroup.Family{secgroup.IPv4, secgroup.IPv6} {
		if !slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return secgroup.FamilyOf(p) == f }) {
			continue
		}
		for _, port := range ports {
			free := 0
			for _, g := range pool.Holders {
				if slices.Contains(g.Settings.Ports, port) {
					free += max(g.Free[f], 0) // a group over its quota takes no room from the others
				}
			}
			if least < 0 || free < least {
				least = free
			}
		}
	}
	return least
}
