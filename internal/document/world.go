package document

import (
	"slices"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/status"
	"cloudfront-sg-sync/secgroup"
)

// worldOf returns the rules that open ports which count to the world, at the interfaces of managed groups.
func worldOf(around []status.Surroundings) []door.WorldRule {
	rules := []door.WorldRule{}
	for _, a := range around {
		if a.Door != nil {
			rules = append(rules, a.Door.OpenToWorld...)
		}
		for _, x := range a.Exposures { // of groups that are attached nowhere as well
			known := func(w door.WorldRule) bool { return w.Group.ID == x.GroupID && w.Rule.RuleID == x.Rule.RuleID }
			if x.Managed && !slices.ContainsFunc(rules, known) {
				rules = append(rules, door.WorldRule{
					RuleOf: door.RuleOf{Group: door.GroupID{ID: x.GroupID}, Protocol: x.Rule.Protocol, Ports: x.Rule.Ports(), Description: x.Rule.Description},
					Source: x.Rule.Source.String(), Opens: secgroup.PortNames(x.Ports), Interfaces: append([]string{}, x.Interfaces...), Rule: x.Rule,
				})
			}
		}
	}
	return rules
}
