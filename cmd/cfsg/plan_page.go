package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/status"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A planPage shows a proposal to a person.
type planPage struct {
	*page.Page
	names map[string]string // of groups, by ID
}

// mostShown is the most groups that are shown one by one, unless more are asked for: what is longer, nobody reads.
const mostShown = 20

// folded reports whether there are so many groups that pools are counted.
func folded(p *engine.Proposal) bool { return len(groupNames(p)) > mostShown }

// writePlan shows what would be done, step by step, or with many groups pool by pool.
func writePlan(t terminal, p *engine.Proposal, all bool) error {
	w := planPage{page.New(t.out, colorful(t.out)), groupNames(p)}
	headline(w.Page, p)
	for _, v := range p.Previews {
		if v.Err != nil {
			continue // shown at the end, with the other failures
		}
		targetHeadline(w.Page, v)
		if folded(p) && !all {
			w.folded(v.Pools)
		} else {
			for _, pool := range v.Pools {
				w.pool(pool, v.RulesPerGroup)
			}
		}
		writeLists(w.Page, v)
	}
	if folded(p) && !all {
		w.Line()
		w.Line(fmt.Sprintf("There are %s: --verbose shows each one and every step.", words.Count(len(w.names), "group")))
	}
	w.Line()
	w.Line(w.summary(p))
	return w.Err()
}

// headline says what the wanted ranges are.
func headline(w *page.Page, p *engine.Proposal) {
	selection := iprange.Selection{Services: p.Services, Within: p.Within}
	w.Line(w.Strong(selection.String()), fmt.Sprintf(" as published %s: %d IPv4 and %d IPv6 ranges, merged",
		p.Publication.Published.Format(time.RFC3339), len(p.Publication.IPv4), len(p.Publication.IPv6)))
	if note := engine.Strangers(p.Publication); note != "" {
		w.Line(w.Warn("! "), note)
	}
	for _, note := range slices.Concat(p.OtherRanges(), p.AtInterfaces(), p.AtLists(), p.Quotas()) {
		w.Line(w.Warn("! "), note)
	}
}

// targetHeadline says where the pools are that follow.
func targetHeadline(w *page.Page, v engine.Preview) {
	w.Line()
	w.Line(w.Strong(v.Target.String()), w.Quiet(fmt.Sprintf("  quota: %d rules per group and family", v.RulesPerGroup)))
}

func groupNames(p *engine.Proposal) map[string]string {
	names := map[string]string{}
	for _, v := range p.Previews {
		for _, g := range v.Groups {
			names[g.ID] = g.Name
		}
	}
	return names
}

// folded counts what becomes of each pool, and of those that have nothing to do how many there are.
func (w planPage) folded(pools []secgroup.PoolPlan) {
	w.Indent(2)
	defer w.Indent(0)
	w.Line()
	var rows [][]string
	right, rightGroups := 0, 0
	for _, pool := range pools {
		added, revoked, gaps := 0, 0, 0
		for _, g := range pool.Groups {
			added, revoked = added+g.Added, revoked+g.Revoked
		}
		for _, step := range pool.Steps {
			gaps += len(step.Gap)
		}
		if w.exposures(pool); len(pool.Steps) == 0 && !failed(pool) {
			right++
			rightGroups += len(pool.Groups)
			continue
		}
		note := ""
		switch {
		case failed(pool):
			note = w.Bad("incomplete, see the errors")
		case gaps > 0:
			note = w.Warn(fmt.Sprintf("no room to avoid a gap of %s", words.Count(gaps, "range")))
		}
		rows = append(rows, []string{pool.Name, fmt.Sprint(len(pool.Groups)), fmt.Sprint(len(pool.Steps)), w.change(added, revoked), note})
	}
	if len(rows) > 0 {
		w.Table([]string{"pool", "groups", "steps", "change", ""}, rows)
	}
	if right > 0 {
		w.Line(fmt.Sprintf("nothing to do in %s of %s", words.Count(right, "pool"), words.Count(rightGroups, "group")))
	}
}

// failed reports whether part of a pool cannot be synced.
func failed(pool secgroup.PoolPlan) bool {
	return pool.Err != nil || slices.ContainsFunc(pool.Groups, func(g secgroup.GroupPlan) bool { return g.Err != nil })
}

// exposures warns of what a plan leaves open to the world.
func (w planPage) exposures(pool secgroup.PoolPlan) {
	for _, x := range pool.Exposures() {
		if !status.Revokes(pool, x) {
			w.Line(w.Bad("! "), fmt.Sprintf("%s lets %s in on port %s through a rule that this plan leaves in place: see cfsg status",
				x.GroupID, x.Rule.Source, strings.Join(document.PortNames(x.Ports), " ")))
		}
	}
}

// origin says which network interfaces a pool serves, and whether each has all of it after the steps.
func (w planPage) origin(pool secgroup.PoolPlan) {
	whole := 0
	var owners []string
	for _, eni := range pool.Interfaces {
		if eni.Lacks == 0 {
			whole++
		}
		owner := cmp.Or(eni.Description, eni.ID)
		if !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	switch n := len(pool.Interfaces); {
	case n == 0:
		w.Line(w.Quiet("attached to no network interface that cfsg can see, so it opens nothing yet"))
	case whole == n:
		w.Line(w.Quiet(fmt.Sprintf("attached to %s, each with the whole pool: %s", words.Count(n, "network interface"), strings.Join(owners, ", "))))
	default:
		w.Line(w.Warn("! "), fmt.Sprintf("attached to %s, %d of them with the whole pool: %s", words.Count(n, "network interface"), whole, strings.Join(owners, ", ")))
	}
}

// pool shows the steps of a pool and what its groups hold after them.
func (w planPage) pool(pool secgroup.PoolPlan, quota int) {
	w.Line()
	w.Indent(2)
	defer w.Indent(0)
	mark := ""
	if pool.Err != nil {
		mark = w.Bad("  incomplete, see the errors")
	}
	kind := "pool "
	if pool.Groups[0].Settings.Pool == "" {
		kind = "group " // of its own
	}
	w.Line(kind, w.Strong(pool.Name), mark)
	for i, step := range pool.Steps {
		w.step(i+1, step)
	}
	if len(pool.Steps) == 0 {
		what := "nothing to do"
		if slices.ContainsFunc(pool.Groups, func(g secgroup.GroupPlan) bool { return g.Err != nil }) {
			what = "no steps, see the errors"
		}
		w.Line("  ", what)
	}
	w.Indent(4)
	w.origin(pool)
	w.exposures(pool)
	w.Line()
	var rows [][]string
	for _, g := range pool.Groups {
		rows = append(rows, []string{
			g.Group.ID, g.Group.Name, ports(w.Page, document.PortNames(g.Settings.Ports), document.Message(g.Err)),
			fmt.Sprintf("%d of %d", quota-g.Free[secgroup.IPv4], quota),
			fmt.Sprintf("%d of %d", quota-g.Free[secgroup.IPv6], quota),
			fmt.Sprint(g.Foreign), w.change(g.Added, g.Revoked),
		})
	}
	w.Indent(4)
	w.Table([]string{"group", "name", "ports", "IPv4 after", "IPv6 after", "foreign", "change"}, rows)
}

// step shows a call and its rules.
func (w planPage) step(number int, step secgroup.Step) {
	style, sign := w.Good, "+"
	switch step.Op {
	case secgroup.Revoke:
		style, sign = w.Bad, "-"
	case secgroup.Redescribe:
		style, sign = w.Warn, "~"
	}
	w.Indent(2)
	w.Line(fmt.Sprintf("%3d  %s", number, step), " ", w.Quiet(w.names[step.GroupID]))
	w.Indent(7)
	for _, s := range bySocket(step.Rules) {
		label := sign + " " + s.socket + "  "
		for _, line := range page.Wrap(s.sources, "  ", w.Width()-7-len(label)) {
			w.Line(style(label + line))
			label = strings.Repeat(" ", len(label))
		}
	}
	if len(step.Gap) > 0 {
		w.Say("%s", w.Warn(fmt.Sprintf("! no room to avoid a gap: closes %s until a later step opens it again", joinPrefixes(step.Gap))))
	}
	w.Indent(2)
}

// ports lists the ports of a group, or says why there are none.
func ports(w *page.Page, names []string, problem string) string {
	switch {
	case len(names) > 0:
		return strings.Join(names, " ")
	case problem != "":
		return w.Bad("failed")
	}
	return "none"
}

func (w planPage) change(added, revoked int) string {
	var signs []string
	if added > 0 {
		signs = append(signs, w.Good(fmt.Sprintf("+%d", added)))
	}
	if revoked > 0 {
		signs = append(signs, w.Bad(fmt.Sprintf("-%d", revoked)))
	}
	return strings.Join(signs, " ")
}

// summary says in a line what all plans come to.
func (w planPage) summary(p *engine.Proposal) string {
	sum := p.Summary()
	if p.Count() == 0 {
		if len(p.Failures()) > 0 {
			return "No step is possible: see the errors."
		}
		return w.Good("✓") + fmt.Sprintf(" Nothing to do: %s up to date.", words.CountAs(sum.Groups, "group is", "groups are")) + listSummary(p)
	}
	taken := 0
	for step := range p.Steps() {
		if step.Op == secgroup.Redescribe {
			taken += len(step.Rules)
		}
	}
	more := ""
	if taken > 0 {
		more = fmt.Sprintf(", %d to take over", taken)
	}
	return fmt.Sprintf("Plan: %s to add, %d to revoke%s, in %d of %s.",
		words.Count(sum.Added, "rule"), sum.Revoked, more, sum.Changed, words.Count(sum.Groups, "group")) + listSummary(p)
}
