package secgroup

import (
	"cmp"
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
	Sequence
	req     Request
	classes []class
	world   planner.World
}

// A class is a port of one pool. Pools that open the same port do not share its rules, so each has a class of its own.
type class struct {
	pool *PoolPlan
	port PortRange
}

func newUnit(pools []*PoolPlan, ranges []netip.Prefix, req Request) *unit {
	u := &unit{Sequence: Sequence{Ranges: ranges}, req: req, world: planner.World{Ranges: ranges}}
	for _, p := range pools {
		for _, h := range p.Holders {
			h.pool = p
		}
		u.Holders = append(u.Holders, p.Holders...)
		for _, port := range p.Ports() {
			u.classes = append(u.classes, class{p, port})
			u.world.Ports = append(u.world.Ports, planner.Ports{First: int(port.From), Last: int(port.To)})
		}
	}
	for _, h := range u.Holders {
		u.world.Holders = append(u.world.Holders, u.holder(h))
	}
	u.attach()
	return u
}

// holder returns a holder as the planner sees it.
func (u *unit) holder(plan *HolderPlan) planner.Holder {
	h := planner.Holder{Frozen: plan.frozen, Swaps: plan.Kind == ManagedPrefixList, Room: plan.FreeNow}
	for _, c := range u.classes {
		// The rules of a group whose tags cannot be read count as what they are.
		h.Lists = append(h.Lists, c.pool == plan.pool && (plan.Unread || plan.lists(c.port)))
	}
	for _, r := range plan.Ingress {
		first, last := r.OpenPorts()
		h.Rules = append(h.Rules, planner.Rule{
			Ports: planner.Ports{First: first, Last: last}, Prefix: r.Source.Prefix, Weight: r.Weighs(),
			Owned: plan.Owns(r), Held: plan.Held[r.RuleID],
		})
	}
	return h
}

// attach finds the different sets of holders that network interfaces have. If nothing of a unit is attached, its
// holders are taken to be attached together; if it is unknown where they are attached, each counts by itself.
func (u *unit) attach() {
	all, index, a := make([]int, len(u.Holders)), map[string]int{}, cmp.Or(u.req.Attachments, &Attachments{})
	for i, h := range u.Holders {
		all[i], index[h.ID] = i, i
		if a.Unknown {
			u.Interfaces = append(u.Interfaces, InterfaceSet{Holders: all[i : i+1]})
		}
	}
	for i := range a.Interfaces {
		eni := &a.Interfaces[i]
		var set []int
		for _, id := range eni.Groups {
			if k, ok := index[id]; ok {
				set = append(set, k)
			}
		}
		if len(set) == 0 {
			continue
		}
		slices.Sort(set)
		k := slices.IndexFunc(u.Interfaces, func(s InterfaceSet) bool { return slices.Equal(s.Holders, set) })
		if k < 0 {
			k = len(u.Interfaces)
			u.Interfaces = append(u.Interfaces, InterfaceSet{Name: eni.ID, Holders: set})
		}
		u.Interfaces[k].interfaces = append(u.Interfaces[k].interfaces, eni)
	}
	if len(u.Interfaces) == 0 {
		u.Interfaces = []InterfaceSet{{Holders: all}}
	}
	for _, set := range u.Interfaces {
		view := planner.View{Holders: set.Holders}
		for _, c := range u.classes { // an interface wants the ports of its own groups' tags
			view.Wants = append(view.Wants, slices.ContainsFunc(set.Holders, func(h int) bool {
				return u.Holders[h].pool == c.pool && u.Holders[h].lists(c.port)
			}))
		}
		u.world.Views = append(u.world.Views, view)
	}
}

// steps returns the calls of a plan as steps. The description of a rule that is added in a held pool says so: it must
// not count for what the pool had before, or the next publications would let the guard go.
func (u *unit) steps(plan *planner.Plan) []Step {
	steps := make([]Step, 0, len(plan.Calls))
	for _, c := range plan.Calls {
		h := u.Holders[c.Holder]
		stamp := u.req.Stamp
		stamp.Held = h.pool.held()
		description := stamp.String()
		wanted := func(w planner.Wanted) Rule {
			return Rule{RuleID: h.rule(u.classes[w.Port].port, Source{Prefix: u.Ranges[w.Range]}), Description: description}
		}
		step := Step{Kind: h.Kind, HolderID: h.ID, Gap: c.Gap, Reopens: c.Reopens}
		for _, w := range c.Add {
			step.Add = append(step.Add, wanted(w))
		}
		for _, item := range c.Remove {
			i, r := item.Rule, Rule{}
			if i < 0 {
				r = wanted(item.Wanted)
				i = slices.IndexFunc(h.Ingress, func(there Rule) bool { return there.RuleID == r.RuleID })
			}
			if i >= 0 {
				r = h.Ingress[i]
			}
			step.Remove = append(step.Remove, r)
		}
		for _, rules := range [][]Rule{step.Add, step.Remove} {
			slices.SortFunc(rules, func(a, b Rule) int { return a.compare(b.RuleID) })
		}
		steps = append(steps, step)
	}
	return steps
}

// stays returns warnings of rules that are not removed although nobody wants them, because something wanted would be
// closed at an interface.
func (u *unit) stays(p *PoolPlan, plan *planner.Plan) (warnings []string) {
	if _, short := errors.AsType[*ShortageError](p.Err); short || u.req.Attachments == nil || u.req.Attachments.Unknown {
		return nil // something else says it, or there is nothing
	}
	why := "although other groups replace them, because an interface with this group lacks those groups: attach the whole pool there"
	if len(plan.Unplaced) > 0 || slices.ContainsFunc(u.Holders, (*HolderPlan).isFrozen) {
		why = "until another group at the same interface opens the ranges: solve the other problems of this run first"
	}
	count := map[*HolderPlan]int{}
	for _, item := range plan.Stays {
		count[u.Holders[item.Holder]]++
	}
	for _, h := range p.Holders {
		if n := count[h]; n > 0 {
			warnings = append(warnings, fmt.Sprintf("%s: %s %s", h.ID, words.CountAs(n, "stale rule stays", "stale rules stay"), why))
		}
	}
	return warnings
}

// shortage returns a *[ShortageError] if not all wanted rules of a pool have a place.
func (u *unit) shortage(p *PoolPlan, plan *planner.Plan) error {
	e := &ShortageError{Kind: p.Kind, Pool: p.Name, TagKey: u.req.TagKey, IDs: p.IDs()}
	var lack Weight
	for k, c := range u.classes {
		var short Weight
		for _, w := range plan.Unplaced {
			if w.Port == k && c.pool == p {
				short[FamilyOf(u.Ranges[w.Range])]++
			}
		}
		lack.Add(short, 1)
		for f, n := range short {
			if needed := len(ofFamily(u.Ranges, Family(f))); n > 0 {
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
		e.RulesPerGroup = q + p.narrowBy(e.Missing(), u.Ranges, u.req)
	}
	switch {
	case p.held():
		e.Cause = map[Kind]string{SecurityGroup: "rules", ManagedPrefixList: "entries"}[p.Kind] + " that are held back take the rest"
	case slices.ContainsFunc(p.Holders, (*HolderPlan).isFrozen):
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

// describe adds the steps that correct the descriptions of a pool's rules which stay: of rules taken over in exclusive
// groups, of those made with other settings or while the pool was held, and of those that no file before this one can
// have made.
//
// Steps that only remove leave no date behind. So one rule that stays gets the date of the file, and gets it first: an
// older file is then refused, whatever becomes of the run. The entries of a prefix list cannot be described again.
func (u *unit) describe(p *PoolPlan) {
	if u.req.Withdraw || p.held() || p.Kind == ManagedPrefixList {
		return
	}
	idle, dated := true, false
	var wrong, older []Step // about rules whose descriptions are not true, and one that is true except for the date
	for _, h := range p.Holders {
		idle, dated = idle && h.Added+h.Removed == 0, dated || h.Added > 0
		if h.frozen {
			continue
		}
		bad := Step{HolderID: h.ID}
		for _, r := range h.Ingress {
			if !h.willHave(r.RuleID) || !h.Owns(r) || !u.wants(h, r.RuleID) {
				continue
			}
			described := Rule{RuleID: r.RuleID, Description: u.req.Stamp.String()}
			stamp, ok := ParseStamp(u.req.TagKey, r.Description)
			switch {
			case !ok || stamp.Held || !stamp.sameSettings(u.req.Stamp) || stamp.Published.After(u.req.Published):
				bad.Describe = append(bad.Describe, described)
			case stamp.Published.Equal(u.req.Published):
				dated = true
			case older == nil:
				older = []Step{{HolderID: h.ID, Describe: []Rule{described}}}
			}
		}
		if len(bad.Describe) > 0 {
			wrong = append(wrong, bad)
		}
	}
	if idle || dated {
		u.Steps = append(u.Steps, wrong...)
		return
	}
	if wrong == nil {
		wrong = older
	}
	u.Steps = append(wrong, u.Steps...)
}

// wants reports whether a rule is equal to a wanted one that its group lists.
func (u *unit) wants(h *HolderPlan, id RuleID) bool {
	_, found := slices.BinarySearchFunc(u.Ranges, id.Source.Prefix, netip.Prefix.Compare)
	return found && slices.ContainsFunc(h.Settings.Ports, func(port PortRange) bool { return h.rule(port, id.Source) == id })
}
