package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
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
		if !ask(t, bufio.NewReader(t.in), "Apply %s?", words.Count(p.Count(), "step")) {
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

// apply takes the steps of the proposal, tells of each on stderr, and returns the report of the run.
func apply(ctx context.Context, t terminal, e *engine.Engine, p *engine.Proposal) (*engine.Report, error) {
	req := p.Approved()
	steps, names := p.Count(), groupNames(p)
	var mu sync.Mutex // pools and targets are applied side by side
	taken := 0
	req.OnStep = func(_ *engine.Target, step secgroup.Step) {
		mu.Lock()
		defer mu.Unlock()
		taken++
		fmt.Fprintf(t.err, "%d of %d: %sd %s in %s %s\n", taken, steps, step.Op, words.Count(len(step.Rules), "rule"), step.GroupID, names[step.GroupID])
	}
	req.OnChange = func(_ *engine.Target, change secgroup.Change) {
		mu.Lock()
		defer mu.Unlock()
		taken++
		fmt.Fprintf(t.err, "%d of %d: %s added to %s, %d removed\n", taken, steps, words.Count(len(change.Add), "entry"), change.ListID, len(change.Remove))
	}
	report, err := e.Run(ctx, req)
	if ctx.Err() != nil && taken < steps {
		err = errors.Join(err, hint.New(fmt.Sprintf("stopped after %d of %s", taken, words.Count(steps, "step")), "run cfsg apply again for the rest"))
	}
	return report, err
}
