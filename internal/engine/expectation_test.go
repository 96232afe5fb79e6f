package engine

import (
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// An expectation is what the promises say of a run, from what there is when it begins.
type expectation struct {
	rules     map[string][]ec2sim.Rule // by holder
	pools     map[string]*poolExpectation
	roomy     bool // all pools are
	announced int  // ranges in gaps
}

type poolExpectation struct {
	ids        []string
	older      bool // it was made from a newer file
	held       bool // by the guard
	strangers  bool // groups without a port in common
	unreadable []string
	roomy      bool // the new rules fit beside the old ones, in whatever group
}

func (w *world) expect(file publication, req Request) *expectation {
	e := &expectation{rules: map[string][]ec2sim.Rule{}, pools: map[string]*poolExpectation{}}
	e.roomy, e.announced = true, w.announced
	for id, h := range w.holders {
		e.rules[id] = h.rules
		if h.tags[key] == "" || e.pools[w.pool(id)] != nil {
			continue
		}
		p := &poolExpectation{ids: w.members(id), roomy: true}
		e.pools[w.pool(id)] = p
		frozen := func(id string) bool {
			return slices.Contains(p.unreadable, id) || !asks(req, id)
		}
		for _, id := range p.ids {
			if _, readable := spansOf(w.tag(id, "")); !readable {
				p.unreadable = append(p.unreadable, id)
			}
			p.roomy = p.roomy && w.isRoomy(id, file)
			p.older = p.older || !req.Force && slices.ContainsFunc(w.holders[id].rules, func(r ec2sim.Rule) bool {
				s := stampOf(r)
				return s.believable() && s.published.After(file.time())
			})
		}
		p.strangers = w.strangers(p.ids)
		p.held = !req.Force && !p.older && !p.strangers && w.isHeld(p.ids, file, frozen)
		e.roomy = e.roomy && p.roomy
	}
	return e
}

// asks reports whether a run may change a holder.
func asks(req Request, id string) bool {
	return len(req.GroupIDs) == 0 || slices.Contains(req.GroupIDs, id)
}

// A simStamp is what a description says.
type simStamp struct {
	services  string
	published time.Time
	held, ok  bool
}

var stampPattern = regexp.MustCompile(`^cloudfront-ingress: (\S+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)( held)?$`)

func stampOf(r ec2sim.Rule) (s simStamp) {
	if m := stampPattern.FindStringSubmatch(r.Description); m != nil {
		published, err := time.Parse(time.RFC3339, m[2])
		s = simStamp{m[1], published, m[3] != "", err == nil}
	}
	return s
}

// believable reports whether there is a date, and it is not in the future.
func (s simStamp) believable() bool { return s.ok && s.published.Before(time.Now().Add(time.Hour)) }

// strangers reports whether a group of the pool has no port in common with the others.
func (j *judge) strangers(ids []string) bool {
	var active []string
	for _, id := range ids {
		if len(j.spans(id)) > 0 {
			active = append(active, id)
		}
	}
	return len(active) > 1 && slices.ContainsFunc(active, func(id string) bool {
		return !slices.ContainsFunc(active, func(o string) bool {
			return o != id && slices.ContainsFunc(j.spans(o), func(s span) bool { return slices.Contains(j.spans(id), s) })
		})
	})
}

// isRoomy reports whether all wanted rules of a holder's ports fit into it beside all that it has.
func (w *world) isRoomy(id string, file publication) bool {
	h := w.holders[id]
	var need [2]int
	for _, p := range file.ranges {
		need[familyOf(p)] += len(w.spans(id))
	}
	for _, r := range h.rules {
		if r.Source.Prefix.IsValid() {
			need[familyOf(r.Source.Prefix)]++
		} else { // a list
			need[0] += w.holders[r.Source.Reference].size
			need[1] += w.holders[r.Source.Reference].size
		}
	}
	if h.size == 0 {
		return max(need[0], need[1]) <= w.quota
	}
	return need[map[bool]int{true: 1}[h.ipv6]] <= h.size
}

// isHeld reports whether the file takes more than half from what the pool had: counted with and without the groups that
// the run may not change; of a list, also from what it had before each file that it was held for.
func (w *world) isHeld(ids []string, file publication, frozen func(string) bool) bool {
	var ports []span
	for _, id := range ids {
		ports = append(ports, w.spans(id)...)
	}
	var all, changeable []ec2sim.Rule
	before := map[time.Time]bool{file.time(): true}
	for _, id := range ids {
		for _, r := range w.holders[id].rules {
			s, list := stampOf(r), strings.HasPrefix(id, "pl-")
			owned := strings.HasPrefix(r.Description, key+":") && slices.Contains(ports, span{r.From, r.To})
			if !owned || !list && s.ok && (s.held || s.services != "CLOUDFRONT") {
				continue
			}
			if all = append(all, r); list || !frozen(id) {
				changeable = append(changeable, r)
			}
			if s.held {
				before[s.published] = true
			}
		}
	}
	for date := range before {
		later := func(r ec2sim.Rule) bool { s := stampOf(r); return s.held && !s.published.Before(date) }
		if loses(slices.DeleteFunc(slices.Clone(changeable), later), file) {
			return true
		}
	}
	return loses(slices.DeleteFunc(all, func(r ec2sim.Rule) bool {
		s := stampOf(r)
		return s.held && s.published.Equal(file.time())
	}), file)
}

// loses reports whether a file takes addresses from more than half of the rules, or more than half of the addresses of
// one family, summed over the ports.
func loses(rules []ec2sim.Rule, file publication) bool {
	wanted := setOf(file.ranges)
	losing, sources := 0, map[span][]netip.Prefix{}
	for _, r := range rules {
		if !wanted.ContainsPrefix(r.Source.Prefix) {
			losing++
		}
		sources[span{r.From, r.To}] = append(sources[span{r.From, r.To}], r.Source.Prefix)
	}
	var had, gone [2]float64
	for _, prefixes := range sources {
		j := judge{wanted: setOf(prefixes)}
		for _, p := range j.wanted.Prefixes() {
			had[familyOf(p)] += addresses(p)
		}
		for _, p := range j.lost(j.wanted, wanted, nil) {
			gone[familyOf(p)] += addresses(p)
		}
	}
	return 2*losing > len(rules) || 2*gone[0] > had[0] || 2*gone[1] > had[1]
}

func familyOf(p netip.Prefix) int {
	if p.Addr().Is6() {
		return 1
	}
	return 0
}

func addresses(p netip.Prefix) float64 { return math.Pow(2, float64(p.Addr().BitLen()-p.Bits())) }

// obstacles are what may keep a run that nobody disturbs from making the rules exact.
var obstacles = regexp.MustCompile(
	` is held: | is too small: | was made from a newer one | has no port in common |: tag cloudfront-ingress=`)

// verify checks what has become of a run.
func (e *expectation) verify(w *world, o runOptions, file publication, report *Report, err error, calls []ec2sim.Call) {
	w.Helper()
	if len(o.beside) > 0 || o.req.Withdraw {
		return
	}
	for name, p := range e.pools {
		left := p.older || p.strangers
		for _, id := range p.ids {
			for _, r := range e.rules[id] {
				if !has(w.holders[id].rules, r) && (left || !asks(o.req, id) || p.held || slices.Contains(p.unreadable, id)) {
					w.Errorf("%s loses %v: %+v", id, r.Permission, *p)
				}
			}
			if len(w.holders[id].rules) > len(e.rules[id]) && (left || !asks(o.req, id) || slices.Contains(p.unreadable, id)) {
				w.Errorf("%s gains rules: %+v", id, *p)
			}
		}
		says := func(what string) bool {
			return slices.ContainsFunc(report.Errors, func(e string) bool { return strings.Contains(e, what) })
		}
		label := name
		if pool, ok := strings.CutPrefix(name, "pool "); ok || strings.HasPrefix(name, "sg-") {
			label = `pool "` + pool + `"`
		}
		if says(label+" is too small: ") && p.roomy && !says("that this run leaves alone may have room") {
			w.Errorf("%s: %+v, and the run says %q", name, *p, report.Errors)
		}
		if o.disturbed() || file.unusable() || !slices.ContainsFunc(p.ids, func(id string) bool { return asks(o.req, id) }) {
			continue
		}
		if says(label+" is held: ") != p.held {
			w.Errorf("%s: %+v, and the run says %q", name, *p, report.Errors)
		}
		older := slices.ContainsFunc(p.ids, func(id string) bool { return says(" of " + id + " was made from a newer one ") })
		lonely := func(id string) bool { return says(label + ": " + id + " has no port in common") }
		strangers := slices.ContainsFunc(p.ids, lonely)
		if older != p.older || strangers != p.strangers {
			w.Errorf("%s: %+v, and the run says %q", name, *p, report.Errors)
		}
		for _, id := range p.ids {
			if says(id+": tag cloudfront-ingress=") != (slices.Contains(p.unreadable, id) && asks(o.req, id)) {
				w.Errorf("%s: %+v, and the run says %q", name, *p, report.Errors)
			}
		}
	}
	e.verifyReport(w, o, report)
	if o.disturbed() || file.unusable() {
		return
	}
	for _, text := range report.Errors {
		// A step that the checker refuses waits for what another error names, as its hint says.
		waits := strings.Contains(text, ": not done: ") && slices.ContainsFunc(report.Errors, obstacles.MatchString)
		if !waits && !obstacles.MatchString(text) {
			w.Errorf("not an obstacle: %s", text)
		}
	}
	e.verifyCalls(w, o, err, calls)
	e.verifyKept(w, file)
}

// verifyKept checks that a rule which is wanted where it is stays, if all fits: it is not revoked and added elsewhere.
func (e *expectation) verifyKept(w *world, file publication) {
	w.Helper()
	for _, p := range e.pools {
		before := map[opening]int{}
		for _, id := range p.ids {
			for _, r := range e.rules[id] {
				before[opening{span{r.From, r.To}, r.Source.Prefix}]++
			}
		}
		for _, id := range p.ids {
			for _, r := range e.rules[id] {
				o := opening{span{r.From, r.To}, r.Source.Prefix}
				wanted := slices.Contains(w.spans(id), o.span) && slices.Contains(file.ranges, o.Prefix)
				if wanted && !has(w.holders[id].rules, r) && p.roomy && !w.partlyAttached(p.ids) && before[o] == 1 {
					w.Errorf("%s loses %v, which is wanted there", id, r.Permission)
				}
			}
		}
	}
}

func (p publication) unusable() bool { return p.broken || p.hangs || p.time().After(time.Now()) }

// has reports whether one of the rules opens the same as another.
func has(rules []ec2sim.Rule, r ec2sim.Rule) bool {
	return slices.ContainsFunc(rules, func(o ec2sim.Rule) bool { return o.Permission == r.Permission })
}

// verifyReport checks that the report counts what has changed, unless an answer was lost.
func (e *expectation) verifyReport(w *world, o runOptions, report *Report) {
	w.Helper()
	for _, f := range o.faults {
		if f.Kind == ec2sim.CutAfter || f.Kind == ec2sim.ErrorAfter {
			return
		}
	}
	if o.die > 0 {
		return
	}
	reported := map[string][2]int{}
	for _, g := range report.Groups {
		reported[g.GroupID] = [2]int{g.Added, g.Revoked}
	}
	for _, l := range report.PrefixLists {
		reported[l.PrefixListID] = [2]int{l.Added, l.Removed}
	}
	for id, before := range e.rules {
		unknown := regexp.MustCompile(`has not yet said that the change of ` + id + `|see whether the change of ` + id)
		if slices.ContainsFunc(report.Errors, unknown.MatchString) {
			continue
		}
		after := w.holders[id].rules
		missing := func(from, in []ec2sim.Rule) (n int) {
			for _, r := range from {
				if !has(in, r) {
					n++
				}
			}
			return n
		}
		if was := [2]int{missing(after, before), missing(before, after)}; was != reported[id] {
			w.Errorf("%s: added and removed %v, reported %v", id, was, reported[id])
		}
	}
}

// verifyCalls checks that a run which has room makes the fewest calls, and opens no gap.
func (e *expectation) verifyCalls(w *world, o runOptions, err error, calls []ec2sim.Call) {
	w.Helper()
	count := map[string]int{}
	for _, c := range calls {
		count[c.Action+" "+c.Resource]++
	}
	if n := count["DescribeSecurityGroups "]; n > 1 && !o.req.Look {
		w.Errorf("%d describes: %v", n, count)
	}
	if !e.roomy || err != nil {
		return
	}
	for call, n := range count {
		action, id, _ := strings.Cut(call, " ")
		most := 1
		if strings.HasPrefix(id, "pl-") {
			most += (len(e.rules[id]) + len(w.holders[id].rules)) / 100
		}
		if n > most && !strings.HasPrefix(action, "Describe") {
			w.Errorf("%d times %s", n, call)
		}
	}
	if w.announced > e.announced {
		w.Error("a gap, though there is room")
	}
}

var named = regexp.MustCompile(`(sg|pl|eni)-[0-9a-f]+`)

// excused returns those that the report names.
func excused(j *judge, report *Report) func(id string) bool {
	ids := map[string]bool{}
	for _, g := range report.Groups {
		ids[g.GroupID] = g.Error != ""
	}
	for _, l := range report.PrefixLists {
		ids[l.PrefixListID] = l.Error != ""
	}
	for _, warning := range report.Warnings {
		if !strings.Contains(warning, " stay") && !strings.Contains(warning, " lacks ") {
			continue
		}
		for _, id := range named.FindAllString(warning, -1) {
			ids[id] = true
			for _, i := range j.interfaces {
				for _, g := range i.Groups {
					ids[g] = ids[g] || i.ID == id
				}
			}
		}
	}
	return func(id string) bool { return ids[id] }
}
