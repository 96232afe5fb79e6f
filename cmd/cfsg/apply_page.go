package main

import (
	"fmt"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
)

// writeReport shows the function's report to a person.
func writeReport(t terminal, r *engine.Report, all bool) error {
	w := page.New(t.out, colorful(t.out))
	w.Line()
	w.Line(fmt.Sprintf("Applied, as published %s: %s added, %d revoked, in %d of %s.", r.PublishedAt.Format(time.RFC3339),
		words.Count(r.Summary.Added, "rule"), r.Summary.Revoked, r.Summary.Changed, words.Count(r.Summary.Groups, "group")))
	if lists := r.Lists(); lists.Lists > 0 {
		w.Line(fmt.Sprintf("Prefix lists: %s added, %d removed, in %d of %d.", words.Count(lists.Added, "entry"), lists.Removed, lists.Changed, lists.Lists))
	}
	if len(r.Groups)+len(r.PrefixLists) > mostShown && !all {
		return w.Err() // -o json has them, and --verbose
	}
	var rows [][]string
	for _, g := range r.Groups {
		rows = append(rows, []string{
			place(g.Account, g.Region), g.GroupID, g.Name, ports(w, g.Ports, g.Error),
			fmt.Sprint(g.Added), fmt.Sprint(g.Revoked), fmt.Sprint(g.Kept), fmt.Sprint(g.Foreign),
		})
	}
	if len(rows) > 0 {
		w.Line()
		w.Table([]string{"region", "group", "name", "ports", "added", "revoked", "kept", "foreign"}, rows)
	}
	rows = nil
	for _, l := range r.PrefixLists {
		rows = append(rows, []string{
			place(l.Account, l.Region), l.PrefixListID, l.Name, l.Family,
			fmt.Sprint(l.Added), fmt.Sprint(l.Removed), fmt.Sprint(l.Kept), fmt.Sprint(l.Foreign),
		})
	}
	if len(rows) > 0 {
		w.Line()
		w.Table([]string{"region", "prefix list", "name", "family", "added", "removed", "kept", "foreign"}, rows)
	}
	return w.Err()
}

// place names a region, and the account if it is another one's.
func place(account, region string) string {
	if account == "" {
		return region
	}
	return account + " " + region
}
