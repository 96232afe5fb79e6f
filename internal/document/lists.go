package document

import (
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A ListPool is a pool of prefix lists, in plan and status.
type ListPool struct {
	Name    string       `json:"name"`
	Family  string       `json:"family"`
	Lists   []planList   `json:"lists"`
	Changes []listChange `json:"changes"`
	Error   string       `json:"error"`
	Held    bool         `json:"-"`
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
	CIDR        secgroup.Source `json:"cidr"`
	Description string          `json:"description"`
}

// newListPools returns the changes of a target's prefix lists.
func newListPools(v engine.Preview) []ListPool {
	pools := []ListPool{}
	for _, pool := range v.Lists {
		h := pool.Holders[0]
		d := ListPool{Name: pool.Name, Family: h.Family.String(), Changes: []listChange{}, Error: Message(pool.Err), Held: isHeld(pool.Err)}
		d.Lists = []planList{{h.ID, h.Name, h.MaxEntries, h.Added, h.Removed, h.Kept, h.Foreign, h.Free[h.Family], Message(h.Problem)}}
		for _, s := range pool.Steps {
			d.Changes = append(d.Changes, listChange{s.HolderID, entriesOf(s.Add), entriesOf(s.Remove), words.Strings(s.Gap)})
		}
		pools = append(pools, d)
	}
	return pools
}

func entriesOf(rules []secgroup.Rule) []listEntry {
	entries := []listEntry{}
	for _, r := range rules {
		entries = append(entries, listEntry{r.Source, r.Description})
	}
	return entries
}
