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
func (u *unit) describe(pool int, steps []Step) []Step {
	if u.req.Withdraw || u.held[pool] || u.pools[pool].Kind == ManagedPrefixList {
		return steps
	}
	own := u.stepsOf(pool, steps)
	wrong, stays, dated := u.descriptions(pool, own)
	for _, s := range own {
		dated = dated || len(s.Add) > 0
	}
	if dated || len(own) == 0 {
		return append(steps, wrong...)
	}
	if len(wrong) == 0 && len(stays) > 0 {
		wrong = stays[:1]
		wrong[0].Describe = wrong[0].Describe[:1] // one does
	}
	return append(wrong, steps...)
}

// descriptions returns the steps that describe the wanted rules which no step is about, by group: those whose
// descriptions are not true, and those whose descriptions are true except for an older date. It reports whether one has
// the date of the file.
func (u *unit) descriptions(pool int, steps []Step) (wrong, stays []Step, dated bool) {
	for i, h := range u.holders {
		if u.poolOf[i] != pool || h.frozen {
			continue
		}
		touched := map[RuleID]bool{}
		for _, s := range steps {
			if s.HolderID == h.ID {
				for _, r := range s.Remove {
					touched[r.RuleID] = true
				}
			}
		}
		bad, old := Step{HolderID: h.ID}, Step{HolderID: h.ID}
		for _, r := range h.Ingress {
			if touched[r.RuleID] || !h.Owns(r) || !u.wants(h, r.RuleID) {
				continue
			}
			described := Rule{RuleID: r.RuleID, Description: u.req.Stamp.String()}
			stamp, ok := ParseStamp(u.req.TagKey, r.Description)
			switch {
			case !ok || stamp.Held || !stamp.sameSettings(u.req.Stamp) || stamp.Published.After(u.req.Published):
				bad.Describe = append(bad.Describe, described)
			case stamp.Published.Equal(u.req.Published):
				dated = true
			default:
				old.Describe = append(old.Describe, described)
			}
		}
		if len(bad.Describe) > 0 {
			wrong = append(wrong, bad)
		}
		if len(old.Describe) > 0 {
			stays = append(stays, old)
		}
	}
	return wrong, stays, dated
}

// wants reports whether a rule is equal to a wanted one that its group lists.
func (u *unit) wants(h *HolderPlan, id RuleID) bool {
	if id.Protocol != "tcp" {
		return false
	}
	_, found := slices.BinarySearchFunc(u.ranges, id.Source.Prefix, netip.Prefix.Compare)
	return found && slices.ContainsFunc(h.Settings.Ports, func(port PortRange) bool {
		return int32(port.From) == id.From && int32(port.To) == id.To
	})
}
