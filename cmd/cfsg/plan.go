package main

import (
	"context"
	"errors"

	"cloudfront-sg-sync/internal/document"

	"github.com/alecthomas/kong"
)

type planCommand struct {
	changeFlags
	DetailedExitcode bool `help:"Exit with 2 where there are changes, 0 where there is nothing to do."`
}

// errChanges is no failure: it is how --detailed-exitcode tells of changes.
var errChanges = errors.New("there are changes")

// Run shows what a sync would do.
func (c *planCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	m, err := c.managed(ctx, t, c.given())
	if err != nil {
		return err
	}
	p, around, err := m.propose(ctx, t, c.request())
	if err != nil {
		return err
	}
	doc := document.NewPlan(p, around, m.settings, c.next(k))
	if c.json() {
		err = document.Write(t.out, doc)
	} else {
		err = errors.Join(writePlan(t, doc, c.Verbose), endPage(t, doc.Judgement))
	}
	if err != nil {
		return err
	}
	if errs := doc.Failures(p); len(errs) > 0 {
		return errors.Join(errs...)
	}
	if c.DetailedExitcode && (doc.Changes || len(doc.Settings.Others) > 0) {
		return errChanges
	}
	return nil
}
