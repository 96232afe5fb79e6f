package main

import (
	"context"
	"errors"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"

	"github.com/alecthomas/kong"
)

type statusCommand struct {
	accountFlags
	outputFlags
	DetailedExitcode bool `help:"Exit with 2 where something is to be done, 0 where nothing is."`
}

// Run shows how all managed groups are.
func (c *statusCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	m, err := c.managed(ctx, t, c.given())
	if err != nil {
		return err
	}
	p, around, err := m.propose(ctx, t, engine.Request{Look: true})
	if err != nil {
		return err
	}
	doc := document.NewStatus(p, around, m.settings, c.next(k))
	if c.json() {
		err = document.Write(t.out, doc)
	} else {
		err = writeStatus(t, doc, c.placeFlags, time.Now())
	}
	switch failures := doc.Failures(p); {
	case err != nil:
		return err
	case len(failures) > 0:
		return errors.Join(failures...)
	case c.DetailedExitcode && doc.Mark != document.OK:
		return errChanges
	case doc.Mark == document.Failed:
		return errJudged // the page and the document say why
	}
	return nil
}
