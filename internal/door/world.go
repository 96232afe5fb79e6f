package door

import (
	"fmt"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// alwaysCount are ports that count on every origin, whether anybody asks for them or not: CloudFront's defaults, which
// are what someone who looks for an origin tries first.
var alwaysCount = []secgroup.PortRange{{From: 80, To: 80}, {From: 443, To: 443}}

// A WorldRule is an inbound rule that opens ports to the world: an IP range, or an entry of a prefix list, that is
// wider than anything AWS publishes ([ipspace.IsWorld]).
type WorldRule struct {
	RuleOf
	Source string `json:"source"` // an IP range, or pl-…
	// Opens are the ports that count which the rule opens: managed ones, 80, 443, and those with a listener.
	Opens      []string `json:"opens"`
	Interfaces []string `json:"interfaces"` // the IDs of those at which it does

	// Rule is the rule itself. It is empty for a Network Load Balancer without groups, as [WorldRule.Group] is.
	Rule   secgroup.Rule        `json:"-"`
	Beside []secgroup.PortRange `json:"-"` // the ports that it opens to the world and that do not count
	opens  []secgroup.PortRange
}

// String says which group lets whom in on which ports.
func (w WorldRule) String() string {
	ports := w.opens
	if len(ports) == 0 {
		ports = w.Beside
	}
	on := words.Ports(secgroup.PortNames(ports))
	if w.Group.ID == "" {
		return fmt.Sprintf("without a security group %s gets in on %s", w.Source, on)
	}
	text := fmt.Sprintf("%s lets %s in on %s", w.Group, w.Source, on)
	if w.Description != "" {
		text += fmt.Sprintf(" (%q)", w.Description)
	}
	return text
}

// Counts reports whether the rule opens a port of a range, and that port counts.
func (w WorldRule) Counts(p secgroup.PortRange) bool { return overlap(w.opens, p) }

// World returns the rules of a scene that open ports to the world, each once, with the ports that count at any of its
// interfaces and the IDs of these. At an interface the ports count that are asked for, those that the tags of its
// groups list, 80, 443, and those with a listener. A group's tag TagKey-public silences ports of its own rules.
func World(scene *Scene, tagKey string, asked []secgroup.PortRange) []WorldRule {
	var found []WorldRule
	for _, s := range scene.Subjects {
		rules, _, _ := scene.worldAt(s, tagKey, asked)
		for _, w := range rules {
			i := slices.IndexFunc(found, func(o WorldRule) bool { return o.Group == w.Group && o.Rule.RuleID == w.Rule.RuleID })
			if i < 0 {
				found = append(found, w)
				continue
			}
			found[i].opens = mergePorts(slices.Concat(found[i].opens, w.opens))
			_, found[i].Beside = divide(mergePorts(slices.Concat(found[i].Beside, w.Beside)), found[i].opens)
			found[i].Interfaces = append(found[i].Interfaces, w.Interfaces...)
		}
	}
	for i := range found {
		found[i].Opens = secgroup.PortNames(found[i].opens)
	}
	return found
}

// worldAt returns the rules that open ports to the world at a subject. It also returns the ports that count and that
// prefix lists may open to it, and these lists: their entries could not be read. Those of AWS never do.
func (s *Scene) worldAt(at Subject, tagKey string, asked []secgroup.PortRange) (found []WorldRule, perhaps []secgroup.PortRange, unread []string) {
	count := slices.Concat(asked, alwaysCount, s.listening(at.Interface))
	for _, g := range at.Groups {
		managed, _ := secgroup.ParsePorts(g.Tags[tagKey]) // portsAt notes one that cannot be read
		count = append(count, managed...)
	}
	count = mergePorts(count)
	for _, r := range s.rulesAt(at) {
		_, opened := divide(tcpPorts(r.RuleID), r.publicPorts(tagKey))
		opens, beside := divide(opened, count)
		if r.list.Err != nil && r.list.Owner != "AWS" && len(opens) > 0 {
			perhaps, unread = append(perhaps, opens...), append(unread, r.list.ID)
		}
		// Named groups may be attached anywhere.
		isWorld := func(p netip.Prefix) bool {
			return ipspace.IsWorld(p) && (at.Interface == nil || at.Interface.PublicOver(secgroup.FamilyOf(p)))
		}
		if len(opened) == 0 || !slices.ContainsFunc(r.sources, isWorld) {
			continue
		}
		w := WorldRule{RuleOf: r.of(), Source: r.Source.String(), Interfaces: []string{}, Rule: r.Rule, opens: opens, Beside: beside}
		if at.Interface != nil {
			w.Interfaces = append(w.Interfaces, at.Interface.ID)
		}
		found = append(found, w)
	}
	slices.Sort(unread)
	return found, mergePorts(perhaps), slices.Compact(unread)
}

// publicPorts returns the ports that the tag of a rule's group says are meant to be open to the world. One that cannot
// be read silences nothing.
func (r rule) publicPorts(tagKey string) []secgroup.PortRange {
	ports, _ := secgroup.ParsePorts(r.tags[tagKey+secgroup.PublicSuffix])
	return mergePorts(ports)
}

// worldPorts returns the ports that count and are open to the world.
func worldPorts(rules []WorldRule) (ports []secgroup.PortRange) {
	for _, w := range rules {
		ports = append(ports, w.opens...)
	}
	return mergePorts(ports)
}

// cut splits a port range where any of others begins or ends.
func cut(p secgroup.PortRange, others []secgroup.PortRange) (pieces []secgroup.PortRange) {
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
func mergePorts(ports []secgroup.PortRange) (merged []secgroup.PortRange) {
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
	return slices.ContainsFunc(ports, func(o secgroup.PortRange) bool { return o.From <= p.To && p.From <= o.To })
}
