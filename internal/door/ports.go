package door

import (
	"fmt"
	"slices"

	"cloudfront-sg-sync/secgroup"
)

// portsAt returns the ports to judge: those asked for, those in tags and of rules that refer to tagged lists, those
// with a listener, or else 443.
func (j *judge) portsAt(at Subject) (ports []secgroup.PortRange, notes []string) {
	for _, g := range at.Groups {
		for _, r := range g.Ingress {
			if j.tagged(j.Lists[r.Source.Reference]) && r.Protocol == "tcp" && r.From >= 0 {
				ports = append(ports, secgroup.PortRange{From: uint16(r.From), To: uint16(r.To)})
			}
		}
		read := func(key, unread string) []secgroup.PortRange {
			value, tagged := g.Tags[key]
			list, err := secgroup.ParsePorts(value)
			if tagged && err != nil {
				notes = append(notes, fmt.Sprintf("tag %s=%q of %s %s: %v", key, value, g.ID, unread, err))
			}
			return list
		}
		ports = append(ports, read(j.TagKey, "names no ports")...)
		read(j.TagKey+publicSuffix, "silences no port")
	}
	listening := j.listening(at.Interface)
	switch {
	case len(j.Ports) > 0:
		return j.Ports, notes
	case len(ports) > 0:
		return secgroup.SortPorts(ports), notes
	case len(listening) > 0:
		return listening, notes
	}
	return []secgroup.PortRange{{From: 443, To: 443}}, append(notes, "no tag or listener names a port: 443 is a guess, and --port names others")
}

// BalancerOf returns the load balancer that an interface belongs to, if somebody looked at it.
func (s *Scene) BalancerOf(i *Interface) *Balancer {
	if i == nil {
		return nil
	}
	return s.Balancers[i.LoadBalancer()]
}

// listening returns the ports with a listener of the load balancer that an interface belongs to, as far as is known.
func (s *Scene) listening(i *Interface) []secgroup.PortRange {
	b := s.BalancerOf(i)
	if b == nil {
		return nil
	}
	var ports []secgroup.PortRange
	for _, l := range b.Listeners {
		ports = append(ports, secgroup.PortRange{From: l.Port, To: l.Port})
	}
	return secgroup.SortPorts(ports)
}

// cut splits a port range where any of others begins or ends.
func cut(p secgroup.PortRange, others []secgroup.PortRange) []secgroup.PortRange {
	starts := []int{int(p.From), int(p.To) + 1}
	for _, o := range others {
		for _, edge := range []int{int(o.From), int(o.To) + 1} {
			if int(p.From) < edge && edge <= int(p.To) {
				starts = append(starts, edge)
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var pieces []secgroup.PortRange
	for i := range len(starts) - 1 {
		pieces = append(pieces, secgroup.PortRange{From: uint16(starts[i]), To: uint16(starts[i+1] - 1)})
	}
	return pieces
}

// tcpPorts returns the TCP ports that a rule opens.
func tcpPorts(id secgroup.RuleID) []secgroup.PortRange {
	first, last := id.OpenPorts()
	if last < 1 {
		return nil
	}
	return []secgroup.PortRange{{From: uint16(max(1, first)), To: uint16(last)}}
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
	for _, p := range a {
		for _, piece := range cut(p, b) {
			if slices.ContainsFunc(b, func(o secgroup.PortRange) bool { return o.From <= piece.From && piece.To <= o.To }) {
				common = append(common, piece)
			} else {
				rest = append(rest, piece)
			}
		}
	}
	return common, rest
}

// overlap reports whether any of the ports is in a range.
func overlap(ports []secgroup.PortRange, p secgroup.PortRange) bool {
	common, _ := divide(ports, []secgroup.PortRange{p})
	return len(common) > 0
}
