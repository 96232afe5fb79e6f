package document

import (
	"slices"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/status"
	"cloudfront-sg-sync/secgroup"
)

// A WorldRule is one that opens a port of an origin to the world, or did.
type WorldRule struct {
	Group       door.GroupID `json:"group"`
	Protocol    string       `json:"protocol"`
	Ports       string       `json:"ports"`
	Source      string       `json:"source"`
	Description string       `json:"description"`
	Closed      bool         `json:"closed"`
	Advice      string       `json:"advice"` // why it was not closed
	// Reopen is the command that opens it again; empty unless it was closed.
	Reopen []string `json:"reopen"`
}

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
