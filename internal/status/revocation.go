package status

import (
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// judge finds out which of the exposures can be revoked.
func (s *Surroundings) judge(p *engine.Proposal, v engine.Preview, ports map[string][]secgroup.PortRange) {
	j := revocation{
		services: strings.Join(p.Services, ", "), whole: wholePools(v), ports: ports, err: s.Err, partial: map[string]bool{},
		question: door.Question{Wanted: p.Publication, TagKey: p.TagKey, Families: p.Families},
	}
	for _, pool := range s.Partial {
		for _, id := range pool.Interfaces {
			j.partial[id] = true
		}
	}
	for i := range s.Exposures {
		x := &s.Exposures[i]
		var here []door.Subject
		for _, subject := range s.subjects {
			if slices.ContainsFunc(subject.Groups, func(g secgroup.Group) bool { return g.ID == x.GroupID }) {
				here = append(here, subject)
				x.Interfaces = append(x.Interfaces, subject.Interface.ID)
			}
		}
		if !x.Owned {
			x.Advice = j.advice(*x, here)
			x.Revocable = x.Advice == ""
		}
	}
}

// A revocation decides whether a rule that opens a port to the world can be revoked without shutting out anyone who is
// wanted.
type revocation struct {
	services string
	whole    map[string]bool                 // by the IDs of managed groups: their pool needs no step
	ports    map[string][]secgroup.PortRange // by the same: those of their pool
	partial  map[string]bool                 // network interfaces that have only part of a pool
	err      error                           // why the network interfaces are not known
	question door.Question
}

// wholePools returns, by the IDs of their groups, the pools that are as they should be: nothing fails, and nothing is
// left to do.
func wholePools(v engine.Preview) map[string]bool {
	whole := map[string]bool{}
	for _, pool := range v.Pools {
		right := pool.Err == nil && len(pool.Steps) == 0 &&
			!slices.ContainsFunc(pool.Groups, func(g secgroup.GroupPlan) bool { return g.Err != nil })
		for _, g := range pool.Groups {
			whole[g.Group.ID] = right
		}
	}
	return whole
}

// advice says what to do before the rule of an exposure is revoked, or nothing if it can be revoked now, by someone who
// pastes a command and knows no more than what is read here.
func (j revocation) advice(x Exposure, here []door.Subject) string {
	order := fmt.Sprintf("First run cfsg apply and attach all groups of the pool to the origin. Then run cfsg status again: it says when %s gets in without this rule.", j.services)
	if j.err != nil {
		return fmt.Sprintf("Do not revoke it yet: whether %s gets in without it is not known, because the network interfaces could not be read. %s", j.services, order)
	}
	if len(here) == 0 {
		return fmt.Sprintf("Do not revoke it yet: %s is attached to no network interface, so there is no way to tell whether %s gets in without it. %s", x.GroupID, j.services, order)
	}
	var shut []string
	for _, subject := range here {
		if !j.letsIn(x, subject) {
			shut = append(shut, subject.Interface.ID)
		}
	}
	if len(shut) > 0 {
		return fmt.Sprintf("Do not revoke it yet: at %s it may be the only rule that lets part of %s in. %s", words.Few(shut), j.services, order)
	}
	for _, subject := range here {
		if !x.Rule.Within(portsAt(subject, j.ports)) {
			return fmt.Sprintf("%s gets in without it, but it opens more than the managed ports (%s). Find out what else needs those ports and give it a rule of its own before you revoke this one.", j.services, x.Rule.RuleID)
		}
	}
	return ""
}

// letsIn reports whether all wanted ranges get in at a network interface, on the ports of an exposure, without any rule
// that opens these to the world, as all of these may be revoked one after the other.
func (j revocation) letsIn(x Exposure, subject door.Subject) bool {
	if j.partial[subject.Interface.ID] {
		return false // what gets in now may be in a group that is missing there after the next sync
	}
	guards := make([]secgroup.Group, len(subject.Groups))
	for i, g := range subject.Groups {
		if whole, managed := j.whole[g.ID]; managed && !whole {
			return false
		}
		g.Ingress = slices.DeleteFunc(slices.Clone(g.Ingress), func(r secgroup.Rule) bool { return ipspace.IsWorld(r.Source.Prefix) })
		guards[i] = g
	}
	if !slices.Contains(j.question.Families, secgroup.FamilyOf(x.Rule.Source.Prefix)) {
		return false // what is wanted of this family is not known
	}
	question := j.question
	question.Ports = x.Ports
	scene := &door.Scene{Subjects: []door.Subject{{Interface: subject.Interface, Groups: guards}}}
	return door.Judge(scene, question).Verdict == door.Open
}
