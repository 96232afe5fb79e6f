package secgroup

import (
	"fmt"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/planner"
	"cloudfront-sg-sync/internal/words"
)

// pool is a pool as the planner sees it: its groups as holders of rules.
type pool struct {
	req    Request
	groups []GroupPlan
	ports  []PortRange
	world  planner.World
	views  views
	held   bool // nothing of the pool is closed
}

func newPool(groups []GroupPlan, req Request) *pool {
	p := &pool{req: req, groups: groups}
	for _, g := range groups {
		p.ports = append(p.ports, g.Settings.Ports...)
	}
	p.ports = SortPorts(p.ports)
	p.views = viewsOf(groups, req.Attachments)
	p.world = planner.World{Ranges: req.Ranges}
	for _, port := range p.ports {
		p.world.Ports = append(p.world.Ports, planner.Ports{First: int(port.From), Last: int(port.To)})
	}
	p.world.Views = p.planned()
	for _, g := range groups {
		p.world.Holders = append(p.world.Holders, p.holder(g))
	}
	return p
}

// holder returns a group as the planner sees it.
func (p *pool) holder(g GroupPlan) planner.Holder {
	h := planner.Holder{
		Frozen: g.Err != nil || len(p.req.GroupIDs) > 0 && !slices.Contains(p.req.GroupIDs, g.Group.ID),
		Lists:  make([]bool, len(p.ports)),
		Rules:  make([]planner.Rule, len(g.Group.Ingress)),
		Room:   [2]int{p.req.RulesPerGroup, p.req.RulesPerGroup},
	}
	for k, port := range p.ports {
		// Of a group whose tags cannot be read, what it opens counts.
		h.Lists[k] = g.unread || slices.Contains(g.Settings.Ports, port)
	}
	for i, r := range g.Group.Ingress {
		weight := r.weight()
		h.Rules[i] = planner.Rule{
			Ports:  r.opens(),
			Prefix: r.Source.Prefix,
			Weight: weight,
			Owned:  owned(p.req.TagKey, g.Settings, r),
		}
		for f := range weight {
			h.Room[f] -= weight[f]
		}
	}
	return h
}

// opens returns the TCP ports that a rule opens.
func (id RuleID) opens() planner.Ports {
	switch {
	case id.Protocol == "-1":
		return planner.Ports{First: 0, Last: 65535}
	case id.Protocol == "tcp" && id.From >= 0:
		return planner.Ports{First: int(id.From), Last: int(id.To)}
	}
	return planner.Ports{First: 0, Last: -1}
}

// frozen reports whether a group is left as it is.
func (p *pool) frozen(group int) bool { return p.world.Holders[group].Frozen }

// id returns what identifies a wanted rule.
func (p *pool) id(w planner.Wanted) RuleID {
	port := p.ports[w.Port]
	return RuleID{Protocol: "tcp", From: int32(port.From), To: int32(port.To), Source: Source{Prefix: p.req.Ranges[w.Range]}}
}

// steps returns the calls of a plan as steps.
func (p *pool) steps(plan *planner.Plan) []Step {
	label := p.labels()
	steps := make([]Step, 0, len(plan.Calls))
	for _, c := range plan.Calls {
		group := p.groups[c.Holder].Group
		step := Step{GroupID: group.ID, Gap: c.Gap, Closes: c.Closes}
		for _, w := range c.Add {
			step.Rules = append(step.Rules, Rule{RuleID: p.id(w), Description: label(w)})
		}
		if len(c.Remove) > 0 {
			step.Op = Revoke
		}
		for _, item := range c.Remove {
			step.Rules = append(step.Rules, p.removed(group, item, label))
		}
		slices.SortFunc(step.Rules, func(a, b Rule) int { return a.compare(b.RuleID) })
		steps = append(steps, step)
	}
	return steps
}

// stays returns warnings of rules that are not revoked although nobody wants them, as something wanted would be closed
// where they are.
func (p *pool) stays(plan *planner.Plan) []string {
	if len(plan.Stays) == 0 || len(plan.Unplaced) > 0 || p.req.Attachments == nil || p.req.Attachments.Unknown {
		return nil // something else says it, or there is nothing
	}
	count := map[int]int{}
	for _, item := range plan.Stays {
		count[item.Holder]++
	}
	var warnings []string
	for i, g := range p.groups {
		switch n := count[i]; {
		case n == 0:
		default:
			warnings = append(warnings, fmt.Sprintf("%s: %s although other groups of the pool replace %s, because an interface with this group lacks those groups: attach the whole pool there", g.Group.ID, words.CountAs(n, "rule stays", "rules stay"), map[bool]string{true: "it", false: "them"}[n == 1]))
		}
	}
	return warnings
}

// removed returns the rule that an item of the planner's is.
func (p *pool) removed(group *Group, item planner.Item, label func(planner.Wanted) string) Rule {
	if item.Rule >= 0 {
		return group.Ingress[item.Rule]
	}
	id := p.id(item.Wanted)
	if i := group.index(id); i >= 0 {
		return group.Ingress[i]
	}
	return Rule{RuleID: id, Description: label(item.Wanted)}
}

// index returns the index of the group's rule with an identity, or -1.
func (g *Group) index(id RuleID) int {
	return slices.IndexFunc(g.Ingress, func(r Rule) bool { return r.RuleID == id })
}

// wants reports whether a rule is equal to a wanted one that a group lists.
func (p *pool) wants(s Settings, r RuleID) bool {
	if r.Protocol != "tcp" {
		return false
	}
	_, found := slices.BinarySearchFunc(p.req.Ranges, r.Source.Prefix, netip.Prefix.Compare)
	return found && slices.ContainsFunc(s.Ports, func(port PortRange) bool {
		return int32(port.From) == r.From && int32(port.To) == r.To
	})
}
