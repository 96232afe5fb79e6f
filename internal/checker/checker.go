// Package checker checks each step before it reaches EC2. It refuses every step that would close what is open and
// wanted at a network interface, change a rule that is not ours, pass a quota, or remove what the guard holds.
//
// It knows interfaces, holders (security groups and prefix lists) and rules, but no pools and no strategy, so that the
// promises do not depend on how clever a planner is: a planner that errs wastes calls or leaves work undone.
package checker

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A Checker knows the holders of one [secgroup.Sequence] as they are after the steps that really succeeded.
type Checker struct {
	index      map[string]int // by ID, of holders
	holders    []*holder
	interfaces []secgroup.InterfaceSet
	wanted     *ipspace.Set
}

type holder struct {
	plan *secgroup.HolderPlan
	secgroup.Contents
}

// New returns a checker of the sequence's steps.
func New(s secgroup.Sequence) *Checker {
	c := &Checker{index: map[string]int{}, interfaces: s.Interfaces, wanted: ipspace.Of(s.Ranges)}
	for i, plan := range s.Holders {
		c.index[plan.ID] = i
		c.holders = append(c.holders, &holder{plan, plan.Now()})
	}
	return c
}

// A RefusedError says why a step is not taken.
type RefusedError struct {
	Step   secgroup.Step
	Rules  []secgroup.Rule // those of the step that are the reason
	Reason string          // completes "authorize 2 rules in sg-1: …"
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%v: not done: %s", e.Step, e.Reason) }

// Hint returns what to do about it.
func (e *RefusedError) Hint() string {
	return "the next run tries again; if it is refused again, solve the other problems of this run first, or make room"
}

// A closing is addresses that a step closes on a port at an interface.
type closing struct {
	set  int // index of the interface set
	port int // the lowest of the ports concerned
	gone *ipspace.Set
}

// Check returns a *[RefusedError] if the step must not be taken now. The next step, if any, is the one that the plan
// takes right after it; a step that announces a gap is allowed only if that one reopens all that it closes.
func (c *Checker) Check(step secgroup.Step, next *secgroup.Step) error {
	at, known := c.index[step.HolderID]
	if !known {
		return &RefusedError{step, nil, "the plan does not know " + step.HolderID}
	}
	h := c.holders[at]
	if h.plan.Kind == secgroup.SecurityGroup && len(step.Add) > 0 && len(step.Remove) > 0 {
		return &RefusedError{step, nil, "EC2 does not add and remove rules of a group in one call"}
	}
	for _, part := range []struct {
		foul   func(secgroup.Rule) bool
		rules  []secgroup.Rule
		reason string
	}{
		{h.foreign, slices.Concat(step.Remove, step.Describe), "the rule is not this tool's"},
		{func(r secgroup.Rule) bool { return h.plan.Held[r.RuleID] }, step.Remove, "the guard holds the rule"},
		{h.passesQuota(step), step.Add, "no room for the rule"},
	} {
		if rules := filter(part.rules, part.foul); len(rules) > 0 {
			return &RefusedError{step, rules, fmt.Sprintf("%s (%v)", part.reason, rules[0].RuleID)}
		}
	}
	if next == nil {
		next = &secgroup.Step{} // reopens nothing
	}
	after := c.after(step)
	closings := c.closings(at, after, step, next.Add)
	if len(closings) == 0 || len(step.Gap) > 0 && c.reopens(after, *next, closings) {
		return nil
	}
	closes := filter(step.Remove, func(r secgroup.Rule) bool {
		return slices.ContainsFunc(closings, func(cl closing) bool { return opens(r, cl.port) && cl.gone.OverlapsPrefix(r.Source.Prefix) })
	})
	return &RefusedError{step, closes, "it would close what nothing else opens yet: " + c.describe(closings[0])}
}

func filter(rules []secgroup.Rule, keep func(secgroup.Rule) bool) []secgroup.Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r secgroup.Rule) bool { return !keep(r) })
}

// foreign reports whether the holder lacks an own rule of this identity. A rule whose authorization failed may be there
// all the same, as somebody else's.
func (h *holder) foreign(r secgroup.Rule) bool {
	there, ok := h.Rules[r.RuleID]
	return !ok || !h.plan.Owns(there)
}

// passesQuota returns a function that reports, rule by rule, whether the holder has no room left for what a step adds.
// A prefix list takes what a step removes out first.
func (h *holder) passesQuota(step secgroup.Step) func(secgroup.Rule) bool {
	after := h.clone()
	after.Remove(step.Remove)
	return func(r secgroup.Rule) bool {
		after.Free.Add(r.Weighs(), -1)
		return after.Free[secgroup.FamilyOf(r.Source.Prefix)] < 0
	}
}

// closings returns what a step about a holder closes that is wanted and open, at each set of interfaces.
func (c *Checker) closings(at int, after *Checker, step secgroup.Step, reopening []secgroup.Rule) (all []closing) {
	if len(step.Remove) == 0 {
		return nil
	}
	for i, set := range c.interfaces {
		if !slices.Contains(set.Holders, at) {
			continue
		}
		for _, port := range c.portsAt(set, reopening) {
			if !slices.ContainsFunc(step.Remove, func(r secgroup.Rule) bool { return opens(r, port) }) {
				continue
			}
			if gone := ipspace.Minus(ipspace.Common(c.open(i, port), c.wanted), after.open(i, port)); len(gone.Prefixes()) > 0 {
				all = append(all, closing{i, port, gone})
			}
		}
	}
	return all
}

// open returns the addresses that the holders open on a port at the interfaces of a set.
func (c *Checker) open(set, port int) *ipspace.Set {
	var open []netip.Prefix
	for _, k := range c.interfaces[set].Holders {
		for _, r := range c.holders[k].Rules {
			if opens(r, port) {
				open = append(open, r.Source.Prefix)
			}
		}
	}
	return ipspace.Of(open)
}

// portsAt returns the wanted ports at the interfaces of a set, as the lowest ports of the runs that no tag, no rule
// there and no rule about to be added cuts in two.
func (c *Checker) portsAt(set secgroup.InterfaceSet, added []secgroup.Rule) []int {
	var wanted []secgroup.PortRange
	var cuts []int
	cut := func(id secgroup.RuleID) {
		first, last := id.OpenPorts()
		cuts = append(cuts, first, last+1)
	}
	for _, r := range added {
		cut(r.RuleID)
	}
	for _, k := range set.Holders {
		for _, p := range c.holders[k].plan.Settings.Ports {
			wanted = append(wanted, p)
			cuts = append(cuts, int(p.From))
		}
		for id := range c.holders[k].Rules {
			cut(id)
		}
	}
	slices.Sort(cuts)
	return slices.DeleteFunc(slices.Compact(cuts), func(port int) bool { return !lists(wanted, port) })
}

func lists(ports []secgroup.PortRange, port int) bool {
	return slices.ContainsFunc(ports, func(p secgroup.PortRange) bool { return int(p.From) <= port && port <= int(p.To) })
}

// opens reports whether a rule opens a port to an IP range.
func opens(r secgroup.Rule, port int) bool {
	first, last := r.OpenPorts()
	return first <= port && port <= last && r.Source.Prefix.IsValid()
}

// reopens reports whether a gap is allowed: the next step opens again all that the step before closes, at each
// interface, and has room for it, and no holder that is at all of these interfaces and lists the port has a free slot.
func (c *Checker) reopens(after *Checker, next secgroup.Step, closings []closing) bool {
	for _, cl := range closings {
		if slices.ContainsFunc(c.interfaces[cl.set].Holders, func(k int) bool { return c.couldHold(k, closings, cl) }) {
			return false
		}
	}
	if after.Check(next, nil) != nil {
		return false
	}
	after = after.after(next)
	return !slices.ContainsFunc(closings, func(cl closing) bool {
		return len(ipspace.Minus(cl.gone, after.open(cl.set, cl.port)).Prefixes()) > 0
	})
}

// couldHold reports whether a holder that is at all interfaces where something is closed lists the port and has a free
// slot of a family that is closed, so that there is no need for a gap.
func (c *Checker) couldHold(k int, closings []closing, cl closing) bool {
	h := c.holders[k]
	elsewhere := func(o closing) bool { return !slices.Contains(c.interfaces[o.set].Holders, k) }
	room := func(p netip.Prefix) bool { return h.Free[secgroup.FamilyOf(p)] > 0 }
	return !slices.ContainsFunc(closings, elsewhere) && lists(h.plan.Settings.Ports, cl.port) && slices.ContainsFunc(cl.gone.Prefixes(), room)
}

func (h *holder) clone() *holder {
	return &holder{h.plan, secgroup.Contents{Rules: maps.Clone(h.Rules), Free: h.Free}}
}

// after returns a copy that has taken a step.
func (c *Checker) after(step secgroup.Step) *Checker {
	d := *c
	d.holders = slices.Clone(c.holders)
	k := c.index[step.HolderID]
	d.holders[k] = d.holders[k].clone()
	d.Took(step)
	return &d
}

// Took notes that EC2 has taken a step.
func (c *Checker) Took(step secgroup.Step) {
	c.Sent(step)
	c.holders[c.index[step.HolderID]].Add(step.Add)
}

// Sent notes that a step was sent, and it is unknown whether EC2 has taken it: what it removes counts as gone, what it
// adds does not count as there.
func (c *Checker) Sent(step secgroup.Step) {
	c.holders[c.index[step.HolderID]].Remove(step.Remove)
}

// Allowed returns the part of a step that may be taken, if the whole is refused: without the rules that are the reason.
// It is false if nothing is left.
func (c *Checker) Allowed(step secgroup.Step) (secgroup.Step, bool) {
	step.Gap = nil
	for {
		refused, ok := errors.AsType[*RefusedError](c.Check(step, nil))
		if !ok {
			return step, len(step.Rules()) > 0
		}
		if len(refused.Rules) == 0 {
			return step, false
		}
		allowed := func(r secgroup.Rule) bool {
			return !slices.ContainsFunc(refused.Rules, func(foul secgroup.Rule) bool { return foul.RuleID == r.RuleID })
		}
		step.Add, step.Remove, step.Describe = filter(step.Add, allowed), filter(step.Remove, allowed), filter(step.Describe, allowed)
	}
}

// describe says what is closed, and where.
func (c *Checker) describe(cl closing) string {
	text := words.Few(words.Strings(cl.gone.Prefixes()))
	if cl.port > 0 {
		text += fmt.Sprintf(" on port %d", cl.port)
	}
	if name := c.interfaces[cl.set].Name; name != "" {
		text += " at " + name
	}
	return text
}
