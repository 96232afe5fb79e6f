package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
)

type diffCommand struct {
	Old              string   `arg:"" placeholder:"OLD" predictor:"file" help:"The older file."`
	New              string   `arg:"" placeholder:"NEW" predictor:"file" help:"The newer file."`
	Service          []string `placeholder:"NAME" predictor:"service" help:"A service of both files (default CLOUDFRONT)."`
	Within           []string `placeholder:"NAME" predictor:"service" help:"A service whose ranges may be taken in, so that fewer rules are needed."`
	Family           []string `placeholder:"FAMILY" predictor:"family" help:"ipv4 or ipv6 (default both)."`
	Stack            string   `placeholder:"NAME" help:"The stack whose function's settings are used."`
	DetailedExitcode bool     `help:"Exit with 2 if rules differ, 0 if not."`
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

// writeDiff shows what differs.
func writeDiff(t terminal, d document.Diff) error {
	w := page.New(t.out, colorful(t.out))
	w.Table([]string{"", "published", "sync token", "ranges", "merged"}, [][]string{
		{"old", d.Old.PublishedAt.Format(time.RFC3339), d.Old.SyncToken, fmt.Sprint(d.Old.Published), fmt.Sprint(d.Old.Rules)},
		{"new", d.New.PublishedAt.Format(time.RFC3339), d.New.SyncToken, fmt.Sprint(d.New.Published), fmt.Sprint(d.New.Rules)},
	})
	if d.New.PublishedAt.Before(d.Old.PublishedAt) {
		w.Line(w.Warn("! "), "the new file is older than the old one")
	}
	w.Line()
	w.Line(w.Strong("Published"), "  ", counts(d.Published))
	w.Line(w.Strong("Rules"), "      ", verdictOnRules(d))
	writeChange(w, "+ ", d.Rules.Added, w.Good)
	writeChange(w, "- ", d.Rules.Removed, w.Bad)
	w.Line(w.Strong("Addresses"), "  ", verdictOnAddresses(d))
	// Most often the rules have said it.
	if !slices.Equal(d.Rules.Added, d.Addresses.Opened.Ranges) {
		writeChange(w, "+ ", d.Addresses.Opened.Ranges, w.Good)
	}
	if !slices.Equal(d.Rules.Removed, d.Addresses.Closed.Ranges) {
		writeChange(w, "- ", d.Addresses.Closed.Ranges, w.Bad)
	}
	return w.Err()
}

// counts says how many ranges there are on each side only.
func counts(l document.DiffLists) string {
	if len(l.Added)+len(l.Removed) == 0 {
		return "the same"
	}
	return fmt.Sprintf("%d added, %d removed", len(l.Added), len(l.Removed))
}

func verdictOnRules(d document.Diff) string {
	if len(d.Published.Added)+len(d.Published.Removed) > 0 && len(d.Rules.Added)+len(d.Rules.Removed) == 0 {
		return "the same: AWS only redrew its blocks; merged, they are unchanged"
	}
	return counts(d.Rules)
}

func verdictOnAddresses(d document.Diff) string {
	opened, closed := d.Addresses.Opened, d.Addresses.Closed
	if len(opened.Ranges)+len(closed.Ranges) == 0 {
		return "the same"
	}
	return fmt.Sprintf("%s new, %s gone", size(opened), size(closed))
}

// size says how much address space it is.
func size(s document.DiffSpace) string {
	var parts []string
	if s.IPv4 > 0 {
		parts = append(parts, addresses(s.IPv4))
	}
	if s.IPv6 > 0 {
		parts = append(parts, networks(s.IPv6))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " and ")
}

// writeChange lists ranges behind a sign.
func writeChange(w *page.Page, sign string, prefixes []netip.Prefix, style func(string) string) {
	if len(prefixes) == 0 {
		return
	}
	var words []string
	for _, p := range prefixes {
		words = append(words, p.String())
	}
	w.Indent(2)
	for _, line := range page.Wrap(words, "  ", w.Width()-4) {
		w.Line(style(sign + line))
		sign = "  "
	}
	w.Indent(0)
}
