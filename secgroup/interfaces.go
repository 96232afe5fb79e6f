package secgroup

import (
	"slices"
)

// Attachments tell which network interfaces groups are attached to.
type Attachments struct {
	Interfaces []Interface
	// Unknown is true where nobody may look. Then a rule can be counted on only
	// in its own group.
	Unknown bool
}

// An Interface is a network interface.
type Interface struct {
	ID string // eni-…
	// Description says what it belongs to: "ELB app/shop/50dc6c495c0c9188".
	Description string
	Groups      []string // IDs of the groups attached to it
}

// An InterfacePlan is what a network interface has of a pool after the steps.
type InterfacePlan struct {
	*Interface
	// Lacks counts the wanted rules, on ports that its groups list, that no
	// group of the interface has.
	Lacks int
	// Attach lists the groups of the pool that have them.
	Attach []string
}

// views are the different sets of a pool's groups that interfaces have.
type views struct {
	sets       [][]int // for the planner
	interfaces []*Interface
	view       []int // by interface: its set
}

// viewsOf returns the views of a pool. Where nothing of it is attached, there
// are none: it is taken as one that will be attached as a whole.
func viewsOf(groups []GroupPlan, a *Attachments) views {
	var v views
	if a == nil {
		return v
	}
	if a.Unknown {
		for i := range groups {
			v.sets = append(v.sets, []int{i})
		}
		return v
	}
	for i := range a.Interfaces {
		eni := &a.Interfaces[i]
		var set []int
		for k, g := range groups {
			if slices.Contains(eni.Groups, g.Group.ID) {
				set = append(set, k)
			}
		}
		if len(set) == 0 {
			continue
		}
		k := slices.IndexFunc(v.sets, func(o []int) bool { return slices.Equal(o, set) })
		if k < 0 {
			k = len(v.sets)
			v.sets = append(v.sets, set)
		}
		v.interfaces = append(v.interfaces, eni)
		v.view = append(v.view, k)
	}
	return v
}

// interfaces returns what each interface has of the pool after the steps.
func (p *pool) interfaces(steps []Step) []InterfacePlan {
	if len(p.views.interfaces) == 0 {
		return nil
	}
	has := make([]map[RuleID]bool, len(p.groups))
	for i, g := range p.groups {
		has[i] = map[RuleID]bool{}
		for _, r := range g.Group.after(steps) {
			has[i][r.RuleID] = true
		}
	}
	bySet := make([]InterfacePlan, len(p.views.sets))
	for k, set := range p.views.sets {
		bySet[k] = p.lacks(set, has)
	}
	plans := make([]InterfacePlan, len(p.views.interfaces))
	for i, eni := range p.views.interfaces {
		plans[i] = bySet[p.views.view[i]]
		plans[i].Interface = eni
	}
	return plans
}

// lacks counts what a set of groups lacks of the rules wanted on the ports that
// they list, and says which groups have it.
func (p *pool) lacks(set []int, has []map[RuleID]bool) InterfacePlan {
	var plan InterfacePlan
	for _, port := range p.ports {
		if !slices.ContainsFunc(set, func(i int) bool { return slices.Contains(p.groups[i].Settings.Ports, port) }) {
			continue
		}
		for _, source := range p.req.Ranges {
			id := RuleID{Protocol: "tcp", From: int32(port.From), To: int32(port.To), Source: Source{Prefix: source}}
			if slices.ContainsFunc(set, func(i int) bool { return has[i][id] }) {
				continue
			}
			plan.Lacks++
			for i, g := range p.groups {
				if has[i][id] && !slices.Contains(plan.Attach, g.Group.ID) {
					plan.Attach = append(plan.Attach, g.Group.ID)
				}
			}
		}
	}
	slices.Sort(plan.Attach)
	return plan
}
