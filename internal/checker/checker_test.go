package checker_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cloudfront-sg-sync/internal/checker"
	"cloudfront-sg-sync/secgroup"
)

const (
	key = "cloudfront-ingress"
	own = key + ": CLOUDFRONT 2026-01-01T00:00:00Z"
)

// The verdicts, by words of the checker's reasons.
const (
	allowed = ""
	foreign = "not this tool's"
	held    = "the guard holds"
	full    = "no room"
	closes  = "would close"
	mixed   = "in one call"
)

// The address space is a /29 and a /125: 16 addresses in all, and every prefix in them.
var space, blocks = func() (addresses []netip.Addr, blocks []netip.Prefix) {
	for _, whole := range []string{"13.32.0.0/29", "2600:9000::/125"} {
		p := netip.MustParsePrefix(whole)
		first := len(addresses)
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			addresses = append(addresses, a)
		}
		for bits := p.Bits(); bits <= p.Addr().BitLen(); bits++ {
			for _, a := range addresses[first:] {
				if b := netip.PrefixFrom(a, bits); b.Masked() == b {
					blocks = append(blocks, b)
				}
			}
		}
	}
	return addresses, blocks
}()

// The tags of groups, the ports that each wants, and all ports of rules. Port 0 stands for those of a prefix list.
var (
	wants = map[string][]int{"443": {443}, "80 443": {80, 443}, "80": {80}, "443-444": {443, 444}, "ranges": {0}}
	tags  = []string{"443", "443", "443", "80 443", "80", "443-444", "none", "x"}
	ports = [][2]int32{{443, 443}, {443, 443}, {80, 80}, {443, 444}, {80, 443}}
	tried = []int{0, 80, 443, 444}
)

// A holder is a group or a prefix list as the design speaks of it: rules by identity, each with its description.
type holder struct {
	id, tag         string
	list, exclusive bool
	room            [2]int
	rules           map[secgroup.RuleID]string
	held            map[secgroup.RuleID]bool // of the rules that were there when the run began
}

func (h *holder) owns(id secgroup.RuleID) bool {
	description, there := h.rules[id]
	exclusive := h.exclusive && id.Source.Prefix.IsValid() && id.Protocol == "tcp"
	for p := id.From; p <= id.To; p++ {
		exclusive = exclusive && slices.Contains(wants[h.tag], int(p))
	}
	return there && (strings.HasPrefix(description, key+":") || exclusive)
}

func (h *holder) opens(port int, a netip.Addr) bool {
	for id := range h.rules {
		if id.Source.Prefix.IsValid() && id.Source.Prefix.Contains(a) &&
			(h.list || id.Protocol == "-1" || id.Protocol == "tcp" && int(id.From) <= port && port <= int(id.To)) {
			return true
		}
	}
	return false
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// free returns how many rules of a family the holder has room for. A reference counts in both families.
func (h *holder) free(family int) int {
	n := h.room[family]
	for id := range h.rules {
		if p := id.Source.Prefix; !p.IsValid() || familyOf(p.Addr()) == family {
			n--
		}
	}
	return n
}

// A state is what an oracle knows: the holders, what is attached where, and what is wanted.
type state struct {
	holders    map[string]*holder
	interfaces [][]string
	ranges     []netip.Prefix
}

// A spot is an address on a port at an interface.
type spot struct {
	at, port int
	addr     netip.Addr
}

// open returns all spots that are open and wanted.
func (s *state) open() map[spot]bool {
	open := map[spot]bool{}
	for i, ids := range s.interfaces {
		for _, port := range tried {
			wanted := slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(wants[s.holders[id].tag], port) })
			for _, a := range space {
				if wanted && slices.ContainsFunc(s.ranges, func(p netip.Prefix) bool { return p.Contains(a) }) &&
					slices.ContainsFunc(ids, func(id string) bool { return s.holders[id].opens(port, a) }) {
					open[spot{i, port, a}] = true
				}
			}
		}
	}
	return open
}

// after returns a copy in which a step was taken, or only sent.
func (s *state) after(step secgroup.Step, answered bool) *state {
	holders := maps.Clone(s.holders)
	h := *holders[step.HolderID]
	holders[h.id] = &h
	h.rules = maps.Clone(h.rules)
	for _, r := range step.Remove {
		delete(h.rules, r.RuleID)
	}
	if answered {
		for _, r := range slices.Concat(step.Add, step.Describe) {
			h.rules[r.RuleID] = r.Description
		}
	}
	return &state{holders, s.interfaces, s.ranges}
}

// verdict judges a step by the words of the design.
func (s *state) verdict(step secgroup.Step, next *secgroup.Step) string {
	h := s.holders[step.HolderID]
	if !h.list && len(step.Add) > 0 && len(step.Remove) > 0 {
		return mixed
	}
	for _, r := range slices.Concat(step.Remove, step.Describe) {
		if !h.owns(r.RuleID) {
			return foreign
		}
	}
	for _, r := range step.Remove {
		if h.held[r.RuleID] {
			return held
		}
	}
	after := s.after(step, true)
	for _, r := range step.Add {
		if after.holders[h.id].free(familyOf(r.Source.Prefix.Addr())) < 0 {
			return full
		}
	}
	closed, stays := map[spot]bool{}, after.open()
	for at := range s.open() {
		if !stays[at] {
			closed[at] = true
		}
	}
	if len(closed) == 0 || len(step.Gap) > 0 && next != nil && s.mayGap(after, *next, closed) {
		return allowed
	}
	return closes
}

// mayGap tells whether what a step closes may be closed until the next step.
func (s *state) mayGap(after *state, next secgroup.Step, closed map[spot]bool) bool {
	for id, h := range s.holders {
		everywhere := true
		for at := range closed {
			everywhere = everywhere && slices.Contains(s.interfaces[at.at], id)
		}
		for at := range closed {
			if everywhere && slices.Contains(wants[h.tag], at.port) && h.free(familyOf(at.addr)) > 0 {
				return false
			}
		}
	}
	if after.verdict(next, nil) != allowed {
		return false
	}
	open := after.after(next, true).open()
	for at := range closed {
		if !open[at] {
			return false
		}
	}
	return true
}

// draw makes random holders on random interfaces, and has them planned. It returns a sequence of the plan, and the
// oracle's view of it.
func draw(t *rapid.T) (secgroup.Sequence, *state) {
	s := &state{holders: map[string]*holder{}}
	s.ranges = rapid.SliceOfNDistinct(rapid.SampledFrom(blocks), 1, 4, rapid.ID).Draw(t, "ranges")
	s.ranges = slices.DeleteFunc(s.ranges, func(p netip.Prefix) bool {
		return slices.ContainsFunc(s.ranges, func(o netip.Prefix) bool { return o.Overlaps(p) && o.Bits() < p.Bits() })
	})
	slices.SortFunc(s.ranges, netip.Prefix.Compare)
	published := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	req := secgroup.Request{
		Stamp:            secgroup.Stamp{TagKey: key, Services: []string{"CLOUDFRONT"}, Published: published},
		Ranges:           s.ranges,
		RulesPerGroup:    rapid.IntRange(1, 5).Draw(t, "quota"),
		MaxRevokePercent: rapid.SampledFrom([]int{0, 100, 100, 100}).Draw(t, "percent"),
		Withdraw:         rapid.IntRange(0, 19).Draw(t, "withdraw") == 0,
	}
	if rapid.IntRange(0, 7).Draw(t, "list") == 0 {
		return drawList(t, req, s)
	}
	var groups []secgroup.Group
	for i := range rapid.IntRange(1, 4).Draw(t, "groups") {
		h := &holder{id: fmt.Sprint("sg-", i), tag: rapid.SampledFrom(tags).Draw(t, "tag")}
		h.room = [2]int{req.RulesPerGroup, req.RulesPerGroup}
		g := secgroup.Group{ID: h.id, VPC: "vpc-1", Tags: map[string]string{key: h.tag}}
		if pool := rapid.SampledFrom([]string{"", "web"}).Draw(t, "pool"); pool != "" {
			g.Tags[key+"-pool"] = pool
		}
		if h.exclusive = rapid.IntRange(0, 3).Draw(t, "exclusive") == 0; h.exclusive {
			g.Tags[key+"-mode"] = "exclusive"
		}
		g.Ingress = drawRules(t, h, rapid.IntRange(0, req.RulesPerGroup).Draw(t, "rules"))
		groups, s.holders[h.id] = append(groups, g), h
	}
	req.Attachments = &secgroup.Attachments{}
	ids := slices.Sorted(maps.Keys(s.holders))
	if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
		req.Attachments.Unknown = true
		for _, id := range ids {
			s.interfaces = append(s.interfaces, []string{id})
		}
	} else {
		for i := range rapid.IntRange(1, 3).Draw(t, "interfaces") {
			at := rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, len(ids), rapid.ID).Draw(t, "attached")
			s.interfaces = append(s.interfaces, at)
			eni := secgroup.Interface{ID: fmt.Sprint("eni-", i), Groups: append([]string{"sg-other"}, at...)}
			req.Attachments.Interfaces = append(req.Attachments.Interfaces, eni)
		}
	}
	return planned(t, groups, req, s)
}

func drawList(t *rapid.T, req secgroup.Request, s *state) (secgroup.Sequence, *state) {
	h := &holder{id: "pl-1", list: true, tag: rapid.SampledFrom([]string{"ranges", "none"}).Draw(t, "tag")}
	h.room[0] = req.RulesPerGroup
	l := secgroup.Holder{Kind: secgroup.ManagedPrefixList, ID: h.id, MaxEntries: h.room[0]}
	l.Tags = map[string]string{key: h.tag}
	l.Ingress = drawRules(t, h, rapid.IntRange(0, req.RulesPerGroup).Draw(t, "entries"))
	s.holders[h.id], s.interfaces = h, [][]string{{h.id}}
	return planned(t, []secgroup.Holder{l}, req, s)
}

// planned returns the sequence with the first holder, and what concerns it of the state.
func planned(t *rapid.T, holders []secgroup.Holder, req secgroup.Request, s *state) (secgroup.Sequence, *state) {
	plan, err := secgroup.NewPlan(t.Context(), holders, req)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plan.Pools {
		for _, id := range p.IDs() {
			h := s.holders[id]
			h.held = map[secgroup.RuleID]bool{}
			for r := range h.rules {
				h.held[r] = h.owns(r) && errors.As(p.Err, new(*secgroup.HeldError))
			}
		}
	}
	if req.Withdraw { // as if each were tagged none, whatever the tags are, and attached nowhere
		s.ranges = nil
		for _, h := range s.holders {
			h.tag, h.exclusive = "none", false
		}
	}
	seq := plan.Sequences[rapid.IntRange(0, len(plan.Sequences)-1).Draw(t, "sequence")]
	mine := map[string]*holder{}
	for _, h := range seq.Holders {
		mine[h.ID] = s.holders[h.ID]
	}
	for i, ids := range s.interfaces {
		s.interfaces[i] = slices.DeleteFunc(ids, func(id string) bool { return mine[id] == nil })
	}
	s.interfaces = slices.DeleteFunc(s.interfaces, func(ids []string) bool { return len(ids) == 0 })
	if len(s.interfaces) == 0 { // groups that are attached nowhere count as attached together
		s.interfaces = [][]string{slices.Sorted(maps.Keys(mine))}
	}
	s.holders = mine
	return seq, s
}

// drawRules gives a holder rules, ours and others'.
func drawRules(t *rapid.T, h *holder, n int) (rules []secgroup.Rule) {
	h.rules = map[secgroup.RuleID]string{}
	for range n {
		r := drawRule(t, h)
		switch rapid.IntRange(0, 15).Draw(t, "kind") {
		case 0, 1, 2:
			r.Description = "theirs"
		case 3:
			if r.Description = "all"; !h.list {
				r.Protocol, r.From, r.To = "-1", -1, -1
			}
		case 4:
			if !h.list {
				r.Source = secgroup.Source{Reference: "pl-other"}
			}
		}
		if _, there := h.rules[r.RuleID]; !there {
			h.rules[r.RuleID] = r.Description
			rules = append(rules, r)
		}
	}
	return rules
}

func drawRule(t *rapid.T, h *holder) secgroup.Rule {
	r := secgroup.Rule{Description: own}
	if r.Source.Prefix = rapid.SampledFrom(blocks).Draw(t, "prefix"); h.list {
		r.Source.Prefix = rapid.SampledFrom(blocks[:len(blocks)/2]).Draw(t, "entry")
		return r
	}
	p := rapid.SampledFrom(ports).Draw(t, "ports")
	r.Protocol, r.From, r.To = "tcp", p[0], p[1]
	return r
}

// drawStep makes a step. A planner that errs may ask for any.
func (s *state) drawStep(t *rapid.T) secgroup.Step {
	h := s.holders[rapid.SampledFrom(slices.Sorted(maps.Keys(s.holders))).Draw(t, "holder")]
	step := secgroup.Step{HolderID: h.id}
	var there []secgroup.Rule
	for id, description := range h.rules {
		there = append(there, secgroup.Rule{RuleID: id, Description: description})
	}
	slices.SortFunc(there, func(a, b secgroup.Rule) int { return strings.Compare(a.String(), b.String()) })
	do := rapid.IntRange(0, 7).Draw(t, "do")
	if h.list {
		step.Kind = secgroup.ManagedPrefixList
	}
	if do == 0 || do == 1 || h.list && do < 6 {
		step.Add = s.drawAdds(t, h)
	}
	switch {
	case do == 7 && len(there) > 0 && !h.list:
		r := rapid.SampledFrom(there).Draw(t, "describe")
		r.Description = own
		step.Describe = []secgroup.Rule{r}
	case do == 6: // perhaps none that is there
		step.Remove = []secgroup.Rule{drawRule(t, h)}
	case do > 0 && len(there) > 0:
		id := func(r secgroup.Rule) secgroup.RuleID { return r.RuleID }
		step.Remove = rapid.SliceOfNDistinct(rapid.SampledFrom(there), 1, 2, id).Draw(t, "remove")
	}
	if rapid.Bool().Draw(t, "gap") {
		step.Gap = s.ranges
	}
	return step
}

func (s *state) drawAdds(t *rapid.T, h *holder) (rules []secgroup.Rule) {
	for range rapid.IntRange(1, 2).Draw(t, "adds") {
		r := drawRule(t, h)
		if rapid.Bool().Draw(t, "whole") { // one that may reopen much
			r.Source.Prefix = blocks[0]
		}
		if _, there := h.rules[r.RuleID]; !there && !slices.Contains(rules, r) {
			rules = append(rules, r)
		}
	}
	return rules
}

// drawNext makes a step that may follow a gap: mostly one that adds.
func (s *state) drawNext(t *rapid.T, step secgroup.Step) *secgroup.Step {
	switch rapid.IntRange(0, 5).Draw(t, "next") {
	case 0:
		return nil
	case 1:
		next := s.after(step, true).drawStep(t)
		return &next
	}
	after := s.after(step, true)
	h := after.holders[rapid.SampledFrom(slices.Sorted(maps.Keys(s.holders))).Draw(t, "reopens in")]
	next := secgroup.Step{Kind: step.Kind, HolderID: h.id, Add: after.drawAdds(t, h)}
	if rapid.Bool().Draw(t, "wider") {
		fewer := rapid.IntRange(0, 3).Draw(t, "fewer ports") == 0
		next.Add = nil
		for _, r := range step.Remove {
			if p := r.Source.Prefix; p.IsValid() {
				r.Description, r.Source.Prefix = own, netip.PrefixFrom(p.Addr(), max(p.Bits()-1, p.Addr().BitLen()-3)).Masked()
				if fewer {
					r.To = r.From
				}
				next.Add = append(next.Add, r)
			}
		}
		next.Add = slices.DeleteFunc(slices.Compact(next.Add), func(r secgroup.Rule) bool {
			_, there := h.rules[r.RuleID]
			return there
		})
	}
	return &next
}

// An oracle that goes through the words of the design, address by address, judges random steps as the checker does,
// whatever became of the steps before.
func TestCheckerAgainstOracle(t *testing.T) {
	seen := map[string]int{}
	check := func(t *rapid.T) {
		seq, s := draw(t)
		c := checker.New(seq)
		for range 12 {
			step := s.drawStep(t)
			next := s.drawNext(t, step)
			want, err := s.verdict(step, next), c.Check(step, next)
			got := allowed
			if refused, ok := errors.AsType[*checker.RefusedError](err); ok {
				got = refused.Reason
			}
			if !strings.Contains(got, want) || (got == allowed) != (want == allowed) {
				t.Fatalf("%v %v, then %v\nat %v of %v\nwith %s:\ngot  %q\nwant %q",
					step, step.Rules(), next, s.interfaces, s.ranges, s.show(), got, want)
			}
			gap := want == allowed && s.verdict(step, nil) == closes
			seen[want]++
			if gap {
				seen["gap"]++
			}
			if want != allowed {
				part, some := c.Allowed(step)
				if !some {
					continue
				}
				seen["part"]++
				if why := s.verdict(part, nil); why != allowed || len(part.Rules()) >= len(step.Rules()) {
					t.Fatalf("of %v %v, this much is called allowed: %v (%s)", step, step.Rules(), part.Rules(), why)
				}
				step = part
			}
			answered := gap || rapid.IntRange(0, 4).Draw(t, "answered") > 0
			if s = s.after(step, answered); answered {
				c.Took(step)
			} else {
				c.Sent(step)
			}
			if gap {
				s = s.after(*next, true)
				c.Took(*next)
			}
		}
	}
	for range 30 { // some faults show in one of a thousand worlds only
		rapid.Check(t, check)
	}
	t.Logf("verdicts: %v", seen)
	for _, verdict := range []string{allowed, foreign, held, full, closes, mixed, "gap", "part"} {
		if seen[verdict] == 0 {
			t.Errorf("no step was met by %q", verdict)
		}
	}
}

func (s *state) show() string {
	var lines []string
	for id, h := range s.holders {
		lines = append(lines, fmt.Sprintf("%s=%s room %v %v", id, h.tag, h.room, h.rules))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
