package secgroup

import (
	"net/netip"
	"slices"
)

// describe adds the steps that correct the descriptions of a pool's rules which stay: of rules taken over in exclusive
// groups, of those made with other settings or while the pool was held, and of those that no file before this one can
// have made.
//
// Steps that only remove leave no date behind. So one rule that stays gets the date of the file, and gets it first: an
// older file is then refused, whatever becomes of the run. The entries of a prefix list cannot be described again.
func (u *unit) describe(p *PoolPlan) {
	if u.req.Withdraw || p.held() || p.Kind == ManagedPrefixList {
		return
	}
	idle, dated := true, false
	var wrong, older []Step // about rules whose descriptions are not true, and one that is true except for the date
	for i := range p.Holders {
		h := &p.Holders[i]
		idle, dated = idle && h.Added+h.Removed == 0, dated || h.Added > 0
		if h.frozen {
			continue
		}
		bad := Step{HolderID: h.ID}
		for _, r := range h.Ingress {
			if !h.willHave(r.RuleID) || !h.Owns(r) || !u.wants(h, r.RuleID) {
				continue
			}
			described := Rule{RuleID: r.RuleID, Description: u.req.Stamp.String()}
			stamp, ok := ParseStamp(u.req.TagKey, r.Description)
			switch {
			case !ok || stamp.Held || !stamp.sameSettings(u.req.Stamp) || stamp.Published.After(u.req.Published):
				bad.Describe = append(bad.Describe, described)
			case stamp.Published.Equal(u.req.Published):
				dated = true
			case older == nil:
				older = []Step{{HolderID: h.ID, Describe: []Rule{described}}}
			}
		}
		if len(bad.Describe) > 0 {
			wrong = append(wrong, bad)
		}
	}
	if idle || dated {
		u.Steps = append(u.Steps, wrong...)
		return
	}
	if wrong == nil {
		wrong = older
	}
	u.Steps = append(wrong, u.Steps...)
}

// wants reports whether a rule is equal to a wanted one that its group lists.
func (u *unit) wants(h *HolderPlan, id RuleID) bool {
	_, found := slices.BinarySearchFunc(u.Ranges, id.Source.Prefix, netip.Prefix.Compare)
	return found && slices.ContainsFunc(h.Settings.Ports, func(port PortRange) bool { return h.rule(port, id.Source) == id })
}
