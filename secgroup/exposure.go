package secgroup

import "cloudfront-sg-sync/internal/ipspace"

// An Exposure is a rule that opens a managed port to far more than any published range, which defeats the rules that
// this package writes.
type Exposure struct {
	GroupID string
	Rule    Rule
	// Ports are the managed ports that the rule opens, wholly or in part.
	Ports []PortRange
}

// Exposures returns the rules of the pool's groups that open one of the pool's ports to the world, as they are before
// the first step. The groups of a pool are attached together, so that each opens what the others keep closed.
func (pp PoolPlan) Exposures() []Exposure {
	var ports []PortRange
	for _, g := range pp.Groups {
		ports = append(ports, g.Settings.Ports...)
	}
	var exposures []Exposure
	for _, g := range pp.Groups {
		exposures = append(exposures, ExposuresOn(*g.Group, SortPorts(ports))...)
	}
	return exposures
}

// ExposuresOn returns the rules of a group that open one of the ports to the world.
func ExposuresOn(g Group, ports []PortRange) []Exposure {
	var exposures []Exposure
	for _, r := range g.Ingress {
		if !ipspace.IsWorld(r.Source.Prefix) {
			continue
		}
		var opened []PortRange
		for _, p := range ports {
			if r.Protocol == "-1" || r.Protocol == "tcp" && r.From <= int32(p.To) && int32(p.From) <= r.To {
				opened = append(opened, p)
			}
		}
		if len(opened) > 0 {
			exposures = append(exposures, Exposure{g.ID, r, opened})
		}
	}
	return exposures
}
