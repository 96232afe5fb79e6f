package door

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/secgroup"
)

// portsOf returns the ports to judge: those asked for, those in tags and of rules that refer to tagged lists, those
// with a listener, or else 443.
func (s *Scene) portsOf(at Subject, q Question) (ports []secgroup.PortRange, notes []string) {
	for _, g := range at.Groups {
		for _, r := range g.Ingress {
			if _, tagged := s.Lists[r.Source.Reference].Tags[q.TagKey]; tagged && r.Protocol == "tcp" && r.From >= 0 {
				ports = append(ports, secgroup.PortRange{From: uint16(r.From), To: uint16(r.To)})
			}
		}
		read := func(key, unread string) []secgroup.PortRange {
			value, tagged := g.Tags[key]
			if !tagged {
				return nil
			}
			list, err := secgroup.ParsePorts(value)
			if err != nil {
				notes = append(notes, fmt.Sprintf("tag %s=%q of %s %s: %v", key, value, g.ID, unread, err))
			}
			return list
		}
		ports = append(ports, read(q.TagKey, "names no ports")...)
		read(q.TagKey+publicSuffix, "silences no port")
	}
	listening := s.listening(at.Interface)
	switch {
	case len(q.Ports) > 0:
		return q.Ports, notes
	case len(ports) > 0:
		return secgroup.SortPorts(ports), notes
	case len(listening) > 0:
		return listening, notes
	}
	return []secgroup.PortRange{{From: 443, To: 443}}, append(notes, "no tag or listener names a port: 443 is a guess, and --port names others")
}

// balancerOf returns the load balancer that an interface belongs to, if somebody looked at it.
func (s *Scene) balancerOf(i *Interface) *Balancer {
	if i == nil {
		return nil
	}
	return s.Balancers[i.LoadBalancer()]
}

// listening returns the ports with a listener of the load balancer that an interface belongs to, as far as is known.
func (s *Scene) listening(i *Interface) []secgroup.PortRange {
	b := s.balancerOf(i)
	if b == nil {
		return nil
	}
	var ports []secgroup.PortRange
	for _, l := range b.Listeners {
		ports = append(ports, secgroup.PortRange{From: l.Port, To: l.Port})
	}
	return secgroup.SortPorts(ports)
}

// withoutListener returns the port ranges in which nothing listens.
func withoutListener(ports, listening []secgroup.PortRange) []secgroup.PortRange {
	return slices.DeleteFunc(slices.Clone(ports), func(p secgroup.PortRange) bool {
		return len(commonPorts([]secgroup.PortRange{p}, listening)) > 0
	})
}

// edges returns the ports at which rules begin, and those behind which they end.
func edges(rules []rule) []int32 {
	var edges []int32
	for _, r := range rules {
		if r.Protocol == "tcp" {
			edges = append(edges, r.From, r.To+1)
		}
	}
	return edges
}

// cut splits a port range at edges.
func cut(p secgroup.PortRange, edges []int32) []secgroup.PortRange {
	cuts := []int32{int32(p.From), int32(p.To) + 1}
	for _, e := range edges {
		if int32(p.From) < e && e <= int32(p.To) {
			cuts = append(cuts, e)
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

// commonPorts returns the ports that are in both lists. The ports of a list do not overlap.
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

// onPorts makes a sentence that says something of ports.
func onPorts(ports []secgroup.PortRange, is, are string) string {
	if names := secgroup.PortNames(ports); len(names) != 1 || ports[0].From != ports[0].To {
		return strings.TrimSpace(fmt.Sprintf("ports %s %s", strings.Join(names, ", "), are))
	}
	return strings.TrimSpace(fmt.Sprintf("port %s %s", ports[0], is))
}
