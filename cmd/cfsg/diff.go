package main

import (
	"context"
	"errors"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/hint"
)

type diffCommand struct {
	Old              string   `arg:"" placeholder:"OLD" predictor:"file" help:"The older file."`
	New              string   `arg:"" placeholder:"NEW" predictor:"file" help:"The newer file."`
	Service          []string `placeholder:"NAME" predictor:"service" help:"A service of both files (default CLOUDFRONT)."`
	Within           []string `placeholder:"NAME" predictor:"service" help:"A service whose ranges may be taken in, so that fewer rules are needed."`
	Family           []string `placeholder:"FAMILY" predictor:"family" help:"ipv4 or ipv6 (default both)."`
	Stack            string   `placeholder:"NAME" help:"The stack whose function's settings are used."`
	DetailedExitcode bool     `help:"Exit with 2 where rules differ, 0 where they do not."`
	outputFlags
}

// Run compares two published files.
func (c *diffCommand) Run(ctx context.Context, t terminal) error {
	switch {
	case c.Old == "" || c.New == "":
		return hint.New("one of the two files has no name", "check whether a shell variable is empty")
	case c.Old == "-" && c.New == "-":
		return errors.New("only one of the two files can be stdin")
	}
	before, err := c.load(ctx, t, c.Old)
	if err != nil {
		return err
	}
	after, err := c.load(ctx, t, c.New)
	if err != nil {
		return err
	}
	d := document.NewDiff(before.Publication, after.Publication)
	if c.json() {
		err = document.Write(t.out, d)
	} else {
		err = writeDiff(t, d)
	}
	if err == nil && c.DetailedExitcode && len(d.Rules.Added)+len(d.Rules.Removed) > 0 {
		return errChanges
	}
	return err
}

func (c *diffCommand) load(ctx context.Context, t terminal, src string) (ipRanges, error) {
	_, r, err := rangeFlags{IPRanges: src, Service: c.Service, Within: c.Within, Family: c.Family, Stack: c.Stack}.load(ctx, t)
	return r, err
}
