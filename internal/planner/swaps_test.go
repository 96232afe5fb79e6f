package planner

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// genLists draws a pool of lists that is too large to be searched: ranges that AWS splits, joins, withdraws and adds,
// in lists with hardly any room.
func genLists(t *rapid.T) World {
	w := World{Ports: []Ports{{0, 65535}}}
	w.Holders = make([]Holder, rapid.IntRange(1, 4).Draw(t, "lists"))
	for i := range w.Holders {
		w.Holders[i] = Holder{Lists: []bool{true}, Swaps: true}
	}
	block := func(i, part, parts int) netip.Prefix {
		bits := 24
		for n := parts; n > 1; n /= 2 {
			bits++
		}
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 18<<24|uint32(i)<<9|uint32(part*(256/parts)))
		return netip.PrefixFrom(netip.AddrFrom4(a), bits)
	}
	foreign := 0
	parts := rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2, 4, 4, 32})
	for i := range rapid.IntRange(5, 60).Draw(t, "blocks") {
		before, after := parts.Draw(t, "before"), parts.Draw(t, "after")
		for n := range before {
			h := &w.Holders[rapid.IntRange(0, len(w.Holders)-1).Draw(t, "list")]
			r := Rule{Ports: w.Ports[0], Prefix: block(i, n, before), Weight: [2]int{1, 0}, Owned: rapid.IntRange(0, 19).Draw(t, "owned") > 0}
			if !r.Owned {
				foreign++
			}
			h.Rules = append(h.Rules, r)
		}
		for n := range after {
			w.Ranges = append(w.Ranges, block(i, n, after))
		}
	}
	room := len(w.Ranges) + foreign + rapid.IntRange(0, 5).Draw(t, "spare")
	for i := range w.Holders {
		room -= len(w.Holders[i].Rules)
	}
	w.Holders[len(w.Holders)-1].Room[0] = max(room, 0)
	return w
}

// A pool of lists that is large enough never needs a gap: what shrinks in its list comes first, and makes the room that
// the rest needs.
func TestListsNeedNoGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := genLists(t)
		plan := Make(context.Background(), w)
		if len(plan.Unplaced) > 0 {
			t.Fatalf("%d ranges have no place", len(plan.Unplaced))
		}
		if plan.Gaps() > 0 {
			t.Fatalf("%d gaps: %+v", plan.Gaps(), plan.Calls)
		}
		for _, c := range plan.Calls {
			if tooLong(c) {
				t.Fatalf("a call of %d and %d", len(c.Add), len(c.Remove))
			}
		}
	})
}
