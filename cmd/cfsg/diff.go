package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
)

type diffCommand struct {
	Old string `arg:"" placeholder:"OLD" predictor:"file" help:"The older file."`
	New string `arg:"" placeholder:"NEW" predictor:"file" help:"The newer file."`
	selectionFlags
	DetailedExitcode bool `help:"Exit with 2 if rules differ, 0 if not."`
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
	err = c.print(t, d, func(w *page.Page) { writeDiff(w, d) })
	if err == nil && c.DetailedExitcode && len(d.Rules.Added)+len(d.Rules.Removed) > 0 {
		return errChanges
	}
	return err
}

func (c *diffCommand) load(ctx context.Context, t terminal, src string) (ipRanges, error) {
	_, r, err := rangeFlags{src, c.selectionFlags}.load(ctx, t)
	return r, err
}

// writeDiff shows what differs.
func writeDiff(w *page.Page, d document.Diff) {
	w.Table([]string{"", "published", "sync token", "ranges", "merged"}, [][]string{
		page.Row("old", d.Old.PublishedAt, d.Old.SyncToken, d.Old.Published, d.Old.Rules),
		page.Row("new", d.New.PublishedAt, d.New.SyncToken, d.New.Published, d.New.Rules),
	})
	if d.New.PublishedAt.Before(d.Old.PublishedAt) {
		w.Line(w.Warn("! "), "the new file is older than the old one")
	}
	w.Line()
	w.Line(w.Strong("Published"), "  ", counts(d.Published))
	w.Line(w.Strong("Rules"), "      ", verdictOnRules(d))
	writeChange(w, "+", d.Rules.Added)
	writeChange(w, "-", d.Rules.Removed)
	w.Line(w.Strong("Addresses"), "  ", verdictOnAddresses(d))
	// Most often the rules have said it.
	if !slices.Equal(d.Rules.Added, d.Addresses.Opened.Ranges) {
		writeChange(w, "+", d.Addresses.Opened.Ranges)
	}
	if !slices.Equal(d.Rules.Removed, d.Addresses.Closed.Ranges) {
		writeChange(w, "-", d.Addresses.Closed.Ranges)
	}
}

// writeChange lists ranges behind a sign.
func writeChange(w *page.Page, sign string, prefixes []netip.Prefix) {
	if len(prefixes) > 0 {
		w.In(2).Change(sign, words.Strings(prefixes)...)
	}
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
	switch {
	case s.IPv4 > 0 && s.IPv6 > 0:
		return addresses(s.IPv4) + " and " + networks(s.IPv6)
	case s.IPv4 > 0:
		return addresses(s.IPv4)
	case s.IPv6 > 0:
		return networks(s.IPv6)
	}
	return "none"
}
