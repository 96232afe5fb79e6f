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
	CIDR        string `json:"cidr"`
	Description string `json:"description"`
}

// newListPools returns what becomes of a target's prefix lists.
func newListPools(v engine.Preview) []ListPool {
	pools := []ListPool{}
	for _, pool := range v.Lists {
		h := pool.Holders[0]
		d := ListPool{Name: pool.Name, Family: h.Family.String(), Changes: []listChange{}, Error: Message(pool.Err), Held: isHeld(pool.Err)}
		d.Lists = append(d.Lists, planList{
			PrefixListID: h.ID, Name: h.Name, MaxEntries: h.MaxEntries,
			Added: h.Added, Removed: h.Removed, Kept: h.Kept, Foreign: h.Foreign, Free: h.Free[h.Family], Error: Message(h.Problem),
		})
		for _, step := range pool.Steps {
			d.Changes = append(d.Changes, listChange{PrefixListID: step.HolderID, Add: newListEntries(step.Add), Remove: newListEntries(step.Remove), Gap: words.Strings(step.Gap)})
		}
		pools = append(pools, d)
	}
	return pools
}

func newListEntries(rules []secgroup.Rule) []listEntry {
	documents := []listEntry{}
	for _, r := range rules {
		documents = append(documents, listEntry{r.Source.String(), r.Description})
	}
	return documents
}
