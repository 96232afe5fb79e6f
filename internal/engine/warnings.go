package engine

import (
	"fmt"
	"maps"
	"slices"

	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// OtherRanges warns of rules that were made for other ranges than the proposal's, as by a run with other settings.
func (p *Proposal) OtherRanges() []string {
	wanted := secgroup.Stamp{Services: p.Services, Within: p.Within}.Cover()
	others := map[string]int{}
	for _, v := range p.Previews {
		for _, g := range v.Groups {
			for _, r := range g.Ingress {
				if stamp, ok := secgroup.ParseStamp(p.TagKey, r.Description); ok && stamp.Cover() != wanted {
					others[stamp.Cover()]++
				}
			}
		}
	}
	warnings := []string{}
	for _, made := range slices.Sorted(maps.Keys(others)) {
		warnings = append(warnings, fmt.Sprintf("%s made for %s, and this run is for %s: is a flag such as --service missing? --stack NAME takes the settings of the deployed function",
			words.CountAs(others[made], "rule was", "rules were"), made, wanted))
	}
	return warnings
}

// AtInterfaces warns of network interfaces that lack something, of rules that have to stay for their sake, and where
// they could not be looked at.
func (p *Proposal) AtInterfaces() []string {
	var warnings []string
	for _, v := range p.Previews {
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
