package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
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
	p, err := c.propose(ctx, t, c.given(), c.request())
	if err != nil {
		return err
	}
	plan := document.NewPlan(p.Proposal, p.around, p.settings, c.next(k))
	if plan.Settings.Disagree() != "" && !plan.Settings.Asked() {
		return c.refuse(t, p.Proposal, plan, k)
	}
	if !c.json() {
		if err := writePlan(t, plan, c.Verbose); err != nil {
			return err
		}
	}
	if plan.Changes && !c.Yes {
		for _, err := range p.Failures() {
			printError(t, err)
		}
		if err := ask(ctx, t, bufio.NewReader(t.in), "Apply %s?", words.Count(p.Count(), "step")); err != nil {
			return err
		}
	}
	report, err := p.apply(ctx, t, p.Proposal)
	doc := document.NewApply(report, p.Proposal, p.around, p.settings, err, c.next(k))
	if c.json() {
		return errors.Join(err, document.Write(t.out, doc))
	}
	if plan.Changes {
		err = errors.Join(err, writeReport(t, report, c.Verbose))
	}
	return errors.Join(err, endPage(t, doc.Judgement))
}

// refuse changes nothing, because rules were made with other settings and nobody has named those of this run.
func (c *applyCommand) refuse(t terminal, p *engine.Proposal, plan document.Plan, k *kong.Context) error {
	err := hint.New(fmt.Sprintf("%s (%s): nothing was changed", plan.Settings.Disagree(), plan.Settings.Origin()),
		"name the settings with --service and --within, or with --stack, which takes those of the deployed function")
	report := engine.NewReport(false)
	report.SyncToken, report.PublishedAt = p.Publication.SyncToken, p.Publication.Published
	doc := document.NewApply(report, p, nil, plan.Settings, err, c.next(k))
	doc.Next = c.next(k)("plan", plan.Settings.Flags()...)
	if c.json() {
		return errors.Join(err, document.Write(t.out, doc))
	}
	return errors.Join(err, endPage(t, doc.Judgement))
}

// apply takes the steps of a proposal. If it fails, but somebody else such as the function has meanwhile done all that
// there was to do, that is as good.
func (m *managed) apply(ctx context.Context, t terminal, p *engine.Proposal) (*engine.Report, error) {
	report, err := apply(ctx, t, m.Engine, p)
	if err == nil || ctx.Err() != nil {
		return report, err
	}
	now, lookErr := m.Propose(ctx, p.Request)
	if lookErr != nil || now.Count() > 0 || len(now.Failures()) > 0 {
		return report, err
	}
	fmt.Fprintln(t.err, "cfsg: somebody else, such as the function, did the rest in the meantime")
	return m.Run(ctx, now.Approved())
}

// apply takes the steps of the proposal, tells of each on stderr, and returns the report of the run.
func apply(ctx context.Context, t terminal, e *engine.Engine, p *engine.Proposal) (*engine.Report, error) {
	req := p.Approved()
	steps, names := p.Count(), map[string]string{}
	for _, v := range p.Previews {
		for _, pool := range slices.Concat(v.Pools, v.Lists) {
			for _, h := range pool.Holders {
				names[h.ID] = h.Name
			}
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
	report, err := e.Run(ctx, req)
	if ctx.Err() != nil && taken < steps {
		err = hint.New(fmt.Sprintf("stopped after %d of %s", taken, words.Count(steps, "step")), "run cfsg apply again for the rest")
	}
	return report, err
}

// writeReport shows the function's report to a person.
func writeReport(t terminal, r *engine.Report, all bool) error {
	w := page.New(t.out, colorful(t.out))
	w.Line()
	w.Line(fmt.Sprintf("Applied, as published %s: %s added, %d revoked, in %d of %s.", r.PublishedAt.Format(time.RFC3339),
		words.Count(r.Summary.Added, "rule"), r.Summary.Revoked, r.Summary.Changed, words.Count(r.Summary.Groups, "group")))
	if lists := r.Lists(); lists.Lists > 0 {
		w.Line(fmt.Sprintf("Prefix lists: %s added, %d removed, in %d of %d.", words.Count(lists.Added, "entry"), lists.Removed, lists.Changed, lists.Lists))
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
