package main

import (
	"slices"
	"strings"
	"testing"
)

// What is open to the world beyond the ports, where another tool brings it back, or is needed elsewhere, is left open,
// and told.
func TestSetupDoesNotClose(t *testing.T) {
	cases := []struct {
		name, ingress, tags, more, want string
		args                            []string
	}{
		{"every protocol", `{"protocol": "-1", "source": "0.0.0.0/0"}`, "", "", "It opens every protocol and port", nil},
		{"more ports", `{"protocol": "tcp", "ports": "80-443", "source": "0.0.0.0/0"}`, "", "", "It opens more than port 443", nil},
		{"half the world", `{"protocol": "tcp", "ports": "0-65535", "source": "128.0.0.0/1"}`, "", "", "It opens more than port 443", nil},
		{
			"Kubernetes", `{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}`, `"tags": {"kubernetes.io/cluster/prod": "owned"}, `, "",
			"The Kubernetes cluster prod would restore it", nil,
		},
		{
			"another interface", `{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}`, "", `"interfaces": [{"groups": ["web"], "publicIp": "198.51.100.77"}], `,
			"set up that origin first", nil,
		},
		{"another family", `{"protocol": "tcp", "ports": "443", "source": "::/0"}`, "", "", "no IPv6 range is wanted here", []string{"--family", "ipv4"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := newOriginSite(t, `{"groups": [{"name": "web", `+c.tags+`"ingress": [`+c.ingress+`]}], `+c.more+`
			  "loadBalancers": [{"name": "shop", "groups": ["web"], "listeners": ["HTTPS:443"], "interfaces": [{"publicIp": "198.51.100.8", "ipv6": "2001:db8::8"}]}]}`)
			code, stdout, stderr := o.shop(append([]string{"--yes", "--close-world"}, c.args...)...)
			if code != exitOK || slices.Contains(o.mutating(), "RevokeSecurityGroupIngress") || len(o.shut) > 0 {
				t.Errorf("exit code %d, calls %v, shut %v, %s", code, o.mutating(), o.shut, stderr)
			}
			if !strings.Contains(strings.Join(strings.Fields(stdout), " "), c.want) {
				t.Errorf("%q is not in %s", c.want, stdout)
			}
			if strings.Contains(stdout, "no rule opens that to the world") {
				t.Errorf("it says that nothing is open:\n%s", stdout)
			}
		})
	}
}

// Where the group is not seen at every interface, as while AWS is attaching it or where another tool has taken it away,
// nothing is closed.
func TestSetupClosesNothingUnlessVerified(t *testing.T) {
	setSetupPatience(t)
	o := newOriginSite(t, openShop)
	o.before = func() {
		if calls := o.mutating(); len(calls) > 0 && calls[len(calls)-1] == "SetSecurityGroups" {
			i := o.here().Interfaces()[1]
			if err := o.here().Attach(i.ID, i.Groups[:2]...); err != nil {
				t.Error(err)
			}
		}
	}
	code, _, stderr := o.shop("--yes", "--close-world")
	last := o.here().Interfaces()[1].ID
	if code != exitError || slices.Contains(o.mutating(), "RevokeSecurityGroupIngress") || len(o.shut) > 0 ||
		!strings.Contains(stderr, "at "+last+", CloudFront may not get in completely without the rules that are open to the world, so they stay") {
		t.Errorf("exit code %d, calls %v, shut %v, %s", code, o.mutating(), o.shut, stderr)
	}
	o.before = func() {}
	if err := o.here().Attach(last, o.here().Interfaces()[0].Groups...); err != nil {
		t.Fatal(err)
	}
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	o.closed(3)
}
