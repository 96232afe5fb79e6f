package door

import (
	"fmt"
	"slices"

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
		open, _ := divide([]secgroup.PortRange{p}, listening)
		return len(open) > 0
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

// divide returns the ports of a that are in b, and the rest. The ports of a list do not overlap.
func divide(a, b []secgroup.PortRange) (common, rest []secgroup.PortRange) {
	var edges []int32
	for _, p := range b {
		edges = append(edges, int32(p.From), int32(p.To)+1)
	}
	for _, p := range a {
		for _, piece := range cut(p, edges) {
			if slices.ContainsFunc(b, func(o secgroup.PortRange) bool { return o.From <= piece.From && piece.To <= o.To }) {
				common = append(common, piece)
			} else {
				rest = append(rest, piece)
			}
		}
	}
	return common, rest
}
