package door_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

// Each interface comes once, with the rules of all its groups, also of those that nobody asked for; an interface
// without one of the groups does not come.
func TestAttached(t *testing.T) {
	o := newOrigin(t)
	o.group(t, "ssh", ec2sim.TCP(22, 22, netip.MustParsePrefix("198.51.100.0/24")))
	both := o.attach(t, ec2sim.Interface{}, "half-1", "half-2")
	beside := o.attach(t, ec2sim.Interface{}, "half-2", "ssh")
	o.attach(t, ec2sim.Interface{}, "ssh")
	groups, err := secgroup.Describe(t.Context(), o.api, []string{o.groups["half-1"], o.groups["half-2"]})
	if err != nil {
		t.Fatal(err)
	}
	o.ResetCalls()
	subjects, err := door.Attached(t.Context(), o.api, groups)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range subjects {
		var names []string
		for _, g := range s.Groups {
			names = append(names, fmt.Sprintf("%s %d", g.Name, len(g.Ingress)))
		}
		slices.Sort(names)
		got[s.Interface.ID] = strings.Join(names, ", ")
	}
	want := map[string]string{both: "half-1 1, half-2 1", beside: "half-2 1, ssh 1"}
	if len(subjects) != 2 || got[both] != want[both] || got[beside] != want[beside] {
		t.Errorf("got %v, want %v", got, want)
	}
	var calls []string
	for _, c := range o.Calls() {
		calls = append(calls, c.Action)
	}
	if want := "DescribeNetworkInterfaces DescribeSecurityGroups"; strings.Join(calls, " ") != want {
		t.Errorf("it calls %v, want %s: the groups that are known are not described again", calls, want)
	}
}

// One call asks for 200 groups.
func TestAttachedManyGroups(t *testing.T) {
	o := newOrigin(t)
	var ids []string
	for i := range 201 {
		o.group(t, fmt.Sprint("g", i))
		ids = append(ids, o.groups[fmt.Sprint("g", i)])
	}
	id := o.attach(t, ec2sim.Interface{}, "g0", "g200")
	groups, err := secgroup.Describe(t.Context(), o.api, ids)
	if err != nil || len(groups) != 201 {
		t.Fatalf("%d groups, %v", len(groups), err)
	}
	o.ResetCalls()
	subjects, err := door.Attached(t.Context(), o.api, groups)
	if err != nil || len(subjects) != 1 || subjects[0].Interface.ID != id || len(subjects[0].Groups) != 2 {
		t.Errorf("got %+v, %v", subjects, err)
	}
	if n := len(o.Calls()); n != 2 {
		t.Errorf("%d calls for 201 groups", n)
	}
	o.Deny("DescribeNetworkInterfaces")
	_, err = door.Attached(t.Context(), o.api, groups)
	if err == nil || !strings.Contains(err.Error(), "grant the permission ec2:DescribeNetworkInterfaces") || len(err.Error()) > 500 {
		t.Errorf("got %v", err)
	}
}
