package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"cloudfront-sg-sync/internal/demo"

	"golang.org/x/term"
)

type demoCommand struct {
	IPRanges string `name:"ip-ranges" placeholder:"SRC" help:"The ip-ranges.json to use."`
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

// colorful reports whether what is written there may have colours: on a
// terminal, unless its user does not want any. See https://no-color.org
func colorful(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
