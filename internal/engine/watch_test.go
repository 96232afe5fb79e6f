package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// A run warns of what is open to the world once it is over, and of stray tags. It asks EC2 for more only if it is to
// look at all network interfaces.
func TestWatch(t *testing.T) {
	const (
		vpc = `"vpcs": [{"name": "v", "cidr": "10.1.0.0/16"}],
			"subnets": [{"vpc": "v", "name": "a", "cidr": "10.1.16.0/24"}], `
		private = `{"vpc": "v", "subnet": "a", "groups": ["web"]}`
		public  = `{"vpc": "v", "subnet": "a", "groups": ["web", "other"], "publicIp": "198.51.100.8", "ipv6": "2600::8"}`
	)
	rule := func(protocol, ports, source string) string {
		if ports != "" {
			ports = fmt.Sprintf(`"ports": %q, `, ports)
		}
		return fmt.Sprintf(`{"protocol": %q, %s"source": %q, "description": "test"}`, protocol, ports, source)
	}
	world := rule("tcp", "443", "0.0.0.0/0")
	for _, c := range []struct {
		name       string
		tags       string // of the group web, besides that for port 443
		web, other string // rules
		at         string // an interface
		look       bool
		want       []string // a part of each warning
		count      int      // of rules, -1 for none said
	}{
		{"closed", "", "", "", public, true, nil, 0},
		{"closed, not looked", "", "", "", public, false, nil, -1},
		{"a managed port", "", world, "", public, true, []string{` lets 0.0.0.0/0 in on port 443 ("test")`}, 1},
		{"both families", "", world + "," + rule("tcp", "443", "::/0"), "", public, true, []string{"0.0.0.0", "::/0 in"}, 2},
		{"port 80 beside it", "", rule("tcp", "80", "0.0.0.0/0"), "", public, true, []string{"on port 80"}, 1},
		{"all ports", "", rule("tcp", "0-65535", "0.0.0.0/0"), "", public, true, []string{"on ports 80, 443"}, 1},
		{"all protocols", "", rule("-1", "", "::/0"), "", public, true, []string{"::/0 in on ports 80, 443"}, 1},
		{"UDP", "", rule("udp", "443", "0.0.0.0/0"), "", public, true, nil, 0},
		{"another port", "", rule("tcp", "22", "0.0.0.0/0"), "", public, true, nil, 0},
		{"wider than IPv4 /8", "", rule("tcp", "443", "16.0.0.0/7"), "", public, true, []string{"16.0.0.0/7"}, 1},
		{"IPv4 /8", "", rule("tcp", "443", "16.0.0.0/8"), "", public, true, nil, 0},
		{"wider than IPv6 /20", "", rule("tcp", "443", "2600::/19"), "", public, true, []string{"2600::/19"}, 1},
		{"IPv6 /20", "", rule("tcp", "443", "2600::/20"), "", public, true, nil, 0},
		{
			"meant", `, "cloudfront-ingress-public": "80"`, rule("tcp", "80", "0.0.0.0/0") + "," + world, "", public, true,
			[]string{"on port 443"},
			1,
		},
		{"an entry of a list", "", rule("tcp", "443", "list:everyone"), "", public, true, []string{"web lets pl-"}, 1},
		{"an entry of a list, not looked", "", rule("tcp", "443", "list:everyone"), "", public, false, nil, -1},
		{"another group there", "", "", world, public, true, []string{" other lets 0.0.0.0/0 in on port 443"}, 1},
		{"another group there, not looked", "", "", rule("tcp", "443", "0.0.0.0/0"), public, false, nil, -1},
		{"a private interface", "", rule("tcp", "443", "0.0.0.0/0"), "", private, true, nil, 0},
		{"a private interface, not looked", "", world, "", private, false, []string{"on port 443"}, -1},
		{"revoked by this run", `, "cloudfront-ingress-mode": "exclusive"`, world, "", public, true, nil, 0},
		{"stray", `, "cloudfront-ingress-Pool": "web"`, "", "", public, false, []string{`-Pool="web" has no effect`}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
			seed := fmt.Sprintf(`{%s"prefixLists": [
				{"name": "everyone", "family": "IPv4", "maxEntries": 2, "entries": ["0.0.0.0/1", "128.0.0.0/1"]}],
				"groups": [{"vpc": "v", "name": "web", "tags": {"cloudfront-ingress": "443"%s}, "ingress": [%s]},
					{"vpc": "v", "name": "other", "ingress": [%s]}],
				"interfaces": [%s]}`, vpc, c.tags, c.web, c.other, c.at)
			if err := s.sim.Seed(strings.NewReader(seed)); err != nil {
				t.Fatal(err)
			}
			report, err := s.Run(t.Context(), Request{Look: c.look, Watch: true})
			if err != nil {
				t.Fatal(err)
			}
			checkWarnings(t, report, c.want...)
			count := -1
			if report.OpenToWorld != nil {
				count = *report.OpenToWorld
			}
			if count != c.count {
				t.Errorf("%d rules are open to the world, want %d", count, c.count)
			}
			s.sim.ResetCalls()
			if _, err := s.Run(t.Context(), Request{Look: c.look, Watch: true}); err != nil {
				t.Fatal(err)
			}
			if calls := len(s.sim.Calls()); !c.look && calls > 3 { // groups, tagged lists, and what a list in a rule weighs
				t.Errorf("an idle run takes %d calls: %v", calls, s.sim.Calls())
			}
		})
	}
}

// checkWarnings fails unless each warning has one of the parts, in order.
func checkWarnings(t *testing.T, report *Report, parts ...string) {
	t.Helper()
	if !slices.EqualFunc(report.Warnings, parts, strings.Contains) {
		t.Errorf("warnings %q, want %q", report.Warnings, parts)
	}
}

// Stray tags of groups that lack the tag are found in every run, mistyped ones by a run that looks. What cannot be seen
// is said, and then nothing is counted.
func TestWatchWithoutPermission(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	err := s.sim.Seed(strings.NewReader(`{"vpcs": [{"name": "v", "cidr": "10.1.0.0/16"}],
		"subnets": [{"vpc": "v", "name": "a", "cidr": "10.1.16.0/24"}],
		"prefixLists": [{"name": "everyone", "family": "IPv4", "maxEntries": 2, "entries": ["0.0.0.0/0"]}],
		"groups": [
			{"vpc": "v", "name": "web", "tags": {"cloudfront-ingress": "443"},
				"ingress": [{"protocol": "tcp", "ports": "443", "source": "list:everyone"}]},
			{"vpc": "v", "name": "pool", "tags": {"cloudfront-ingress-pool": "web"}},
			{"vpc": "v", "name": "typo", "tags": {"cloudfront-ingres": "443"}}],
		"interfaces": [{"vpc": "v", "subnet": "a", "groups": ["web"], "publicIp": "198.51.100.8"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	run := func(look bool, want ...string) *Report {
		report, err := s.Run(t.Context(), Request{Look: look, Watch: true})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(report.Warnings)
		checkWarnings(t, report, want...)
		return report
	}
	run(false, "cloudfront-ingress-pool")
	const stray = `cloudfront-ingress-pool="web" has no effect, because the group has no tag cloudfront-ingress`
	run(true, "open to the world: ", stray, "cloudfront-ingres=")
	s.sim.Deny("GetManagedPrefixListEntries")
	run(true, "cannot tell whether rules that refer to pl-", "cloudfront-ingress-pool", "cloudfront-ingres=")
	s.sim.Deny("DescribeNetworkInterfaces")
	unseen := "cannot tell whether rules that refer to pl-"
	report := run(true, "DescribeNetworkInterfaces", unseen, stray, "cloudfront-ingres=")
	if report.OpenToWorld != nil {
		t.Errorf("%d rules are counted, with interfaces that nobody saw", *report.OpenToWorld)
	}
}
