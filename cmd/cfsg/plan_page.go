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

// mostShown is the most groups that are shown one by one, unless more are asked for: nobody reads more.
const mostShown = 20

// writePlan shows a plan step by step, or with many groups pool by pool.
func writePlan(w *page.Page, d document.Plan, all bool) {
	folded := d.Summary.Groups > mostShown && !all
	headline(w, d.State)
	for _, target := range d.Targets {
		if target.Error != "" {
			continue // shown at the end, with the other failures
		}
		targetHeadline(w, target.Account, target.Region, target.RulesPerGroup)
		if folded {
			writeFolded(w.In(2), target.Pools)
		} else {
			for _, pool := range target.Pools {
				writePool(w, pool, target.RulesPerGroup)
			}
		}
		writeLists(w.In(2), target.PrefixLists)
	}
	for _, x := range d.LeftOpen {
		w.Line()
		w.Line(w.Bad("! "), fmt.Sprintf("%s lets %s in on %s through a rule that this plan leaves in place: see cfsg status", x.Group.ID, x.Source, words.Ports(x.Opens)))
	}
	w.Line()
	if folded {
		w.Line(fmt.Sprintf("There are %s: --verbose shows each one and every step.", words.Count(d.Summary.Groups, "group")))
		w.Line()
	}
	w.Line(summary(d))
}

// headline names the wanted ranges, the source of the settings, and everything that needs a person.
func headline(w *page.Page, d document.State) {
	w.Line(w.Strong(iprange.Selection{Services: d.Services, Within: d.Within}.String()), fmt.Sprintf(" as published %s: %d IPv4 and %d IPv6 ranges, merged",
		d.PublishedAt.Format(time.RFC3339), d.Ranges.IPv4, d.Ranges.IPv6))
	w.Line(w.Quiet("settings: " + d.Settings.Origin()))
	if text := d.Settings.Disagree(); text != "" {
		w.Line(w.Warn("! "), text)
	}
	for _, warning := range d.Warnings {
		w.Line(w.Warn("! "), warning)
	}
}

// targetHeadline says where the pools are that follow.
func targetHeadline(w *page.Page, account, region string, quota int) {
	w.Line()
	w.Line(w.Strong(place(account, region)), w.Quiet(fmt.Sprintf("  quota: %d rules per group and family", quota)))
}

// writeFolded counts the changes of each pool, and the pools that have nothing to do.
func writeFolded(w *page.Page, pools []document.PlanPool) {
	var rows [][]string
	idle, idleGroups := 0, 0
	for _, pool := range pools {
		if len(pool.Steps) == 0 && !pool.Failed() {
			idle++
			idleGroups += len(pool.Groups)
			continue
		}
		added, revoked, gaps, note := 0, 0, 0, ""
		for _, g := range pool.Groups {
			added, revoked = added+g.Added, revoked+g.Revoked
		}
		for _, step := range pool.Steps {
			gaps += len(step.Gap)
		}
		switch {
		case pool.Failed():
			note = w.Bad("incomplete, see the errors")
		case gaps > 0:
			note = w.Warn(fmt.Sprintf("no room to avoid a gap of %s", words.Count(gaps, "range")))
		}
		rows = append(rows, page.Row(pool.Name, len(pool.Groups), len(pool.Steps), change(w, added, revoked), note))
	}
	w.Section([]string{"pool", "groups", "steps", "change", ""}, rows)
	if idle > 0 {
		w.Line(fmt.Sprintf("nothing to do in %s of %s", words.Count(idle, "pool"), words.Count(idleGroups, "group")))
	}
}

// writePool shows the steps of a pool and what its groups hold after them.
func writePool(w *page.Page, pool document.PlanPool, quota int) {
	kind, mark := "pool ", ""
	if len(pool.Groups) == 1 && pool.Groups[0].GroupID == pool.Name {
		kind = "group " // of its own
	}
	if pool.Error != "" {
		mark = w.Bad("  incomplete, see the errors")
	}
	w.Line()
	w.Line("  ", kind, w.Strong(pool.Name), mark)
	in := w.In(4)
	if len(pool.TakesTurnsWith) > 0 {
		in.Marked(w.Quiet("–"), fmt.Sprintf("takes turns with %s, because they meet at a network interface: the numbers are the order of all their steps",
			strings.Join(pool.TakesTurnsWith, ", ")))
	}
	names := map[string]string{}
	var rows [][]string
	for _, g := range pool.Groups {
		names[g.GroupID] = g.Name
		rows = append(rows, page.Row(g.GroupID, g.Name, ports(w, g.Ports, g.Error), fmt.Sprintf("%d of %d", quota-g.Free.IPv4, quota),
			fmt.Sprintf("%d of %d", quota-g.Free.IPv6, quota), g.Foreign, change(w, g.Added, g.Revoked)))
	}
	for _, step := range pool.Steps {
		writeStep(w, step, names[step.GroupID])
	}
	switch {
	case len(pool.Steps) > 0:
	case pool.Failed():
		in.Line("no steps, see the errors")
	default:
		in.Line("nothing to do")
	}
	if pool.Error == "" || len(pool.Interfaces) > 0 { // else the plan ended before it came to them
		writeAttached(in, pool.Interfaces)
	}
	in.Section([]string{"group", "name", "ports", "IPv4 after", "IPv6 after", "foreign", "change"}, rows)
}

// writeAttached says which network interfaces a pool serves, and whether each has all that it needs after the steps.
func writeAttached(w *page.Page, interfaces []document.PlanInterface) {
	if len(interfaces) == 0 {
		w.Line(w.Quiet("attached to no network interface that cfsg can see, so it opens nothing yet"))
		return
	}
	lacking := 0
	var owners []string
	for _, eni := range interfaces {
		if eni.Lacks > 0 {
			lacking++
		}
		if owner := cmp.Or(eni.Description, eni.ID); !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	attached, to := "attached to "+words.Count(len(interfaces), "network interface"), ": "+words.Few(owners)
	if lacking == 0 {
		w.Line(w.Quiet(attached + to))
		return
	}
	w.Marked(w.Warn("!"), attached+", and "+words.CountAs(lacking, "of them lacks some of", "of them lack some of")+" all rules"+to)
}

// writeStep shows a call and its rules.
func writeStep(w *page.Page, step document.PlanStep, name string) {
	w.Line(fmt.Sprintf("  %3d  %s %s in %s", step.Order, step.Operation, words.Count(len(step.Rules), "rule"), step.GroupID), " ", w.Quiet(name))
	sign := map[string]string{"authorize": "+ ", "revoke": "- ", "redescribe": "~ "}[step.Operation]
	in := w.In(7)
	for i := 0; i < len(step.Rules); {
		first := step.Rules[i]
		var sources []string
		for ; i < len(step.Rules) && step.Rules[i].Protocol == first.Protocol && step.Rules[i].Ports() == first.Ports(); i++ {
			sources = append(sources, step.Rules[i].Source.String())
		}
		in.Change(sign+first.Protocol+" "+first.Ports()+" ", sources...)
	}
	if len(step.Gap) > 0 {
		in.Say("%s", w.Warn(fmt.Sprintf("! no room to avoid a gap: closes %s until a later step opens it again", strings.Join(step.Gap, ", "))))
	}
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
	text := fmt.Sprintf("Nothing to do: %s up to date.", words.CountAs(d.Summary.Groups, "group is", "groups are"))
	switch {
	case d.Changes:
		more := ""
		if d.TakenOver > 0 {
			more = fmt.Sprintf(", %d to take over", d.TakenOver)
		}
		text = fmt.Sprintf("Plan: %s to add, %d to revoke%s, in %d of %s.",
			words.Count(d.Summary.Added, "rule"), d.Summary.Revoked, more, d.Summary.Changed, words.Count(d.Summary.Groups, "group"))
	case len(d.Errors) > 0:
		return "No step is possible: see the errors."
	}
	switch lists := d.Lists; {
	case lists == engine.Summary{}:
		return text
	case lists.Changed == 0 && len(d.Errors) > 0:
		return text + fmt.Sprintf(" No changes in %s.", words.Count(lists.Groups, "prefix list"))
	case lists.Changed == 0:
		return text + fmt.Sprintf(" %s up to date.", words.CountAs(lists.Groups, "prefix list is", "prefix lists are"))
	default:
		return text + fmt.Sprintf(" Prefix lists: %s to add, %d to remove, in %d of %d.",
			words.Count(lists.Added, "entry"), lists.Revoked, lists.Changed, lists.Groups)
	}
}

// writeLists shows the changes of a target's prefix lists.
func writeLists(w *page.Page, pools []document.ListPool) {
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
			case pool.Held:
				note = w.Warn("held")
			case pool.Error != "":
				note = w.Bad("incomplete, see the errors")
			}
			rows = append(rows, page.Row(l.PrefixListID, l.Name, pool.Family, fmt.Sprintf("%d of %d", l.MaxEntries-l.Free, l.MaxEntries),
				l.Foreign, change(w, l.Added, l.Removed), note))
		}
	}
	w.Section([]string{"prefix list", "name", "family", "entries after", "foreign", "change", ""}, rows)
	if gaps > 0 {
		w.Marked(w.Warn("!"), fmt.Sprintf("no room to avoid a gap: %s closed until a later change opens them again", words.CountAs(gaps, "range is", "ranges are")))
	}
}
