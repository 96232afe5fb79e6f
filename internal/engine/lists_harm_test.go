package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// pooled makes a tagged prefix list of a pool.
func (s *scene) pooled(at ec2sim.Region, pool, family string, size int, entries ...ec2sim.PrefixListEntry) string {
	s.t.Helper()
	l, err := at.CreatePrefixList(ec2sim.PrefixList{
		Name: "cloudfront", Family: family, MaxEntries: size, Entries: entries, Tags: map[string]string{key: "ranges", key + "-pool": pool},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return l.ID
}

// meddle changes a list as somebody else does.
func (s *scene) meddle(in *ec2.ModifyManagedPrefixListInput) {
	s.t.Helper()
	if _, err := s.Targets[0].EC2.ModifyManagedPrefixList(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// What others do to a list shuts CloudFront out until the next run, and no longer.
func TestListIsMended(t *testing.T) {
	const both = rangeA + " " + rangeB
	for _, c := range []struct {
		name    string
		meddle  func(s *scene, list string)
		want    string
		version int64
	}{
		{"an older version is restored", func(s *scene, list string) {
			client := ec2.NewFromConfig(s.cfg)
			if _, err := client.RestoreManagedPrefixListVersion(s.t.Context(), &ec2.RestoreManagedPrefixListVersionInput{
				PrefixListId: &list, CurrentVersion: aws.Int64(2), PreviousVersion: aws.Int64(1),
			}); err != nil {
				s.t.Fatal(err)
			}
		}, both, 4},
		{"an entry is taken away", func(s *scene, list string) {
			if err := s.here.SetEntries(list, entry(rangeB, oldEntry)); err != nil {
				s.t.Fatal(err)
			}
		}, rangeB + " " + rangeA, 4},
		{"all entries are taken away", func(s *scene, list string) {
			if err := s.here.SetEntries(list); err != nil {
				s.t.Fatal(err)
			}
		}, both, 4},
		{"a change of its size has failed", func(s *scene, list string) {
			reference := ec2sim.Rule{Permission: ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: ec2sim.Source{Reference: list}}}
			if _, err := s.here.CreateGroup(ec2sim.Group{Name: "theirs", VPC: s.here.OtherVPC(), Ingress: []ec2sim.Rule{reference}}); err != nil {
				s.t.Fatal(err)
			}
			s.meddle(&ec2.ModifyManagedPrefixListInput{PrefixListId: &list, MaxEntries: aws.Int32(61)})
			if l := s.here.PrefixLists(); l[len(l)-1].State != "modify-failed" {
				s.t.Fatalf("the state is %s", l[len(l)-1].State)
			}
			if err := s.here.SetEntries(list); err != nil {
				s.t.Fatal(err)
			}
		}, both, 4},
		{"a wider entry of somebody else's covers ours, and goes", func(s *scene, list string) {
			wide := entry("18.64.0.0/13", "office")
			if err := s.here.SetEntries(list, wide, entry(rangeA, oldEntry), entry(rangeB, oldEntry)); err != nil {
				s.t.Fatal(err)
			}
			if _, err := s.Run(s.t.Context(), Request{}); err != nil {
				s.t.Fatal(err)
			}
			if got := s.entries(s.here, list); got != "18.64.0.0/13 "+both {
				s.t.Errorf("ours are not there beside it: %s", got)
			}
			s.meddle(&ec2.ModifyManagedPrefixListInput{
				PrefixListId: &list, CurrentVersion: aws.Int64(3), RemoveEntries: []types.RemovePrefixListEntry{{Cidr: aws.String("18.64.0.0/13")}},
			})
		}, both, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
			list := s.list(s.here, "ranges", 10)
			if _, err := s.Run(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
			c.meddle(s, list)
			report, err := s.Run(t.Context(), Request{})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.entries(s.here, list); got != c.want || report.PrefixLists[0].Version != c.version {
				t.Errorf("version %d: %s", report.PrefixLists[0].Version, got)
			}
			s.mutations()
			if report, err := s.Run(t.Context(), Request{}); err != nil || report.Changed || s.mutations() > 0 {
				t.Errorf("one more run: %v %+v", err, report)
			}
		})
	}
}

// A list that is being deleted, or is deleted but still shown, is none.
func TestDeletedListIsLeftAlone(t *testing.T) {
	s := newScene(t, ec2sim.Options{PrefixListDelay: time.Hour}, []string{"us-east-1"}, nil, rangeA)
	web, list := s.group(s.here, "web", "443"), s.list(s.here, "ranges", 5)
	if _, err := ec2.NewFromConfig(s.cfg).DeleteManagedPrefixList(t.Context(), &ec2.DeleteManagedPrefixListInput{PrefixListId: &list}); err != nil {
		t.Fatal(err)
	}
	report, err := s.Run(t.Context(), Request{})
	if err != nil || len(report.PrefixLists) != 0 || s.sources(s.here, web) != rangeA {
		t.Errorf("%v %+v", err, report)
	}
}

// A list that another account shares is its owner's to sync, tagged or not.
func TestSharedListIsLeftAlone(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	hub := s.sim.Region("999988887777", "us-east-1")
	theirs := s.list(hub, "ranges", 5, entry("18.70.0.0/16", oldEntry))
	if err := hub.SharePrefixList(theirs, ec2sim.DefaultAccount); err != nil {
		t.Fatal(err)
	}
	ours := s.list(s.here, "ranges", 5)
	report, err := s.Run(t.Context(), Request{})
	if err != nil || len(report.PrefixLists) != 1 || s.entries(s.here, ours) != rangeA || s.entries(hub, theirs) != "18.70.0.0/16" {
		t.Errorf("%v %+v, theirs has %s", err, report.PrefixLists, s.entries(hub, theirs))
	}
}

// Lists of both families may have one name of a pool: each family is shared by its own, and what fails in one leaves
// the other alone.
func TestFamiliesOfAListPool(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
	s.fetcher.Transport = transport(func() string {
		return strings.Replace(document(1790000000, rangeA, rangeB), `"ipv6_prefixes":[`, `"ipv6_prefixes":[{"ipv6_prefix":"2600:9000::/28","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"}`, 1)
	})
	v4, v6 := s.pooled(s.here, "web", "IPv4", 1), s.pooled(s.here, "web", "IPv6", 5)
	report, err := s.Run(t.Context(), Request{})
	if err == nil || !strings.Contains(err.Error(), "its prefix lists need 2 IPv4 entries, room for 1") {
		t.Errorf("got %v", err)
	}
	if s.entries(s.here, v6) != "2600:9000::/28" || s.entries(s.here, v4) == "" || report.Lists().Failed != 1 {
		t.Errorf("they have %s and %s: %+v", s.entries(s.here, v4), s.entries(s.here, v6), report.PrefixLists)
	}
}

// Where one list of a pool cannot be changed, the other takes what it can, and neither promise is forgotten: nothing is
// closed, an older file is refused, and what the published list takes away too much of is held.
func TestOneListOfAPoolFails(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	stuck := s.pooled(s.here, "web", "IPv4", 5, entry("18.64.0.0/15", oldEntry), entry("18.80.0.0/16", oldEntry))
	other := s.pooled(s.here, "web", "IPv4", 5)
	closed := s.watchList(stuck, "18.64.0.0/15")
	s.sim.Inject(ec2sim.Fault{Kind: ec2sim.Refused, Action: "ModifyManagedPrefixList", Resource: stuck, Count: ec2sim.Forever})
	report, err := s.Run(t.Context(), Request{Force: true})
	if err == nil || !strings.Contains(err.Error(), stuck) || !strings.Contains(err.Error(), "ec2:ModifyManagedPrefixList") {
		t.Errorf("got %v", err)
	}
	if s.entries(s.here, other) != rangeA+" "+rangeB || s.entries(s.here, stuck) != "18.64.0.0/15 18.80.0.0/16" || *closed > 0 {
		t.Errorf("they have %s and %s", s.entries(s.here, stuck), s.entries(s.here, other))
	}
	if got := report.Lists(); got.Failed != 1 || got.Lists != 2 {
		t.Errorf("report %+v", report.PrefixLists)
	}
	// An older file is refused by what the other list was made from, and a list that has lost most is held, whichever
	// of the two has it.
	s.Fetch = fetcherOf(document(1780000000, rangeA, rangeB))
	if _, err := s.Run(t.Context(), Request{}); err == nil || !strings.Contains(err.Error(), "of "+other+" was made from a newer one") {
		t.Errorf("an older file: %v", err)
	}
	s.Fetch = fetcherOf(document(1790003600, "99.84.0.0/16"))
	if _, err := s.Run(t.Context(), Request{}); err == nil || !strings.Contains(err.Error(), `pool "web" is held`) {
		t.Errorf("another list: %v", err)
	}
	if got := s.entries(s.here, other); !strings.HasPrefix(got, rangeA+" "+rangeB) {
		t.Errorf("it has %s", got)
	}
	// It converges once that is mended.
	s.sim.ClearFaults()
	s.Fetch = fetcherOf(document(1790007200, rangeA, rangeB))
	if _, err := s.Run(t.Context(), Request{Force: true}); err != nil || s.entries(s.here, stuck) != "" || s.entries(s.here, other) != rangeB+" "+rangeA {
		t.Errorf("%v, they have %s and %s", err, s.entries(s.here, stuck), s.entries(s.here, other))
	}
}

// A run that has no time left begins no change, and says so.
func TestListsOutOfTime(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	list := s.list(s.here, "ranges", 5)
	ctx, cancel := context.WithTimeout(t.Context(), stepReserve/2)
	defer cancel()
	if err := s.modify(ctx, s.Targets[0], secgroup.ListPool{Name: "web", Changes: []secgroup.Change{{ListID: list}}},
		map[string]*PrefixListReport{list: {Version: 1}}, Request{}); err == nil || !strings.Contains(err.Error(), "out of time between two steps; the next run continues") {
		t.Errorf("got %v", err)
	}
	if n := s.mutations(); n != 0 {
		t.Errorf("%d calls", n)
	}
}
