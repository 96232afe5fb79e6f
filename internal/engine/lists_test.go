package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
)

// list makes a tagged prefix list of IPv4 ranges.
func (s *scene) list(at ec2sim.Region, value string, size int, entries ...ec2sim.PrefixListEntry) string {
	s.t.Helper()
	l, err := at.CreatePrefixList(ec2sim.PrefixList{
		Name: "cloudfront", Family: "IPv4", MaxEntries: size, Entries: entries, Tags: map[string]string{key: value},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return l.ID
}

// entries returns the entries of a prefix list, in order.
func (s *scene) entries(at ec2sim.Region, id string) string {
	var prefixes []string
	for _, l := range at.PrefixLists() {
		if l.ID == id {
			for _, e := range l.Entries {
				prefixes = append(prefixes, e.Prefix.String())
			}
		}
	}
	return strings.Join(prefixes, " ")
}

func entry(prefix, description string) ec2sim.PrefixListEntry {
	return ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix(prefix), Description: description}
}

const oldEntry = key + ": CLOUDFRONT 2026-01-01T00:00:00Z"

func TestRunWithList(t *testing.T) {
	s := newScene(t, ec2sim.Options{PrefixListDelay: 20 * time.Millisecond}, []string{"us-east-1"}, nil, rangeA, rangeB)
	web := s.group(s.here, "web", "443")
	list := s.list(s.here, "ranges", 5, entry("192.0.2.0/24", "office"), entry("18.64.0.0/15", oldEntry))
	changes := 0
	req := Request{OnStep: func(_ *Target, step secgroup.Step) {
		if step.HolderID == list {
			changes++
		}
	}}
	// A dry run says the same and changes nothing.
	dry, err := s.Run(t.Context(), Request{DryRun: true})
	if err != nil || s.entries(s.here, list) != "192.0.2.0/24 18.64.0.0/15" {
		t.Fatal(err, s.entries(s.here, list))
	}
	report, err := s.Run(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := []PrefixListReport{{
		Region: "us-east-1", PrefixListID: list, Name: "cloudfront", Family: "IPv4", Version: 2, MaxEntries: 5,
		Added: 2, Removed: 1, Foreign: 1,
	}}
	if diff := cmp.Diff(want, report.PrefixLists); diff != "" {
		t.Error(diff)
	}
	want[0].Version = 1
	if diff := cmp.Diff(want, dry.PrefixLists); diff != "" {
		t.Error(diff)
	}
	if got := s.entries(s.here, list); got != "192.0.2.0/24 "+rangeA+" "+rangeB {
		t.Errorf("entries %s", got)
	}
	if got := s.sources(s.here, web); got != rangeA+" "+rangeB {
		t.Errorf("rules from %s", got)
	}
	if got := report.Lists(); got != (ListSummary{Lists: 1, Changed: 1, Added: 2, Removed: 1}) || !report.Changed || changes != 1 {
		t.Errorf("got %+v, %d changes", got, changes)
	}
	// A second run changes nothing.
	s.mutations()
	report, err = s.Run(t.Context(), req)
	if err != nil || report.Changed || s.mutations() != 0 || report.PrefixLists[0].Kept != 2 {
		t.Errorf("%v %+v", err, report)
	}
	// None withdraws.
	if _, err := s.Run(t.Context(), Request{Withdraw: true}); err != nil || s.entries(s.here, list) != "192.0.2.0/24" {
		t.Error(err, s.entries(s.here, list))
	}
}

// Where nothing is tagged, a list costs one describe, and where nobody may look for one the groups are synced all the
// same.
func TestNoLists(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	s.group(s.here, "web", "443")
	if _, err := s.Run(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	s.sim.ResetCalls()
	if _, err := s.Run(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for _, c := range s.sim.ResetCalls() {
		calls[c.Action]++
	}
	if diff := cmp.Diff(map[string]int{"DescribeSecurityGroups": 1, "DescribeManagedPrefixLists": 1}, calls); diff != "" {
		t.Error(diff)
	}
	s.sim.Deny("DescribeManagedPrefixLists")
	report, err := s.Run(t.Context(), Request{})
	if err != nil || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "grant the permission ec2:DescribeManagedPrefixLists") {
		t.Errorf("%v %v", err, report.Warnings)
	}
}

// A list that cannot be looked for or changed fails alone.
func TestListFailsAlone(t *testing.T) {
	for action, says := range map[string]string{
		"ModifyManagedPrefixList":     "grant the permission ec2:ModifyManagedPrefixList",
		"GetManagedPrefixListEntries": "grant the permission ec2:GetManagedPrefixListEntries",
	} {
		s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
		web, list := s.group(s.here, "web", "443"), s.list(s.here, "ranges", 5)
		s.sim.Deny(action)
		report, err := s.Run(t.Context(), Request{})
		if err == nil || !strings.Contains(err.Error(), list) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", action, err)
		}
		if s.sources(s.here, web) != rangeA || report.PrefixLists[0].Error == "" || report.Lists().Failed != 1 {
			t.Errorf("%s: %+v", action, report)
		}
	}
}

// meddler does something once, right before the first change of a list.
type meddler struct {
	secgroup.API
	before func()
}

func (m *meddler) ModifyManagedPrefixList(ctx context.Context, in *ec2.ModifyManagedPrefixListInput, opts ...func(*ec2.Options)) (*ec2.ModifyManagedPrefixListOutput, error) {
	if m.before != nil {
		m.before()
		m.before = nil
	}
	return m.API.ModifyManagedPrefixList(ctx, in, opts...)
}

// Who changes a list while it is planned for makes the run look again.
func TestListChangesMeanwhile(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	list := s.list(s.here, "ranges", 5)
	s.Targets[0].EC2 = &meddler{s.Targets[0].EC2, func() {
		if err := s.here.SetEntries(list, entry(rangeA, "by hand")); err != nil {
			t.Error(err)
		}
	}}
	if _, err := s.Run(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if got := s.entries(s.here, list); got != rangeA+" "+rangeB {
		t.Errorf("entries %s", got)
	}
	// An approval is for one plan and no other.
	list = s.list(s.here, "ranges", 5)
	p, err := s.Propose(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.here.SetEntries(list, entry(rangeA, "by hand")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), p.Approved()); !errors.Is(err, ErrOutdated) || s.entries(s.here, list) != rangeA {
		t.Error(err, s.entries(s.here, list))
	}
	if p, err = s.Propose(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), p.Approved()); err != nil || s.entries(s.here, list) != rangeA+" "+rangeB {
		t.Error(err, s.entries(s.here, list))
	}
}

// Two runs at once do no harm, and the lists are exact in the end.
func TestTwoRunsAtOnceOnLists(t *testing.T) {
	s := newScene(t, ec2sim.Options{PrefixListDelay: 5 * time.Millisecond}, []string{"us-east-1"}, nil, rangeA, rangeB)
	list := s.list(s.here, "ranges", 3, entry("18.64.0.0/15", oldEntry), entry("18.66.0.0/15", oldEntry))
	closed := s.watchList(list, rangeA)
	var running sync.WaitGroup
	for range 2 {
		other := *s.Engine
		other.Targets = ownTargets(s.Targets)
		other.Fetch = (&iprange.Fetcher{Selection: s.fetcher.Selection, Transport: s.fetcher.Transport}).Fetch
		running.Go(func() {
			if _, err := other.Run(context.WithoutCancel(t.Context()), Request{}); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if got := s.entries(s.here, list); got != rangeA+" "+rangeB || *closed != 0 {
		t.Errorf("entries %s, closed %d times", got, *closed)
	}
}

// ownTargets returns targets for an engine of its own: what one has learnt of a target is not shared.
func ownTargets(targets []*Target) []*Target {
	var own []*Target
	for _, t := range targets {
		own = append(own, &Target{Account: t.Account, Region: t.Region, EC2: t.EC2, Quota: t.Quota, AccountID: t.AccountID})
	}
	return own
}

// watchList counts the changes after which a list lets in less than ranges.
func (s *scene) watchList(id string, ranges ...string) *int {
	closed := new(int)
	s.sim.Observe(func(c ec2sim.Change) {
		for _, l := range c.PrefixLists {
			var prefixes []netip.Prefix
			for _, e := range l.Entries {
				prefixes = append(prefixes, e.Prefix)
			}
			for _, r := range ranges {
				if l.ID == id && !setOf(prefixes).ContainsPrefix(netip.MustParsePrefix(r)) {
					*closed++
				}
			}
		}
	})
	return closed
}

// The run is killed at each call in turn, before and after its effect, and started again: the second run brings the
// exact state, and nothing is closed.
func TestKilledAtEveryCallToAList(t *testing.T) {
	for _, effect := range []bool{false, true} {
		for call := 1; ; call++ {
			var ranges []string
			for i := range 125 { // no two of which merge
				ranges = append(ranges, fmt.Sprintf("99.86.%d.0/24", 2*i), fmt.Sprintf("52.222.%d.0/24", 2*i))
			}
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, append(ranges, rangeA)...)
			list := s.list(s.here, "ranges", 310, entry("18.64.0.0/15", oldEntry), entry("18.66.0.0/15", oldEntry),
				entry("99.86.0.0/24", key+": OTHER 2026-01-01T00:00:00Z"))
			closed := s.watchList(list, rangeA, "99.86.0.0/24")
			kill, ctx := newKiller(t, s.sim, call, effect)
			cfg := s.cfg
			cfg.HTTPClient = &http.Client{Transport: kill}
			cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
			all := s.Targets
			s.Targets = Targets(cfg, []string{"us-east-1"}, nil, "")
			_, _ = s.Run(ctx, Request{})
			killed := kill.count() >= call
			s.Targets = all
			report, err := s.Run(t.Context(), Request{})
			if err != nil {
				t.Fatalf("call %d: %v", call, err)
			}
			want := ListSummary{Lists: 1}
			if got := report.Lists(); got.Failed != want.Failed || len(strings.Fields(s.entries(s.here, list))) != report.Ranges.IPv4 || *closed > 0 {
				t.Errorf("call %d: %+v, %d entries for %d ranges, closed %d times", call, got, len(strings.Fields(s.entries(s.here, list))), report.Ranges.IPv4, *closed)
			}
			s.mutations()
			if _, err := s.Run(t.Context(), Request{}); err != nil || s.mutations() > 0 {
				t.Errorf("call %d: one more run changes something: %v", call, err)
			}
			if !killed {
				if call < 10 {
					t.Errorf("a run makes %d calls only", call)
				}
				break
			}
		}
	}
}

// The calls for a list that a thousand groups refer to, and for a thousand groups with rules of their own.
func BenchmarkChangeForThousandGroups(b *testing.B) {
	const groups = 1000
	for _, shared := range []bool{true, false} {
		name := "groups of their own"
		if shared {
			name = "groups that refer to one list"
		}
		b.Run(name, func(b *testing.B) {
			s := newScene(b, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
			var rules []ec2sim.Rule
			tags := map[string]string{key: "443"}
			if shared {
				list := s.list(s.here, "ranges", 10)
				rules = []ec2sim.Rule{{Permission: ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: ec2sim.Source{Reference: list}}}}
				tags = nil
			}
			for i := range groups {
				if _, err := s.here.CreateGroup(ec2sim.Group{Name: fmt.Sprint("web-", i), VPC: s.here.OtherVPC(), Tags: tags, Ingress: rules}); err != nil {
					b.Fatal(err)
				}
			}
			calls, token := 0, 1790000000
			s.Fetch = fetcherOf(document(token, rangeA))
			if _, err := s.Run(b.Context(), Request{}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				token++
				ranges := []string{rangeA, rangeB}
				if token%2 == 0 {
					ranges = ranges[:1]
				}
				s.Fetch = fetcherOf(document(token, ranges...))
				s.mutations()
				if _, err := s.Run(b.Context(), Request{}); err != nil {
					b.Fatal(err)
				}
				calls += s.mutations()
			}
			b.ReportMetric(float64(calls)/float64(b.N), "calls/change")
		})
	}
}

// TestHistoryOfLists replays on a list of each family what AWS published over seven years: exact after each state,
// nothing closed in between, and a list changed by one call.
func TestHistoryOfLists(t *testing.T) {
	states := history(t)
	for _, service := range []string{"CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING"} {
		for _, spare := range []int{0, 1, 60} {
			t.Run(fmt.Sprintf("%s/%d to spare", service, spare), func(t *testing.T) {
				t.Parallel()
				replayOnLists(t, states, service, spare)
			})
		}
	}
}

func replayOnLists(t *testing.T, states []string, service string, spare int) {
	publications, most := decodeAll(t, states, service)
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
	var ids []string
	for i, family := range []string{"IPv4", "IPv6"} {
		l, err := s.here.CreatePrefixList(ec2sim.PrefixList{Name: "cloudfront", Family: family, MaxEntries: max(1, most[i]+spare), Tags: map[string]string{key: "ranges"}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, l.ID)
	}
	w := &listWatch{t: t, lists: map[string]ec2sim.PrefixList{}}
	s.sim.Observe(w.observe)
	s.fetcher.Selection.Services = []string{service}
	s.Services = s.fetcher.Selection.Services
	var current string
	s.fetcher.Transport = transport(func() string { return current })
	calls, changed := 0, 0
	for i, p := range publications {
		if p == nil {
			continue // the service is not in this state
		}
		current = states[i]
		w.wanted = setOf(p.Merged())
		s.sim.ResetCalls()
		report, err := s.Run(t.Context(), Request{Force: true})
		if err != nil {
			t.Fatalf("state %d: %v", i, err)
		}
		n := s.mutations()
		if calls += n; report.Changed {
			changed++
		}
		if n > len(ids) && calls > n { // except for the first fill
			t.Errorf("state %d: %d changes of %d lists", i, n, len(ids))
		}
		var entries []string
		for _, id := range ids {
			entries = append(entries, strings.Fields(s.entries(s.here, id))...)
		}
		slices.Sort(entries)
		want := prefixStrings(p.Merged())
		slices.Sort(want)
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Fatalf("state %d: %s", i, diff)
		}
	}
	t.Logf("%d states changed the lists, in %d calls", changed, calls)
}

// listWatch checks every state between two calls: no wanted address that was open by the lists is closed.
type listWatch struct {
	t      *testing.T
	lists  map[string]ec2sim.PrefixList
	open   *netipx.IPSet
	wanted *netipx.IPSet
}

func (w *listWatch) observe(c ec2sim.Change) {
	for _, l := range c.PrefixLists {
		w.lists[l.ID] = l
	}
	var now netipx.IPSetBuilder
	for _, l := range w.lists {
		for _, e := range l.Entries {
			now.AddPrefix(e.Prefix)
		}
	}
	open, _ := now.IPSet()
	if w.open != nil {
		var lost netipx.IPSetBuilder
		lost.AddSet(w.open)
		lost.RemoveSet(open)
		lost.Intersect(w.wanted)
		if set, _ := lost.IPSet(); len(set.Prefixes()) > 0 {
			w.t.Errorf("%s closes %v", c.Call.Resource, set.Prefixes())
		}
	}
	w.open = open
}
