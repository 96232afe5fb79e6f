package door

import (
	"fmt"
	"slices"

	"cloudfront-sg-sync/secgroup"
)

// portsOf returns the ports to judge.
func portsOf(groups []secgroup.Group, lists map[string]PrefixList, q Question) (ports []secgroup.PortRange, notes []string) {
	if len(q.Ports) > 0 {
		return q.Ports, nil
	}
	for _, g := range groups {
		for _, r := range g.Ingress {
			if _, tagged := lists[r.Source.Reference].Tags[q.TagKey]; tagged && r.Protocol == "tcp" && r.From >= 0 {
				ports = append(ports, secgroup.PortRange{From: uint16(r.From), To: uint16(r.To)})
			}
		}
		value, tagged := g.Tags[q.TagKey]
		if !tagged {
			continue
		}
		list, err := secgroup.ParsePorts(value)
		if err != nil {
			notes = append(notes, fmt.Sprintf("tag %s=%q of %s names no ports: %v", q.TagKey, value, g.ID, err))
		}
		ports = append(ports, list...)
	}
	if len(ports) == 0 {
		return []secgroup.PortRange{{From: 443, To: 443}}, notes
	}
	return secgroup.SortPorts(ports), notes
}

// intervals splits a port range where a rule begins or ends.
func intervals(p secgroup.PortRange, rules []rule) []secgroup.PortRange {
	first, last := int32(p.From), int32(p.To)
	cuts := []int32{first, last + 1}
	for _, r := range rules {
		if r.Protocol == "tcp" {
			for _, cut := range []int32{r.From, r.To + 1} {
				if first < cut && cut <= last {
					cuts = append(cuts, cut)
				}
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var found []secgroup.PortRange
	for i := range len(cuts) - 1 {
		found = append(found, secgroup.PortRange{From: uint16(cuts[i]), To: uint16(cuts[i+1] - 1)})
	}
	return found
}
