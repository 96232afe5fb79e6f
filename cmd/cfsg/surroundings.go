package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/coverage"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// surroundings are what stands around the managed groups of a target: what a
// plan does not need to know, and what decides whether CloudFront gets in.
type surroundings struct {
	stray    []secgroup.StrayTag
	strayErr error
	// subjects are the network interfaces of the managed groups, and of the
	// groups beside them that open a managed port to the world, each with all its
	// groups. With err they are not known.
	subjects []coverage.Subject
	err      error
	// exposures open managed ports to the world, those of managed groups first.
	exposures []exposure
	// partial are the network interfaces that have only part of a pool.
	partial []partialPool
}

// An exposure is a rule that opens a managed port to the world.
type exposure struct {
	secgroup.Exposure
	group   secgroup.Group
	managed bool // its group carries the tag
	owned   bool // the plan takes the rule away
	// interfaces are the IDs of those that the group is attached to.
	interfaces []string
	// revocable is set where CloudFront stays in at every interface without the
	// rule, and the rule opens nothing but managed ports. Otherwise advice says
	// what is to be done before it is revoked.
	revocable bool
	advice    string
}

// A partialPool says where groups of a pool are missing.
type partialPool struct {
	pool       string
	interfaces []string
	missing    []secgroup.Group
}

// targetsAtOnce bounds the targets that are looked at at a time.
const targetsAtOnce = 8

// look finds what stands around the managed groups of each target that could be
// read.
func look(ctx context.Context, p *engine.Proposal) []surroundings {
	found := make([]surroundings, len(p.Previews))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, v := range p.Previews {
		if v.Err != nil {
			continue
		}
		running.Go(func() error {
			found[i] = lookAt(ctx, p, v)
			return nil
		})
	}
	_ = running.Wait() // failures are in what is found
	return found
}

func lookAt(ctx context.Context, p *engine.Proposal, v engine.Preview) surroundings {
	var s surroundings
	api := v.Target.EC2
	s.stray, s.strayErr = secgroup.FindStrayTags(ctx, api, p.TagKey)
	ports := managedPorts(v.Pools)
	if s.subjects, s.err = coverage.Attached(ctx, api, v.Groups); s.err != nil {
		s.exposures = exposures(v, nil, ports)
	} else {
		s.exposures = exposures(v, s.subjects, ports)
		s.err = s.addInterfaces(ctx, api)
	}
	s.partial = partialPools(s.subjects, v.Pools)
	s.judge(p, v, ports)
	return s
}

// managedPorts returns the ports of each managed group's pool.
func managedPorts(pools []secgroup.PoolPlan) map[string][]secgroup.PortRange {
	ports := map[string][]secgroup.PortRange{}
	for _, pool := range pools {
		var all []secgroup.PortRange
		for _, g := range pool.Groups {
			all = append(all, g.Settings.Ports...)
		}
		all = secgroup.SortPorts(all)
		for _, g := range pool.Groups {
			ports[g.Group.ID] = all
		}
	}
	return ports
}

// portsAt returns the managed ports of a network interface.
func portsAt(s coverage.Subject, managed map[string][]secgroup.PortRange) []secgroup.PortRange {
	var ports []secgroup.PortRange
	for _, g := range s.Groups {
		ports = append(ports, managed[g.ID]...)
	}
	return secgroup.SortPorts(ports)
}

// exposures returns the rules of managed groups, and of groups that are attached
// beside them, that open a managed port to the world: each rule once, with all
// ports that it opens where its group is attached.
func exposures(v engine.Preview, subjects []coverage.Subject, managed map[string][]secgroup.PortRange) []exposure {
	ports, beside := maps.Clone(managed), map[string]secgroup.Group{}
	for _, s := range subjects {
		here := portsAt(s, managed)
		for _, g := range s.Groups {
			ports[g.ID] = slices.Concat(ports[g.ID], here)
			if _, tagged := managed[g.ID]; !tagged {
				beside[g.ID] = g
			}
		}
	}
	var found []exposure
	for _, pool := range v.Pools {
		for _, g := range pool.Groups {
			for _, x := range secgroup.ExposuresOn(*g.Group, secgroup.SortPorts(ports[g.Group.ID])) {
				found = append(found, exposure{Exposure: x, group: *g.Group, managed: true, owned: revokes(pool, x)})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(beside)) {
		for _, x := range secgroup.ExposuresOn(beside[id], secgroup.SortPorts(ports[id])) {
			found = append(found, exposure{Exposure: x, group: beside[id]})
		}
	}
	return found
}

// addInterfaces adds the network interfaces of the groups beside the managed
// ones that have exposures, as these may be attached elsewhere too.
func (s *surroundings) addInterfaces(ctx context.Context, api coverage.AttachmentAPI) error {
	var groups []secgroup.Group
	for _, x := range s.exposures {
		if !x.managed && !slices.ContainsFunc(groups, func(g secgroup.Group) bool { return g.ID == x.GroupID }) {
			groups = append(groups, x.group)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	more, err := coverage.Attached(ctx, api, groups)
	if err != nil {
		return err
	}
	for _, m := range more {
		if !slices.ContainsFunc(s.subjects, func(s coverage.Subject) bool { return s.Interface.ID == m.Interface.ID }) {
			s.subjects = append(s.subjects, m)
		}
	}
	return nil
}

// partialPools returns where groups of a pool are not attached beside the others.
func partialPools(subjects []coverage.Subject, pools []secgroup.PoolPlan) []partialPool {
	var partial []partialPool
	for _, pool := range pools {
		for _, s := range subjects {
			var missing []secgroup.Group
			some := false
			for _, g := range pool.Groups {
				switch {
				case slices.ContainsFunc(s.Groups, func(at secgroup.Group) bool { return at.ID == g.Group.ID }):
					some = true
				case len(g.Settings.Ports) > 0:
					missing = append(missing, *g.Group)
				}
			}
			if !some || len(missing) == 0 {
				continue
			}
			i := slices.IndexFunc(partial, func(p partialPool) bool {
				return p.pool == pool.Name && slices.EqualFunc(p.missing, missing, func(a, b secgroup.Group) bool { return a.ID == b.ID })
			})
			if i < 0 {
				i = len(partial)
				partial = append(partial, partialPool{pool: pool.Name, missing: missing})
			}
			partial[i].interfaces = append(partial[i].interfaces, s.Interface.ID)
		}
	}
	return partial
}

func (p partialPool) String() string {
	var missing []string
	for _, g := range p.missing {
		missing = append(missing, strings.TrimSpace(g.ID+" "+g.Name))
	}
	has, it := "has", "it"
	if len(p.interfaces) > 1 {
		has, it = "have", "them"
	}
	return fmt.Sprintf("%s %s only part of pool %s, and part of CloudFront may be shut out there: attach %s to %s", fewNames(p.interfaces), has, p.pool, strings.Join(missing, ", "), it)
}

// judge finds out which of the exposures can be revoked.
func (s *surroundings) judge(p *engine.Proposal, v engine.Preview, ports map[string][]secgroup.PortRange) {
	j := revocation{
		services: strings.Join(p.Services, ", "), whole: wholePools(v), ports: ports, err: s.err, partial: map[string]bool{},
		question: coverage.Question{Wanted: p.Publication, TagKey: p.TagKey, Families: p.Families},
	}
	for _, pool := range s.partial {
		for _, id := range pool.interfaces {
			j.partial[id] = true
		}
	}
	for i := range s.exposures {
		x := &s.exposures[i]
		var here []coverage.Subject
		for _, subject := range s.subjects {
			if slices.ContainsFunc(subject.Groups, func(g secgroup.Group) bool { return g.ID == x.GroupID }) {
				here = append(here, subject)
				x.interfaces = append(x.interfaces, subject.Interface.ID)
			}
		}
		if !x.owned {
			x.advice = j.advice(*x, here)
			x.revocable = x.advice == ""
		}
	}
}

// A revocation decides whether a rule that opens a port to the world can be
// revoked without shutting out anyone who is wanted.
type revocation struct {
	services string
	whole    map[string]bool                 // by the IDs of managed groups: their pool is as it should be
	ports    map[string][]secgroup.PortRange // by the same: those of their pool
	partial  map[string]bool                 // network interfaces that have only part of a pool
	err      error                           // why the network interfaces are not known
	question coverage.Question
}

// wholePools returns, by the IDs of their groups, the pools that are as they
// should be: nothing fails, and nothing is left to do.
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

// advice says what is to be done before the rule of an exposure is revoked, or
// nothing where it can be revoked now, by someone who pastes a command and knows
// no more than what is read here.
func (j revocation) advice(x exposure, here []coverage.Subject) string {
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
		return fmt.Sprintf("Do not revoke it yet: at %s it may be the only rule that lets part of %s in. %s", fewNames(shut), j.services, order)
	}
	for _, subject := range here {
		if !x.Rule.Within(portsAt(subject, j.ports)) {
			return fmt.Sprintf("%s gets in without it, but it opens more than the managed ports (%s). Find out what else needs those ports and give it a rule of its own before you revoke this one.", j.services, x.Rule.RuleID)
		}
	}
	return ""
}

// letsIn reports whether all wanted ranges get in at a network interface, on the
// ports of an exposure, without any rule that opens these to the world, as all of
// these may be revoked one after the other.
func (j revocation) letsIn(x exposure, subject coverage.Subject) bool {
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
	scene := &coverage.Scene{Subjects: []coverage.Subject{{Interface: subject.Interface, Groups: guards}}}
	return coverage.Judge(scene, question).Verdict == coverage.Open
}

// fewNames names the first of some things.
func fewNames(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
