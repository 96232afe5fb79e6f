package secgroup

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Groups at one interface that are full, and of which one has more than it lists: nothing is closed before what replaces
// it is there, and no group is revoked from twice.
func TestTightGroupsAtOneInterface(t *testing.T) {
	owned := func(port int32, source string) Rule {
		r := Rule{RuleID: RuleID{Protocol: "tcp", From: port, To: port}, Description: testStamp.String()}
		if strings.HasPrefix(source, "pl-") {
			r.Source.Reference, r.Weight = source, Weight{1, 1}
		} else {
			r.Source.Prefix = netip.MustParsePrefix(source)
		}
		return r
	}
	for _, test := range []struct {
		name         string
		a, b         string // tags
		inA, inB     []Rule
		wanted, want string
	}{
		{
			"a group that withdraws holds the range open", "none", "443",
			[]Rule{owned(443, "1.0.0.0/22")},
			[]Rule{owned(443, "1.0.0.0/22")},
			"1.0.0.0/23", "revoke sg-b, authorize sg-b, revoke sg-a",
		},
		{
			"stale rules of another port", "80", "443",
			[]Rule{owned(80, "1.0.0.0/24"), owned(80, "3.0.0.0/24"), owned(443, "1.0.0.0/24")},
			[]Rule{owned(443, "2.0.0.0/24")},
			"1.0.0.0/24", "revoke sg-b, authorize sg-b, revoke sg-a",
		},
		{
			"an owned reference", "80", "443",
			[]Rule{owned(80, "1.0.0.0/24"), owned(443, "pl-3b927c52")},
			[]Rule{owned(443, "2.0.0.0/24")},
			"1.0.0.0/24", "revoke sg-b, authorize sg-b, revoke sg-a",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			groups := []Group{
				{ID: "sg-a", VPC: "vpc", Tags: map[string]string{testKey: test.a}, Ingress: test.inA},
				{ID: "sg-b", VPC: "vpc", Tags: map[string]string{testKey: test.b}, Ingress: test.inB},
			}
			plan, err := NewPlan(t.Context(), groups, Request{
				Stamp: testStamp, Ranges: []netip.Prefix{netip.MustParsePrefix(test.wanted)}, RulesPerGroup: 1, MaxRevokePercent: 100,
				Attachments: &Attachments{Interfaces: []Interface{{ID: "eni-1", Groups: []string{"sg-a", "sg-b"}}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var steps []string
			for _, s := range plan.Sequences[0].Steps {
				steps = append(steps, s.Operation()+" "+s.HolderID)
				if len(s.Gap) > 0 {
					t.Errorf("%v opens a gap", s)
				}
			}
			if got := strings.Join(steps, ", "); got != test.want {
				t.Errorf("it plans %s, want %s", got, test.want)
			}
			if t.Failed() {
				t.Log(fmt.Sprint(plan.Sequences[0].Steps))
			}
		})
	}
}
