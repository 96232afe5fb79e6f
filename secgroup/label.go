package secgroup

import (
	"slices"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/planner"
)

// labels returns a function that gives the description of a wanted rule which is authorized.
//
// What is authorized in a pool that is held says so: it must not count for what the pool had before, or the next
// publications would let the guard go. A rule that opens only what others opened already that may go, a re-cut, takes
// their place and counts as they did. Beside one that is held it would count twice.
func (p *pool) labels() func(planner.Wanted) string {
	stamp := p.req.Stamp
	plain := stamp.String()
	if !p.held {
		return func(planner.Wanted) string { return plain }
	}
	stamp.Held = true
	marked := stamp.String()
	before := p.addressesBefore()
	return func(w planner.Wanted) string {
		id := p.id(w)
		if set := before[p.ports[w.Port]]; set != nil && set.ContainsPrefix(id.Source.Prefix) {
			return plain
		}
		return marked
	}
}

// addressesBefore returns, by port, the addresses that the rules open which count for what the pool had, but for those
// that are held and those made while the pool was.
func (p *pool) addressesBefore() map[PortRange]*ipspace.Set {
	sources := map[PortRange][]Rule{}
	for i, g := range p.groups {
		for k, r := range g.Group.Ingress {
			if s, ok := ParseStamp(p.req.TagKey, r.Description); ok && !s.Held && !p.world.Holders[i].Rules[k].Held && p.counts(r) {
				port := PortRange{uint16(r.From), uint16(r.To)}
				sources[port] = append(sources[port], r)
			}
		}
	}
	sets := map[PortRange]*ipspace.Set{}
	for port, rules := range sources {
		sets[port] = ipspace.Of(sourcesOf(rules))
	}
	return sets
}

// relabel adds the steps that make the descriptions of rules true which are there and stay: of rules taken over in
// exclusive groups, of those made for other services or while the pool was held, and of those that no file before this
// one can have made.
//
// A plan that only revokes leaves the date of its file on one rule, and does so first: an older file is then refused,
// whatever becomes of the run.
func (p *pool) relabel(steps []Step) []Step {
	if p.req.Withdraw || p.held {
		return steps
	}
	mislabelled, stays, dated := p.descriptions(func(g *Group) []Rule { return g.untouched(steps) })
	wrong := p.redescriptions(mislabelled, 0)
	adds := slices.ContainsFunc(steps, func(s Step) bool { return s.Op == Authorize })
	if dated || adds || len(steps) == 0 {
		return append(steps, wrong...)
	}
	if len(wrong) == 0 {
		wrong = p.redescriptions(stays, 1) // one does
	}
	return append(wrong, steps...)
}

// redescriptions returns the steps that describe rules anew, given by group: all of them, or the first so many.
func (p *pool) redescriptions(rules [][]Rule, most int) (steps []Step) {
	for i, g := range p.groups {
		step := Step{Op: Redescribe, GroupID: g.Group.ID}
		for _, r := range rules[i] {
			step.Rules = append(step.Rules, Rule{RuleID: r.RuleID, Description: p.req.Stamp.String()})
			if len(step.Rules) == most {
				return append(steps, step)
			}
		}
		if len(step.Rules) > 0 {
			steps = append(steps, step)
		}
	}
	return steps
}

// descriptions returns, by group, the wanted rules of those that no step of a plan is about: the ones whose
// descriptions are not true, and the ones whose descriptions are, but for an older date. It reports whether one has the
// date of the file.
func (p *pool) descriptions(untouched func(*Group) []Rule) (wrong, stays [][]Rule, dated bool) {
	wrong, stays = make([][]Rule, len(p.groups)), make([][]Rule, len(p.groups))
	for i, g := range p.groups {
		if p.frozen(i) {
			continue
		}
		for _, r := range untouched(g.Group) {
			if !owned(p.req.TagKey, g.Settings, r) || !p.wants(g.Settings, r.RuleID) {
				continue
			}
			stamp, ok := ParseStamp(p.req.TagKey, r.Description)
			switch {
			case !ok || stamp.Held || stamp.Cover() != p.req.Cover() || stamp.Published.After(p.req.Published):
				wrong[i] = append(wrong[i], r)
			case stamp.Published.Equal(p.req.Published):
				dated = true
			default:
				stays[i] = append(stays[i], r)
			}
		}
	}
	return wrong, stays, dated
}

// untouched returns the rules of the group that no step is about.
func (g *Group) untouched(steps []Step) []Rule {
	touched := map[RuleID]bool{}
	for _, s := range steps {
		if s.GroupID == g.ID {
			for _, r := range s.Rules {
				touched[r.RuleID] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(g.Ingress), func(r Rule) bool { return touched[r.RuleID] })
}
