package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/alecthomas/kong"
)

type applyCommand struct {
	changeFlags
	Yes bool `short:"y" help:"Do not ask."`
}

// Run shows the plan of a sync, asks, and applies it.
func (c *applyCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	if !c.Yes {
		if err := canAsk(t, c.outputFlags, c.rangeFlags, "use --yes; cfsg plan shows what would be done"); err != nil {
			return err
		}
	}
	p, err := c.propose(ctx, t, k, c.given(), c.request())
	if err != nil {
		return err
	}
	plan := document.NewPlan(p)
	if err := p.Settings.Refuse(); err != nil {
		report := engine.NewReport(false)
		report.SyncToken, report.PublishedAt = plan.SyncToken, plan.PublishedAt
		doc := document.NewApply(report, p, err)
		doc.Next = p.Next("plan", p.Settings.Flags()...)
		return errors.Join(err, c.print(t, doc, func(*page.Page) {}))
	}
	if !c.json() {
		w := page.New(t.out, colorful(t.out))
		if writePlan(w, plan, c.Verbose); w.Err() != nil {
			return w.Err()
		}
	}
	if plan.Changes && !c.Yes {
		for _, err := range p.Failures {
			printError(t, err)
		}
		if err := ask(ctx, t, bufio.NewReader(t.in), "Apply %s?", words.Count(len(p.Steps()), "step")); err != nil {
			return err
		}
	}
	report, err := takeSteps(ctx, t, p)
	if report.Changed {
		lookAgain(ctx, p)
	}
	doc := document.NewApply(report, p, err)
	if err == nil && doc.Mark == document.Failed {
		err = c.failed(doc.Judgement)
	}
	return errors.Join(err, c.print(t, doc, func(w *page.Page) {
		if plan.Changes {
			writeReport(w, report, c.Verbose)
		}
	}))
}

// lookAgain sees the surroundings as they are after a run.
func lookAgain(ctx context.Context, p *document.Proposal) {
	now, err := p.Propose(ctx, p.Request)
	if err == nil {
		p.Around = surroundings(ctx, now, p.Question)
		return
	}
	for i := range p.Around {
		p.Around[i] = document.Surroundings{Err: err}
	}
}

// takeSteps takes the steps of a proposal, names each on stderr, and returns the report of the run.
func takeSteps(ctx context.Context, t terminal, p *document.Proposal) (*engine.Report, error) {
	req := p.Approved()
	steps, names := len(p.Steps()), map[string]string{}
	for _, v := range p.Previews {
		for _, h := range v.Holders {
			names[h.ID] = h.Name
		}
	}
	var mu sync.Mutex // pools and targets are applied side by side
	taken := 0
	req.OnStep = func(_ *engine.Target, step secgroup.Step) {
		mu.Lock()
		defer mu.Unlock()
		taken++
		fmt.Fprintf(t.err, "%d of %d: %s %s\n", taken, steps, step.Done(), names[step.HolderID])
	}
	report, err := p.Run(ctx, req)
	switch {
	case taken >= steps:
	case ctx.Err() != nil:
		err = hint.New(fmt.Sprintf("stopped after %d of %s", taken, words.Count(steps, "step")), "run cfsg apply again for the rest")
	case err == nil:
		fmt.Fprintln(t.err, "cfsg: somebody else, such as the function, did the rest in the meantime")
	}
	return report, err
}

// writeReport shows the function's report to a person.
func writeReport(w *page.Page, r *engine.Report, all bool) {
	w.Line()
	w.Line(fmt.Sprintf("Applied, as published %s: %s added, %d revoked, in %d of %s.", r.PublishedAt.Format(time.RFC3339),
		words.Count(r.Summary.Added, "rule"), r.Summary.Revoked, r.Summary.Changed, words.Count(r.Summary.Groups, "group")))
	if lists := r.Lists(); lists.Groups > 0 {
		w.Line(fmt.Sprintf("Prefix lists: %s added, %d removed, in %d of %d.", words.Count(lists.Added, "entry"), lists.Revoked, lists.Changed, lists.Groups))
	}
	if len(r.Groups)+len(r.PrefixLists) > mostShown && !all {
		return // -o json has them, and --verbose
	}
	var groups, lists [][]string
	for _, g := range r.Groups {
		groups = append(groups, page.Row(place(g.Account, g.Region), g.GroupID, g.Name, ports(w, g.Ports, g.Error), g.Added, g.Revoked, g.Kept, g.Foreign))
	}
	for _, l := range r.PrefixLists {
		lists = append(lists, page.Row(place(l.Account, l.Region), l.PrefixListID, l.Name, l.Family, l.Added, l.Removed, l.Kept, l.Foreign))
	}
	w.Section([]string{"region", "group", "name", "ports", "added", "revoked", "kept", "foreign"}, groups)
	w.Section([]string{"region", "prefix list", "name", "family", "added", "removed", "kept", "foreign"}, lists)
}

// place names a region, and the account if it is another one's.
func place(account, region string) string { return strings.TrimSpace(account + " " + region) }
