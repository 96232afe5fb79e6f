package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"

	"github.com/alecthomas/kong"
)

type statusCommand struct {
	accountFlags
	outputFlags
	DetailedExitcode bool `help:"Exit with 2 unless the mark is ✓."`
}

// Run shows the state of all managed groups.
func (c *statusCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	p, err := c.propose(ctx, t, k, c.given(), engine.Request{Look: true})
	if err != nil {
		return err
	}
	doc := document.NewStatus(p)
	switch err := c.print(t, doc, func(w *page.Page) { writeStatus(w, doc, c.placeFlags, time.Now()) }); {
	case err != nil:
		return err
	case doc.Err != nil:
		return doc.Err
	case c.DetailedExitcode && doc.Mark != document.OK:
		return errChanges
	case doc.Mark == document.Failed:
		return c.failed(doc.Judgement)
	}
	return nil
}

// writeStatus shows pools and groups at a glance.
func writeStatus(w *page.Page, d document.Status, f placeFlags, now time.Time) {
	headline(w, d.State)
	for _, target := range d.Targets {
		if target.Error != "" {
			continue // shown at the end, with the other failures
		}
		targetHeadline(w, target.Account, target.Region, target.RulesPerGroup)
		for _, pool := range target.Pools {
			writeStatusPool(w.In(2), pool, len(d.Settings.Others) == 0, now)
		}
		if len(target.Pools)+len(target.PrefixLists) == 0 {
			w.Line("  nothing is tagged here")
		}
		writeAlarms(w.In(2), target, f)
		writeLists(w.In(2), target.PrefixLists)
	}
}

// longestName is how much is shown of the name of a group, so that the table fits 80 columns.
const longestName = 16

// writeStatusPool shows a pool's judgement, and its groups. It counts rules that are missing or left over only if they
// were made with the settings of this run.
func writeStatusPool(w *page.Page, pool document.StatusPool, counted bool, now time.Time) {
	var rows [][]string
	var newest time.Time
	for _, g := range pool.Groups {
		if g.AppliedPublication != nil && g.AppliedPublication.After(newest) {
			newest = *g.AppliedPublication
		}
		missing, leftOver := "", ""
		if counted && g.Missing > 0 {
			missing = w.Bad(fmt.Sprint(g.Missing))
		}
		if counted && g.LeftOver > 0 {
			leftOver = w.Warn(fmt.Sprint(g.LeftOver))
		}
		rows = append(rows, page.Row(g.GroupID, words.Shorten(g.Name, longestName), ports(w, g.Ports, g.Error), g.Rules,
			fmt.Sprintf("%d/%d", g.Free.IPv4, g.Free.IPv6), missing, leftOver))
	}
	w.Line()
	w.Marked(markOf(w, pool.Mark), fmt.Sprintf("%s: %s", w.Strong(pool.Name), pool.Cause))
	w = w.In(2)
	if newest.IsZero() {
		w.Line(w.Quiet("never synced"))
	} else {
		w.Line(w.Quiet(fmt.Sprintf("ranges of %s (%s)", newest.Format(time.DateOnly), age(now.Sub(newest)))))
	}
	w.Table([]string{"group", "name", "ports", "rules", "free v4/v6", "missing", "left over"}, rows)
}

func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Hour:
		return "now"
	case d < day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return words.CountAs(int(d/day), "day", "days")
}

// writeAlarms shows the problems around the groups of an account and region.
func writeAlarms(w *page.Page, d document.StatusTarget, f placeFlags) {
	alarm := func(name, text string) {
		w.Line()
		w.Say("%s: %s", w.Bad(w.Strong(name)), text)
	}
	for _, text := range d.Held {
		alarm("HELD", text)
	}
	for _, partial := range d.PartialPools {
		alarm("PARTLY ATTACHED", partial.String())
	}
	for _, x := range d.Exposures {
		alarm("OPEN TO THE WORLD", fmt.Sprintf("%s lets %s in on %s%s", x.GroupID, x.Source, words.Ports(x.Ports), quoted(x.Description)))
		writeExposure(w, x, d, f)
	}
	for _, tag := range d.StrayTags {
		alarm("STRAY TAG", tag.String())
	}
	for _, note := range d.Notes {
		w.Line()
		w.Line(w.Warn("! "), note)
	}
}

// writeExposure says what to do about a rule that is open to the world. It shows a command to revoke the rule only if
// that shuts out nobody who is wanted.
func writeExposure(w *page.Page, x document.StatusExposure, d document.StatusTarget, f placeFlags) {
	const why = "Anyone who finds the origin can bypass CloudFront and its WAF."
	beside, account := "", ""
	if !x.Managed {
		along := "along with managed groups"
		if len(d.Pools) == 0 {
			along = "where a managed prefix list lets CloudFront in"
		}
		beside = fmt.Sprintf(" The group is not tagged, but it is attached to %s %s.", words.Few(x.Interfaces), along)
	}
	if d.Account != "" {
		account = ", with credentials of account " + d.Account
	}
	switch {
	case x.Owned:
		w.Say("%s cfsg apply revokes the rule.", why)
	case !x.Revocable:
		w.Say("%s%s The rule is not this tool's. %s", why, beside, x.Advice)
	default:
		if slices.Contains(x.Ports, "80") || slices.Contains(x.Ports, "443") {
			beside += " " + acme
		}
		w.Say("%s%s The rule is not this tool's, and CloudFront gets in without it; revoke it%s:", why, beside, account)
		w.In(2).Command(shellWords(f.ruleCommand("revoke", d.Region, x.GroupID, x.RuleID, ""))...)
	}
}

func quoted(description string) string {
	if description == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", description)
}
