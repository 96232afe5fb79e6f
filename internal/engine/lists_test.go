package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

func TestRunWithList(t *testing.T) {
	s := newScene(t, ec2sim.Options{PrefixListDelay: 20 * time.Millisecond}, []string{"us-east-1"}, nil, rangeA, rangeB)
	web := s.group(s.here, "web", "443")
	list := s.list(s.here, "ranges", 5, entry("192.0.2.0/24", "office"), entry("18.64.0.0/15", staleStamp))
	time.Sleep(100 * time.Millisecond) // until it is created
	changes := 0
	req := Request{OnStep: func(_ *Target, step secgroup.Step) {
		if step.HolderID == list {
			changes++
		}
	}}
	want := []PrefixListReport{{
		Region: "us-east-1", PrefixListID: list, Name: "cloudfront", Family: "IPv4", Version: 1, MaxEntries: 5,
		Added: 2, Removed: 1, Foreign: 1,
	}}
	for _, dry := range []bool{true, false} {
		req.DryRun = dry
		report, err := s.sync(req)
		if !dry {
			want[0].Version = 2
		}
		if diff := cmp.Diff(want, report.PrefixLists, withoutChanges); diff != "" || err != nil || !report.Changed ||
			report.Lists() != (Summary{Groups: 1, Changed: 1, Added: 2, Revoked: 1}) {
			t.Errorf("dry run %t: %v %s", dry, err, diff)
		}
	}
	entries, rules := s.sources(s.here, list), s.sources(s.here, web)
	if rules != rangeA+" "+rangeB || entries != "192.0.2.0/24 "+rules || changes != 1 {
		t.Errorf("entries %s, rules %s, %d changes", entries, rules, changes)
	}
	s.calls()
	report, err := s.Run(t.Context(), req)
	if err != nil || report.Changed || s.calls()["mutating"] != 0 || report.PrefixLists[0].Kept != 2 {
		t.Errorf("%v %+v", err, report)
	}
}

// Where nothing is tagged, a list costs one describe. If nobody may look for one, groups are synced all the same. A list
// that cannot be read or changed fails alone.
func TestNoLists(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	web := s.group(s.here, "web", "443")
	for _, want := range []map[string]int{nil, {"DescribeSecurityGroups": 1, "DescribeManagedPrefixLists": 1}} {
		s.calls()
		if _, err := s.Run(t.Context(), Request{}); err != nil || want != nil && !cmp.Equal(want, s.calls()) {
			t.Errorf("not just %v: %v", want, err)
		}
	}
	list := s.list(s.here, "ranges", 5)
	actions := []string{"ModifyManagedPrefixList", "GetManagedPrefixListEntries", "DescribeManagedPrefixLists"}
	for _, action := range actions {
		s.must(s.here.SetRules(web))
		s.sim.ClearFaults()
		s.sim.Deny(action)
		report, err := s.Run(t.Context(), Request{})
		said, alone := fmt.Sprint(err), report.Lists().Failed == 1
		if action == "DescribeManagedPrefixLists" {
			said, alone = strings.Join(report.Warnings, ""), err == nil && len(report.PrefixLists) == 0
		} else if !strings.Contains(said, list) {
			t.Errorf("%s is not named: %s", list, said)
		}
		if !strings.Contains(said, "grant the permission ec2:"+action) || !alone || s.sources(s.here, web) != rangeA {
			t.Errorf("%s: %v, %+v", action, err, report)
		}
	}
}
