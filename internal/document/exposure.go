package document

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A StatusExposure is a rule that opens a port that counts to the world.
type StatusExposure struct {
	GroupID string `json:"groupId"`
	secgroup.Rule
	Ports      []string `json:"ports"`
	Owned      bool     `json:"owned"`   // the plan takes the rule away
	Managed    bool     `json:"managed"` // its group carries the tag
	Interfaces []string `json:"interfaces"`
	// Revocable is set if CloudFront stays in at every interface without the rule, and the rule opens nothing but
	// managed ports. Otherwise Advice says what to do before it is revoked.
	Revocable bool   `json:"revocable"`
	Advice    string `json:"advice"`
}

// exposures returns the rules that are open to the world, those of managed groups first.
func exposures(p *Proposal, v engine.Preview, s Surroundings) []StatusExposure {
	found := []StatusExposure{}
	if s.Door == nil {
		return found
	}
	r := revocation{s, v, strings.Join(p.Services, ", "), partialPools(v.Pools...)}
	for _, managed := range []bool{true, false} {
		for _, w := range s.Door.OpenToWorld {
			if has(w.Group.ID, v.Plan.Pools...) != managed {
				continue
			}
			x := StatusExposure{GroupID: w.Group.ID, Rule: w.Rule, Ports: w.Opens, Managed: managed, Interfaces: w.Interfaces}
			x.Owned = slices.ContainsFunc(v.Plan.Pools, func(pool secgroup.PoolPlan) bool { return revokes(pool.Steps, w) })
			if !x.Owned {
				x.Advice = r.advice(w)
				x.Revocable = x.Advice == ""
			}
			found = append(found, x)
		}
	}
	return found
}

// A revocation decides whether a rule that opens a port to the world can be revoked without shutting out anyone who is
// wanted.
type revocation struct {
	Surroundings
	engine.Preview
	services string
	partial  []PartialPool
}

// advice says what to do before a rule is revoked, or nothing if it can be revoked now. Its reader pastes the command
// and knows no more than it says.
func (r revocation) advice(w door.WorldRule) string {
	order := fmt.Sprintf("First run cfsg apply and attach all groups of the pool to the origin. Then run cfsg status again: it says when %s gets in without this rule.", r.services)
	elsewhere := r.Elsewhere[w.Group.ID]
	switch {
	case r.Surroundings.Err != nil:
		return fmt.Sprintf("Do not revoke it yet: cannot tell whether %s gets in without it, because the network interfaces could not be read. %s", r.services, order)
	case len(w.Interfaces) == 0:
		return fmt.Sprintf("Do not revoke it yet: %s is attached to no network interface, so there is no way to tell whether %s gets in without it. %s", w.Group.ID, r.services, order)
	case len(elsewhere) > 0:
		return fmt.Sprintf("Do not revoke it yet: its group is also attached to %s, which has no managed group. Find out who has to get in there.", words.Few(elsewhere))
	}
	var shut []string
	within := true
	for _, s := range r.interfaces(nil) {
		if !slices.ContainsFunc(s.Groups, func(g door.GroupID) bool { return g.ID == w.Group.ID }) {
			continue
		}
		ports, whole := r.managedAt(s)
		within = within && w.Rule.Within(ports)
		if !whole || !letsIn(w, s, ports) {
			shut = append(shut, s.Interface.ID)
		}
	}
	if len(shut) > 0 {
		return fmt.Sprintf("Do not revoke it yet: at %s it may be the only rule that lets part of %s in. %s", words.Few(shut), r.services, order)
	}
	if !within {
		return fmt.Sprintf("%s gets in without it, but it opens more than the managed ports (%s). Find out what else needs those ports and give it a rule of its own before you revoke this one.", r.services, w.Rule.RuleID)
	}
	return ""
}

// managedAt returns the managed ports at a network interface, and whether its pools are as they should be: nothing
// fails, nothing is left to do, and all of their groups are attached.
func (r revocation) managedAt(s door.SubjectReport) (ports []secgroup.PortRange, whole bool) {
	whole = !slices.ContainsFunc(r.partial, func(p PartialPool) bool { return slices.Contains(p.Interfaces, s.Interface.ID) })
	for _, pool := range r.Pools {
		if !slices.ContainsFunc(s.Groups, func(g door.GroupID) bool { return has(g.ID, pool) }) {
			continue
		}
		whole = whole && pool.Err == nil && len(pool.Steps) == 0
		for _, h := range pool.Holders {
			ports = append(ports, h.Settings.Ports...)
			whole = whole && h.Problem == nil
		}
	}
	return secgroup.SortPorts(ports), whole
}

// letsIn reports whether all that is wanted gets in at a network interface, on the managed ports that a rule opens,
// without any rule that is open to the world: all of these may be revoked, one after the other.
func letsIn(w door.WorldRule, s door.SubjectReport, managed []secgroup.PortRange) bool {
	judged := false
	for _, p := range s.Ports {
		ports, _ := secgroup.ParsePorts(p.Port) // as it was written
		if !slices.ContainsFunc(ports, func(p secgroup.PortRange) bool { return overlaps(w.Rule, p) }) {
			continue
		}
		for _, f := range p.Families {
			if prefix := w.Rule.Source.Prefix; prefix.IsValid() && !strings.EqualFold(secgroup.FamilyOf(prefix).String(), f.Family) {
				continue
			}
			judged = true
			if len(f.Blocked.Prefixes) > 0 || f.OnlyByWorld != nil && len(f.OnlyByWorld.Prefixes) > 0 {
				return false
			}
		}
	}
	return judged || !slices.ContainsFunc(managed, func(p secgroup.PortRange) bool { return overlaps(w.Rule, p) })
}

// overlaps reports whether a rule opens a port of a range.
func overlaps(r secgroup.Rule, p secgroup.PortRange) bool {
	return r.Protocol == "-1" || r.Protocol == "tcp" && r.From <= int32(p.To) && int32(p.From) <= r.To
}
