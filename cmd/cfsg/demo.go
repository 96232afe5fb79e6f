package main

import (
	"context"
	"log/slog"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/demo"
	"cloudfront-sg-sync/iprange"
)

type demoCommand struct {
	IPRanges string `name:"ip-ranges" placeholder:"SRC" predictor:"file" help:"The ip-ranges.json to use."`
	Verbose  bool   `short:"v" help:"Show the function's log."`
}

// demoConfig selects the ranges of the demo.
var demoConfig = config.Config{Selection: iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}}

// Run shows the demo.
func (c *demoCommand) Run(ctx context.Context, t terminal) error {
	options := demo.Options{Out: t.out, Color: colorful(t.out)}
	if c.IPRanges != "" {
		ranges, err := rangeFlags{IPRanges: c.IPRanges}.read(ctx, t, demoConfig)
		if err != nil {
			return err
		}
		options.Document = ranges.document
	}
	if c.Verbose {
		options.Log = slog.New(slog.NewTextHandler(t.err, nil))
	}
	return demo.Run(ctx, options)
}
