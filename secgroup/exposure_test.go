package secgroup

import (
	"net/netip"
	"slices"
	"testing"
)

func TestExposures(t *testing.T) {
	rule := func(protocol string, from, to int32, source string) Rule {
		r := Rule{RuleID: RuleID{Protocol: protocol, From: from, To: to}}
		if p, err := netip.ParsePrefix(source); err == nil {
			r.Source.Prefix = p
		} else {
			r.Source.Reference = source
		}
		return r
	}
	cases := []struct {
		name string
		rule Rule
		want []PortRange // opened of 80, in the other group of the pool, and of 8000-8080
	}{
		{"everyone", rule("tcp", 80, 80, "0.0.0.0/0"), []PortRange{{80, 80}}},
		{"everyone on IPv6", rule("tcp", 80, 80, "::/0"), []PortRange{{80, 80}}},
		{"half of everyone", rule("tcp", 80, 80, "128.0.0.0/1"), []PortRange{{80, 80}}},
		{"every port", rule("-1", -1, -1, "0.0.0.0/0"), []PortRange{{80, 80}, {8000, 8080}}},
		{"one port of a range", rule("tcp", 8080, 9000, "0.0.0.0/0"), []PortRange{{8000, 8080}}},
		{"another port", rule("tcp", 22, 22, "0.0.0.0/0"), nil},
		{"UDP", rule("udp", 80, 80, "0.0.0.0/0"), nil},
		{"a private network", rule("tcp", 80, 80, "10.0.0.0/8"), nil},
		{"unique local addresses", rule("tcp", 80, 80, "fc00::/7"), nil},
		{"more than those", rule("tcp", 80, 80, "f800::/5"), []PortRange{{80, 80}}},
		{"a prefix list", rule("tcp", 80, 80, "pl-1"), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pool := PoolPlan{Groups: []GroupPlan{
				{Group: &Group{ID: "sg-1", Ingress: []Rule{c.rule}}, Settings: Settings{Ports: []PortRange{{8000, 8080}}}},
				{Group: &Group{ID: "sg-2"}, Settings: Settings{Ports: []PortRange{{80, 80}}}},
			}}
			got := pool.Exposures()
			if len(c.want) == 0 && len(got) == 0 {
				return
			}
			if len(got) != 1 || got[0].GroupID != "sg-1" || got[0].Rule != c.rule || !slices.Equal(got[0].Ports, c.want) {
				t.Errorf("got %+v, want ports %v", got, c.want)
			}
		})
	}
}
