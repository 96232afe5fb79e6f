package status

import (
	"context"
	"maps"
	"slices"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// An Exposure is a rule that opens a managed port to the world.
type Exposure struct {
	secgroup.Exposure
	Managed bool // its group carries the tag
	Owned   bool // the plan takes the rule away
	// Interfaces are the IDs of the network interfaces that its group is attached to.
	Interfaces []string
	// Revocable is set if CloudFront stays in at every interface without the rule, and the rule opens nothing but
	// managed ports. Otherwise Advice says what to do before it is revoked.
	Revocable bool
	Advice    string

	group secgroup.Group
}

// managedPorts returns the ports of each managed group's pool.
func managedPorts(pools []secgroup.PoolPlan) map[string][]secgroup.PortRange {
	ports := map[string][]secgroup.PortRange{}
	for _, pool := range pools {
		var all []secgroup.PortRange
		for _, g := range pool.Groups {
			all = append(all, g.Settings.Ports...)
		}
		all = secgroup.SortPorts(all)
		for _, g := range pool.Groups {
			ports[g.Group.ID] = all
		}
	}
	return ports
}

// portsAt returns the managed ports of a network interface.
func portsAt(s door.Subject, managed map[string][]secgroup.PortRange) []secgroup.PortRange {
	var ports []secgroup.PortRange
	for _, g := range s.Groups {
		ports = append(ports, managed[g.ID]...)
	}
	return secgroup.SortPorts(ports)
}

// exposures returns the rules of managed groups, and of groups that are attached along with them, that open a managed
// port to the world: each rule once, with all ports that it opens where its group is attached.
func exposures(v engine.Preview, subjects []door.Subject, managed map[string][]secgroup.PortRange) []Exposure {
	ports, beside := maps.Clone(managed), map[string]secgroup.Group{}
	for _, s := range subjects {
		here := portsAt(s, managed)
		for _, g := range s.Groups {
			ports[g.ID] = slices.Concat(ports[g.ID], here)
			if _, tagged := managed[g.ID]; !tagged {
				beside[g.ID] = g
			}
		}
	}
	var found []Exposure
	for _, pool := range v.Pools {
		for _, g := range pool.Groups {
			for _, x := range secgroup.ExposuresOn(*g.Group, secgroup.SortPorts(ports[g.Group.ID])) {
				found = append(found, Exposure{Exposure: x, group: *g.Group, Managed: true, Owned: Revokes(pool, x)})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(beside)) {
		for _, x := range secgroup.ExposuresOn(beside[id], secgroup.SortPorts(ports[id])) {
			found = append(found, Exposure{Exposure: x, group: beside[id]})
		}
	}
	return found
}

// addInterfaces adds the network interfaces of the other groups that have exposures, as these may be attached elsewhere
// too.
func (s *Surroundings) addInterfaces(ctx context.Context, api door.AttachmentAPI) error {
	var groups []secgroup.Group
	for _, x := range s.Exposures {
		if !x.Managed && !slices.ContainsFunc(groups, func(g secgroup.Group) bool { return g.ID == x.GroupID }) {
			groups = append(groups, x.group)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	more, err := door.Attached(ctx, api, groups)
	if err != nil {
		return err
	}
	for _, m := range more {
		if !slices.ContainsFunc(s.subjects, func(s door.Subject) bool { return s.Interface.ID == m.Interface.ID }) {
			s.subjects = append(s.subjects, m)
		}
	}
	return nil
}

// Revokes reports whether a plan takes the rule of an exposure away.
func Revokes(pool secgroup.PoolPlan, x secgroup.Exposure) bool {
	return slices.ContainsFunc(pool.Steps, func(s secgroup.Step) bool {
		return s.Op == secgroup.Revoke && s.GroupID == x.GroupID && slices.Contains(s.Rules, x.Rule)
	})
}
