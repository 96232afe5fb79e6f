package secgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The properties run plans on a model of EC2 in a tiny world, 16 addresses of each family and a few ports, where an
// oracle can look at every address after every step. The oracle shares no code with the planner: it asks each rule of
// each group whether it opens an address.

const testKey = "cloudfront-ingress"

var (
	world4 = netip.MustParsePrefix("8.8.8.0/28")
	world6 = netip.MustParsePrefix("2600:9000::/124")
)

// model is the groups of a region as EC2 would hold them.
type model struct {
	t      interface{ Fatalf(string, ...any) }
	quota  int
	groups map[string]*Group
}

func newModel(t interface{ Fatalf(string, ...any) }, quota int, groups []Group) *model {
	m := &model{t: t, quota: quota, groups: map[string]*Group{}}
	for _, g := range groups {
		g.Ingress = slices.Clone(g.Ingress)
		m.groups[g.ID] = &g
	}
	return m
}

func (m *model) list() []Group {
	var groups []Group
	for _, g := range m.groups {
		c := *g
		c.Ingress = slices.Clone(g.Ingress)
		groups = append(groups, c)
	}
	slices.SortFunc(groups, func(a, b Group) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) })
	return groups
}

func (m *model) used(g *Group, v6 bool) int {
	n := 0
	for _, r := range g.Ingress {
		if !r.Source.Prefix.IsValid() || r.Source.Prefix.Addr().Is6() == v6 {
			n++
		}
	}
	return n
}

// run takes a step the way EC2 does: all of it or none.
func (m *model) run(s Step) {
	g := m.groups[s.HolderID]
	before := [2]int{m.used(g, false), m.used(g, true)}
	for _, r := range s.Rules() {
		i := slices.IndexFunc(g.Ingress, func(o Rule) bool { return o.RuleID == r.RuleID })
		switch {
		case len(s.Add) > 0 && i >= 0:
			m.t.Fatalf("%v: InvalidPermission.Duplicate: %v", s, r)
		case len(s.Add) > 0:
			g.Ingress = append(g.Ingress, r)
		case len(s.Describe) > 0 && i >= 0:
			g.Ingress[i].Description = r.Description
		case i < 0:
			m.t.Fatalf("%v: InvalidPermission.NotFound: %v", s, r)
		default:
			g.Ingress = slices.Delete(g.Ingress, i, i+1)
		}
	}
	for f, n := range [2]int{m.used(g, false), m.used(g, true)} {
		if n > m.quota && n > before[f] {
			m.t.Fatalf("%v: RulesPerSecurityGroupLimitExceeded: %d of %d", s, n, m.quota)
		}
	}
}

// point is a port of an address in a pool.
type point struct {
	pool string
	port int32
	addr netip.Addr
}

// open returns every point that some rule of its pool opens.
func (m *model) open() map[point]bool {
	return m.openBy(func(string) bool { return true })
}

// openAt returns every point that is open at an interface, whichever pool opens it: some rule opens it, in a group that
// is attached there.
func (m *model) openAt(eni Interface) map[point]bool {
	return anyPool(m.openBy(func(id string) bool { return slices.Contains(eni.Groups, id) }))
}

// anyPool returns points whichever pool they are of.
func anyPool(points map[point]bool) map[point]bool {
	all := map[point]bool{}
	for p := range points {
		p.pool = ""
		all[p] = true
	}
	return all
}

// openBy returns every point that a rule of some of the groups opens.
func (m *model) openBy(counts func(id string) bool) map[point]bool {
	open := map[point]bool{}
	for _, g := range m.groups {
		if !counts(g.ID) {
			continue
		}
		for _, r := range g.Ingress {
			if !r.Source.Prefix.IsValid() || r.Protocol == "udp" {
				continue
			}
			for _, port := range testPorts {
				if r.Protocol == "tcp" && (port < r.From || r.To < port) {
					continue
				}
				for _, a := range addressesIn(r.Source.Prefix) {
					open[point{poolOf(*g), port, a}] = true
				}
			}
		}
	}
	return open
}

var testPorts = []int32{79, 80, 81, 443}

func addressesIn(p netip.Prefix) []netip.Addr {
	var all []netip.Addr
	for _, world := range []netip.Prefix{world4, world6} {
		for a := world.Addr(); world.Contains(a); a = a.Next() {
			if p.Contains(a) {
				all = append(all, a)
			}
		}
	}
	return all
}

func genPrefix(t *rapid.T) netip.Prefix {
	world := rapid.SampledFrom([]netip.Prefix{world4, world4, world6}).Draw(t, "world")
	all := addressesIn(world)
	a := rapid.SampledFrom(all).Draw(t, "address")
	p, err := a.Prefix(world.Bits() + rapid.IntRange(1, 4).Draw(t, "bits"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// genRanges draws ranges as the iprange package would hand them on.
func genRanges(t *rapid.T, most int) []netip.Prefix {
	ranges := rapid.SliceOfN(rapid.Custom(genPrefix), 1, most).Draw(t, "ranges")
	return canonical(ranges)
}

// canonical merges prefixes by brute force: it takes the widest prefixes of the world whose addresses are all in.
func canonical(prefixes []netip.Prefix) []netip.Prefix {
	in := map[netip.Addr]bool{}
	for _, p := range prefixes {
		for _, a := range addressesIn(p) {
			in[a] = true
		}
	}
	var out []netip.Prefix
	for _, world := range []netip.Prefix{world4, world6} {
		for bits := world.Bits(); bits <= world.Bits()+4; bits++ {
			for _, a := range addressesIn(world) {
				p, _ := a.Prefix(bits)
				all := addressesIn(p)
				if p.Addr() == a && !slices.ContainsFunc(all, func(a netip.Addr) bool { return !in[a] }) {
					out = append(out, p)
					for _, a := range all {
						delete(in, a)
					}
				}
			}
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

var testStamp = Stamp{TagKey: testKey, Services: []string{"CLOUDFRONT"}, Published: time.Date(2026, 8, 22, 15, 17, 5, 0, time.UTC)}

// testReference is the security group that generated rules refer to.
const testReference = "111122223333/sg-0123"

func genRule(t *rapid.T) Rule {
	r := Rule{RuleID: RuleID{Protocol: "tcp"}}
	r.Description = rapid.SampledFrom([]string{testStamp.String(), testStamp.String(), testKey + ": by hand", "", "office", "cloudfront-ingress2: x"}).Draw(t, "description")
	ports := rapid.SampledFrom([][2]int32{{443, 443}, {443, 443}, {80, 80}, {80, 81}, {81, 81}, {79, 80}, {0, 65535}}).Draw(t, "ports")
	r.From, r.To = ports[0], ports[1]
	switch rapid.IntRange(0, 19).Draw(t, "kind") {
	case 0:
		r.Protocol = "udp"
	case 1:
		r.Protocol, r.From, r.To = "-1", -1, -1
	case 2:
		r.Source.Reference = testReference
		return r
	}
	r.Source.Prefix = genPrefix(t)
	return r
}

func genGroup(t *rapid.T, id string, quota int) Group {
	g := Group{ID: id, Name: id, VPC: "vpc-1", Tags: map[string]string{}}
	g.Tags[testKey] = rapid.SampledFrom([]string{"443", "443", "443", "80 443", "80-81 443", "none", "bad,"}).Draw(t, "ports")
	if rapid.IntRange(0, 3).Draw(t, "pooled") > 0 {
		g.Tags[testKey+"-pool"] = "web"
	}
	if rapid.IntRange(0, 5).Draw(t, "exclusive") == 0 {
		g.Tags[testKey+"-mode"] = "exclusive"
	}
	m := newModel(t, quota, nil)
	for _, r := range rapid.SliceOfN(rapid.Custom(genRule), 0, 2*quota).Draw(t, "rules") {
		same := slices.ContainsFunc(g.Ingress, func(o Rule) bool { return o.RuleID == r.RuleID })
		g.Ingress = append(g.Ingress, r)
		if same || m.used(&g, false) > quota || m.used(&g, true) > quota {
			g.Ingress = g.Ingress[:len(g.Ingress)-1]
		}
	}
	return g
}

func genScene(t *rapid.T) ([]Group, Request) {
	req := Request{Stamp: testStamp, MaxRevokePercent: 50}
	req.Ranges = genRanges(t, 8)
	req.RulesPerGroup = rapid.IntRange(1, 8).Draw(t, "quota")
	req.Force = rapid.IntRange(0, 3).Draw(t, "force") > 0
	var groups []Group
	for i := range rapid.IntRange(1, 4).Draw(t, "groups") {
		groups = append(groups, genGroup(t, fmt.Sprintf("sg-%d", i), req.RulesPerGroup))
	}
	if rapid.IntRange(0, 9).Draw(t, "filtered") == 0 {
		req.GroupIDs = []string{"sg-1"}
	}
	// A quota can have been lowered after the rules were made.
	if rapid.IntRange(0, 19).Draw(t, "lowered") == 0 {
		req.RulesPerGroup = max(1, req.RulesPerGroup-2)
	}
	req.Attachments = genAttachments(t, groups)
	return groups, req
}

// genAttachments draws network interfaces that have any of the groups, or that nobody looked at them.
func genAttachments(t *rapid.T, groups []Group) *Attachments {
	switch rapid.IntRange(0, 5).Draw(t, "attachments") {
	case 0, 1, 2:
		return nil
	case 3:
		return &Attachments{Unknown: true}
	}
	a := &Attachments{}
	for i := range rapid.IntRange(0, 3).Draw(t, "interfaces") {
		eni := Interface{ID: fmt.Sprintf("eni-%d", i)}
		for _, g := range groups {
			if rapid.IntRange(0, 2).Draw(t, "attached") > 0 {
				eni.Groups = append(eni.Groups, g.ID)
			}
		}
		a.Interfaces = append(a.Interfaces, eni)
	}
	return a
}

// interfacesOf returns the interfaces at which no wanted address may be closed. Where nobody may look, that is one for
// each group; if nothing of a pool is attached, it is one that has all of it.
func interfacesOf(groups []Group, a *Attachments) []Interface {
	wholes := map[string]Interface{}
	var each []Interface
	for _, g := range groups {
		each = append(each, Interface{ID: "only " + g.ID, Groups: []string{g.ID}})
		attached := a != nil && slices.ContainsFunc(a.Interfaces, func(eni Interface) bool {
			return slices.ContainsFunc(groups, func(o Group) bool {
				return poolOf(o) == poolOf(g) && slices.Contains(eni.Groups, o.ID)
			})
		})
		if !attached {
			whole := wholes[poolOf(g)]
			wholes[poolOf(g)] = Interface{ID: "all of " + poolOf(g), Groups: append(whole.Groups, g.ID)}
		}
	}
	all := slices.Collect(maps.Values(wholes))
	switch {
	case a == nil:
		return all
	case a.Unknown:
		return each
	}
	return append(all, a.Interfaces...)
}

// poolOf returns the name of a group's pool.
func poolOf(g Group) string {
	if pool := g.Tags[testKey+"-pool"]; pool != "" {
		return pool
	}
	return g.ID
}

// wantedPoints returns the points that shall be open, by the tags.
func wantedPoints(groups []Group, ranges []netip.Prefix) map[point]bool {
	want := map[point]bool{}
	for _, g := range groups {
		ports := map[string][]int32{"443": {443}, "80 443": {80, 443}, "80-81 443": {80, 81, 443}}[g.Tags[testKey]]
		for _, port := range ports {
			for _, r := range ranges {
				for _, a := range addressesIn(r) {
					want[point{poolOf(g), port, a}] = true
				}
			}
		}
	}
	return want
}

// Promise 0, and with it promise 1: at no interface does a step close what was open there and is wanted, unless it says
// so; what a step says, it does.
func TestPlanKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups, req := genScene(t)
		m := newModel(t, req.RulesPerGroup, groups)
		interfaces := interfacesOf(groups, req.Attachments)
		var want []map[point]bool // by interface: what the tags of its own groups ask for
		for _, eni := range interfaces {
			attached := slices.DeleteFunc(slices.Clone(groups), func(g Group) bool { return !slices.Contains(eni.Groups, g.ID) })
			want = append(want, anyPool(wantedPoints(attached, req.Ranges)))
		}
		open := func() (all []map[point]bool) {
			for _, eni := range interfaces {
				all = append(all, m.openAt(eni))
			}
			return all
		}
		plan, err := NewPlan(context.Background(), groups, req)
		if err != nil {
			t.Fatal(err)
		}
		first := open()
		for _, sequence := range plan.Sequences {
			for i, s := range sequence.Steps {
				checkOwnership(t, m, s, req)
				before := open()
				m.run(s)
				after := open()
				told := map[netip.Prefix]bool{}
				for v, eni := range interfaces {
					for pt := range before[v] {
						if !want[v][pt] || after[v][pt] {
							continue
						}
						n := slices.IndexFunc(s.Gap, func(p netip.Prefix) bool { return p.Contains(pt.addr) })
						if n < 0 {
							t.Fatalf("step %d, %v, closes %v at %v without saying so", i, s, pt, eni)
						}
						told[s.Gap[n]] = true
					}
				}
				for _, p := range s.Gap {
					if !told[p] {
						t.Fatalf("step %d, %v, speaks of a gap %v that is none", i, s, p)
					}
				}
			}
		}
		// However tight the room, what was open and is wanted is open in the end.
		for v, last := range open() {
			for pt := range first[v] {
				if want[v][pt] && !last[pt] {
					t.Fatalf("%v was open at %v, is wanted and is closed in the end", pt, interfaces[v])
				}
			}
		}
		// Where interfaces have only some of the groups, a rule may have to stay until what replaces it is attached
		// there.
		clean := plan.Failures() == nil && req.Attachments == nil
		if clean && len(req.GroupIDs) == 0 {
			checkExact(t, m, req)
		}
		checkRest(t, m, req, clean)
	})
}

// checkRest fails unless a second run has nothing to do. Where a run could not do all, what it did may let the next one
// do a little more, but not for ever.
func checkRest(t *rapid.T, m *model, req Request, clean bool) {
	for range 5 {
		again, err := NewPlan(context.Background(), m.list(), req)
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		for _, pool := range again.Pools {
			for _, s := range pool.Steps {
				m.run(s)
				steps++
			}
		}
		if steps == 0 {
			return
		}
		if clean {
			t.Fatalf("a second run has steps: %v", again.Pools)
		}
	}
	t.Fatal("run after run has steps")
}

// checkOwnership fails where a step revokes what is not the tool's, or touches a group it shall leave alone.
func checkOwnership(t *rapid.T, m *model, s Step, req Request) {
	g := m.groups[s.HolderID]
	if g.Tags[testKey] == "bad," {
		t.Fatalf("%v: its tag cannot be read", s)
	}
	if len(req.GroupIDs) > 0 && !slices.Contains(req.GroupIDs, s.HolderID) {
		t.Fatalf("%v: not one of %v", s, req.GroupIDs)
	}
	if len(s.Add) > 0 {
		return
	}
	for _, r := range s.Rules() {
		exclusive := g.Tags[testKey+"-mode"] == "exclusive" && r.Protocol == "tcp" && r.Source.Prefix.IsValid()
		if !stamped(testKey, r.Description) && !exclusive {
			t.Fatalf("%v: %v is not this tool's", s, r)
		}
	}
}

// checkExact fails unless each wanted rule is in each pool once, and no other owned rule.
func checkExact(t *rapid.T, m *model, req Request) {
	type poolRule struct {
		pool string
		rule RuleID
	}
	wantRules := map[poolRule]int{}
	for _, g := range m.list() {
		s, err := ParseSettings(testKey, g.Tags)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Ports {
			for _, r := range req.Ranges {
				wantRules[poolRule{cmp.Or(s.Pool, g.ID), RuleID{"tcp", int32(p.From), int32(p.To), Source{Prefix: r}}}] = 0
			}
		}
	}
	foreign := map[poolRule]bool{}
	for _, g := range m.list() {
		s, _ := ParseSettings(testKey, g.Tags)
		for _, r := range g.Ingress {
			pr := poolRule{cmp.Or(s.Pool, g.ID), r.RuleID}
			_, wanted := wantRules[pr]
			listed := slices.ContainsFunc(s.Ports, func(p PortRange) bool { return int32(p.From) == r.From && int32(p.To) == r.To })
			switch {
			case !owns(s, r):
				if wanted && listed {
					foreign[pr] = true
				}
			case !wanted || !listed:
				t.Fatalf("%s still has %v, which is not wanted", g.ID, r)
			default:
				wantRules[pr]++
			}
		}
	}
	for pr, n := range wantRules {
		if foreign[pr] && n != 0 || !foreign[pr] && n != 1 {
			t.Fatalf("%v is there %d times (foreign: %v)", pr, n, foreign[pr])
		}
	}
}

// Where no group lacks room for the new rules beside the old, a group takes one authorize and one revoke at most, the
// authorizes first.
func TestPlanTakesFewestCalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups, req := genScene(t)
		req.RulesPerGroup = 1000
		plan, err := NewPlan(context.Background(), groups, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, pool := range plan.Pools {
			calls := map[string]int{}
			revoked := false
			for _, s := range pool.Steps {
				calls[fmt.Sprint(s.Operation(), s.HolderID)]++
				if calls[fmt.Sprint(s.Operation(), s.HolderID)] > 1 || len(s.Add) > 0 && revoked {
					t.Fatalf("pool %s: steps %v", pool.Name, pool.Steps)
				}
				revoked = revoked || len(s.Remove) > 0
			}
		}
	})
}

func TestShortageKeepsWhatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := Request{Stamp: testStamp, MaxRevokePercent: 50}
		req.Ranges = genRanges(t, 8)
		req.RulesPerGroup = rapid.IntRange(1, 3).Draw(t, "quota")
		var groups []Group
		for i := range rapid.IntRange(1, 3).Draw(t, "groups") {
			groups = append(groups, Group{ID: fmt.Sprintf("sg-%d", i), VPC: "vpc-1", Tags: map[string]string{testKey: "443", testKey + "-pool": "web"}})
		}
		plan, err := NewPlan(context.Background(), groups, req)
		if err != nil {
			t.Fatal(err)
		}
		var want4, want6 []netip.Prefix
		for _, r := range req.Ranges {
			if r.Addr().Is4() {
				want4 = append(want4, r)
			} else {
				want6 = append(want6, r)
			}
		}
		room := len(groups) * req.RulesPerGroup
		m := newModel(t, req.RulesPerGroup, groups)
		for _, s := range plan.Pools[0].Steps {
			m.run(s)
		}
		n4, n6 := 0, 0
		for _, g := range m.groups {
			n4 += m.used(g, false)
			n6 += m.used(g, true)
		}
		if n4 != min(room, len(want4)) || n6 != min(room, len(want6)) {
			t.Fatalf("%d IPv4 and %d IPv6 rules placed of %d and %d, with room for %d each", n4, n6, len(want4), len(want6), room)
		}
		var short *ShortageError
		if isShort := errors.As(plan.Failures(), &short); isShort != (len(want4) > room || len(want6) > room) {
			t.Fatalf("shortage reported: %v", short)
		} else if !isShort {
			return
		}
		// Both ways out work, and none that asks for less does.
		fits := func(more, quota int) bool {
			roomier := slices.Clone(groups)
			for i := range more {
				roomier = append(roomier, Group{ID: fmt.Sprintf("sg-more-%d", i), VPC: "vpc-1", Tags: groups[0].Tags})
			}
			r := req
			r.RulesPerGroup = quota
			p, err := NewPlan(context.Background(), roomier, r)
			return err == nil && p.Failures() == nil
		}
		if !fits(short.MoreGroups, req.RulesPerGroup) || fits(short.MoreGroups-1, req.RulesPerGroup) {
			t.Fatalf("%v: wrong number of groups", short)
		}
		if !fits(0, short.RulesPerGroup) || fits(0, short.RulesPerGroup-1) {
			t.Fatalf("%v: wrong quota", short)
		}
	})
}

// A rule that refers to a security group takes room of both families. Once it is revoked, both have that room.
func TestReferenceMakesRoomInBothFamilies(t *testing.T) {
	for _, wanted := range []string{"2600:9000::/125", "3.0.0.0/23"} {
		narrower := map[string]string{"2600:9000::/125": "2600:9000::/126", "3.0.0.0/23": "3.0.0.0/24"}[wanted]
		g := group("sg-1", "443", nil, ours("443", narrower))
		g.Ingress = append(g.Ingress, Rule{RuleID: RuleID{"tcp", 443, 443, Source{Reference: "111122223333/sg-0123"}}, Description: testStamp.String()})
		plan := newPlan(t, []Group{g}, prefixes(wanted), func(r *Request) { r.RulesPerGroup = 2; r.Force = true })
		var steps []string
		for _, s := range plan.Pools[0].Steps {
			steps = append(steps, s.Operation())
			if len(s.Gap) > 0 {
				t.Errorf("%s: %v closes %v", wanted, s, s.Gap)
			}
		}
		if want := []string{"revoke", "authorize", "revoke"}; !slices.Equal(steps, want) {
			t.Errorf("%s: the steps are %v, want %v", wanted, steps, want)
		}
	}
}
