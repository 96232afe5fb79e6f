package secgroup

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// fileOf returns a request for a file that is published some hours after the one of listRequest.
func fileOf(hours int, ranges []netip.Prefix) Request {
	req := listRequest(ranges)
	req.Published = req.Published.Add(time.Duration(hours) * time.Hour)
	return req
}

// run syncs, fails unless that is done in so many calls, and closes nothing.
func (w *listWorld) run(t *testing.T, req Request, calls int) []ListPool {
	t.Helper()
	w.wants(req.Ranges)
	w.mutations()
	pools, err := w.sync(t.Context(), t, req)
	if err != nil {
		t.Fatal(err)
	}
	if n := w.mutations(); n != calls {
		t.Errorf("%d calls, want %d: %v", n, calls, pools[0].Changes)
	}
	if len(w.wrong)+len(w.gaps) > 0 {
		t.Error(w.wrong, w.gaps)
	}
	return pools
}

// described counts the entries of a list by their descriptions.
func (w *listWorld) described(id string) map[string]int {
	count := map[string]int{}
	for _, e := range w.lists[id].Entries {
		count[e.Description]++
	}
	return count
}

// A file that only took ranges away leaves its date, in a list without any room to spare too, and the ones before it
// are refused from then on.
func TestListNeverGoesBackAfterAFileThatOnlyRemoved(t *testing.T) {
	for name, size := range map[string]int{"full": 5, "roomy": 60} {
		t.Run(name, func(t *testing.T) {
			w := newListWorld(ec2sim.Options{})
			id := w.create(t, "ranges", "", size)
			w.run(t, fileOf(0, cut("18.64.0.0/24", 5)), 1)
			w.run(t, fileOf(2, cut("18.64.0.0/24", 4)), 2)
			w.run(t, fileOf(2, cut("18.64.0.0/24", 4)), 0)
			pools := w.run(t, fileOf(1, cut("18.64.0.0/24", 5)), 0)
			if _, ok := errors.AsType[*OlderError](pools[0].Err); !ok {
				t.Errorf("an older file: %v", pools[0].Err)
			}
			if got := w.owned(id); !slices.Equal(got, cut("18.64.0.0/24", 4)) || pools[0].Lists[0].Kept != 4 {
				t.Errorf("it holds %v, %d kept", got, pools[0].Lists[0].Kept)
			}
		})
	}
}

// Where the lists with what stays have no place to spare, an entry moves to the one that has lost some.
func TestListIsDatedByAMove(t *testing.T) {
	for _, description := range []string{oldEntry, oldEntry + " held"} {
		w := newListWorld(ec2sim.Options{})
		full := w.create(t, "ranges", "web", 1, entriesFrom(cut("18.64.0.0/24", 1), description)...)
		roomy := w.create(t, "ranges", "web", 1, entriesFrom(cut("18.70.0.0/24", 1), oldEntry)...)
		req := fileOf(1, cut("18.64.0.0/24", 1))
		req.Force = true
		if pools := w.run(t, req, 2); len(pools[0].Warnings) > 0 {
			t.Error(pools[0].Warnings)
		}
		if len(w.owned(full)) != 0 || w.described(roomy)[req.Stamp.String()] != 1 {
			t.Errorf("%q: they have %v and %v", description, w.lists[full].Entries, w.lists[roomy].Entries)
		}
		if pools := w.run(t, fileOf(0, cut("18.64.0.0/24", 1)), 0); pools[0].Err == nil {
			t.Errorf("%q: an older file is taken", description)
		}
	}
}

// After a run with force on an older file, others on that file are welcome.
func TestListGoesBackByForce(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	id := w.create(t, "ranges", "", 100)
	newer := append(cut("18.64.0.0/24", 40), cut("18.70.0.0/24", 2)...)
	w.run(t, fileOf(1, newer), 1)
	older := fileOf(0, cut("18.64.0.0/24", 41))
	older.Force = true
	w.run(t, older, 2)
	older.Force = false
	if pools := w.run(t, older, 0); pools[0].Err != nil {
		t.Error(pools[0].Err)
	}
	if got := w.described(id); got[older.Stamp.String()] != 41 || len(got) != 1 {
		t.Errorf("descriptions %v", got)
	}
}

// What was made while the list was held counts again for the guard once it is let
// go: otherwise a list that was held once is never held again.
func TestListIsHeldAgain(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	id := w.create(t, "ranges", "", 100, entriesFrom(cut("18.64.0.0/24", 10), oldEntry)...)
	second := fileOf(0, cut("18.70.0.0/24", 10))
	if pools := w.run(t, second, 1); pools[0].Err == nil {
		t.Fatal("not held")
	}
	second.Force = true
	w.run(t, second, 2)
	pools := w.run(t, fileOf(1, cut("18.80.0.0/24", 10)), 1)
	held, ok := errors.AsType[*HeldError](pools[0].Err)
	if !ok || held.Owned != 10 || held.Losing != 10 {
		t.Errorf("got %v, %v", pools[0].Err, w.described(id))
	}
}

// Entries that stay from other services are described anew, as many at a time as there is room for; without any room
// they are left, and the run says so.
func TestEntriesAreDescribedAnew(t *testing.T) {
	stamp := testKey + ": OTHER 2026-01-01T00:00:00Z"
	for _, test := range []struct{ size, entries, calls int }{{200, 50, 2}, {130, 60, 3}, {101, 100, 101}, {100, 100, 0}} {
		w := newListWorld(ec2sim.Options{})
		id := w.create(t, "ranges", "", test.size, entriesFrom(cut("18.64.0.0/24", test.entries), stamp)...)
		req := fileOf(0, cut("18.64.0.0/24", test.entries))
		pools := w.run(t, req, test.calls)
		warned := slices.ContainsFunc(pools[0].Warnings, func(w string) bool {
			return strings.Contains(w, id+" has no room to describe 100 IPv4 entries anew, which were made from another file or for other services: enlarge it by one entry")
		})
		if got := w.described(id)[stamp]; got != 0 && !warned || warned != (test.calls == 0) || len(w.owned(id)) != test.entries {
			t.Errorf("size %d: %d of %d are described as before, warnings %v", test.size, got, test.entries, pools[0].Warnings)
		}
		w.run(t, req, 0)
	}
}

// A half of the range may be there already as somebody else's entry; that one stays as it is.
func TestEntryIsDescribedAnewBesideAForeignHalf(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	office := ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix("18.64.0.128/25"), Description: "office"}
	id := w.create(t, "ranges", "", 4, append(entriesFrom(cut("18.64.0.0/24", 2), oldEntry), office)...)
	w.run(t, fileOf(0, cut("18.64.0.0/24", 1)), 2)
	if got := w.lists[id].Entries; len(got) != 2 || !slices.Contains(got, office) || w.described(id)[testStamp.String()] != 1 {
		t.Errorf("it holds %v", got)
	}
}

// A single address has no halves, so that its entry is not described anew where it is. For the date it moves to another
// list of the pool.
func TestSingleAddressMovesForTheDate(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	surplus := w.create(t, "ranges", "a", 2, entriesFrom(prefixes("1.0.0.0/24"), oldEntry)...)
	single := w.create(t, "ranges", "a", 1, entriesFrom(prefixes("2.0.0.1/32"), testKey+": OTHER 2026-01-01T00:00:00Z")...)
	request := fileOf(1, prefixes("2.0.0.1/32"))
	request.Force = true
	w.run(t, request, 2)
	if a, b := w.owned(surplus), w.owned(single); !slices.Equal(a, prefixes("2.0.0.1/32")) || len(b) > 0 {
		t.Errorf("the lists hold %v and %v", a, b)
	}
	w.run(t, request, 0)
}

// Beside a single address that cannot be described anew, another entry carries the date.
func TestListIsDatedBesideASingleAddress(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	entries := entriesFrom(prefixes("1.0.0.0/24", "3.0.0.0/24"), oldEntry)
	entries = append(entries, entriesFrom(prefixes("2.0.0.1/32"), testKey+": OTHER 2026-01-01T00:00:00Z")...)
	w.create(t, "ranges", "", 4, entries...)
	w.run(t, fileOf(1, prefixes("1.0.0.0/24", "2.0.0.1/32")), 2)
	if pools := w.run(t, fileOf(0, prefixes("1.0.0.0/24", "2.0.0.1/32", "3.0.0.0/24")), 0); pools[0].Err == nil {
		t.Error("an older file is taken")
	}
}

// For the date an entry moves to a list that is in use rather than to an empty one, to which nobody may refer yet.
func TestEntryMovesToAListInUse(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	empty := w.create(t, "ranges", "a", 2)
	used := w.create(t, "ranges", "a", 2, entriesFrom(prefixes("1.0.0.0/24", "3.0.0.1/32"), oldEntry)...)
	w.create(t, "ranges", "a", 1, entriesFrom(prefixes("2.0.0.1/32"), oldEntry)...)
	request := fileOf(1, prefixes("2.0.0.1/32", "3.0.0.1/32"))
	request.Force = true
	w.run(t, request, 2)
	if e, u := w.owned(empty), w.owned(used); len(e) > 0 || !slices.Equal(u, prefixes("2.0.0.1/32", "3.0.0.1/32")) {
		t.Errorf("the empty list holds %v, the other %v", e, u)
	}
}
