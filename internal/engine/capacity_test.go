package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

func TestCapacity(t *testing.T) {
	type group struct{ ports, pool string }
	const web = "web"
	foreign := ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.MustParsePrefix("192.0.2.0/24")), Description: "office"}
	for _, test := range []struct {
		name    string
		groups  []group
		foreign int // rules in the first group
		want    Capacity
	}{
		{"no group", nil, 0, Capacity{}},
		{"one group", []group{{"443", ""}}, 0, Capacity{Wanted: 3, Measured: 1, Free: 7}},
		{"a foreign rule takes a slot", []group{{"443", ""}}, 1, Capacity{Wanted: 3, Measured: 1, Free: 6}},
		{"a pool adds up", []group{{"443", web}, {"443", web}}, 0, Capacity{Wanted: 3, Measured: 1, Free: 17}},
		{"the tightest pool counts", []group{{"80 443", ""}, {"443", web}, {"443", web}}, 0, Capacity{Wanted: 9, Measured: 2, Free: 4}},
		{"the tightest port counts", []group{{"80 443", web}, {"443", web}}, 0, Capacity{Wanted: 6, Measured: 1, Free: 4}},
		{"short", []group{{"1 2 3 4", ""}, {"443", ""}}, 0, Capacity{Wanted: 15, Measured: 2, Free: 0, Short: 1}},
		{"nothing to hold", []group{{"none", ""}}, 0, Capacity{}},
		{"a tag that cannot be read", []group{{"44three", ""}}, 0, Capacity{}},
		{"a pool without a common port", []group{{"80", web}, {"443", web}}, 0, Capacity{Wanted: 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{RulesPerGroup: 10}, []string{"us-east-1"}, nil, rangeA, rangeB, "130.176.0.0/17")
			s.RulesPerGroup = 10
			for i, g := range test.groups {
				var tags []string
				if g.pool != "" {
					tags = []string{"-pool", g.pool}
				}
				id := s.group(s.here, fmt.Sprint("web-", i), g.ports, tags...)
				if i == 0 && test.foreign > 0 {
					if err := s.here.AddRules(id, foreign); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, run := range []string{"first", "second"} {
				report, _ := s.Run(t.Context(), Request{})
				if report.Capacity != test.want {
					t.Errorf("%s run: %+v, not %+v", run, report.Capacity, test.want)
				}
			}
		})
	}
}

// The capacity of several accounts and regions is that of all their pools.
func TestCapacityOfRegions(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1", "us-west-2"}, nil, rangeA)
	s.group(s.here, "web", "443")
	s.group(s.sim.Region("", "eu-west-1"), "web", "80 443")
	report, err := s.Run(t.Context(), Request{})
	if want := (Capacity{Wanted: 3, Measured: 2, Free: 58}); err != nil || report.Capacity != want {
		t.Errorf("%+v, not %+v, error %v", report.Capacity, want, err)
	}
}

// Withdrawing needs neither the file nor the quota, and one denied region keeps no other from it.
func TestWithdraw(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1"}, nil, rangeA, rangeB)
	there := s.sim.Region("", "eu-west-1")
	here, left := s.group(s.here, "web", "443"), s.group(there, "web", "443")
	if _, err := s.Run(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	s.Fetch = nil
	s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "RevokeSecurityGroupIngress", Region: "eu-west-1", Count: ec2sim.Forever, Code: "UnauthorizedOperation"})
	s.sim.ResetCalls()
	report, err := s.Run(t.Context(), Request{Withdraw: true})
	if err == nil || !strings.Contains(err.Error(), left) || strings.Contains(err.Error(), here) {
		t.Errorf("error %v", err)
	}
	if s.sources(s.here, here) != "" || s.sources(there, left) != rangeA+" "+rangeB {
		t.Errorf("rules %q here and %q there", s.sources(s.here, here), s.sources(there, left))
	}
	if report.Summary.Revoked != 2 || report.Summary.Added != 0 || report.Summary.Failed != 1 || report.Capacity != (Capacity{}) {
		t.Errorf("report %+v", report)
	}
	for _, call := range s.sim.ResetCalls() {
		if !slices.Contains([]string{"DescribeSecurityGroups", "DescribeManagedPrefixLists", "RevokeSecurityGroupIngress"}, call.Action) {
			t.Errorf("it calls %s", call.Action)
		}
	}
	s.sim.ClearFaults()
	if _, err := s.Run(t.Context(), Request{Withdraw: true}); err != nil || s.sources(there, left) != "" {
		t.Errorf("a second run: %v, rules %q", err, s.sources(there, left))
	}
}

// A defect that shows in one region leaves the others done and reported.
func TestPanicIsLocal(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1"}, nil, rangeA)
	web := s.group(s.here, "web", "443")
	s.Targets[1].EC2 = nil
	report, err := s.Run(t.Context(), Request{})
	if err == nil || !strings.Contains(err.Error(), "eu-west-1: panic: ") || len(report.Errors) != 1 {
		t.Errorf("error %v", err)
	}
	if s.sources(s.here, web) != rangeA || report.Summary.Added != 1 {
		t.Errorf("rules %q, report %+v", s.sources(s.here, web), report)
	}
}
