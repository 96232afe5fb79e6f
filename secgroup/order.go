package secgroup

import (
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// order returns the steps in an order that closes no wanted address, with as
// few calls as that allows: one authorize and one revoke a group wherever
// there is room for the new rules beside the old.
//
// Authorizing all of a group's new rules comes before anything else, revoking
// after all of that. Where a group has no room, what it can spare goes first;
// then it gets part of its rules; then the other groups give up what they can
// spare; and at last, where that leads nowhere, the smallest gap is opened.
func (p *pool) order() []Step {
	if p.anySurplus() {
		p.stands = p.coverage()
	}
	for p.unfinished() {
		switch {
		case p.each(p.authorizeWhole):
		case p.each(p.revokeForRoom):
		case p.each(p.authorizePart):
		case p.each(p.revokeSpare):
		default:
			p.openGap()
		}
	}
	return p.steps
}

func (p *pool) unfinished() bool {
	return slices.ContainsFunc(p.members, func(m *member) bool { return len(m.adds)+len(m.surplus) > 0 })
}

// each calls f for every member and reports whether any of them took a step.
func (p *pool) each(f func(*member) bool) bool {
	did := false
	for _, m := range p.members {
		did = f(m) || did
	}
	return did
}

// authorizeWhole authorizes all that is to be added to a group that has room
// for it.
func (p *pool) authorizeWhole(m *member) bool {
	if len(m.adds) == 0 || m.pending[IPv4] > max(m.room[IPv4], 0) || m.pending[IPv6] > max(m.room[IPv6], 0) {
		return false
	}
	p.authorize(m, slices.Clone(m.adds))
	return true
}

// revokeForRoom revokes what leaves no gap in a group that waits for room.
func (p *pool) revokeForRoom(m *member) bool { return len(m.adds) > 0 && p.revokeSpare(m) }

// revokeSpare revokes what leaves no gap in a group. While another group waits
// for room this comes late, because what it revokes may be what makes a rule
// of that group dispensable.
func (p *pool) revokeSpare(m *member) bool {
	rules := p.dispensable(m)
	if len(rules) == 0 {
		return false
	}
	p.revoke(m, rules, nil)
	return true
}

// authorizePart authorizes what there is room for.
func (p *pool) authorizePart(m *member) bool {
	room := m.room
	var fit []int
	for _, w := range m.adds {
		if f := p.familyOf(w); room[f] > 0 {
			room[f]--
			fit = append(fit, w)
		}
	}
	if len(fit) == 0 {
		return false
	}
	p.authorize(m, fit)
	return true
}

// dispensable returns surplus rules of a member that can be revoked together
// without closing a wanted address. It takes the narrow ones first: that frees
// the most slots.
func (p *pool) dispensable(m *member) []Rule {
	slices.SortFunc(m.surplus, func(a, b Rule) int { return wideFirst(b, a) })
	var rules []Rule
	for _, r := range m.surplus {
		p.stands.add(r.RuleID, -1)
		if p.stands.exposed(r.RuleID, true) > 0 {
			p.stands.add(r.RuleID, 1)
			continue
		}
		rules = append(rules, r)
	}
	for _, r := range rules {
		p.stands.add(r.RuleID, 1)
	}
	return rules
}

// openGap revokes one surplus rule to make room in a full group, and at once
// authorizes the rule in its place that opens most of it again. Of all pairs
// it takes the one that leaves the fewest wanted addresses closed afterwards,
// then the one that closes the fewest in between.
func (p *pool) openGap() {
	var in *member
	var out Rule
	var add int
	var left, closed float64
	for _, m := range p.members {
		for _, r := range m.surplus {
			p.stands.add(r.RuleID, -1)
			gap := p.stands.exposed(r.RuleID, true)
			for _, w := range m.adds {
				if r.weight()[p.familyOf(w)] == 0 {
					continue
				}
				p.stands.add(p.id(w), 1)
				rest := p.stands.exposed(r.RuleID, true)
				p.stands.add(p.id(w), -1)
				if in == nil || rest < left || rest == left && gap < closed {
					in, out, add, left, closed = m, r, w, rest, gap
				}
			}
			p.stands.add(r.RuleID, 1)
		}
	}
	p.revoke(in, []Rule{out}, p.gap(out))
	if in.room[p.familyOf(add)] > 0 { // not where the group is over its quota
		p.authorize(in, []int{add})
	}
}

// gap returns the wanted ranges that revoking a rule closes.
func (p *pool) gap(r Rule) []netip.Prefix {
	var closed netipx.IPSetBuilder
	start, end := p.stands.run(r.Source.Prefix)
	for k, interval := range p.stands.intervals {
		if !r.OpensTCP(interval) {
			continue
		}
		for i := start; i < end; i++ {
			if !p.stands.wanted[i] || p.stands.count[k][i] > 1 {
				continue
			}
			var piece netipx.IPSetBuilder
			piece.AddPrefix(p.stands.prefixes[i])
			for _, below := range p.stands.prefixes[i+1 : p.stands.end[i]] {
				piece.RemovePrefix(below)
			}
			closed.AddSet(must(piece.IPSet()))
		}
	}
	return must(closed.IPSet()).Prefixes()
}

// must unwraps a set whose prefixes are all valid, as those of a coverage are.
func must(s *netipx.IPSet, err error) *netipx.IPSet {
	if err != nil {
		panic(err)
	}
	return s
}

// authorize takes the step that authorizes wanted rules in a member.
func (p *pool) authorize(m *member, wanted []int) {
	step := Step{Op: Authorize, GroupID: m.Group.ID}
	for _, w := range wanted {
		r := p.rule(w)
		step.Rules = append(step.Rules, r)
		p.standing[w] = true
		m.room.add(r.weight(), -1)
		m.pending.add(r.weight(), -1)
		if p.stands != nil {
			p.stands.add(r.RuleID, 1)
		}
	}
	m.adds = slices.DeleteFunc(m.adds, func(w int) bool { return p.standing[w] })
	p.take(step)
}

// revoke takes the step that revokes surplus rules of a member.
func (p *pool) revoke(m *member, rules []Rule, gap []netip.Prefix) {
	for _, r := range rules {
		m.room.add(r.weight(), 1)
		m.leaving.add(r.weight(), -1)
		p.stands.add(r.RuleID, -1)
	}
	m.surplus = slices.DeleteFunc(m.surplus, func(s Rule) bool {
		return slices.ContainsFunc(rules, func(r Rule) bool { return r.RuleID == s.RuleID })
	})
	p.take(Step{Op: Revoke, GroupID: m.Group.ID, Rules: rules, Gap: gap})
}

// take appends a step, its rules in a stable order.
func (p *pool) take(s Step) {
	slices.SortFunc(s.Rules, func(a, b Rule) int { return a.compare(b.RuleID) })
	p.steps = append(p.steps, s)
}
