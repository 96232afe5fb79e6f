package engine

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go4.org/netipx"

	"cloudfront-sg-sync/internal/ec2sim"
)

// A judge watches EC2 and knows the promises by their words. It shares no code with what it judges: a change of EC2
// that closes something wanted at a network interface, or touches a rule of somebody else, is a fault, whoever planned
// or allowed it.
type judge struct {
	testing.TB
	keys  []string                      // of the tags
	fault func(format string, v ...any) // called for each fault; it fails the test unless set

	mu         sync.Mutex
	wanted     *netipx.IPSet // by the run under way; nil while nobody is judged
	gaps       []netip.Prefix
	announced  int // ranges, in all gaps
	holders    map[string]simHolder
	interfaces []ec2sim.Interface
	seen       map[string][]ec2sim.Tags // by holder: the tags that it has had since the run began
	begun      map[place]*netipx.IPSet  // what was open when the run began, unless tags have changed since
	open       map[place]*netipx.IPSet
}

// A simHolder is a security group or, by its ID, a prefix list. Rules of a list have no ports.
type simHolder struct {
	tags  ec2sim.Tags
	rules []ec2sim.Rule
	size  int // of a list
	ipv6  bool
}

// A place is where addresses get in: a port at a network interface, or in a pool that is attached nowhere, which counts
// as if all of it were attached together; or a prefix list.
type place struct {
	at   string
	port int32
}

type span struct{ from, to int32 }

func newJudge(t testing.TB, sim *ec2sim.Server) *judge {
	j := &judge{TB: t, keys: []string{key}, fault: t.Errorf}
	j.holders, j.seen = map[string]simHolder{}, map[string][]ec2sim.Tags{}
	sim.Observe(j.observe)
	return j
}

// begin judges from now on a run that wants the ranges; end ends it. It returns what was open and wanted when the run
// began and is closed now, if no tag has changed meanwhile.
func (j *judge) begin(ranges []netip.Prefix) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wanted, j.gaps = setOf(ranges), nil
	for id, h := range j.holders {
		j.seen[id] = []ec2sim.Tags{h.tags}
	}
	j.open = j.now()
	j.begun = j.open
}

func (j *judge) end() (closed []netip.Prefix) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for at, before := range j.begun {
		closed = append(closed, j.lost(before, j.open[at], nil)...)
	}
	j.wanted, j.begun = nil, nil
	for id, h := range j.holders {
		j.seen[id] = []ec2sim.Tags{h.tags}
	}
	return closed
}

func (j *judge) observe(c ec2sim.Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	changed := map[string]simHolder{}
	for _, g := range c.Groups {
		changed[g.ID] = simHolder{tags: g.Tags, rules: g.Ingress}
	}
	for _, l := range c.PrefixLists {
		changed[l.ID] = simHolder{tags: l.Tags, rules: entriesAsRules(l), size: l.MaxEntries, ipv6: l.Family == "IPv6"}
	}
	retagged := false
	for id, h := range changed {
		before := j.holders[id]
		j.holders[id] = h
		if j.wanted == nil {
			j.seen[id] = []ec2sim.Tags{h.tags}
			continue
		}
		if !maps.Equal(before.tags, h.tags) {
			retagged, j.seen[id] = true, append(j.seen[id], h.tags)
		}
		for _, r := range before.rules {
			if !j.owns(id, r) && !slices.Contains(h.rules, r) {
				j.fault("%s of %s changes %v (%q), which is somebody else's", c.Call.Action, id, r.Permission, r.Description)
			}
		}
	}
	for _, id := range c.Deleted {
		delete(j.holders, id)
	}
	if len(c.Interfaces) > 0 {
		_, j.interfaces = c.All()
	}
	if j.wanted == nil {
		return
	}
	was := j.open
	if j.open = j.now(); retagged {
		j.begun = nil
		return
	}
	for at, before := range was {
		gaps := j.gaps
		if strings.HasPrefix(at.at, "pl-") { // one call adds and removes
			gaps = nil
		}
		if lost := j.lost(before, j.open[at], gaps); len(lost) > 0 {
			j.fault("%s of %s closes %v at %s on port %d", c.Call.Action, c.Call.Resource, lost, at.at, at.port)
		}
	}
}

func entriesAsRules(l ec2sim.PrefixList) (rules []ec2sim.Rule) {
	for _, e := range l.Entries {
		opens := ec2sim.Permission{Source: ec2sim.Source{Prefix: e.Prefix}}
		rules = append(rules, ec2sim.Rule{Permission: opens, Description: e.Description})
	}
	return rules
}

// lost returns what was open, is wanted, and is closed, except for the gaps.
func (j *judge) lost(before, after *netipx.IPSet, gaps []netip.Prefix) []netip.Prefix {
	if before == nil || after != nil && before.Equal(after) {
		return nil
	}
	var lost netipx.IPSetBuilder
	lost.AddSet(before)
	if after != nil {
		lost.RemoveSet(after)
	}
	lost.Intersect(j.wanted)
	lost.RemoveSet(setOf(gaps))
	set, _ := lost.IPSet()
	return set.Prefixes()
}

// now returns what is open, at each place that wants anything.
func (j *judge) now() map[place]*netipx.IPSet {
	views := map[string][]string{}
	attached := map[string]bool{} // pools, and those that people regroup while the run is under way, which it cannot know
	for id, seen := range j.seen {
		for _, tags := range seen[min(1, len(seen)):] {
			if before, after := poolOf(id, seen[0][j.keys[0]+"-pool"]), poolOf(id, tags[j.keys[0]+"-pool"]); before != after {
				attached[before], attached[after] = true, true
			}
		}
	}
	for _, i := range j.interfaces {
		for _, id := range i.Groups {
			views[i.ID] = append(views[i.ID], id)
			attached[j.pool(id)] = true
		}
	}
	for id := range j.holders {
		if pool := j.pool(id); strings.HasPrefix(id, "pl-") || !attached[pool] {
			views[pool] = append(views[pool], id)
		}
	}
	open := map[place]*netipx.IPSet{}
	for at, ids := range views {
		for _, id := range ids {
			for _, s := range j.wants(id) {
				for _, port := range []int32{s.from, s.to} {
					if open[place{at, port}] == nil {
						open[place{at, port}] = j.openAt(ids, port)
					}
				}
			}
		}
	}
	return open
}

func (j *judge) openAt(ids []string, port int32) *netipx.IPSet {
	var open []netip.Prefix
	for _, id := range ids {
		if !j.managed(id) {
			continue
		}
		for _, r := range j.holders[id].rules {
			if opens(r, port) {
				open = append(open, r.Source.Prefix)
			}
		}
	}
	return setOf(open)
}

func opens(r ec2sim.Rule, port int32) bool {
	return r.Source.Prefix.IsValid() && (r.Protocol == "-1" || r.Protocol != "udp" && r.From <= port && port <= r.To)
}

// tag returns the value of a tag of a holder as it is now.
func (j *judge) tag(id, suffix string) string { return j.holders[id].tags[j.keys[0]+suffix] }

// pool returns what the holder's rules are shared in: its pool, or itself.
func (j *judge) pool(id string) string { return poolOf(id, j.tag(id, "-pool")) }

func poolOf(id, pool string) string {
	if pool != "" && strings.HasPrefix(id, "sg-") {
		return "pool " + pool
	}
	return id
}

// managed reports whether a holder has been tagged all the time since the run began.
func (j *judge) managed(id string) bool {
	return !slices.ContainsFunc(j.seen[id], func(tags ec2sim.Tags) bool {
		return !slices.ContainsFunc(j.keys, func(key string) bool { return tags[key] != "" })
	})
}

// wants returns the ports that the holder's tag has listed all the time since the run began.
func (j *judge) wants(id string) (spans []span) {
	for i, tags := range j.seen[id] {
		var now []span
		for _, key := range j.keys {
			listed, _ := spansOf(tags[key])
			now = append(now, listed...)
		}
		if i == 0 {
			spans = now
		}
		spans = slices.DeleteFunc(spans, func(s span) bool { return !slices.Contains(now, s) })
	}
	return spans
}

// owns reports whether a rule is the tool's to change: by its description or, in a group that has been exclusive at any
// time since the run began, because it lets an IP range in on a listed port and no other.
func (j *judge) owns(id string, r ec2sim.Rule) bool {
	for _, key := range j.keys {
		if strings.HasPrefix(r.Description, key+":") {
			return true
		}
		for _, tags := range j.seen[id] {
			spans, _ := spansOf(tags[key])
			listed := r.Protocol == "tcp" && slices.Contains(spans, span{r.From, r.To})
			if tags[key+"-mode"] == "exclusive" && listed && r.Source.Prefix.IsValid() {
				return true
			}
		}
	}
	return false
}

// spansOf reads a tag as docs/tags.md says. The entries of a list stand on port 0.
func spansOf(tag string) (spans []span, readable bool) {
	switch tag {
	case "none":
		return nil, true
	case "ranges":
		return []span{{0, 0}}, true
	}
	for word := range strings.SplitSeq(strings.ReplaceAll(tag, ",", " "), " ") {
		word = strings.NewReplacer("https", "443", "http", "80").Replace(word)
		first, last, isRange := strings.Cut(word, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil {
			return nil, false
		}
		spans = append(spans, span{int32(from), int32(to)})
	}
	return spans, true
}

// exact checks that the owned rules of each pool and each list are the wanted ones, each once, except for those that
// are excused.
func (j *judge) exact(what string, ranges []netip.Prefix, excused func(id string) bool) {
	j.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, h := range j.holders {
		pool := j.members(id)
		if _, readable := spansOf(j.tag(id, "")); !readable || excused != nil && slices.ContainsFunc(pool, excused) {
			continue
		}
		wanted := map[opening]bool{} // in the pool
		for _, o := range pool {
			for _, s := range j.spans(o) {
				for _, p := range ranges {
					if h.size == 0 || p.Addr().Is6() == h.ipv6 {
						wanted[opening{s, p}] = true
					}
				}
			}
		}
		for _, r := range h.rules {
			s := span{r.From, r.To}
			if j.owns(id, r) && !(wanted[opening{s, r.Source.Prefix}] && slices.Contains(j.spans(id), s)) {
				j.Errorf("%s: %s keeps %v (%q)", what, id, r.Permission, r.Description)
			}
		}
		if id != slices.Min(pool) {
			continue
		}
		all, owned := j.count(pool)
		for o := range wanted {
			if all[o] == 0 || owned[o] > 0 && all[o] > 1 && !j.partlyAttached(pool) {
				j.Errorf("%s: in the pool of %s %v is open by %d rules, %d of them owned", what, id, o, all[o], owned[o])
			}
		}
	}
}

// An opening is ports that are open to a range.
type opening struct {
	span
	netip.Prefix
}

// count counts the rules of a pool, as far as its groups list their ports.
func (j *judge) count(pool []string) (all, owned map[opening]int) {
	all, owned = map[opening]int{}, map[opening]int{}
	for _, id := range pool {
		for _, r := range j.holders[id].rules {
			if s := (span{r.From, r.To}); r.Protocol != "udp" && slices.Contains(j.spans(id), s) {
				all[opening{s, r.Source.Prefix}]++
				if j.owns(id, r) {
					owned[opening{s, r.Source.Prefix}]++
				}
			}
		}
	}
	return all, owned
}

// spans returns the ports that a holder's tag lists now.
func (j *judge) spans(id string) []span {
	spans, _ := spansOf(j.tag(id, ""))
	return spans
}

// members returns the holders that share rules with one, itself included.
func (j *judge) members(id string) (ids []string) {
	for o := range j.holders {
		if o == id || j.pool(o) == j.pool(id) && j.tag(o, "") != "" {
			ids = append(ids, o)
		}
	}
	return ids
}

// partlyAttached reports whether an interface has some of the holders but not all, so that it may need copies of rules.
func (j *judge) partlyAttached(ids []string) bool {
	return slices.ContainsFunc(j.interfaces, func(i ec2sim.Interface) bool {
		has := func(id string) bool { return slices.Contains(i.Groups, id) }
		return slices.ContainsFunc(ids, has) && slices.ContainsFunc(ids, func(id string) bool { return !has(id) })
	})
}

// A gapLog tells the judge of the gaps that a run announces.
type gapLog struct {
	slog.Handler
	*judge
}

func (gapLog) Enabled(context.Context, slog.Level) bool { return true }

func (l gapLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if ranges, ok := a.Value.Any().([]netip.Prefix); ok && strings.HasPrefix(r.Message, "no room to avoid a gap") {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.gaps = append(l.gaps, ranges...)
			l.announced += len(ranges)
		}
		return true
	})
	return nil
}
