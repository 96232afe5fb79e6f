package secgroup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"pgregory.net/rapid"
)

// listWorld is the embedded endpoint with prefix lists, reached by the real SDK. It keeps what is wrong of what it sees
// between any two calls.
type listWorld struct {
	sim   *ec2sim.Server
	here  ec2sim.Region
	api   *ec2.Client
	lists map[string]ec2sim.PrefixList
	want  map[netip.Addr]bool
	gaps  []netip.Prefix // announced
	wrong []string
}

func newListWorld(o ec2sim.Options) *listWorld {
	w := &listWorld{lists: map[string]ec2sim.PrefixList{}, want: map[netip.Addr]bool{}}
	w.sim, w.here, w.api = newSim(o)
	w.sim.Observe(w.observe)
	return w
}

// open returns, by list, the addresses that the tagged lists open.
func (w *listWorld) open() map[string]map[netip.Addr]bool {
	open := map[string]map[netip.Addr]bool{}
	for _, l := range w.lists {
		open[l.ID] = map[netip.Addr]bool{}
		for _, e := range l.Entries {
			for a := e.Prefix.Addr(); e.Prefix.Contains(a); a = a.Next() {
				open[l.ID][a] = true
			}
		}
	}
	return open
}

// observe checks a change: nothing wanted is closed that was open, except in announced gaps, and no entry is
// gone that is not this tool's.
func (w *listWorld) observe(c ec2sim.Change) {
	before := w.open()
	for _, l := range c.PrefixLists {
		for _, e := range w.lists[l.ID].Entries {
			if !stamped(testKey, e.Description) && !slices.Contains(l.Entries, e) {
				w.wrong = append(w.wrong, fmt.Sprintf("%s loses %v, which is not this tool's", l.ID, e))
			}
		}
		if len(l.Entries) > l.MaxEntries {
			w.wrong = append(w.wrong, l.ID+" is overfull")
		}
		w.lists[l.ID] = l
	}
	after := w.open()
	for id, open := range before {
		if w.lists[id].Tags[testKey] != "ranges" {
			continue // nothing is wanted of it
		}
		for a := range open {
			if w.want[a] && !after[id][a] && !slices.ContainsFunc(w.gaps, func(p netip.Prefix) bool { return p.Contains(a) }) {
				w.wrong = append(w.wrong, fmt.Sprintf("%s: %s is closed", id, a))
			}
		}
	}
}

// wants sets what is wanted from now on.
func (w *listWorld) wants(ranges []netip.Prefix) {
	w.want = map[netip.Addr]bool{}
	for _, p := range ranges {
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			w.want[a] = true
		}
	}
}

func (w *listWorld) create(t fataler, value string, size int, entries ...ec2sim.PrefixListEntry) string {
	l := ec2sim.PrefixList{Name: "cloudfront", Family: "IPv4", MaxEntries: size, Entries: entries, Tags: map[string]string{testKey: value}}
	if len(entries) > 0 && entries[0].Prefix.Addr().Is6() {
		l.Family = "IPv6"
	}
	made, err := w.here.CreatePrefixList(l)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// fataler is what a test and one of rapid have in common.
type fataler interface{ Fatal(args ...any) }

// sync discovers, plans and applies once, as the engine does.
func (w *listWorld) sync(ctx context.Context, t fataler, req Request) ([]PoolPlan, error) {
	lists, err := DiscoverLists(ctx, w.api, testKey, "")
	if err != nil {
		return nil, err
	}
	plan, err := NewPlan(context.WithoutCancel(ctx), nil, req, lists...) // so that a deadline is met while EC2 works
	if err != nil {
		t.Fatal(err)
	}
	for _, pool := range plan.Pools {
		list := pool.Holders[0]
		err = errors.Join(err, list.Problem)
		version := list.Version
		for _, step := range pool.Steps {
			w.gaps = append(w.gaps, step.Gap...)
			made, failed := Apply(ctx, w.api, step, version)
			if failed != nil {
				err = errors.Join(err, failed)
				break
			}
			version = made
		}
	}
	return plan.Pools, err
}

func (w *listWorld) mutations() int { return mutations(w.sim) }

// owned returns the owned entries of a list.
func (w *listWorld) owned(id string) (prefixes []netip.Prefix) {
	for _, e := range w.lists[id].Entries {
		if stamped(testKey, e.Description) {
			prefixes = append(prefixes, e.Prefix)
		}
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return prefixes
}

const oldEntry = testKey + ": CLOUDFRONT 2026-01-01T00:00:00Z"

func entriesFrom(prefixes []netip.Prefix, description string) (entries []ec2sim.PrefixListEntry) {
	for _, p := range prefixes {
		entries = append(entries, ec2sim.PrefixListEntry{Prefix: p, Description: description})
	}
	return entries
}

// newerEntry is made from a file that is published after the one of listRequest.
var newerEntry = Stamp{TagKey: testKey, Services: testStamp.Services, Published: testStamp.Published.Add(time.Hour)}.String()

// cut returns n neighbouring prefixes of the same length.
func cut(first string, n int) (prefixes []netip.Prefix) {
	p := netip.MustParsePrefix(first)
	for range n {
		prefixes = append(prefixes, p)
		a := p.Addr()
		for b := p; b.Contains(a); a = a.Next() {
		}
		p = netip.PrefixFrom(a, p.Bits())
	}
	return prefixes
}

func listRequest(ranges []netip.Prefix) Request {
	return Request{Stamp: testStamp, Ranges: ranges, RulesPerGroup: 60, MaxRevokePercent: 50}
}

// genListWorld makes lists with entries of all kinds.
func genListWorld(t *rapid.T) (*listWorld, Request) {
	w := newListWorld(ec2sim.Options{})
	for i := range rapid.IntRange(1, 4).Draw(t, "lists") {
		var entries []ec2sim.PrefixListEntry
		for _, p := range genRanges(t, 6) {
			if len(entries) > 0 && entries[0].Prefix.Addr().Is4() != p.Addr().Is4() {
				continue
			}
			description := rapid.SampledFrom([]string{oldEntry, oldEntry, oldEntry, "office", testKey + ": OTHER 2026-01-01T00:00:00Z", oldEntry + " held", newerEntry}).Draw(t, "description")
			entries = append(entries, ec2sim.PrefixListEntry{Prefix: p, Description: description})
			if nested := netip.PrefixFrom(p.Addr(), min(p.Bits()+1, p.Addr().BitLen())); nested != p && rapid.IntRange(0, 4).Draw(t, "nested") == 0 {
				entries = append(entries, ec2sim.PrefixListEntry{Prefix: nested, Description: oldEntry})
			}
		}
		w.create(t, rapid.SampledFrom([]string{"ranges", "ranges", "ranges", "none"}).Draw(t, "value"),
			len(entries)+rapid.IntRange(0, 4).Draw(t, fmt.Sprint("room ", i))+1-min(len(entries), 1), entries...)
	}
	req := listRequest(genRanges(t, 6))
	req.Force = rapid.IntRange(0, 3).Draw(t, "force") > 0
	w.wants(req.Ranges)
	return w, req
}

// checkExact checks that each list that is planned whole holds the wanted ranges of its family, and no other owned
// entry.
func (w *listWorld) checkExact(t *rapid.T, pools []PoolPlan, req Request) {
	for _, pool := range pools {
		list := pool.Holders[0]
		if pool.Err != nil || list.Problem != nil {
			continue
		}
		filled, want := len(list.Settings.Ports) > 0, map[netip.Prefix]bool{}
		for _, p := range req.Ranges {
			if filled && FamilyOf(p) == list.Family {
				want[p] = true
			}
		}
		for _, e := range w.lists[list.ID].Entries {
			if stamped(testKey, e.Description) && !want[e.Prefix] {
				t.Fatalf("%s holds %v, which nobody wants there", list.ID, e)
			}
			delete(want, e.Prefix)
		}
		for p := range want {
			t.Fatalf("%s lacks %s", list.ID, p)
		}
	}
}

// checkNeverBack checks that a list to which a run has added entries refuses any older file from then on.
func (w *listWorld) checkNeverBack(t *rapid.T, pools []PoolPlan, req Request) {
	lists, err := DiscoverLists(t.Context(), w.api, testKey, "")
	if err != nil {
		t.Fatal(err)
	}
	req.Published, req.Force = req.Published.Add(-time.Second), false
	after, err := NewPlan(t.Context(), nil, req, lists...)
	if err != nil {
		t.Fatal(err)
	}
	for i, pool := range pools {
		added := slices.ContainsFunc(pool.Steps, func(s Step) bool { return len(s.Add) > 0 })
		if _, ok := errors.AsType[*OlderError](after.Pools[i].Err); added && !ok {
			t.Fatalf("%s took %v and then an older file", pool.Name, pool.Steps)
		}
	}
}

func TestListsKeepThePromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, req := genListWorld(t)
		pools, err := w.sync(t.Context(), t, req)
		if err != nil {
			t.Fatal(err)
		}
		if len(w.wrong) > 0 {
			t.Fatal(w.wrong)
		}
		w.checkExact(t, pools, req)
		for _, pool := range pools {
			if len(pool.Steps) > 1 { // none has more than 100 entries
				t.Fatalf("%d changes of a list: %v", len(pool.Steps), pool.Steps)
			}
		}
		w.checkNeverBack(t, pools, req)
		w.mutations()
		if _, err := w.sync(t.Context(), t, req); err != nil {
			t.Fatal(err)
		}
		if n := w.mutations(); n != 0 {
			t.Fatalf("a second run makes %d mutating calls", n)
		}
	})
}

// Who stops a run does not wait for EC2, and what was begun is finished.
func TestWaitForListEndsWhenStopped(t *testing.T) {
	w := newListWorld(ec2sim.Options{PrefixListDelay: time.Hour})
	w.create(t, "ranges", 10)
	ctx, cancel := context.WithCancel(t.Context())
	w.sim.Observe(func(c ec2sim.Change) {
		if c.Call.Action == "ModifyManagedPrefixList" {
			cancel()
		}
	})
	if _, err := w.sync(ctx, t, listRequest(cut("18.64.0.0/24", 1))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := w.mutations(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A version that has moved on is a conflict, and so is a change under way.
func TestListConflicts(t *testing.T) {
	w := newListWorld(ec2sim.Options{PrefixListDelay: 50 * time.Millisecond})
	id := w.create(t, "ranges", 10)
	add := func(prefix string) Step {
		r := Rule{RuleID: RuleID{Source: Source{Prefix: netip.MustParsePrefix(prefix)}}, Description: oldEntry}
		return Step{Kind: ManagedPrefixList, HolderID: id, Add: []Rule{r}}
	}
	made, err := Apply(t.Context(), w.api, add("18.64.0.0/24"), 1)
	if err != nil || made != 2 {
		t.Fatal(made, err)
	}
	if _, err := Apply(t.Context(), w.api, add("18.64.1.0/24"), 1); !IsConflict(err) || !strings.Contains(err.Error(), "PrefixListVersionMismatch") {
		t.Errorf("got %v", err)
	}
	_, err = w.api.ModifyManagedPrefixList(t.Context(), &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, MaxEntries: aws.Int32(20)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), w.api, add("18.64.1.0/24"), 2); !IsConflict(err) || !strings.Contains(err.Error(), "IncorrectState") {
		t.Errorf("got %v", err)
	}
	// The other change was waited for.
	if made, err := Apply(t.Context(), w.api, add("18.64.1.0/24"), 2); err != nil || made != 3 {
		t.Error(made, err)
	}
}

func TestListShortage(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	id := w.create(t, "ranges", 3, entriesFrom(cut("18.70.0.0/24", 1), oldEntry)...)
	ranges := cut("18.64.0.0/24", 5)
	w.wants(ranges)
	req := listRequest(ranges)
	req.Force = true
	pools, err := w.sync(t.Context(), t, req)
	if err != nil {
		t.Fatal(err)
	}
	short, ok := errors.AsType[*ShortageError](pools[0].Err)
	want := id + " is too small: it needs 5 IPv4 entries, room for 3; enlarge it: aws ec2 modify-managed-prefix-list --prefix-list-id " + id +
		" --max-entries 10. Each security group that refers to the list must have room for that in its quota of rules (L-0EA8095F)"
	if !ok || short.Error() != want {
		t.Errorf("got  %v\nwant %s", pools[0].Err, want)
	}
	if got := w.owned(id); len(got) != 3 {
		t.Errorf("it holds %v", got)
	}
	// The hint helps.
	if _, err := w.api.ModifyManagedPrefixList(t.Context(), &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, MaxEntries: aws.Int32(5)}); err != nil {
		t.Fatal(err)
	}
	pools, err = w.sync(t.Context(), t, req)
	if err != nil || pools[0].Err != nil || len(w.owned(id)) != 5 || len(w.wrong) > 0 {
		t.Error(err, pools[0].Err, w.owned(id), w.wrong)
	}
}

func TestListNeverGoesBack(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	newer := testStamp
	newer.Published = newer.Published.Add(time.Hour)
	id := w.create(t, "ranges", 10, entriesFrom(cut("18.64.0.0/24", 2), newer.String())...)
	pools, err := w.sync(t.Context(), t, listRequest(cut("18.64.0.0/24", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if older, ok := errors.AsType[*OlderError](pools[0].Err); !ok || !strings.Contains(older.Error(), "entry 18.64.0.0/24 of "+id+" was made from a newer one") {
		t.Errorf("got %v", pools[0].Err)
	}
	if n := len(w.owned(id)); n != 2 {
		t.Errorf("%d entries", n)
	}
}

func TestWithdrawFromLists(t *testing.T) {
	for _, value := range []string{"none", "ranges", "nonsense"} {
		w := newListWorld(ec2sim.Options{})
		entries := append(entriesFrom(cut("18.64.0.0/24", 150), oldEntry), ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Description: "office"})
		id := w.create(t, value, 200, entries...)
		req := listRequest(cut("18.64.0.0/24", 150))
		req.Withdraw = value != "none"
		if _, err := w.sync(t.Context(), t, req); err != nil {
			t.Fatal(err)
		}
		if got := w.lists[id].Entries; len(got) != 1 || got[0].Description != "office" {
			t.Errorf("%s: %d entries are left", value, len(got))
		}
	}
}

func TestParseListSettings(t *testing.T) {
	for _, test := range []struct {
		tags map[string]string
		want []PortRange
		err  string
	}{
		{map[string]string{"k": "ranges"}, []PortRange{listPort}, ""},
		{map[string]string{"k": " none "}, nil, ""},
		{map[string]string{"k": "ranges", "k-pool": "web"}, nil, "tag k-pool: prefix lists have no pools"},
		{map[string]string{"k": "443"}, nil, `tag k="443": on a prefix list it is "ranges"`},
		{map[string]string{"k": "ranges", "k-mode": "exclusive"}, nil, "tag k-mode is for security groups"},
	} {
		got, err := parseListSettings("k", test.tags)
		if test.err == "" && (err != nil || !slices.Equal(got.Ports, test.want)) || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%v: got %+v, %v", maps.Collect(maps.All(test.tags)), got, err)
		}
	}
}

// fileOf returns a request for a file that is published some hours after the one of listRequest.
func fileOf(hours int, ranges []netip.Prefix) Request {
	req := listRequest(ranges)
	req.Published = req.Published.Add(time.Duration(hours) * time.Hour)
	return req
}

// run syncs, and fails unless that takes so many calls and closes nothing.
func (w *listWorld) run(t *testing.T, req Request, calls int) []PoolPlan {
	t.Helper()
	w.wants(req.Ranges)
	w.mutations()
	pools, err := w.sync(t.Context(), t, req)
	if err != nil {
		t.Fatal(err)
	}
	if n := w.mutations(); n != calls {
		t.Errorf("%d calls, want %d: %v", n, calls, pools[0].Steps)
	}
	if len(w.wrong)+len(w.gaps) > 0 {
		t.Error(w.wrong, w.gaps)
	}
	return pools
}

// After force on an older file, each run needs force until a newer file comes: entries cannot be described again.
func TestListGoesBackByForce(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	w.create(t, "ranges", 100)
	w.run(t, fileOf(1, append(cut("18.64.0.0/24", 40), cut("18.70.0.0/24", 2)...)), 1)
	older := fileOf(0, cut("18.64.0.0/24", 41))
	older.Force = true
	w.run(t, older, 1)
	older.Force = false
	if _, ok := errors.AsType[*OlderError](w.run(t, older, 0)[0].Err); !ok {
		t.Error("the older file is taken without force")
	}
	if pools := w.run(t, fileOf(2, cut("18.64.0.0/24", 42)), 1); pools[0].Err != nil {
		t.Error(pools[0].Err)
	}
}

// A list keeps its guard as often as it is run and whatever happened to it: entries made while it was held, or with
// other settings, count as well.
func TestListKeepsItsGuard(t *testing.T) {
	three, eight := cut("18.64.0.0/24", 3), cut("18.70.0.0/24", 5)
	t.Run("run again", func(t *testing.T) {
		w := newListWorld(ec2sim.Options{})
		before := cut("18.64.0.0/24", 10)
		id := w.create(t, "ranges", 40, entriesFrom(before, oldEntry)...)
		req := fileOf(0, append(before[:3:3], cut("18.70.0.0/24", 9)...))
		for _, calls := range []int{1, 0} {
			if err := w.run(t, req, calls)[0].Err; !isHeld(err) || !strings.Contains(err.Error(), "from 7 of its 10 entries") || len(w.owned(id)) != 19 {
				t.Fatalf("%d entries, %v", len(w.owned(id)), err)
			}
		}
		req.Force = true
		if w.run(t, req, 1); len(w.owned(id)) != len(req.Ranges) {
			t.Errorf("with force, %d entries", len(w.owned(id)))
		}
	})
	t.Run("full", func(t *testing.T) {
		w := newListWorld(ec2sim.Options{})
		id := w.create(t, "ranges", 8, entriesFrom(three, oldEntry)...)
		if pools := w.run(t, fileOf(0, eight), 1); !isHeld(pools[0].Err) {
			t.Fatal("the three are let go")
		}
		w.run(t, fileOf(1, append(slices.Clone(three), eight...)), 0)
		if pools := w.run(t, fileOf(2, three), 0); !isHeld(pools[0].Err) || len(w.owned(id)) != 8 {
			t.Errorf("five of eight are let go: %v", pools[0].Err)
		}
	})
	t.Run("all entries were made while it was held, and the file is published again", func(t *testing.T) {
		w := newListWorld(ec2sim.Options{})
		id := w.create(t, "ranges", 20, entriesFrom(three, oldEntry+held)...)
		for i := range 3 {
			if pools := w.run(t, fileOf(i, append(slices.Clone(three[:1]), eight...)), 1-min(i, 1)); !isHeld(pools[0].Err) || len(w.owned(id)) != 8 {
				t.Errorf("publication %d: two of three are let go: %v", i, pools[0].Err)
			}
		}
	})
	t.Run("a range is cut", func(t *testing.T) {
		w := newListWorld(ec2sim.Options{})
		w.create(t, "ranges", 10, entriesFrom(prefixes("1.0.0.0/23"), oldEntry)...)
		for n, calls := range []int{1, 0, 0} {
			if pools := w.run(t, fileOf(n, prefixes("1.0.0.0/24")), calls); !isHeld(pools[0].Err) {
				t.Errorf("run %d: the list is let go: %v", n, pools[0].Err)
			}
		}
	})
	t.Run("other settings", func(t *testing.T) {
		w := newListWorld(ec2sim.Options{})
		w.create(t, "ranges", 100, entriesFrom(cut("18.64.0.0/24", 10), testKey+": OTHER 2026-01-01T00:00:00Z")...)
		pools := w.run(t, fileOf(0, cut("18.70.0.0/24", 10)), 1)
		if held, ok := errors.AsType[*HeldError](pools[0].Err); !ok || held.Settings != "OTHER" || held.Prefixes != 10 {
			t.Errorf("got %v", pools[0].Err)
		}
	})
}

// reader is an EC2 that ignores filters, as one might that does not know them.
type reader struct {
	API
	owner *[]string       // that lists were asked for
	read  map[string]bool // lists whose entries were asked for
}

func (r reader) DescribeManagedPrefixLists(ctx context.Context, in *ec2.DescribeManagedPrefixListsInput, opts ...func(*ec2.Options)) (*ec2.DescribeManagedPrefixListsOutput, error) {
	all := *in
	*r.owner, all.Filters = in.Filters[0].Values, nil
	return r.API.DescribeManagedPrefixLists(ctx, &all, opts...)
}

func (r reader) GetManagedPrefixListEntries(ctx context.Context, in *ec2.GetManagedPrefixListEntriesInput, opts ...func(*ec2.Options)) (*ec2.GetManagedPrefixListEntriesOutput, error) {
	r.read[aws.ToString(in.PrefixListId)] = true
	return r.API.GetManagedPrefixListEntries(ctx, in, opts...)
}

// Only the account's own tagged lists are read. One whose tag cannot be read, or that an IPAM resolver manages, is
// named and left alone, and the others are planned.
func TestListsThatAreLeftAlone(t *testing.T) {
	w := newListWorld(ec2sim.Options{})
	good, bad := w.create(t, "ranges", 10), w.create(t, "443", 10)
	resolved, err := w.here.CreatePrefixList(ec2sim.PrefixList{
		Name: "ipam", Family: "IPv4", MaxEntries: 10, Tags: map[string]string{testKey: "ranges"}, Synced: true, Entries: entriesFrom(cut("18.70.0.0/24", 1), oldEntry),
	})
	if _, failed := w.here.CreatePrefixList(ec2sim.PrefixList{Name: "office", Family: "IPv4", MaxEntries: 5}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	api := reader{w.api, new([]string), map[string]bool{}}
	lists, err := DiscoverLists(t.Context(), api, testKey, ec2sim.DefaultAccount)
	if err != nil || !slices.Equal(*api.owner, []string{ec2sim.DefaultAccount}) || !maps.Equal(api.read, map[string]bool{good: true, bad: true}) {
		t.Fatalf("%v, owner %q, read %v", err, *api.owner, api.read)
	}
	plan, err := NewPlan(t.Context(), nil, listRequest(cut("18.64.0.0/24", 2)), lists...)
	if err != nil || len(plan.Pools) != 3 {
		t.Fatal(err, plan.Pools)
	}
	for _, pool := range plan.Pools {
		list := pool.Holders[0]
		want := map[string]string{resolved.ID: "IPAM prefix list resolver manages", bad: `tag cloudfront-ingress="443"`}[list.ID]
		if left := list.Problem != nil; left != (want != "") || left != (len(pool.Steps) == 0) || left && !strings.Contains(list.Problem.Error(), want) {
			t.Errorf("%s: %v, steps %v", list.ID, list.Problem, pool.Steps)
		}
	}
}
