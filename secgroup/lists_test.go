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
)

// createList makes a list on the embedded endpoint.
func createList(t *testing.T, here ec2sim.Region, l ec2sim.PrefixList, tag string) string {
	t.Helper()
	l.Name, l.MaxEntries = "cloudfront", 10
	if tag != "" {
		l.Tags = map[string]string{testKey: tag}
	}
	made, err := here.CreatePrefixList(l)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// A version that has moved on is a conflict, and so is a change under way.
func TestListConflicts(t *testing.T) {
	_, here, api := newSim(ec2sim.Options{PrefixListDelay: 50 * time.Millisecond})
	id := createList(t, here, ec2sim.PrefixList{}, "ranges")
	enlarge := func() {
		in := ec2.ModifyManagedPrefixListInput{PrefixListId: &id, MaxEntries: aws.Int32(20)}
		if _, err := api.ModifyManagedPrefixList(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		prefix     string
		at, made   int64
		meanwhile  func()
		conflictOf string
	}{
		{"18.64.0.0/24", 1, 2, func() {}, ""},
		{"18.64.1.0/24", 1, 1, func() {}, "PrefixListVersionMismatch"},
		{"18.64.1.0/24", 2, 2, enlarge, "IncorrectState"},
		{"18.64.1.0/24", 2, 3, func() {}, ""}, // the other change was waited for
	} {
		c.meanwhile()
		step := Step{Kind: ManagedPrefixList, HolderID: id, Add: entries(olderStamp.String(), prefixes(c.prefix)...)}
		made, err := Apply(t.Context(), api, step, c.at)
		if made != c.made || IsConflict(err) != (c.conflictOf != "") {
			t.Errorf("%s at %d: version %d, error %v", c.prefix, c.at, made, err)
		}
		if c.conflictOf != "" {
			checkError(t, err, c.conflictOf)
		}
	}
}

// Who stops a run does not wait for EC2, and what was begun is finished.
func TestWaitForListEndsWhenStopped(t *testing.T) {
	sim, here, api := newSim(ec2sim.Options{PrefixListDelay: time.Hour})
	id := createList(t, here, ec2sim.PrefixList{}, "ranges")
	ctx, cancel := context.WithCancel(t.Context())
	sim.Observe(func(c ec2sim.Change) {
		if c.Call.Action == "ModifyManagedPrefixList" {
			cancel()
		}
	})
	step := Step{Kind: ManagedPrefixList, HolderID: id, Add: entries(olderStamp.String(), prefixes("18.64.0.0/24")...)}
	if _, err := Apply(ctx, api, step, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, l := range here.PrefixLists() {
		if l.ID == id && l.State != "modify-in-progress" {
			t.Errorf("the list is %s", l.State)
		}
	}
}

func TestListShortage(t *testing.T) {
	ranges := cut("18.64.0.0/24", 5)
	plan := newPlan(t, []Holder{list("ranges", 3, entries(olderStamp.String(), cut("18.70.0.0/24", 1)...))}, ranges,
		func(r *Request) { r.Force = true })
	short, ok := errors.AsType[*ShortageError](plan.Failures())
	want := "pl-1 is too small: it needs 5 IPv4 entries, room for 3; enlarge it: aws ec2 modify-managed-prefix-list" +
		" --prefix-list-id pl-1 --max-entries 10. Each security group that refers to the list must have room for that in" +
		" its quota of rules (L-0EA8095F)"
	if !ok || short.Error() != want {
		t.Errorf("got  %v\nwant %s", plan.Failures(), want)
	}
	after := take(t, plan)
	if n := len(after[0].Ingress); n != 3 {
		t.Errorf("it holds %d entries", n)
	}
	after[0].MaxEntries = 10
	if err := newPlan(t, after, ranges, nil).Failures(); err != nil {
		t.Errorf("after doing what it says: %v", err)
	}
}

// A list refuses a file that is older than the newest of its entries. After force on one, each run needs force until a
// newer file comes: entries cannot be described again.
func TestListNeverGoesBack(t *testing.T) {
	newer := stampOf("CLOUDFRONT", 1)
	lists := []Holder{list("ranges", 10, entries(newer.String(), cut("18.64.0.0/24", 2)...))}
	refused := newPlan(t, lists, cut("18.64.0.0/24", 1), nil)
	if !isA[*OlderError](refused.Failures()) {
		t.Errorf("got %v", refused.Failures())
	}
	checkError(t, refused.Failures(), "entry 18.64.0.0/24 of pl-1 was made from a newer one")
	checkSteps(t, refused)
	older := cut("18.64.0.0/24", 3)
	lists, err := publish(t, lists, 0, older, func(r *Request) { r.Force = true })
	if err != nil || len(lists[0].Ingress) != 3 {
		t.Errorf("with force: %v, %v", lists[0].Ingress, err)
	}
	if lists, err = publish(t, lists, 0, older, nil); !isA[*OlderError](err) {
		t.Errorf("the older file is taken without force: %v", err)
	}
	if _, err = publish(t, lists, 2, cut("18.64.0.0/24", 4), nil); err != nil {
		t.Errorf("a newer file: %v", err)
	}
}

// A list keeps its guard as often as it is run and whatever happened to it: entries made while it was held, or with
// other settings, count as well.
func TestListKeepsItsGuard(t *testing.T) {
	old, half := olderStamp.String(), prefixes("1.0.0.0/24")
	three, eight := cut("18.64.0.0/24", 3), cut("18.70.0.0/24", 5)
	all, mixed := slices.Concat(three, eight), slices.Concat(three[:1], eight)
	type file struct {
		hours  int
		ranges []netip.Prefix
		held   string // in the error; empty if it is not held
		left   int    // entries
	}
	for name, test := range map[string]struct {
		size  int
		has   []Rule
		files []file
	}{
		"run again": {40, entries(old, cut("18.64.0.0/24", 10)...), []file{
			{0, all, "from 7 of its 10 entries", 15}, {0, all, "from 7 of its 10 entries", 15},
		}},
		"full": {8, entries(old, three...), []file{
			{0, eight, "from 3 of its 3", 8}, {1, all, "", 8}, {2, three, "from 5 of its 8", 8},
		}},
		"all entries were made while it was held, and the file is published again": {20, entries(old+held, three...), []file{
			{0, mixed, "from 2 of its 3", 8}, {1, mixed, "is held", 8}, {2, mixed, "is held", 8},
		}},
		"a range is cut": {10, entries(old, prefixes("1.0.0.0/23")...), []file{
			{0, half, "from 1 of its 1", 2}, {1, half, "is held", 2}, {2, half, "is held", 2},
		}},
		"other settings": {100, entries(stampOf("OTHER", -48).String(), cut("18.64.0.0/24", 10)...), []file{
			{0, eight, "its entries were made for OTHER, and the list for the present settings takes addresses from 10 of", 15},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			lists := []Holder{list("ranges", test.size, test.has)}
			for i, f := range test.files {
				var err error
				lists, err = publish(t, lists, f.hours, f.ranges, nil)
				held := isA[*HeldError](err)
				if held != (f.held != "") || !strings.Contains(fmt.Sprint(err), f.held) || len(lists[0].Ingress) != f.left {
					t.Errorf("file %d: %d entries, %v", i, len(lists[0].Ingress), err)
				}
			}
			last := test.files[len(test.files)-1].ranges
			lists, err := publish(t, lists, 3, last, func(r *Request) { r.Force = true })
			if err != nil || len(lists[0].Ingress) != len(last) {
				t.Errorf("with force: %d entries, %v", len(lists[0].Ingress), err)
			}
		})
	}
}

// reader is an EC2 that ignores filters, as one might that does not know them.
type reader struct {
	API
	owner *[]string       // that lists were asked for
	read  map[string]bool // lists whose entries were asked for
}

func (r reader) DescribeManagedPrefixLists(
	ctx context.Context, in *ec2.DescribeManagedPrefixListsInput, opts ...func(*ec2.Options),
) (*ec2.DescribeManagedPrefixListsOutput, error) {
	all := *in
	*r.owner, all.Filters = in.Filters[0].Values, nil
	return r.API.DescribeManagedPrefixLists(ctx, &all, opts...)
}

func (r reader) GetManagedPrefixListEntries(
	ctx context.Context, in *ec2.GetManagedPrefixListEntriesInput, opts ...func(*ec2.Options),
) (*ec2.GetManagedPrefixListEntriesOutput, error) {
	r.read[aws.ToString(in.PrefixListId)] = true
	return r.API.GetManagedPrefixListEntries(ctx, in, opts...)
}

// Only the account's own tagged lists are read. One whose tag cannot be read, or that an IPAM resolver manages, is
// named and left alone, and the others are planned.
func TestListsThatAreLeftAlone(t *testing.T) {
	_, here, api := newSim(ec2sim.Options{})
	good, bad := createList(t, here, ec2sim.PrefixList{}, "ranges"), createList(t, here, ec2sim.PrefixList{}, "443")
	resolved := createList(t, here, ec2sim.PrefixList{Synced: true}, "ranges")
	createList(t, here, ec2sim.PrefixList{}, "")
	seen := reader{api, new([]string), map[string]bool{}}
	lists, err := DiscoverLists(t.Context(), seen, testKey, ec2sim.DefaultAccount)
	owner, read := []string{ec2sim.DefaultAccount}, map[string]bool{good: true, bad: true}
	if err != nil || !slices.Equal(*seen.owner, owner) || !maps.Equal(seen.read, read) {
		t.Fatalf("%v, owner %q, read %v", err, *seen.owner, seen.read)
	}
	plan := newPlan(t, lists, cut("18.64.0.0/24", 2), nil)
	checkSteps(t, plan, "modify "+good+": 0 18.64.0.0/24, 0 18.64.1.0/24")
	checkError(t, plan.Failures(), resolved+": an IPAM prefix list resolver manages", bad+`: tag cloudfront-ingress="443"`)
}
