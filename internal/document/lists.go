package document

import (
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// A ListPool is a pool of prefix lists, in plan and status.
type ListPool struct {
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

// newListPools returns what becomes of a target's prefix lists.
func newListPools(v engine.Preview) []ListPool {
	pools := []ListPool{}
	for _, pool := range v.Lists {
		d := ListPool{Name: pool.Name, Family: pool.Family.String(), Changes: []listChange{}, Error: Message(pool.Err)}
		for _, l := range pool.Lists {
			added, removed := engine.EntryCounts(pool, l.List.ID)
			d.Lists = append(d.Lists, planList{
				PrefixListID: l.List.ID, Name: l.List.Name, MaxEntries: l.List.MaxEntries,
				Added: added, Removed: removed, Kept: l.Kept, Foreign: l.Foreign, Free: l.Free, Error: Message(l.Err),
			})
		}
		for _, c := range pool.Changes {
			d.Changes = append(d.Changes, listChange{PrefixListID: c.ListID, Add: newListEntries(c.Add), Remove: newListEntries(c.Remove), Gap: PrefixNames(c.Gap)})
		}
		pools = append(pools, d)
	}
	return pools
}

func newListEntries(entries []secgroup.Entry) []listEntry {
	documents := []listEntry{}
	for _, e := range entries {
		documents = append(documents, listEntry{e.Prefix.String(), e.Description})
	}
	return documents
}
