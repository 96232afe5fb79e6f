package engine

import (
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// meddle changes a list as somebody else does.
func (s *scene) meddle(in *ec2.ModifyManagedPrefixListInput) {
	s.t.Helper()
	if _, err := s.Targets[0].EC2.ModifyManagedPrefixList(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// If others change a list, CloudFront is shut out until the next run at most.
func TestListIsMended(t *testing.T) {
	const both = rangeA + " " + rangeB
	for _, c := range []struct {
		name    string
		meddle  func(s *scene, list string)
		want    string
		version int64
	}{
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
