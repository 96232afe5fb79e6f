package demo

import (
	"fmt"
	"net/netip"

	"cloudfront-sg-sync/internal/ec2sim"
)

// strayRange is one for documentation, RFC 5737, which AWS never publishes.
var strayRange = netip.MustParsePrefix("198.51.100.0/24")

// damage is what a person has done by hand: one of the function's rules is lost, and one that looks like it stands in
// its place.
type damage struct {
	group       string
	lost, stray netip.Prefix
}

// breakRules damages a group of the pool.
func (w *world) breakRules() (damage, error) {
	for _, g := range w.list(webPool) {
		for _, r := range g.Ingress {
			if !owned(r) {
				continue
			}
			if err := w.groups.RemoveRules(g.ID, r.Permission); err != nil {
				return damage{}, err
			}
			stray := ec2sim.Rule{Permission: ec2sim.TCP(webPort, webPort, strayRange), Description: r.Description}
			return damage{g.Name, r.Source.Prefix, strayRange}, w.groups.AddRules(g.ID, stray)
		}
	}
	return damage{}, fmt.Errorf("no group of the pool %s has a rule of the function", webPool)
}
