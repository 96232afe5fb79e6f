package demo

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The tags of the groups, as the function's defaults have them.
const (
	tagPorts = "cloudfront-ingress"
	tagPool  = tagPorts + "-pool"

	webPool = "web"
	webPort = 443
	apiPool = "api"
	apiPort = 8443
)

// The rules that others have made, which the function must leave alone.
var (
	officeRule = ec2sim.Rule{
		Permission:  ec2sim.TCP(22, 22, netip.MustParsePrefix("10.0.0.0/8")),
		Description: "office vpn",
	}
	partnerRule = ec2sim.Rule{
		Permission:  ec2sim.TCP(apiPort, apiPort, netip.MustParsePrefix("10.20.0.0/16")),
		Description: "internal clients",
	}
)

// groupsNeeded returns how many groups hold the rules of the document for one port beside one foreign rule, with room
// to add a range before another goes.
func groupsNeeded(d *document) int {
	ipv4, ipv6 := d.rules()
	const others = 2
	quota := ec2sim.DefaultRulesPerGroup
	return max(2, (max(ipv4, ipv6)+others+quota-1)/quota)
}

// createGroups creates the groups of both pools, of which only one is tagged.
func (w *world) createGroups(perPool int) error {
	for _, name := range []string{webPool, apiPool} {
		for i := range perPool {
			g := ec2sim.Group{Name: fmt.Sprintf("%s-%d", name, i+1), VPC: w.groups.OtherVPC()}
			switch {
			case name == webPool:
				g.Tags = tagsOf(webPool, webPort)
				if i == 0 {
					g.Ingress = []ec2sim.Rule{officeRule}
				}
			case i == 0:
				g.Ingress = []ec2sim.Rule{partnerRule}
			}
			if _, err := w.groups.CreateGroup(g); err != nil {
				return err
			}
		}
	}
	return nil
}

func tagsOf(pool string, port int) map[string]string {
	return map[string]string{tagPorts: fmt.Sprint(port), tagPool: pool}
}

// tagAPI tags the groups of the other pool as well.
func (w *world) tagAPI() error {
	for _, g := range w.list(apiPool) {
		if err := w.groups.SetTags(g.ID, tagsOf(apiPool, apiPort)); err != nil {
			return err
		}
	}
	return nil
}

// list returns the groups whose name starts with one of the words.
func (w *world) list(words ...string) []ec2sim.Group {
	var groups []ec2sim.Group
	for _, g := range w.groups.Groups() {
		for _, word := range words {
			if strings.HasPrefix(g.Name, word+"-") {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// nameOf returns the name of a group.
func (w *world) nameOf(id string) string {
	if g, ok := w.groups.Group(id); ok {
		return g.Name
	}
	return id
}

// owned reports whether a rule says that it is the function's.
func owned(r ec2sim.Rule) bool { return strings.HasPrefix(r.Description, tagPorts+":") }

// count returns how many rules a group has of each family, and how many of them are not the function's.
func count(g ec2sim.Group) (ipv4, ipv6, foreign int) {
	for _, r := range g.Ingress {
		if r.Source.Prefix.Addr().Is4() {
			ipv4++
		} else {
			ipv6++
		}
		if !owned(r) {
			foreign++
		}
	}
	return ipv4, ipv6, foreign
}

// ownedRanges returns the ranges of the function's own rules for a port of a pool, sorted, each as often as there is a
// rule.
func (w *world) ownedRanges(pool string, port int32) []netip.Prefix {
	var ranges []netip.Prefix
	for _, g := range w.list(pool) {
		for _, r := range g.Ingress {
			if owned(r) && r.Protocol == "tcp" && r.From == port && r.To == port {
				ranges = append(ranges, r.Source.Prefix)
			}
		}
	}
	slices.SortFunc(ranges, netip.Prefix.Compare)
	return ranges
}

// foreignRules returns the rules that are not the function's, by id.
func (w *world) foreignRules() map[string]ec2sim.Rule {
	rules := map[string]ec2sim.Rule{}
	for _, g := range w.list(webPool, apiPool) {
		for _, r := range g.Ingress {
			if !owned(r) {
				rules[r.ID] = r
			}
		}
	}
	return rules
}

// sameRules reports whether two sets of rules are equal in all that counts.
func sameRules(a, b map[string]ec2sim.Rule) bool {
	return maps.EqualFunc(a, b, func(r, s ec2sim.Rule) bool {
		return r.Permission == s.Permission && r.Description == s.Description
	})
}
