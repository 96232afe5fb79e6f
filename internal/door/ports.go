package door

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/secgroup"
)

// portsOf returns the ports to judge.
func portsOf(groups []secgroup.Group, lists map[string]PrefixList, q Question) (ports []secgroup.PortRange, notes []string) {
	for _, g := range groups {
		for _, r := range g.Ingress {
			if _, tagged := lists[r.Source.Reference].Tags[q.TagKey]; tagged && r.Protocol == "tcp" && r.From >= 0 {
				ports = append(ports, secgroup.PortRange{From: uint16(r.From), To: uint16(r.To)})
			}
		}
		if value, tagged := g.Tags[q.TagKey+publicSuffix]; tagged {
			if _, err := secgroup.ParsePorts(value); err != nil {
				notes = append(notes, fmt.Sprintf("tag %s%s=%q of %s silences no port: %v", q.TagKey, publicSuffix, value, g.ID, err))
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
	if len(q.Ports) > 0 {
		return q.Ports, notes
	}
	if len(ports) == 0 {
		return []secgroup.PortRange{{From: 443, To: 443}}, append(notes, "no tag names a port: 443 is a guess, and --port names others")
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

// tcpPorts returns the TCP ports that a rule opens.
func tcpPorts(id secgroup.RuleID) []secgroup.PortRange {
	switch {
	case id.Protocol == "-1", id.Protocol == "tcp" && id.From < 0:
		return []secgroup.PortRange{{From: 1, To: 65535}}
	case id.Protocol == "tcp":
		return []secgroup.PortRange{{From: uint16(max(1, id.From)), To: uint16(id.To)}}
	}
	return nil
}

// mergePorts sorts ports, and makes one range of those that overlap.
func mergePorts(ports []secgroup.PortRange) []secgroup.PortRange {
	var merged []secgroup.PortRange
	for _, p := range secgroup.SortPorts(ports) {
		if n := len(merged); n > 0 && p.From <= merged[n-1].To {
			merged[n-1].To = max(merged[n-1].To, p.To)
			continue
		}
		merged = append(merged, p)
	}
	return merged
}

// commonPorts returns the ports that are in both lists, of which no two overlap.
func commonPorts(a, b []secgroup.PortRange) []secgroup.PortRange {
	var common []secgroup.PortRange
	for _, p := range a {
		for _, o := range b {
			if from, to := max(p.From, o.From), min(p.To, o.To); from <= to {
				common = append(common, secgroup.PortRange{From: from, To: to})
			}
		}
	}
	return common
}

// withoutPorts returns the ports of a that are not in b. Both are merged.
func withoutPorts(a, b []secgroup.PortRange) []secgroup.PortRange {
	var rest []secgroup.PortRange
	for _, p := range a {
		next := int(p.From)
		for _, o := range b {
			if o.To < p.From || p.To < o.From {
				continue
			}
			if next < int(o.From) {
				rest = append(rest, secgroup.PortRange{From: uint16(next), To: o.From - 1})
			}
			next = int(o.To) + 1
		}
		if next <= int(p.To) {
			rest = append(rest, secgroup.PortRange{From: uint16(next), To: p.To})
		}
	}
	return rest
}

// portNames returns ports as a group's tag lists them.
func portNames(ports []secgroup.PortRange) []string {
	names := make([]string, 0, len(ports))
	for _, p := range ports {
		names = append(names, p.String())
	}
	return names
}

// onPorts makes a sentence of ports and what is or are so.
func onPorts(ports []secgroup.PortRange, is, are string) string {
	if names := portNames(ports); len(names) != 1 || ports[0].From != ports[0].To {
		return strings.TrimSpace(fmt.Sprintf("ports %s %s", strings.Join(names, ", "), are))
	}
	return strings.TrimSpace(fmt.Sprintf("port %s %s", ports[0], is))
}
