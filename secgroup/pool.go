package secgroup

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// pool is one pool in the making of its plan. Its wanted rules are numbered:
// rule w is ports[w/len(Ranges)] open to Ranges[w%len(Ranges)].
type pool struct {
	req         Request
	aim         aim
	description string // of the rules it adds
	ports       []PortRange
	members     []*member
	// holder is, by wanted rule, the member that holds it or shall hold it.
	holder []int
	// standing tells, by wanted rule, whether the holder has it already.
	standing []bool
	unplaced []int     // wanted rules that no group has room for
	stands   *coverage // counts the rules there are as steps are taken
	steps    []Step
}

// Values of holder that are no index of a member.
const (
	missing   = -1
	satisfied = -2 // by a rule that stays whatever the plan: a foreign one, or one of a group left alone
)

// member is a group of a pool in the making of its plan.
type member struct {
	*GroupPlan
	frozen  bool   // not to be changed
	lists   []bool // by port of the pool: whether the group opens it
	adds    []int  // wanted rules to authorize
	surplus []Rule // rules to revoke
	room    Weight // what its quota leaves now,
	leaving Weight // what revoking the surplus will free,
	pending Weight // and what authorizing adds will take
}

// roomNow returns what the quota leaves the member if it revokes nothing, and
// roomAtEnd what it leaves it once all its steps are taken.
func (m *member) roomNow(f Family) int   { return m.room[f] - m.pending[f] }
func (m *member) roomAtEnd(f Family) int { return m.roomNow(f) + m.leaving[f] }

// aim is how far the plan of a pool is to go.
type aim int

const (
	all     aim = iota // authorize what is missing, revoke what is surplus
	hold               // revoke nothing
	replace            // authorize only what replaces surplus rules, and only where there is room now
)

// stay names a rule of a group that must not be revoked although no wanted
// rule is equal to it.
type stay struct {
	groupID string
	rule    RuleID
}

// newPool assigns each wanted rule to a member: those there are to the member
// that has them, the missing ones to members with room.
//
// Where the pool is too small, a surplus rule may be all that opens some
// wanted addresses. Such a rule stays, its slot is taken, and the assignment
// is made anew without it.
func newPool(groups []GroupPlan, req Request, aim aim) *pool {
	stays := map[stay]bool{}
	for {
		p := survey(groups, req, aim, stays)
		p.place()
		more := p.irreplaceable()
		if len(more) == 0 {
			return p
		}
		for _, s := range more {
			stays[s] = true
		}
	}
}

// survey sorts the rules there are into wanted, surplus and foreign ones.
func survey(groups []GroupPlan, req Request, aim aim, stays map[stay]bool) *pool {
	p := &pool{req: req, aim: aim, description: req.Stamp.String()}
	for i := range groups {
		p.ports = append(p.ports, groups[i].Settings.Ports...)
	}
	p.ports = SortPorts(p.ports)
	p.holder = slices.Repeat([]int{missing}, len(p.ports)*len(req.Ranges))
	p.standing = make([]bool, len(p.holder))
	for i := range groups {
		p.members = append(p.members, p.newMember(&groups[i]))
	}
	// What stays in any case satisfies a want before an owned rule does.
	for _, m := range p.members {
		for _, r := range m.Group.Ingress {
			w := p.wanted(r.RuleID)
			if w >= 0 && (m.Err != nil || m.lists[p.portOf(w)]) && (m.frozen || !p.owns(m, r)) {
				p.holder[w] = satisfied
			}
		}
	}
	for i, m := range p.members {
		if m.frozen {
			continue
		}
		for _, r := range m.Group.Ingress {
			if !p.owns(m, r) {
				continue
			}
			if w := p.wanted(r.RuleID); w >= 0 && m.lists[p.portOf(w)] && p.holder[w] == missing {
				p.holder[w], p.standing[w] = i, true
			} else if aim != hold && !stays[stay{m.Group.ID, r.RuleID}] {
				m.discard(r)
			}
		}
	}
	return p
}

func (p *pool) newMember(g *GroupPlan) *member {
	m := &member{GroupPlan: g, lists: make([]bool, len(p.ports))}
	m.frozen = g.Err != nil || len(p.req.GroupIDs) > 0 && !slices.Contains(p.req.GroupIDs, g.Group.ID)
	for k, port := range p.ports {
		m.lists[k] = slices.Contains(g.Settings.Ports, port)
	}
	for f := range m.room {
		m.room[f] = p.req.RulesPerGroup
	}
	for _, r := range g.Group.Ingress {
		m.room.add(r.weight(), -1)
	}
	return m
}

// discard makes a rule of the member surplus.
func (m *member) discard(r Rule) {
	m.surplus = append(m.surplus, r)
	m.leaving.add(r.weight(), 1)
}

func (p *pool) owns(m *member, r Rule) bool { return owned(p.req.TagKey, m.Settings, r) }

// wanted returns the number of the wanted rule that is equal to r, or -1.
func (p *pool) wanted(r RuleID) int {
	if r.Protocol != "tcp" || !r.Source.Prefix.IsValid() {
		return -1
	}
	k := slices.IndexFunc(p.ports, func(port PortRange) bool {
		return int32(port.From) == r.From && int32(port.To) == r.To
	})
	i, found := slices.BinarySearchFunc(p.req.Ranges, r.Source.Prefix, netip.Prefix.Compare)
	if k < 0 || !found {
		return -1
	}
	return k*len(p.req.Ranges) + i
}

func (p *pool) portOf(w int) int              { return w / len(p.req.Ranges) }
func (p *pool) rangeOf(w int) netip.Prefix    { return p.req.Ranges[w%len(p.req.Ranges)] }
func (p *pool) familyOf(w int) Family         { return FamilyOf(p.rangeOf(w)) }
func (p *pool) canHold(m *member, w int) bool { return !m.frozen && m.lists[p.portOf(w)] }

// id returns what identifies wanted rule w.
func (p *pool) id(w int) RuleID {
	port := p.ports[p.portOf(w)]
	return RuleID{Protocol: "tcp", From: int32(port.From), To: int32(port.To), Source: Source{Prefix: p.rangeOf(w)}}
}

// rule returns wanted rule w as it is authorized.
func (p *pool) rule(w int) Rule { return Rule{RuleID: p.id(w), Description: p.description} }

// place assigns the missing rules to members that have room for them. First
// come the ones that surplus rules have to wait for, those that set one free
// soonest before the others: the room there is before any revoke is for them.
// Then come the widest ranges, so that where the room ends the fewest addresses
// are left out.
func (p *pool) place() {
	left := map[class]int{} // missing rules not yet placed
	room := (*member).roomAtEnd
	if p.aim == replace {
		room = (*member).roomNow
	}
	var todo []int
	for w, holder := range p.holder {
		if holder == missing && slices.ContainsFunc(p.members, func(m *member) bool { return p.canHold(m, w) }) {
			todo = append(todo, w)
		}
	}
	awaited := p.awaited(todo)
	if p.aim == replace {
		todo = slices.DeleteFunc(todo, func(w int) bool { return awaited[w] == 0 })
	}
	for _, w := range todo {
		left[p.classOf(w)]++
	}
	slices.SortStableFunc(todo, func(a, b int) int {
		return cmp.Or(cmp.Compare(awaited[a]-1, awaited[b]-1), // 0, for none, comes last
			cmp.Compare(p.familyOf(a), p.familyOf(b)),
			cmp.Compare(p.rangeOf(a).Bits(), p.rangeOf(b).Bits()))
	})
	last := map[class]int{} // where the last rule of the class went
	full := map[class]bool{}
	for _, w := range todo {
		c := p.classOf(w)
		i, ok := last[c]
		if !ok || i < 0 || p.members[i].roomNow(c.family) <= 0 {
			i = p.choose(c, left[c], room)
			last[c] = i
		}
		left[c]--
		switch {
		case i >= 0:
			p.assign(w, i)
		case full[c] || !p.makeRoom(w, room):
			full[c] = true // for good: room is only ever taken here
			p.unplaced = append(p.unplaced, w)
		}
	}
}

// awaited returns for each of the missing rules that opens addresses which
// only surplus rules open now, how many missing rules such a surplus rule waits
// for; of several surplus rules the one that waits for the fewest counts.
func (p *pool) awaited(missing []int) map[int]uint {
	awaited := map[int]uint{}
	if !p.anySurplus() {
		return awaited
	}
	rest := p.outcome() // nothing is assigned yet: what stands without the surplus
	missing = slices.DeleteFunc(slices.Clone(missing), func(w int) bool { return rest.exposed(p.id(w), true) == 0 })
	for _, m := range p.members {
		for _, r := range m.surplus {
			var by []int
			for _, w := range missing {
				if r.overlaps(p.id(w)) {
					by = append(by, w)
				}
			}
			for _, w := range by {
				if n := awaited[w]; n == 0 || n > uint(len(by)) {
					awaited[w] = uint(len(by))
				}
			}
		}
	}
	return awaited
}

// class is what decides where a rule can be put: its port and its family.
type class struct {
	port   int
	family Family
}

func (p *pool) classOf(w int) class { return class{p.portOf(w), p.familyOf(w)} }

// choose returns the member to put n missing rules of the class in, or -1.
// So that few groups are touched and no group waits for a revoke, it prefers
// a member that has room now, then one that is touched anyway, then the
// tightest one that takes all n, or else the roomiest.
func (p *pool) choose(c class, n int, room func(*member, Family) int) int {
	best, bestRank := -1, [3]int{}
	for i, m := range p.members {
		if m.frozen || !m.lists[c.port] || room(m, c.family) <= 0 {
			continue
		}
		now := m.roomNow(c.family)
		rank := [3]int{0, 0, now}
		if now > 0 {
			rank[0] = 1
		}
		if now >= n {
			rank[0], rank[2] = 2, -now
		}
		if len(m.adds)+len(m.surplus) > 0 {
			rank[1] = 1
		}
		if best < 0 || slices.Compare(rank[:], bestRank[:]) > 0 {
			best, bestRank = i, rank
		}
	}
	return best
}

// assign makes member i the holder of wanted rule w. If another member was, it
// gives the rule up.
func (p *pool) assign(w, i int) {
	r := p.rule(w)
	if from := p.holder[w]; from >= 0 {
		m := p.members[from]
		if p.standing[w] {
			m.discard(r)
		} else {
			m.adds = slices.DeleteFunc(m.adds, func(a int) bool { return a == w })
			m.pending.add(r.weight(), -1)
		}
	}
	m := p.members[i]
	p.holder[w], p.standing[w] = i, false
	if k := slices.IndexFunc(m.surplus, func(s Rule) bool { return s.RuleID == r.RuleID }); k >= 0 {
		m.surplus = slices.Delete(m.surplus, k, k+1)
		m.leaving.add(r.weight(), -1)
		p.standing[w] = true
		return
	}
	m.adds = append(m.adds, w)
	m.pending.add(r.weight(), 1)
}

// makeRoom assigns wanted rule w to a member, moving rules of other ports out
// of its way if need be: from a member that can hold w to one that cannot, and
// so on to one that has room. It reports whether there is such a chain; the
// shortest is taken. This is an augmenting path of bipartite matching. A member
// over its quota takes no part: one rule out does not make room for one in.
func (p *pool) makeRoom(w int, room func(*member, Family) int) bool {
	type hop struct{ from, rule int } // rule goes from a member to the one reached
	family := p.familyOf(w)
	reached := make([]*hop, len(p.members))
	var queue []int
	for i, m := range p.members {
		if p.canHold(m, w) && room(m, family) >= 0 {
			reached[i] = &hop{missing, w}
			queue = append(queue, i)
		}
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		if room(p.members[i], family) > 0 {
			for i != missing {
				h := reached[i]
				p.assign(h.rule, i)
				i = h.from
			}
			return true
		}
		for v, holder := range p.holder {
			if holder != i || p.familyOf(v) != family {
				continue
			}
			for j, m := range p.members {
				if reached[j] == nil && p.canHold(m, v) && room(m, family) >= 0 {
					reached[j] = &hop{i, v}
					queue = append(queue, j)
				}
			}
		}
	}
	return false
}

// outcome returns a coverage of the rules that stand once the steps are taken.
func (p *pool) outcome() *coverage {
	c := p.coverage()
	for _, m := range p.members {
		for _, r := range m.surplus {
			c.add(r.RuleID, -1)
		}
		for _, w := range m.adds {
			c.add(p.id(w), 1)
		}
	}
	return c
}

// coverage returns a coverage of the rules there are.
func (p *pool) coverage() *coverage {
	rules := p.rules()
	c := newCoverage(p.ports, p.req.Ranges, rules)
	for _, r := range rules {
		c.add(r, 1)
	}
	return c
}

// rules returns the rules there are, of all members.
func (p *pool) rules() []RuleID {
	n := 0
	for _, m := range p.members {
		n += len(m.Group.Ingress)
	}
	rules := make([]RuleID, 0, n)
	for _, m := range p.members {
		for _, r := range m.Group.Ingress {
			rules = append(rules, r.RuleID)
		}
	}
	return rules
}

// irreplaceable returns the surplus rules without which wanted addresses that
// are open now would be closed in the end, the widest first.
func (p *pool) irreplaceable() []stay {
	if !p.anySurplus() {
		return nil
	}
	var stays []stay
	end := p.outcome()
	for _, m := range p.members {
		slices.SortStableFunc(m.surplus, wideFirst)
		for _, r := range m.surplus {
			if end.exposed(r.RuleID, true) > 0 {
				stays = append(stays, stay{m.Group.ID, r.RuleID})
				end.add(r.RuleID, 1)
			}
		}
	}
	return stays
}

func (p *pool) anySurplus() bool {
	return slices.ContainsFunc(p.members, func(m *member) bool { return len(m.surplus) > 0 })
}

func wideFirst(a, b Rule) int {
	return cmp.Or(cmp.Compare(a.Source.Prefix.Bits(), b.Source.Prefix.Bits()), a.compare(b.RuleID))
}

// losing counts the stamped rules to be revoked that have addresses, on a port
// the pool still lists, which are not in the ranges: what the published list
// has taken away, as opposed to what a tag has. Whether somebody else's rule
// opens them as well does not matter, it may go any day.
func (p *pool) losing() int {
	if !p.anySurplus() {
		return 0
	}
	n := 0
	wanted := newCoverage(p.ports, p.req.Ranges, p.rules())
	for w := range p.holder {
		wanted.add(p.id(w), 1)
	}
	for _, m := range p.members {
		for _, r := range m.surplus {
			if stamped(p.req.TagKey, r.Description) && wanted.exposed(r.RuleID, false) > 0 {
				n++
			}
		}
	}
	return n
}

// takeOver returns the steps that mark as this tool's the wanted rules of
// exclusive groups which are there after the steps but were made by someone
// else.
func (p *pool) takeOver(after []Step) []Step {
	var steps []Step
	for _, m := range p.members {
		if m.frozen || !m.Settings.Exclusive {
			continue
		}
		step := Step{Op: Redescribe, GroupID: m.Group.ID}
		for _, r := range m.Group.after(after) {
			if w := p.wanted(r.RuleID); w >= 0 && m.lists[p.portOf(w)] && !stamped(p.req.TagKey, r.Description) {
				step.Rules = append(step.Rules, p.rule(w))
			}
		}
		if len(step.Rules) > 0 {
			steps = append(steps, step)
		}
	}
	return steps
}

// shortage returns a *[ShortageError] if not all wanted rules have a place.
func (p *pool) shortage(groups []GroupPlan) error {
	if len(p.unplaced) == 0 {
		return nil
	}
	short := map[class]int{}
	var lack Weight
	for _, w := range p.unplaced {
		short[p.classOf(w)]++
		lack[p.familyOf(w)]++
	}
	e := newShortage(groups, p.req)
	for k, port := range p.ports {
		for _, f := range []Family{IPv4, IPv6} {
			if n := short[class{k, f}]; n > 0 {
				needed := p.rangesOf(f)
				e.Ports = append(e.Ports, PortShortage{Port: port, Family: f, Needed: needed, Available: needed - n})
			}
		}
	}
	q := p.req.RulesPerGroup
	e.MoreGroups = (max(lack[IPv4], lack[IPv6]) + q - 1) / q
	e.RulesPerGroup = q + 1 + sort.Search(len(p.unplaced)-1, func(n int) bool {
		roomier := p.req
		roomier.RulesPerGroup = q + 1 + n
		return len(newPool(groups, roomier, p.aim).unplaced) == 0
	})
	switch {
	case p.aim == hold:
		e.Cause = "the rules that are held back take the rest"
	case slices.ContainsFunc(p.members, func(m *member) bool { return m.frozen }):
		e.Cause = "groups of the pool that this run leaves alone may have room for the rest"
	}
	return e
}

func (p *pool) rangesOf(f Family) int {
	n := 0
	for _, r := range p.req.Ranges {
		if FamilyOf(r) == f {
			n++
		}
	}
	return n
}
