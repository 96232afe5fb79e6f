package main

import (
	"fmt"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
)

// listSummary says in a sentence what would become of the prefix lists, or nothing if there are none.
func listSummary(p *engine.Proposal) string {
	switch sum := p.Lists(); {
	case sum.Lists == 0:
		return ""
	case sum.Changed == 0 && len(p.Failures()) > 0:
		return fmt.Sprintf(" Nothing is to be changed in %s.", words.Count(sum.Lists, "prefix list"))
	case sum.Changed == 0:
		return fmt.Sprintf(" %s up to date.", words.CountAs(sum.Lists, "prefix list is", "prefix lists are"))
	default:
		return fmt.Sprintf(" Prefix lists: %s to add, %d to remove, in %d of %d.", words.Count(sum.Added, "entry"), sum.Removed, sum.Changed, sum.Lists)
	}
}

// writeLists shows what becomes of a target's prefix lists.
func writeLists(w *page.Page, v engine.Preview) {
	if len(v.Lists) == 0 {
		return
	}
	var rows [][]string
	gaps := 0
	for _, pool := range v.Lists {
		for _, c := range pool.Changes {
			gaps += len(c.Gap)
		}
		for _, l := range pool.Lists {
			added, removed := engine.EntryCounts(pool, l.List.ID)
			note := ""
			switch {
			case l.Err != nil:
				note = w.Bad("failed, see the errors")
			case pool.Err != nil:
				note = w.Bad("incomplete, see the errors")
			}
			rows = append(rows, []string{
				l.List.ID, l.List.Name, l.Settings.Pool, pool.Family.String(),
				fmt.Sprintf("%d of %d", l.List.MaxEntries-l.Free, l.List.MaxEntries), fmt.Sprint(l.Foreign), planPage{Page: w}.change(added, removed), note,
			})
		}
	}
	w.Line()
	w.Indent(2)
	defer w.Indent(0)
	w.Table([]string{"prefix list", "name", "pool", "family", "entries after", "foreign", "change", ""}, rows)
	if gaps > 0 {
		w.Line(w.Warn("! "), fmt.Sprintf("no room to avoid a gap: %s closed until a later change opens them again", words.CountAs(gaps, "range is", "ranges are")))
	}
}
