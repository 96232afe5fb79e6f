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
func (u *unit) describe(p *PoolPlan, steps []Step) []Step {
	own := p.own(steps)
	if u.req.Withdraw || p.held() || p.Kind == ManagedPrefixList {
		return steps
	}
	dated := len(own) == 0 || slices.ContainsFunc(own, func(s Step) bool { return len(s.Add) > 0 })
	var wrong, older []Step // about rules whose descriptions are not true, and those that are true except for the date
	for i := range p.Holders {
		h := &p.Holders[i]
		if h.frozen {
			continue
		}
		bad, old := Step{HolderID: h.ID}, Step{HolderID: h.ID}
		stays := map[RuleID]bool{}
		for _, r := range h.after(own) {
			stays[r.RuleID] = true
		}
		for _, r := range h.Ingress {
			if !stays[r.RuleID] || !h.Owns(r) || !u.wants(h, r.RuleID) {
				continue
			}
			described := Rule{RuleID: r.RuleID, Description: u.req.Stamp.String()}
			stamp, ok := ParseStamp(u.req.TagKey, r.Description)
			switch {
			case !ok || stamp.Held || !stamp.sameSettings(u.req.Stamp) || stamp.Published.After(u.req.Published):
				bad.Describe = append(bad.Describe, described)
			case stamp.Published.Equal(u.req.Published):
				dated = true
			case len(old.Describe) == 0: // one does
				old.Describe = append(old.Describe, described)
			}
		}
		if len(bad.Describe) > 0 {
			wrong = append(wrong, bad)
		}
		if len(old.Describe) > 0 {
			older = append(older, old)
		}
	}
	if dated {
		return append(steps, wrong...)
	}
	if len(wrong) == 0 && len(older) > 0 {
		wrong = older[:1]
	}
	return append(wrong, steps...)
}

// wants reports whether a rule is equal to a wanted one that its group lists.
func (u *unit) wants(h *HolderPlan, id RuleID) bool {
	_, found := slices.BinarySearchFunc(u.ranges, id.Source.Prefix, netip.Prefix.Compare)
	return found && slices.ContainsFunc(h.Settings.Ports, func(port PortRange) bool { return h.rule(port, id.Source) == id })
}
