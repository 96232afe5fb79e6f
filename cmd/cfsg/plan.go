package main

import (
	"context"
	"errors"

	"cloudfront-sg-sync/internal/document"
)

type planCommand struct {
	changeFlags
	DetailedExitcode bool `help:"Exit with 2 where there are changes, 0 where there is nothing to do."`
}

// errChanges is no failure: it is how --detailed-exitcode tells of changes.
var errChanges = errors.New("there are changes")

// Run shows what a sync would do.
func (c *planCommand) Run(ctx context.Context, t terminal) error {
	e, err := c.engine(ctx, t, c.given())
	if err != nil {
		return err
	}
	p, err := propose(ctx, t, e, c.request())
	if err != nil {
		return err
	}
	if c.json() {
		err = document.Write(t.out, document.NewPlan(p))
	} else {
		err = writePlan(t, p, c.Verbose)
	}
	if err != nil {
		return err
	}
	if errs := p.Failures(); len(errs) > 0 {
		return errors.Join(errs...)
	}
	if c.DetailedExitcode && p.Count() > 0 {
		return errChanges
	}
	return nil
}
