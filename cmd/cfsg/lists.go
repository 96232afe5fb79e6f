package main

import (
	"fmt"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/secgroup"
)

// A listPool is a pool of prefix lists in JSON, in plan and status.
type listPool struct {
	Name    string       `json:"name"`
	Family  string       `json:"family"`
	Lists   []planList   `json:"lists"`
	Changes []listChange `json:"changes"`
	Error   string       `json:"error"`
}

type planList struct {
	PrefixListID string `json:"prefixListId"`
	Name         string `json:"name"`
	MaxEntries   int    `json:"maxEntries"`
	Added        int    `json:"added"`
	Removed      int    `json:"removed"`
	Kept         int    `json:"kept"`
	Foreign      int    `json:"foreign"`
	// Free is how many more entries the list takes after the changes.
	Free  int    `json:"freeAfter"`
	Error string `json:"error"`
}

type listChange struct {
	PrefixListID string      `json:"prefixListId"`
	Add          []listEntry `json:"add"`
	Remove       []listEntry `json:"remove"`
	Gap          []string    `json:"gap"`
}

type listEntry struct {
	CIDR        string `json:"cidr"`
	Description string `json:"description"`
}

// listDocument returns what becomes of a target's prefix lists.
func listDocument(v engine.Preview) []listPool {
	pools := []listPool{}
	for _, pool := range v.Lists {
		d := listPool{Name: pool.Name, Family: pool.Family.String(), Changes: []listChange{}, Error: message(pool.Err)}
		for _, l := range pool.Lists {
			added, removed := listChanges(pool, l.List.ID)
			d.Lists = append(d.Lists, planList{
				PrefixListID: l.List.ID, Name: l.List.Name, MaxEntries: l.List.MaxEntries,
				Added: added, Removed: removed, Kept: l.Kept, Foreign: l.Foreign, Free: l.Free, Error: message(l.Err),
			})
		}
		for _, c := range pool.Changes {
			d.Changes = append(d.Changes, listChange{PrefixListID: c.ListID, Add: entryDocuments(c.Add), Remove: entryDocuments(c.Remove), Gap: prefixNames(c.Gap)})
		}
		pools = append(pools, d)
	}
	return pools
}

func entryDocuments(entries []secgroup.Entry) []listEntry {
	documents := []listEntry{}
	for _, e := range entries {
		documents = append(documents, listEntry{e.Prefix.String(), e.Description})
	}
	return documents
}

// listChanges counts the entries that a plan adds to a list and removes from it.
func listChanges(pool secgroup.ListPool, id string) (added, removed int) {
	for _, c := range pool.Changes {
		if c.ListID == id {
			added += len(c.Added())
			removed += len(c.Removed())
		}
	}
	return added, removed
}

// allChanges yields the changes of prefix lists of all plans.
func (p *proposal) allChanges(yield func(secgroup.Change) bool) {
	for _, v := range p.previews {
		for _, pool := range v.Lists {
			for _, c := range pool.Changes {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// listCount counts the prefix lists of all plans.
func (p *proposal) listCount() int {
	n := 0
	for _, v := range p.previews {
		for _, pool := range v.Lists {
			n += len(pool.Lists)
		}
	}
	return n
}

// listNotes tells what needs a person at the prefix lists.
func (p *proposal) listNotes() []string {
	var notes []string
	for _, v := range p.previews {
		if v.ListWarning != "" {
			notes = append(notes, v.ListWarning)
		}
		for _, pool := range v.Lists {
			notes = append(notes, pool.Warnings...)
		}
	}
	return notes
}

// listSummary says in a sentence what is to be done to prefix lists, or nothing
// where there are none.
func (p *proposal) listSummary() string {
	added, removed := 0, 0
	changed := map[string]bool{}
	for c := range p.allChanges {
		added += len(c.Added())
		removed += len(c.Removed())
		changed[c.ListID] = true
	}
	switch n := p.listCount(); {
	case n == 0:
		return ""
	case len(changed) == 0 && len(p.failures()) > 0:
		return fmt.Sprintf(" Nothing is to be changed in %s.", countOf(n, "prefix list", "prefix lists"))
	case len(changed) == 0:
		return fmt.Sprintf(" %s up to date.", countOf(n, "prefix list is", "prefix lists are"))
	default:
		return fmt.Sprintf(" Prefix lists: %s to add, %d to remove, in %d of %d.", countOf(added, "entry", "entries"), removed, len(changed), n)
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
			added, removed := listChanges(pool, l.List.ID)
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
		w.Line(w.Warn("! "), fmt.Sprintf("no room to avoid a gap: %s closed until a later change opens them again", countOf(gaps, "range is", "ranges are")))
	}
}
