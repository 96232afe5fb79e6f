package engine

import (
	"fmt"

	"cloudfront-sg-sync/secgroup"
)

// AtInterfaces warns of network interfaces that lack something, of rules that have to stay for their sake, and where
// they could not be looked at.
func (p *Proposal) AtInterfaces() []string {
	var warnings []string
	for _, v := range p.Previews {
		for _, g := range v.Shared {
			warnings = append(warnings, sharedGroup(v.Target, g))
		}
		if v.Plan != nil && v.Plan.Blind {
			warnings = append(warnings, blind(v.Target))
		}
		for _, pool := range v.Pools {
			warnings = append(warnings, pool.Warnings...)
			for _, eni := range pool.Interfaces {
				if eni.Lacks > 0 {
					warnings = append(warnings, eni.String())
				}
			}
		}
	}
	return warnings
}

// sharedGroup says why a group of another account is left alone.
func sharedGroup(t *Target, g secgroup.Group) string {
	return fmt.Sprintf("%v: %s is shared by account %s: it is left alone; its owner has to sync it", t, g.ID, g.Owner)
}

// blind says what follows where the network interfaces of a target could not be looked at.
func blind(t *Target) string {
	return fmt.Sprintf("%v: it is not known which network interfaces have the groups, so rules that another group has replaced are not revoked: grant ec2:DescribeNetworkInterfaces", t)
}

// AtLists warns of what needs a person at the prefix lists.
func (p *Proposal) AtLists() []string {
	var warnings []string
	for _, v := range p.Previews {
		if v.ListWarning != "" {
			warnings = append(warnings, v.ListWarning)
		}
		for _, pool := range v.Lists {
			warnings = append(warnings, pool.Warnings...)
		}
	}
	return warnings
}

// Quotas warns where the quota of rules per group could not be asked for.
func (p *Proposal) Quotas() []string {
	var warnings []string
	for _, v := range p.Previews {
		if v.QuotaErr != nil {
			warnings = append(warnings, fmt.Sprintf("%v: the quota of rules per group is not known, assuming %d; grant servicequotas:GetServiceQuota or use --rules-per-group (%v)",
				v.Target, v.RulesPerGroup, v.QuotaErr))
		}
	}
	return warnings
}
