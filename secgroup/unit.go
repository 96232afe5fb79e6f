package secgroup

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"cloudfront-sg-sync/internal/planner"
	"cloudfront-sg-sync/internal/words"
)

// A unit is a set of pools that are planned together, as the planner sees them.
type unit struct {
	req     Request
	pools   []*PoolPlan
	holders []*HolderPlan // of all pools
	poolOf  []int         // by holder
	classes []class
	ranges  []netip.Prefix
	sets    []InterfaceSet
	world   planner.World
}

// A class is a port of one pool. Pools that open the same port do not share its rules, so each has a class of its own.
type class struct {
	pool int
	port PortRange
}

func newUnit(pools []*PoolPlan, ranges []netip.Prefix, req Request) *unit {
	u := &unit{req: req, pools: pools, ranges: ranges, world: planner.World{Ranges: ranges}}
	for i, p := range pools {
		for k := range p.Holders {
			u.holders = append(u.holders, &p.Holders[k])
			u.poolOf = append(u.poolOf, i)
		}
		for _, port := range p.Ports() {
			u.classes = append(u.classes, class{i, port})
			u.world.Ports = append(u.world.Ports, planner.Ports{First: int(port.From), Last: int(port.To)})
		}
	}
	for i := range u.holders {
		u.world.Holders = append(u.world.Holders, u.holder(i))
	}
	u.attach()
	return u
}

// holder returns a holder as the planner sees it.
func (u *unit) holder(i int) planner.Holder {
	plan := u.holders[i]
	h := planner.Holder{
		Frozen: plan.frozen,
		Swaps:  plan.Kind == ManagedPrefixList,
		Lists:  make([]bool, len(u.classes)),
		Rules:  make([]planner.Rule, len(plan.Ingress)),
		Room:   plan.room,
	}
	for k, c := range u.classes {
		// The rules of a group whose tags cannot be read count as what they are.
		h.Lists[k] = c.pool == u.poolOf[i] && (plan.Unread || slices.Contains(plan.Settings.Ports, c.port))
	}
	for k, r := range plan.Ingress {
		weight := r.Weighs()
		first, last := r.OpenPorts()
		h.Rules[k] = planner.Rule{Ports: planner.Ports{First: first, Last: last}, Prefix: r.Source.Prefix, Weight: weight, Owned: plan.Owns(r), Held: plan.Held[r.RuleID]}
		for f := range weight {
			h.Room[f] -= weight[f]
		}
	}
	return h
}

// attach finds the different sets of holders that network interfaces have. If nothing of a unit is attached, its
// holders are taken to be attached together; if it is unknown where they are attached, each counts by itself.
func (u *unit) attach() {
	all, index := make([]int, len(u.holders)), map[string]int{}
	for i, h := range u.holders {
		all[i], index[h.ID] = i, i
	}
	a := u.req.Attachments
	switch {
	case a == nil || u.pools[0].Kind == ManagedPrefixList:
	case a.Unknown:
		for i := range all {
			u.sets = append(u.sets, InterfaceSet{Holders: all[i : i+1]})
		}
	default:
		for i := range a.Interfaces {
			var set []int
			for _, id := range a.Interfaces[i].Groups {
				if k, ok := index[id]; ok {
					set = append(set, k)
				}
			}
			if len(set) == 0 {
				continue
			}
			slices.Sort(set)
			k := slices.IndexFunc(u.sets, func(s InterfaceSet) bool { return slices.Equal(s.Holders, set) })
			if k < 0 {
				k = len(u.sets)
				u.sets = append(u.sets, InterfaceSet{Name: a.Interfaces[i].ID, Holders: set})
			}
			u.sets[k].interfaces = append(u.sets[k].interfaces, &a.Interfaces[i])
		}
	}
	if len(u.sets) == 0 {
		u.sets = []InterfaceSet{{Holders: all}}
		return
	}
	u.world.Views = u.views()
}

// views returns the sets as the planner sees them. An interface wants the ports of its own groups' tags.
func (u *unit) views() []planner.View {
	views := make([]planner.View, len(u.sets))
	for i, set := range u.sets {
		views[i] = planner.View{Holders: set.Holders, Wants: make([]bool, len(u.classes))}
		for k, c := range u.classes {
			views[i].Wants[k] = slices.ContainsFunc(set.Holders, func(h int) bool {
				return u.poolOf[h] == c.pool && slices.Contains(u.holders[h].Settings.Ports, c.port)
			})
		}
	}
	return views
}

// id returns what identifies a wanted rule in a holder.
func (u *unit) id(h *HolderPlan, w planner.Wanted) RuleID {
	return h.rule(u.classes[w.Port].port, Source{Prefix: u.ranges[w.Range]})
}

// steps returns the calls of a plan as steps. The description of a rule that is added in a held pool says so: it must
// not count for what the pool had before, or the next publications would let the guard go.
func (u *unit) steps(plan *planner.Plan) []Step {
	steps := make([]Step, 0, len(plan.Calls))
	for _, c := range plan.Calls {
		h := u.holders[c.Holder]
		stamp := u.req.Stamp
		stamp.Held = u.pools[u.poolOf[c.Holder]].held()
		description := stamp.String()
		step := Step{Kind: h.Kind, HolderID: h.ID, Gap: c.Gap, Reopens: c.Closes}
		for _, w := range c.Add {
			step.Add = append(step.Add, Rule{RuleID: u.id(h, w), Description: description})
		}
		for _, item := range c.Remove {
			r := Rule{Description: description}
			i := item.Rule
			if i < 0 {
				r.RuleID = u.id(h, item.Wanted)
				i = h.index(r.RuleID)
			}
			if i >= 0 {
				r = h.Ingress[i]
			}
			step.Remove = append(step.Remove, r)
		}
		step.sort()
		steps = append(steps, step)
	}
	return steps
}

// stays returns warnings of rules that are not removed although nobody wants them, because something wanted would be
// closed at an interface.
func (u *unit) stays(pool int, plan *planner.Plan) []string {
	if _, short := errors.AsType[*ShortageError](u.pools[pool].Err); short || u.req.Attachments == nil || u.req.Attachments.Unknown {
		return nil // something else says it, or there is nothing
	}
	count := map[int]int{}
	for _, item := range plan.Stays {
		count[item.Holder]++
	}
	why := "although other groups replace them, because an interface with this group lacks those groups: attach the whole pool there"
	if len(plan.Unplaced) > 0 || slices.ContainsFunc(u.holders, func(h *HolderPlan) bool { return h.frozen }) {
		why = "until another group at the same interface opens the ranges: solve the other problems of this run first"
	}
	var warnings []string
	for i, h := range u.holders {
		if n := count[i]; n > 0 && u.poolOf[i] == pool {
			warnings = append(warnings, fmt.Sprintf("%s: %s %s", h.ID, words.CountAs(n, "stale rule stays", "stale rules stay"), why))
		}
	}
	return warnings
}

// shortage returns a *[ShortageError] if not all wanted rules of a pool have a place.
func (u *unit) shortage(pool int, plan *planner.Plan) error {
	p := u.pools[pool]
	e := &ShortageError{Kind: p.Kind, Pool: p.Name, TagKey: u.req.TagKey, IDs: p.IDs()}
	var lack Weight
	for k, c := range u.classes {
		if c.pool != pool {
			continue
		}
		var short Weight
		for _, w := range plan.Unplaced {
			if w.Port == k {
				short[FamilyOf(u.ranges[w.Range])]++
			}
		}
		lack.add(short, 1)
		for f, n := range short {
			if needed := len(ofFamily(u.ranges, Family(f))); n > 0 {
				e.Ports = append(e.Ports, PortShortage{Port: c.port, Family: Family(f), Needed: needed, Available: needed - n})
			}
		}
	}
	if len(e.Ports) == 0 {
		return nil
	}
	if p.Kind == ManagedPrefixList {
		e.MaxEntries = p.Holders[0].MaxEntries + e.Missing()
	} else {
		q := u.req.RulesPerGroup
		e.MoreGroups = (max(lack[IPv4], lack[IPv6]) + q - 1) / q
		e.RulesPerGroup = q + p.narrowBy(e.Missing(), u.ranges, u.req)
	}
	switch {
	case p.held():
		e.Cause = map[Kind]string{SecurityGroup: "rules", ManagedPrefixList: "entries"}[p.Kind] + " that are held back take the rest"
	case slices.ContainsFunc(p.Holders, func(h HolderPlan) bool { return h.frozen }):
		e.Cause = "groups of the pool that this run leaves alone may have room for the rest"
	}
	return e
}

// narrowBy returns how many more rules each group of the pool would have to hold so that all wanted rules have a place;
// most is enough in any case.
func (p *PoolPlan) narrowBy(most int, ranges []netip.Prefix, req Request) int {
	world := newUnit([]*PoolPlan{p}, ranges, req).world
	return 1 + sort.Search(most-1, func(n int) bool {
		roomier := world
		roomier.Holders = slices.Clone(world.Holders)
		for i := range roomier.Holders {
			for f := range roomier.Holders[i].Room {
				roomier.Holders[i].Room[f] += n + 1
			}
		}
		return planner.Unplaced(roomier) == 0
	})
}

// ofFamily returns the prefixes of a family.
func ofFamily(prefixes []netip.Prefix, f Family) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return FamilyOf(p) != f })
}
