package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
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
	var files []*iprange.Publication
	for _, src := range []string{c.Old, c.New} {
		_, r, err := rangeFlags{src, c.selectionFlags}.load(ctx, t)
		if err != nil {
			return err
		}
		files = append(files, r.Publication)
	}
	d := document.NewDiff(files[0], files[1])
	err := c.print(t, d, func(w *page.Page) { writeDiff(w, d) })
	if err == nil && c.DetailedExitcode && len(d.Rules.Added)+len(d.Rules.Removed) > 0 {
		return errChanges
	}
	return err
}

// writeDiff shows the differences.
func writeDiff(w *page.Page, d document.Diff) {
	w.Table([]string{"", "published", "sync token", "ranges", "merged"}, [][]string{
		page.Row("old", d.Old.PublishedAt, d.Old.SyncToken, d.Old.Published, d.Old.Rules),
		page.Row("new", d.New.PublishedAt, d.New.SyncToken, d.New.Published, d.New.Rules),
	})
	if d.New.PublishedAt.Before(d.Old.PublishedAt) {
		w.Line(w.Warn("! "), "the new file is older than the old one")
	}
	const same = "the same"
	counts := func(l document.DiffLists) string {
		if len(l.Added)+len(l.Removed) == 0 {
			return same
		}
		return fmt.Sprintf("%d added, %d removed", len(l.Added), len(l.Removed))
	}
	change := func(sign string, prefixes []netip.Prefix) {
		if len(prefixes) > 0 {
			w.In(2).Change(sign, words.Strings(prefixes)...)
		}
	}
	published, rules, addresses := counts(d.Published), counts(d.Rules), same
	if rules == same && published != same {
		rules += ": AWS only redrew its blocks; merged, they are unchanged"
	}
	opened, closed := d.Addresses.Opened, d.Addresses.Closed
	if len(opened.Ranges)+len(closed.Ranges) > 0 {
		addresses = fmt.Sprintf("%s new, %s gone", size(opened), size(closed))
	}
	w.Line()
	w.Line(w.Strong("Published"), "  ", published)
	w.Line(w.Strong("Rules"), "      ", rules)
	change("+", d.Rules.Added)
	change("-", d.Rules.Removed)
	w.Line(w.Strong("Addresses"), "  ", addresses)
	// Most often the rules have said it.
	if !slices.Equal(d.Rules.Added, opened.Ranges) {
		change("+", opened.Ranges)
	}
	if !slices.Equal(d.Rules.Removed, closed.Ranges) {
		change("-", closed.Ranges)
	}
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
	return cmp.Or(strings.Join(parts, " and "), "none")
}
