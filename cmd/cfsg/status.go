package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/status"
)

type statusCommand struct {
	accountFlags
	outputFlags
	DetailedExitcode bool `help:"Exit with 2 where something is to be done, 0 where nothing is."`
}

// Run shows how all managed groups are.
func (c *statusCommand) Run(ctx context.Context, t terminal) error {
	e, err := c.engine(ctx, t, c.given())
	if err != nil {
		return err
	}
	// Forced, as what is left over is left over, whether a sync would hold it back or not.
	p, err := propose(ctx, t, e, engine.Request{Force: true})
	if err != nil {
		return err
	}
	done := t.progress("looking at what stands around the security groups …")
	doc := document.NewStatus(p, status.Look(ctx, p))
	done()
	if c.json() {
		err = document.Write(t.out, doc)
	} else {
		err = writeStatus(t, p, doc, c.placeFlags, time.Now())
	}
	if err != nil {
		return err
	}
	if errs := p.Failures(); len(errs) > 0 {
		return errors.Join(errs...)
	}
	if c.DetailedExitcode && callsForAction(p, doc) {
		return errChanges
	}
	return nil
}

// callsForAction reports whether there is something to do, for a sync or for a person.
func callsForAction(p *engine.Proposal, d document.Status) bool {
	return p.Count() > 0 || len(d.Warnings) > 0 || slices.ContainsFunc(d.Targets, func(target document.StatusTarget) bool {
		return len(target.Exposures)+len(target.StrayTags)+len(target.PartialPools) > 0
	})
}
