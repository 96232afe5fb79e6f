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
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
)

// A planPage shows a plan to a person.
type planPage struct {
	*page.Page
	names map[string]string // of groups, by ID
}

// mostShown is the most groups that are shown one by one, unless more are asked for: nobody reads more.
const mostShown = 20

// writePlan shows a plan step by step, or with many groups pool by pool.
func writePlan(t terminal, d document.Plan, all bool) error {
	w := planPage{page.New(t.out, colorful(t.out)), map[string]string{}}
	for _, target := range d.Targets {
		for _, pool := range target.Pools {
			for _, g := range pool.Groups {
				w.names[g.GroupID] = g.Name
			}
		}
	}
	folded := len(w.names) > mostShown && !all
	headline(w.Page, d.Wanted)
	notes(w.Page, d.Warnings)
	for _, target := range d.Targets {
		if target.Error != "" {
			continue // shown at the end, with the other failures
		}
		targetHeadline(w.Page, target.Account, target.Region, target.RulesPerGroup)
		if folded {
			w.folded(target.Pools)
		} else {
			for _, pool := range target.Pools {
				w.pool(pool, target.RulesPerGroup)
			}
		}
		writeLists(w.Page, target.PrefixLists)
	}
	for _, x := range d.OpenToWorld {
		if !d.Revokes(x) {
			w.Line()
			w.Line(w.Bad("! "), fmt.Sprintf("%s lets %s in on %s through a rule that this plan leaves in place: see cfsg status", x.Group.ID, x.Source, words.Ports(x.Opens)))
		}
	}
	if folded {
		w.Line()
		w.Line(fmt.Sprintf("There are %s: --verbose shows each one and every step.", words.Count(len(w.names), "group")))
	}
	w.Line()
	w.Line(summary(d))
	return w.Err()
}

// headline says which ranges are wanted, and where the settings come from.
func headline(w *page.Page, d document.Wanted) {
	w.Line(w.Strong(iprange.Selection{Services: d.Services, Within: d.Within}.String()), fmt.Sprintf(" as published %s: %d IPv4 and %d IPv6 ranges, merged",
		d.PublishedAt.Format(time.RFC3339), d.Ranges.IPv4, d.Ranges.IPv6))
	w.Line(w.Quiet("settings: " + d.Settings.Origin()))
	if text := d.Settings.Disagree(); text != "" {
		w.Line(w.Warn("! "), text)
	}
}

func notes(w *page.Page, notes []string) {
	for _, note := range notes {
		w.Line(w.Warn("! "), note)
	}
}

// targetHeadline says where the pools are that follow.
func targetHeadline(w *page.Page, account, region string, quota int) {
	w.Line()
	w.Line(w.Strong(place(account, region)), w.Quiet(fmt.Sprintf("  quota: %d rules per group and family", quota)))
}

// folded counts the changes of each pool, and the pools that have nothing to do.
func (w planPage) folded(pools []document.PlanPool) {
	w.Indent(2)
	defer w.Indent(0)
	w.Line()
	var rows [][]string
	right, rightGroups := 0, 0
	for _, pool := range pools {
		if len(pool.Steps) == 0 && !pool.Failed() {
			right++
			rightGroups += len(pool.Groups)
			continue
		}
		added, revoked, gaps := 0, 0, 0
		for _, g := range pool.Groups {
			added, revoked = added+g.Added, revoked+g.Revoked
		}
		for _, step := range pool.Steps {
			gaps += len(step.Gap)
		}
		note := ""
		switch {
		case pool.Failed():
			note = w.Bad("incomplete, see the errors")
		case gaps > 0:
			note = w.Warn(fmt.Sprintf("no room to avoid a gap of %s", words.Count(gaps, "range")))
		}
		rows = append(rows, []string{pool.Name, fmt.Sprint(len(pool.Groups)), fmt.Sprint(len(pool.Steps)), change(w.Page, added, revoked), note})
	}
	if len(rows) > 0 {
		w.Table([]string{"pool", "groups", "steps", "change", ""}, rows)
	}
	if right > 0 {
		w.Line(fmt.Sprintf("nothing to do in %s of %s", words.Count(right, "pool"), words.Count(rightGroups, "group")))
	}
}

// origin says which network interfaces a pool serves, and whether each has all that it needs after the steps.
func (w planPage) origin(pool document.PlanPool) {
	if pool.Error != "" && len(pool.Interfaces) == 0 {
		return // the plan ended before it came to them
	}
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
		w.Line(w.Quiet(fmt.Sprintf("attached to %s: %s", words.Count(n, "network interface"), words.Few(owners))))
	default:
		w.Marked(w.Warn("!"), fmt.Sprintf("attached to %s, and %s all rules: %s", words.Count(n, "network interface"),
			words.CountAs(n-whole, "of them lacks some of", "of them lack some of"), words.Few(owners)))
	}
}

// pool shows the steps of a pool and what its groups hold after them.
func (w planPage) pool(pool document.PlanPool, quota int) {
	w.Line()
	w.Indent(2)
	defer w.Indent(0)
	mark := ""
	if pool.Error != "" {
		mark = w.Bad("  incomplete, see the errors")
	}
	kind := "pool "
	if len(pool.Groups) == 1 && pool.Groups[0].GroupID == pool.Name {
		kind = "group " // of its own
	}
	w.Line(kind, w.Strong(pool.Name), mark)
	for i, step := range pool.Steps {
		w.step(i+1, step)
	}
	if len(pool.Steps) == 0 {
		what := "nothing to do"
		if pool.Failed() {
			what = "no steps, see the errors"
		}
		w.Line("  ", what)
	}
	w.Indent(4)
	w.origin(pool)
	w.Line()
	var rows [][]string
	for _, g := range pool.Groups {
		rows = append(rows, []string{
			g.GroupID, g.Name, ports(w.Page, g.Ports, g.Error),
			fmt.Sprintf("%d of %d", quota-g.Free.IPv4, quota), fmt.Sprintf("%d of %d", quota-g.Free.IPv6, quota),
			fmt.Sprint(g.Foreign), change(w.Page, g.Added, g.Revoked),
		})
	}
	w.Table([]string{"group", "name", "ports", "IPv4 after", "IPv6 after", "foreign", "change"}, rows)
}

// step shows a call and its rules.
func (w planPage) step(number int, step document.PlanStep) {
	style, sign := w.Good, "+"
	switch step.Operation {
	case "revoke":
		style, sign = w.Bad, "-"
	case "redescribe":
		style, sign = w.Warn, "~"
	}
	w.Indent(2)
	w.Line(fmt.Sprintf("%3d  %s %s in %s", number, step.Operation, words.Count(len(step.Rules), "rule"), step.GroupID), " ", w.Quiet(w.names[step.GroupID]))
	w.Indent(7)
	for i := 0; i < len(step.Rules); {
		socket := step.Rules[i].Protocol + " " + step.Rules[i].Ports()
		var sources []string
		for ; i < len(step.Rules) && step.Rules[i].Protocol+" "+step.Rules[i].Ports() == socket; i++ {
			sources = append(sources, step.Rules[i].Source)
		}
		label := sign + " " + socket + "  "
		for _, line := range page.Wrap(sources, "  ", w.Width()-7-len(label)) {
			w.Line(style(label + line))
			label = strings.Repeat(" ", len(label))
		}
	}
	if len(step.Gap) > 0 {
		w.Say("%s", w.Warn(fmt.Sprintf("! no room to avoid a gap: closes %s until a later step opens it again", strings.Join(step.Gap, ", "))))
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

// change shows how many rules or entries come and go.
func change(w *page.Page, added, removed int) string {
	var signs []string
	if added > 0 {
		signs = append(signs, w.Good(fmt.Sprintf("+%d", added)))
	}
	if removed > 0 {
		signs = append(signs, w.Bad(fmt.Sprintf("-%d", removed)))
	}
	return strings.Join(signs, " ")
}

// summary adds up all plans in a line.
func summary(d document.Plan) string {
	if !d.Changes {
		if len(d.Errors) > 0 {
			return "No step is possible: see the errors."
		}
		return fmt.Sprintf("Nothing to do: %s up to date.", words.CountAs(d.Summary.Groups, "group is", "groups are")) + listSummary(d)
	}
	taken := 0
	for _, target := range d.Targets {
		for _, pool := range target.Pools {
			for _, step := range pool.Steps {
				if step.Operation == "redescribe" {
					taken += len(step.Rules)
				}
			}
		}
	}
	more := ""
	if taken > 0 {
		more = fmt.Sprintf(", %d to take over", taken)
	}
	return fmt.Sprintf("Plan: %s to add, %d to revoke%s, in %d of %s.",
		words.Count(d.Summary.Added, "rule"), d.Summary.Revoked, more, d.Summary.Changed, words.Count(d.Summary.Groups, "group")) + listSummary(d)
}

// listSummary counts the changes of prefix lists in a sentence. It is empty if there are none.
func listSummary(d document.Plan) string {
	switch sum := d.ListSummary; {
	case sum == engine.ListSummary{}:
		return ""
	case sum.Changed == 0 && len(d.Errors) > 0:
		return fmt.Sprintf(" No changes in %s.", words.Count(sum.Lists, "prefix list"))
	case sum.Changed == 0:
		return fmt.Sprintf(" %s up to date.", words.CountAs(sum.Lists, "prefix list is", "prefix lists are"))
	default:
		return fmt.Sprintf(" Prefix lists: %s to add, %d to remove, in %d of %d.", words.Count(sum.Added, "entry"), sum.Removed, sum.Changed, sum.Lists)
	}
}

// writeLists shows the changes of a target's prefix lists.
func writeLists(w *page.Page, pools []document.ListPool) {
	if len(pools) == 0 {
		return
	}
	var rows [][]string
	gaps := 0
	for _, pool := range pools {
		for _, c := range pool.Changes {
			gaps += len(c.Gap)
		}
		for _, l := range pool.Lists {
			note := ""
			switch {
			case l.Error != "":
				note = w.Bad("failed, see the errors")
			case strings.Contains(pool.Error, " is held: "):
				note = w.Warn("held")
			case pool.Error != "":
				note = w.Bad("incomplete, see the errors")
			}
			rows = append(rows, []string{
				l.PrefixListID, l.Name, pool.Family, fmt.Sprintf("%d of %d", l.MaxEntries-l.Free, l.MaxEntries), fmt.Sprint(l.Foreign), change(w, l.Added, l.Removed), note,
			})
		}
	}
	w.Line()
	w.Indent(2)
	defer w.Indent(0)
	w.Table([]string{"prefix list", "name", "family", "entries after", "foreign", "change", ""}, rows)
	if gaps > 0 {
		w.Marked(w.Warn("!"), fmt.Sprintf("no room to avoid a gap: %s closed until a later change opens them again", words.CountAs(gaps, "range is", "ranges are")))
	}
}
