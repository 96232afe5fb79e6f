package secgroup

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The properties run plans on a model of EC2 in a tiny world, 16 addresses of each family and a few ports, where an
// oracle can look at every address after every step. The oracle shares no code with the planner: it asks each rule of
// each group, and each entry of each prefix list, whether it opens an address.

var (
	world4 = netip.MustParsePrefix("8.8.8.0/28")
	world6 = netip.MustParsePrefix("2600:9000::/124")
)

// model is the groups and prefix lists of a region as EC2 would hold them.
type model struct {
	t      interface{ Fatalf(string, ...any) }
	quota  int
	groups map[string]*Holder
}

func newModel(t interface{ Fatalf(string, ...any) }, quota int, groups []Holder) *model {
	m := &model{t: t, quota: quota, groups: map[string]*Holder{}}
	for _, g := range groups {
		g.Ingress = slices.Clone(g.Ingress)
		m.groups[g.ID] = &g
	}
	return m
}

func (m *model) list() (groups []Holder) {
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		g := *m.groups[id]
		g.Ingress = slices.Clone(g.Ingress)
		groups = append(groups, g)
	}
	return groups
}

// used returns how many rules of each family a holder has. A reference counts in both.
func used(g *Holder) (n [2]int) {
	for _, r := range g.Ingress {
		for f := range n {
			if p := r.Source.Prefix; !p.IsValid() || FamilyOf(p) == Family(f) {
				n[f]++
			}
		}
	}
	return n
}

// run takes a step the way EC2 does: all of it or none. Only a list adds and removes in one call, up to 100 of each.
func (m *model) run(s Step) {
	g := m.groups[s.HolderID]
	limit, before := m.quota, used(g)
	if g.Kind == ManagedPrefixList {
		limit = g.MaxEntries
	}
	at := func(r Rule) int {
		return slices.IndexFunc(g.Ingress, func(o Rule) bool { return o.RuleID == r.RuleID })
	}
	for _, r := range slices.Concat(s.Remove, s.Describe) {
		if at(r) < 0 {
			m.t.Fatalf("%v: InvalidPermission.NotFound: %v", s, r)
		}
	}
	for _, r := range s.Add {
		if at(r) >= 0 {
			m.t.Fatalf("%v: InvalidPermission.Duplicate: %v", s, r)
		}
	}
	list := g.Kind == ManagedPrefixList && len(s.Describe) == 0
	if !list && len(s.Add)*len(s.Remove)+len(s.Add)*len(s.Describe)+len(s.Remove)*len(s.Describe) > 0 ||
		g.Kind == ManagedPrefixList && (!list || max(len(s.Add), len(s.Remove)) > 100) {
		m.t.Fatalf("%v cannot be one call", s)
	}
	for _, r := range s.Describe {
		g.Ingress[at(r)].Description = r.Description
	}
	for _, r := range s.Remove {
		g.Ingress = slices.Delete(g.Ingress, at(r), at(r)+1)
	}
	g.Ingress = append(g.Ingress, s.Add...)
	for f, n := range used(g) {
		if n > limit && n > before[f] {
			m.t.Fatalf("%v: RulesPerSecurityGroupLimitExceeded: %d of %d", s, n, limit)
		}
	}
}

// point is a port of an address. Port 0 stands for those that the entries of a list open.
type point struct {
	port int32
	addr netip.Addr
}

var testPorts = []int32{0, 79, 80, 81, 443}

// openPoints adds the points that a rule opens.
func openPoints(open map[point]bool, id RuleID) {
	for _, port := range testPorts {
		if id.Protocol == "-1" || id.Protocol != "udp" && id.From <= port && port <= id.To {
			for _, a := range addressesIn(id.Source.Prefix) {
				open[point{port, a}] = true
			}
		}
	}
}

// openAt returns every point that is open at an interface, whichever pool opens it: some rule opens it, in a group that
// is attached there.
func (m *model) openAt(eni Interface) map[point]bool {
	open := map[point]bool{}
	for _, id := range eni.Groups {
		for _, r := range m.groups[id].Ingress {
			openPoints(open, r.RuleID)
		}
	}
	return open
}

func addressesIn(p netip.Prefix) []netip.Addr {
	var all []netip.Addr
	for _, world := range []netip.Prefix{world4, world6} {
		for a := world.Addr(); p.IsValid() && world.Contains(a); a = a.Next() {
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

// testReference is the security group that generated rules refer to.
const testReference = "111122223333/sg-0123"

var genDescription = rapid.SampledFrom([]string{
	testStamp.String(), testStamp.String(), testStamp.String(), olderStamp.String(), olderStamp.String() + held, "",
	"office", testKey + ": by hand", testKey + "2: x", stampOf("OTHER", -1).String(), stampOf("CLOUDFRONT", 1).String(),
})

func genRule(t *rapid.T) Rule {
	r := Rule{RuleID: RuleID{Protocol: "tcp"}, Description: genDescription.Draw(t, "description")}
	some := [][2]int32{{443, 443}, {443, 443}, {80, 80}, {80, 81}, {81, 81}, {79, 80}, {0, 65535}}
	ports := rapid.SampledFrom(some).Draw(t, "ports")
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
	tags := []string{"443", "443", "443", "80 443", "80-81 443", "none", "bad,"}
	g := group(id, rapid.SampledFrom(tags).Draw(t, "ports"), nil)
	if rapid.IntRange(0, 3).Draw(t, "pooled") > 0 {
		g.Tags[testKey+"-pool"] = "web"
	}
	if rapid.IntRange(0, 5).Draw(t, "exclusive") == 0 {
		g.Tags[testKey+"-mode"] = "exclusive"
	}
	for _, r := range rapid.SliceOfN(rapid.Custom(genRule), 0, 2*quota).Draw(t, "rules") {
		same := slices.ContainsFunc(g.Ingress, func(o Rule) bool { return o.RuleID == r.RuleID })
		g.Ingress = append(g.Ingress, r)
		if n := used(&g); same || max(n[0], n[1]) > quota {
			g.Ingress = g.Ingress[:len(g.Ingress)-1]
		}
	}
	return g
}

func genList(t *rapid.T, id string) Holder {
	l := list(rapid.SampledFrom([]string{"ranges", "ranges", "ranges", "none", "bad,"}).Draw(t, "value"), 0)
	l.ID, l.Family = id, Family(rapid.IntRange(0, 1).Draw(t, "family"))
	for _, p := range rapid.SliceOfNDistinct(rapid.Custom(genPrefix), 0, 8, rapid.ID).Draw(t, "entries") {
		if FamilyOf(p) == l.Family {
			l.Ingress = append(l.Ingress, entries(genDescription.Draw(t, "description"), p)...)
		}
	}
	l.MaxEntries = max(1, len(l.Ingress)+rapid.IntRange(0, 4).Draw(t, "room"))
	return l
}

func genScene(t *rapid.T) ([]Holder, Request) {
	req := Request{Stamp: testStamp, MaxRevokePercent: 50}
	req.Ranges = genRanges(t, 8)
	req.RulesPerGroup = rapid.IntRange(1, 8).Draw(t, "quota")
	req.Force = rapid.IntRange(0, 3).Draw(t, "force") > 0
	var holders []Holder
	for i := range rapid.IntRange(1, 4).Draw(t, "groups") {
		holders = append(holders, genGroup(t, fmt.Sprintf("sg-%d", i), req.RulesPerGroup))
	}
	if rapid.IntRange(0, 9).Draw(t, "filtered") == 0 {
		req.GroupIDs = []string{"sg-1"}
	}
	// A quota can have been lowered after the rules were made.
	if rapid.IntRange(0, 19).Draw(t, "lowered") == 0 {
		req.RulesPerGroup = max(1, req.RulesPerGroup-2)
	}
	req.Attachments = genAttachments(t, holders)
	for i := range rapid.IntRange(0, 2).Draw(t, "lists") {
		holders = append(holders, genList(t, fmt.Sprintf("pl-%d", i)))
	}
	return holders, req
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
// each group; if nothing of a pool is attached, it is one that has all of it. A prefix list counts as such a pool.
func interfacesOf(groups []Holder, a *Attachments) []Interface {
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
func poolOf(g Holder) string { return cmp.Or(g.Tags[testKey+"-pool"], g.ID) }

// listedPorts are the ports that a tag lists.
var listedPorts = map[string][][2]int32{
	"443": {{443, 443}}, "80 443": {{80, 80}, {443, 443}}, "80-81 443": {{80, 81}, {443, 443}}, "ranges": {{0, 0}},
}

// wantedRules returns the rules that a holder's tag asks for.
func wantedRules(g Holder, ranges []netip.Prefix) (ids []RuleID) {
	for _, ports := range listedPorts[g.Tags[testKey]] {
		for _, p := range ranges {
			if g.Kind == SecurityGroup {
				ids = append(ids, RuleID{"tcp", ports[0], ports[1], Source{Prefix: p}})
			} else if FamilyOf(p) == g.Family {
				ids = append(ids, RuleID{Source: Source{Prefix: p}})
			}
		}
	}
	return ids
}

// owns reports whether a rule is the tool's to change.
func owns(g Holder, r Rule) bool {
	listed := listedPorts[g.Tags[testKey]]
	exclusive := g.Tags[testKey+"-mode"] == "exclusive" && r.Protocol == "tcp" && r.Source.Prefix.IsValid()
	for port := r.From; exclusive && port <= r.To; port++ {
		exclusive = slices.ContainsFunc(listed, func(p [2]int32) bool { return p[0] <= port && port <= p[1] })
	}
	return exclusive || strings.HasPrefix(r.Description, testKey+":")
}

// Promise 0, and with it promise 1: at no interface does a step close what was open there and is wanted, unless it says
// so; what a step says, it does. Promises 2, 3 and 5: only owned rules change, and a second run changes nothing; what
// has new rules takes no older file.
func TestPlanKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups, req := genScene(t)
		m := newModel(t, req.RulesPerGroup, groups)
		interfaces := interfacesOf(groups, req.Attachments)
		var want []map[point]bool // by interface: what the tags of its own groups ask for
		for _, eni := range interfaces {
			points := map[point]bool{}
			for _, id := range eni.Groups {
				for _, id := range wantedRules(*m.groups[id], req.Ranges) {
					openPoints(points, id)
				}
			}
			want = append(want, points)
		}
		open := func() (all []map[point]bool) {
			for _, eni := range interfaces {
				all = append(all, m.openAt(eni))
			}
			return all
		}
		plan := mustPlan(t, groups, req)
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
				if s.Kind == ManagedPrefixList && len(s.Gap) > 0 {
					t.Fatalf("step %d, %v, opens a gap in a list", i, s)
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
		checkNeverBack(t, m, plan, req)
		// Where interfaces have only some of the groups, a rule may have to stay until what replaces it is attached
		// there.
		clean := plan.Failures() == nil && req.Attachments == nil
		if clean && len(req.GroupIDs) == 0 {
			checkExact(t, m, req)
		}
		checkRest(t, m, req, clean)
	})
}

// checkNeverBack fails unless pools to which the plan has added rules refuse an older file.
func checkNeverBack(t *rapid.T, m *model, plan *Plan, req Request) {
	req.Published, req.Force = req.Published.Add(-time.Second), false
	after := mustPlan(t, m.list(), req)
	for i, pool := range plan.Pools {
		added := slices.ContainsFunc(pool.Steps, func(s Step) bool { return len(s.Add) > 0 })
		if added && !isA[*OlderError](after.Pools[i].Err) {
			t.Fatalf("%s took %v and then an older file", pool.Name, pool.Steps)
		}
	}
}

// checkRest fails unless a second run has nothing to do. Where a run could not do all, what it did may let the next one
// do a little more, but not for ever.
func checkRest(t *rapid.T, m *model, req Request, clean bool) {
	for range 5 {
		again, steps := mustPlan(t, m.list(), req), 0
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

// checkOwnership fails where a step changes what is not the tool's, or touches a group it shall leave alone.
func checkOwnership(t *rapid.T, m *model, s Step, req Request) {
	g := m.groups[s.HolderID]
	if g.Tags[testKey] == "bad," {
		t.Fatalf("%v: its tag cannot be read", s)
	}
	if len(req.GroupIDs) > 0 && !slices.Contains(req.GroupIDs, s.HolderID) {
		t.Fatalf("%v: not one of %v", s, req.GroupIDs)
	}
	for _, r := range slices.Concat(s.Remove, s.Describe) {
		i := slices.IndexFunc(g.Ingress, func(o Rule) bool { return o.RuleID == r.RuleID })
		if i < 0 || !owns(*g, g.Ingress[i]) {
			t.Fatalf("%v: %v is not this tool's", s, r)
		}
	}
}

// checkExact fails unless each wanted rule is in each pool once, and no other owned rule. Those that were taken over,
// edited, or made with other settings are described truly by then.
func checkExact(t *rapid.T, m *model, req Request) {
	type poolRule struct {
		pool string
		rule RuleID
	}
	believed := []string{testStamp.String(), olderStamp.String()}
	count, foreign := map[poolRule]int{}, map[poolRule]bool{}
	for _, g := range m.list() {
		wanted := wantedRules(g, req.Ranges)
		for _, id := range wanted {
			count[poolRule{poolOf(g), id}] += 0
		}
		for _, r := range g.Ingress {
			pr := poolRule{poolOf(g), r.RuleID}
			switch listed := slices.Contains(wanted, r.RuleID); {
			case owns(g, r) && !listed:
				t.Fatalf("%s still has %v, which is not wanted", g.ID, r)
			case owns(g, r):
				if count[pr]++; g.Kind == SecurityGroup && !slices.Contains(believed, r.Description) {
					t.Fatalf("%s has %v, described %q", g.ID, r, r.Description)
				}
			case listed:
				foreign[pr] = true
			}
		}
	}
	for pr, n := range count {
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
		plan := mustPlan(t, groups, req)
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

// A pool without room for all gets as much as fits. Both ways out work, and none that asks for less does.
func TestShortageKeepsWhatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := Request{Stamp: testStamp, MaxRevokePercent: 50, Ranges: genRanges(t, 8)}
		req.RulesPerGroup = rapid.IntRange(1, 3).Draw(t, "quota")
		n := rapid.IntRange(1, 3).Draw(t, "groups")
		pool := func(n int) []Group { return pooled(slices.Repeat([]string{"443"}, n)...) }
		plan := mustPlan(t, pool(n), req)
		var wanted, placed [2]int
		for _, r := range req.Ranges {
			wanted[FamilyOf(r)]++
		}
		for _, g := range take(t, plan) {
			for f, n := range used(&g) {
				placed[f] += n
			}
		}
		room := n * req.RulesPerGroup
		if placed != [2]int{min(room, wanted[0]), min(room, wanted[1])} {
			t.Fatalf("%v rules placed of %v, with room for %d each", placed, wanted, room)
		}
		short, isShort := errors.AsType[*ShortageError](plan.Failures())
		if isShort != (max(wanted[0], wanted[1]) > room) {
			t.Fatalf("shortage reported: %v", short)
		} else if !isShort {
			return
		}
		fits := func(more, quota int) bool {
			r := req
			r.RulesPerGroup = quota
			return mustPlan(t, pool(n+more), r).Failures() == nil
		}
		if !fits(short.MoreGroups, req.RulesPerGroup) || fits(short.MoreGroups-1, req.RulesPerGroup) {
			t.Fatalf("%v: wrong number of groups", short)
		}
		if !fits(0, short.RulesPerGroup) || fits(0, short.RulesPerGroup-1) {
			t.Fatalf("%v: wrong quota", short)
		}
	})
}
