package main

import (
	"context"
	"fmt"
	"log/slog"

	"cloudfront-sg-sync/internal/demo"
)

type demoCommand struct {
	IPRanges string `name:"ip-ranges" placeholder:"SRC" predictor:"file" help:"The ip-ranges.json to use."`
	Verbose  bool   `short:"v" help:"Show the function's log."`
}

// Run shows the demo.
func (c *demoCommand) Run(ctx context.Context, t terminal) error {
	options := demo.Options{Out: t.out, Color: colorful(t.out)}
	if c.IPRanges != "" {
		document, err := readIPRanges(ctx, c.IPRanges, t.in)
		if err != nil {
			return fmt.Errorf("read the ranges: %w", err)
		}
		options.Document = document
	}
	if c.Verbose {
		options.Log = slog.New(slog.NewTextHandler(t.err, nil))
	}
	return demo.Run(ctx, options)
}
