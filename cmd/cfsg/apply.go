package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/secgroup"
)

type applyCommand struct {
	changeFlags
	Yes bool `short:"y" help:"Do not ask."`
}

// Run shows what a sync would do and, if that is wanted, does it.
func (c *applyCommand) Run(ctx context.Context, t terminal) error {
	if !c.Yes {
		if err := canAsk(t, c.outputFlags, c.rangeFlags, "use --yes; cfsg plan shows what would be done"); err != nil {
			return err
		}
	}
	e, err := c.engine(ctx, t, c.given())
	if err != nil {
		return err
	}
	p, err := propose(ctx, t, e, c.request())
	if err != nil {
		return err
	}
	if !c.json() {
		if err := writePlan(t, p, c.Verbose); err != nil {
			return err
		}
	}
	if p.Count() > 0 && !c.Yes {
		for _, err := range p.Failures() {
			tell(t, err)
		}
		if !ask(t, bufio.NewReader(t.in), "Apply %s?", countOf(p.Count(), "step", "steps")) {
			return errDeclined
		}
	}
	report, err := apply(ctx, t, e, p)
	if c.json() {
		return errors.Join(err, document.Write(t.out, report))
	}
	if p.Count() > 0 {
		err = errors.Join(err, writeReport(t, report, c.Verbose))
	}
	return err
}

// errDeclined says that the answer was no.
var errDeclined = errors.New("not applied: nothing was changed")

// apply takes the steps of the proposal, tells of each on stderr, and returns
// the report of the run.
func apply(ctx context.Context, t terminal, e *engine.Engine, p *engine.Proposal) (*engine.Report, error) {
	req := p.Approved()
	steps, names := p.Count(), groupNames(p)
	var mu sync.Mutex // pools and targets go on side by side
	taken := 0
	req.OnStep = func(_ *engine.Target, step secgroup.Step) {
		mu.Lock()
		defer mu.Unlock()
		taken++
		fmt.Fprintf(t.err, "%d of %d: %sd %s in %s %s\n", taken, steps, step.Op, countOf(len(step.Rules), "rule", "rules"), step.GroupID, names[step.GroupID])
	}
	req.OnChange = func(_ *engine.Target, change secgroup.Change) {
		mu.Lock()
		defer mu.Unlock()
		taken++
		fmt.Fprintf(t.err, "%d of %d: %s added to %s, %d removed\n", taken, steps, countOf(len(change.Add), "entry", "entries"), change.ListID, len(change.Remove))
	}
	report, err := e.Run(ctx, req)
	if ctx.Err() != nil && taken < steps {
		err = errors.Join(err, hint.New(fmt.Sprintf("stopped after %d of %s", taken, countOf(steps, "step", "steps")), "run cfsg apply again for the rest"))
	}
	return report, err
}

// writeReport shows the function's report to a person.
func writeReport(t terminal, r *engine.Report, all bool) error {
	w := page.New(t.out, colorful(t.out))
	w.Line()
	w.Line(fmt.Sprintf("Applied, as published %s: %s added, %d revoked, in %d of %s.", r.PublishedAt.Format(time.RFC3339),
		countOf(r.Summary.Added, "rule", "rules"), r.Summary.Revoked, r.Summary.Changed, countOf(r.Summary.Groups, "group", "groups")))
	if lists := r.Lists(); lists.Lists > 0 {
		w.Line(fmt.Sprintf("Prefix lists: %s added, %d removed, in %d of %d.", countOf(lists.Added, "entry", "entries"), lists.Removed, lists.Changed, lists.Lists))
	}
	if len(r.Groups)+len(r.PrefixLists) > mostShown && !all {
		return w.Err() // -o json has them, and --verbose
	}
	var rows [][]string
	for _, g := range r.Groups {
		rows = append(rows, []string{
			place(g.Account, g.Region), g.GroupID, g.Name, ports(w, g.Ports, g.Error),
			fmt.Sprint(g.Added), fmt.Sprint(g.Revoked), fmt.Sprint(g.Kept), fmt.Sprint(g.Foreign),
		})
	}
	if len(rows) > 0 {
		w.Line()
		w.Table([]string{"region", "group", "name", "ports", "added", "revoked", "kept", "foreign"}, rows)
	}
	rows = nil
	for _, l := range r.PrefixLists {
		rows = append(rows, []string{
			place(l.Account, l.Region), l.PrefixListID, l.Name, l.Family,
			fmt.Sprint(l.Added), fmt.Sprint(l.Removed), fmt.Sprint(l.Kept), fmt.Sprint(l.Foreign),
		})
	}
	if len(rows) > 0 {
		w.Line()
		w.Table([]string{"region", "prefix list", "name", "family", "added", "removed", "kept", "foreign"}, rows)
	}
	return w.Err()
}

// place names a region, and the account if it is another one's.
func place(account, region string) string {
	if account == "" {
		return region
	}
	return account + " " + region
}
