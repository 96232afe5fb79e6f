package main

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
)

// A checkPage shows a check to a person.
type checkPage struct {
	*page.Page
	services string
	within   string // the services that may be let in as well, or empty
	lists    map[string]door.PrefixListReport
}

// writeCheck shows who gets in, subject by subject.
func writeCheck(t terminal, d *document.Check) error {
	w := checkPage{page.New(t.out, colorful(t.out)), strings.Join(d.Services, ", "), strings.Join(d.Within, ", "), map[string]door.PrefixListReport{}}
	for _, l := range d.PrefixLists {
		w.lists[l.ID] = l
	}
	place := d.Region
	if d.Account != "" {
		place = "account " + d.Account + " in " + d.Region
	}
	selection := iprange.Selection{Services: d.Services, Within: d.Within}
	w.Line(w.Strong(selection.String()), fmt.Sprintf(" as published %s, security groups in %s", d.PublishedAt.Format(time.RFC3339), place))
	w.Line(w.Quiet("settings: " + d.Settings.Origin()))
	for _, note := range d.Notes {
		w.note(w.Warn("! "), note)
	}
	for i := 0; i < len(d.Subjects); {
		n := alike(d.Subjects[i:])
		w.subjects(d.Subjects[i:i+n], d.Subjects[i].OpenToWorld(d.Report))
		i += n
	}
	if len(d.PrefixLists) > 0 {
		w.prefixLists(d.PrefixLists)
	}
	w.Line()
	if d.Judgement.Mark == document.OK {
		w.Say("%s", document.NotAuthentication)
	}
	unchecked := "Firewalls on the host were not checked."
	if slices.ContainsFunc(d.Subjects, func(s door.SubjectReport) bool { return s.Interface == nil }) {
		unchecked = "Of groups only inbound rules were checked: routes, network ACLs and targets belong to interfaces."
	}
	w.Line(w.Quiet(unchecked))
	writeJudgement(w.Page, d.Judgement)
	return w.Err()
}

// alike returns how many of the subjects, from the first on, are interfaces with the same result, as those of a load
// balancer have.
func alike(subjects []door.SubjectReport) int {
	first := subjects[0]
	n := slices.IndexFunc(subjects, func(s door.SubjectReport) bool {
		s.Interface = first.Interface
		return !reflect.DeepEqual(s, first)
	})
	if n < 0 {
		return len(subjects)
	}
	return n
}

// subjects shows interfaces, or named groups, and what became of them.
func (w checkPage) subjects(subjects []door.SubjectReport, world []door.WorldRule) {
	w.Line()
	s := subjects[0]
	var groups []string
	for _, g := range s.Groups {
		groups = append(groups, strings.TrimSpace(g.ID+" "+g.Name))
	}
	if s.Interface == nil {
		w.Line(w.Strong(strings.Join(groups, ", ")))
	} else {
		for _, s := range subjects {
			w.networkInterface(s.Interface)
		}
		w.Indent(2)
		if len(groups) > 0 {
			w.Fact("groups", 8, ", ", groups...)
		}
	}
	w.Indent(2)
	for _, note := range s.Notes {
		w.note(w.Quiet("– "), note)
	}
	for _, p := range s.Ports {
		w.port(p)
	}
	w.Indent(2)
	w.world(world)
	w.Indent(0)
}

func (w checkPage) networkInterface(i *door.Interface) {
	addresses := slices.Concat(i.PublicIPv4, i.IPv6)
	if len(addresses) == 0 {
		addresses = i.PrivateIPv4
	}
	var words []string
	for _, addr := range addresses {
		words = append(words, addr.String())
	}
	parts := []string{i.Instance, i.Description, strings.Join(words, " ")}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	w.Line(w.Strong(i.ID), "  ", strings.Join(parts, "  "))
}

func (w checkPage) note(mark, text string) {
	for _, line := range page.Wrap(strings.Fields(text), " ", w.Width()-6) {
		w.Line(mark, line)
		mark = "  "
	}
}

// port shows who gets in on a port.
func (w checkPage) port(p door.PortReport) {
	w.Line()
	w.Indent(2)
	word := "port "
	if strings.Contains(p.Port, "-") {
		word = "ports "
	}
	w.Line(word, w.Strong(p.Port))
	w.Indent(4)
	for _, f := range p.Families {
		w.family(f)
	}
	w.others(p)
	if p.Verdict == door.Blocked && len(p.References) > 0 {
		w.Line()
		w.note(w.Warn("! "), "Members of a security group come in by their private addresses. That lets CloudFront in only at a VPC origin, if the group is CloudFront-VPCOrigins-Service-SG.")
	}
}

// source names what a rule lets in from.
func (w checkPage) source(o door.Opening) string {
	if o.PrefixList != "" {
		return strings.TrimSpace(o.PrefixList + " " + w.lists[o.PrefixList].Name)
	}
	return words.Few(document.PrefixNames(o.Sources))
}

// others shows who else gets in.
func (w checkPage) others(p door.PortReport) {
	var rows [][]string
	for _, f := range p.Families {
		for _, o := range f.Others {
			beyond := amount(o.Beyond.Size, f.Unit)
			if o.World {
				beyond = "everyone"
			}
			rows = append(rows, []string{w.source(o), beyond, o.Group.Name, o.Ports, o.Description})
		}
	}
	for _, id := range unreadOn(p) {
		rows = append(rows, []string{strings.TrimSpace(id + " " + w.lists[id].Name), "unknown"})
	}
	for _, r := range p.References {
		rows = append(rows, []string{"members of " + r.Source, "", r.Group.Name, r.Ports, r.Description})
	}
	if len(rows) == 0 {
		return
	}
	w.Line()
	w.Table([]string{"who else gets in", "beyond " + cmp.Or(w.within, w.services), "by group", "ports", "description"}, rows)
}

// unreadOn returns the prefix lists that a port is open to, and that could not be read.
func unreadOn(p door.PortReport) []string {
	var ids []string
	for _, f := range p.Families {
		ids = append(ids, f.Unread...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (w checkPage) prefixLists(lists []door.PrefixListReport) {
	var rows [][]string
	for _, l := range lists {
		entries := strconv.Itoa(l.Entries)
		if l.Error != "" {
			entries = w.Bad("unknown")
		}
		rows = append(rows, []string{l.ID, l.Name, entries})
	}
	w.Line()
	w.Table([]string{"prefix list", "name", "ranges"}, rows)
}

// world says loudly where everyone gets in.
func (w checkPage) world(rules []door.WorldRule) {
	if len(rules) > 0 {
		w.Line()
	}
	for _, r := range rules {
		w.Say("%s: %s", w.Bad("OPEN TO THE WORLD"), r)
	}
}

// family shows the verdict on an address family.
func (w checkPage) family(f door.FamilyReport) {
	name := map[string]string{"ipv4": "IPv4", "ipv6": "IPv6"}[f.Family]
	blocked := len(f.Blocked.Prefixes)
	switch {
	case f.Wanted.Ranges == 0:
		w.verdict(w.Quiet("– "+name), "nothing is published")
	case blocked == 0 && f.OnlyByWorld != nil && len(f.OnlyByWorld.Prefixes) > 0:
		w.verdict(w.Warn("! "+name), fmt.Sprintf("all of %s, but %s only through rules open to the world: without them CloudFront is shut out",
			w.services, words.Count(len(f.OnlyByWorld.Prefixes), "range")))
	case blocked == 0 && len(f.Findings) > 0:
		w.verdict(w.Quiet("  "+name), fmt.Sprintf("the security groups let all of %s in", w.services))
	case blocked == 0:
		w.verdict(w.Good("✓ "+name), fmt.Sprintf("all of %s: %s", w.services, words.Count(f.Wanted.Ranges, "range")))
	case len(f.Unread) > 0:
		w.verdict(w.Warn("? "+name), fmt.Sprintf("unknown: the entries of %s could not be read, and no other rule lets in %s of %s",
			strings.Join(f.Unread, ", "), words.Count(blocked, "range"), w.services))
		w.ranges(f.Blocked)
	case f.BeyondOriginFacing():
		w.verdict(w.Warn("! "+name), fmt.Sprintf("all servers that connect to origins today are let in; of the others of %s %s (-o json lists them)",
			w.services, blockedOf(f)))
	case f.Blocked.Size == f.Wanted.Size:
		w.verdict(w.Bad("✗ "+name), fmt.Sprintf("nothing of %s is let in: %s", w.services, words.Count(f.Wanted.Ranges, "range")))
	default:
		text := blockedOf(f)
		if part := f.OriginFacingBlocked; part != nil {
			text += fmt.Sprintf(", %s of them of servers that connect to origins", thousands(part.Size))
		}
		w.verdict(w.Bad("✗ "+name), text)
		w.ranges(f.Blocked)
	}
	for _, x := range f.Findings {
		mark := map[door.Verdict]string{door.Blocked: w.Bad("✗ " + name), door.Unknown: w.Warn("? " + name), door.Open: w.Warn("! " + name)}[x.Verdict]
		w.verdict(mark, fmt.Sprintf("%s (%s of %s)", x.Cause, thousands(x.Ranges.Size), amount(f.Wanted.Size, f.Unit)))
	}
	if f.TakenIn != nil && f.TakenIn.Size > 0 && !f.World {
		w.verdict(strings.Repeat(" ", verdictWidth-2), fmt.Sprintf("also let in: %s of %s", amount(f.TakenIn.Size, f.Unit), w.within))
	}
}

// verdictWidth is the room for a mark and the name of a family.
const verdictWidth = 8

func (w checkPage) verdict(mark, text string) {
	for i, line := range page.Wrap(strings.Fields(text), " ", w.Width()-4-verdictWidth) {
		if i > 0 {
			mark = "      "
		}
		w.Line(mark, "  ", line)
	}
}

func (w checkPage) ranges(r door.Ranges) {
	var words []string
	for _, p := range r.Prefixes {
		words = append(words, p.String())
	}
	w.Fact("", verdictWidth, "  ", words...)
}

// blockedOf says how much is blocked of how much.
func blockedOf(f door.FamilyReport) string {
	return fmt.Sprintf("%s, %s of %s", words.CountAs(len(f.Blocked.Prefixes), "range is blocked", "ranges are blocked"),
		thousands(f.Blocked.Size), amount(f.Wanted.Size, f.Unit))
}

// amount says how many addresses or networks there are.
func amount(n uint64, unit string) string {
	if n == 1 {
		unit = map[string]string{"addresses": "address", "/64 networks": "/64 network"}[unit]
	}
	return thousands(n) + " " + unit
}
