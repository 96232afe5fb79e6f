package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
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

// Run prints the ranges and how many rules they take.
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
	lines := bufio.NewWriter(t.out) // stdout is for the ranges, and nothing else
	for _, p := range prefixes {
		fmt.Fprintln(lines, p)
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	return writeSummary(t, d, r.Publication.Strangers(), next(k)("ranges", "--service", originFacing, "--within", iprange.CloudFront))
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
	return c.print(t, d, func(w *page.Page) {
		var rows [][]string
		for _, s := range d.Services {
			rows = append(rows, page.Row(s.Name, s.IPv4.Published, s.IPv4.Merged, s.IPv4.Size, s.IPv6.Published, s.IPv6.Merged, s.IPv6.Size))
		}
		w.Table([]string{"service", "IPv4", "merged", "addresses", "IPv6", "merged", "/64 networks"}, rows)
	})
}

// writeSummary says on stderr how many rules the ranges take: stdout is for the ranges. The command compact shows those
// of the compact cover.
func writeSummary(t terminal, d *document.Ranges, strangers string, compact []string) error {
	w := page.New(t.err, colorful(t.err))
	w.Line()
	selection := iprange.Selection{Services: d.Services, Within: d.Within}
	w.Line(w.Strong(selection.String()), fmt.Sprintf(" as published %s, sync token %s", d.PublishedAt.Format(time.RFC3339), d.SyncToken))
	w.Line()
	head := []string{"", "published", "merged", "covering", ""}
	if len(d.Within) > 0 {
		head[2], head[4] = "rules a port", "beyond "+strings.Join(d.Services, ", ")
	}
	rows := [][]string{
		page.Row("IPv4", d.IPv4.Published, d.IPv4.Merged, addresses(d.IPv4.Size), ""),
		page.Row("IPv6", d.IPv6.Published, d.IPv6.Merged, networks(d.IPv6.Size), ""),
	}
	if len(d.Within) > 0 {
		rows[0][4], rows[1][4] = addresses(d.IPv4.Beyond), networks(d.IPv6.Beyond)
	}
	w.Table(head, rows)
	w.Line()
	w.Say("For %s: %d IPv4 and %d IPv6 rules, which take %s of %d rules per family.", words.Ports(d.Ports),
		d.IPv4.Rules, d.IPv6.Rules, words.Count(d.Groups, "group"), d.Quota)
	if strangers != "" {
		w.Say("%s%s", w.Warn("! "), strangers)
	}
	if d.Compact != nil {
		ipv4, ipv6 := d.Compact.IPv4*len(d.Ports), d.Compact.IPv6*len(d.Ports)
		w.Line()
		w.Say("The compact cover lets in all servers that connect to origins, and nobody but CloudFront, with %d IPv4 and %d IPv6 rules, which take %s:",
			ipv4, ipv6, words.Count(d.GroupsFor(ipv4, ipv6), "group"))
		w.In(2).Command(shellWords(compact)...)
	}
	return w.Err()
}

func addresses(n uint64) string { return page.Thousands(n) + " addresses" }

func networks(n uint64) string { return page.Thousands(n) + " /64 networks" }
