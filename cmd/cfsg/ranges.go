package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"

	"github.com/alecthomas/kong"
)

type rangesCommand struct {
	What string `arg:"" optional:"" enum:"list," default:"" help:"list: name all services."`
	rangeFlags
	outputFlags
	Raw           bool     `help:"The ranges as published, not merged."`
	Port          []string `placeholder:"PORTS" help:"The ports to count for (default 443)."`
	RulesPerGroup quota    `placeholder:"N" help:"The quota to count with (default 60)."`
}

// Run prints the ranges, and what they take.
func (c *rangesCommand) Run(ctx context.Context, t terminal, k *kong.Context) error {
	if c.What == "list" {
		return c.list(ctx, t)
	}
	ports, err := parsePorts(c.Port)
	if err != nil {
		return err
	}
	if ports == nil {
		ports = https
	}
	config, r, err := c.load(ctx, t)
	if err != nil {
		return err
	}
	prefixes := r.Merged()
	if c.Raw {
		prefixes = document.Published(r.Publication)
	}
	d := document.NewRanges(r.Publication, config.Selection, prefixes, ports, cmp.Or(int(c.RulesPerGroup), engine.DefaultRulesPerGroup))
	if c.json() {
		return document.Write(t.out, d)
	}
	if err := writeLines(t, prefixes); err != nil {
		return err
	}
	return writeSummary(t, d, engine.Strangers(r.Publication), next(k, "ranges", "--service", iprange.CloudFrontOriginFacing, "--within", iprange.CloudFront))
}

// list prints all services.
func (c *rangesCommand) list(ctx context.Context, t terminal) error {
	if c.Raw || c.RulesPerGroup > 0 || len(c.Service)+len(c.Within)+len(c.Family)+len(c.Port) > 0 {
		return errors.New("list takes only --ip-ranges and --output: it lists all services, with both families")
	}
	_, r, err := c.load(ctx, t)
	if _, missing := errors.AsType[*iprange.MissingServiceError](err); err != nil && !missing {
		return err
	}
	services, err := iprange.Services(bytes.NewReader(r.document))
	if err != nil {
		return fmt.Errorf("read the ranges: %w", err)
	}
	d := document.NewServices(services)
	if c.json() {
		return document.Write(t.out, d)
	}
	return writeServices(t, d)
}
