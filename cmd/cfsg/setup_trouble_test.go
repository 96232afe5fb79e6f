package main

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// A setup that is cut short at any call, in any way, leaves CloudFront in, and the next one goes on to the end.
func TestSetupKilledAtEveryCall(t *testing.T) {
	reference := newOriginSite(t, openShop)
	if code, _, stderr := reference.shop("--yes", "--close-world"); code != exitOK {
		t.Fatal(stderr)
	}
	cutAtEveryCall(t, openShop, reference.Calls(), func(ctx context.Context, t *testing.T, o *originSite, _ ec2sim.Call, _ ec2sim.FaultKind) {
		code, _, _ := o.cfsg(ctx, "setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
		if code == exitOK { // then all is done
			o.closed(3)
			return
		}
		if code, _, stderr := o.shop("--yes", "--close-world"); code != exitOK {
			t.Fatalf("the next run: %s", stderr)
		}
		o.closed(3)
	})
}

// A call that is refused is told with the permission that it needs; CloudFront stays in, and what was open does too.
func TestSetupRefusedAtEveryCall(t *testing.T) {
	reference := newOriginSite(t, openShop)
	reference.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	refused := map[string]bool{}
	for _, c := range reference.Calls() {
		if refused[c.Service+":"+c.Action] {
			continue
		}
		refused[c.Service+":"+c.Action] = true
		t.Run(c.Service+":"+c.Action, func(t *testing.T) {
			o := newOriginSite(t, openShop)
			o.Inject(ec2sim.Fault{Kind: ec2sim.Refused, Service: c.Service, Action: c.Action, Count: ec2sim.Forever})
			code, stdout, stderr := o.shop("--yes", "--close-world")
			told := stderr
			if c.Service == "servicequotas" {
				told, code = stdout, code+exitError // the default is assumed
			}
			if code != exitError || !strings.Contains(told, c.Service+":"+c.Action) {
				t.Errorf("exit code %d, %s", code, told)
			}
			o.ClearFaults()
			o.shop("--yes", "--close-world")
			o.closed(3)
		})
	}
	if len(refused) < 10 {
		t.Errorf("only %v were refused", refused)
	}
}

// The story that shut CloudFront out by hand: whatever the mode of the old group and the order of the commands, it
// stays in.
func TestSetupInAnyOrder(t *testing.T) {
	compact := []string{"--service", "CLOUDFRONT_ORIGIN_FACING", "--within", "CLOUDFRONT"}
	commands := map[string][]string{
		"apply": append([]string{"apply", "--yes"}, compact...),
		"setup": {"setup", "--load-balancer", "shop", "--port", "443", "--yes"},
		"close": {"setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world"},
	}
	orders := [][]string{
		{"apply", "setup", "close"},
		{"apply", "close", "setup"},
		{"setup", "apply", "close"},
		{"setup", "close", "apply"},
		{"close", "apply", "setup"},
		{"close", "setup", "apply"},
	}
	for _, mode := range []string{"", "owned", "exclusive"} {
		for _, order := range orders {
			t.Run(strings.TrimSpace(mode+" "+strings.Join(order, " ")), func(t *testing.T) {
				seed := openShop
				if mode != "" {
					seed = strings.Replace(seed, `"name": "web",`, `"name": "web", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-mode": "`+mode+`"},`, 1)
				}
				o := newOriginSite(t, seed)
				for _, command := range order {
					// Before there is a tagged group there is nothing to apply.
					if code, _, stderr := o.cfsg(t.Context(), commands[command]...); code != exitOK && !strings.Contains(stderr, "no security group is tagged") {
						t.Fatalf("%s: %s", command, stderr)
					}
				}
				groups := 3
				if mode != "" && order[0] == "apply" {
					groups = 2 // the old group has the ranges, and no other is needed
				}
				o.closed(groups)
			})
		}
	}
}

// What cannot be done is told with the way out, and nothing is changed.
func TestSetupRefuses(t *testing.T) {
	world := `"ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]`
	shop := func(groups, balancer string) string {
		return `{"groups": [` + groups + `], "loadBalancers": [{"name": "shop", "listeners": ["HTTPS:443"], ` + balancer + `}]}`
	}
	five := `{"name": "a", ` + world + `}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}`
	cases := []struct {
		name, seed string
		args, want []string
	}{
		{
			"five groups", shop(five, `"groups": ["a", "b", "c", "d", "e"], "interfaces": [{"publicIp": "198.51.100.8"}]`), nil,
			[]string{"load balancer shop has 5 security groups of its own", "can have 5 in all", "detach a group that is not needed", "cfsg apply --service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT"},
		},
		{
			"a Network Load Balancer without groups", shop("", `"type": "network", "interfaces": [{"publicIp": "198.51.100.8"}]`), nil,
			[]string{"has no security group", "create it again with one", "--instance"},
		},
		{"a Gateway Load Balancer", shop("", `"type": "gateway"`), nil, []string{"is a Gateway Load Balancer"}},
		{"internal", shop(`{"name": "a"}`, `"groups": ["a"], "scheme": "internal"`), nil, []string{"VPC origin", "CloudFront-VPCOrigins-Service-SG"}},
		{"no such load balancer", `{}`, nil, []string{"there is no Application or Network Load Balancer shop"}},
		{"no such instance", `{}`, []string{"--instance", "i-0123456789abcdef0"}, []string{"i-0123456789abcdef0 has no network interface"}},
		{
			"an interface of a load balancer", shop(`{"name": "a"}`, `"groups": ["a"]`),
			[]string{"--interface", "INTERFACE"},
			[]string{"belongs to load balancer shop", "use --load-balancer shop"},
		},
		{
			"an interface of a service", `{"interfaces": [{"description": "AWS Lambda VPC ENI", "requester": "amazon-lambda"}]}`,
			[]string{"--interface", "INTERFACE"},
			[]string{"is managed by an AWS service"},
		},
		{
			"the name is taken", shop(`{"name": "a", `+world+`}, {"name": "cloudfront-ingress-shop-1"}`, `"groups": ["a"], "interfaces": [{"publicIp": "198.51.100.8"}]`), nil,
			[]string{"a group of this name exists that cfsg setup did not create"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			setSetupPatience(t)
			o := newOriginSite(t, c.seed)
			args := slices.Clone(c.args)
			if len(args) == 0 {
				args = []string{"--load-balancer", "shop"}
			}
			for id := range o.interfaces {
				args[1] = strings.ReplaceAll(args[1], "INTERFACE", id)
			}
			code, _, stderr := o.cfsg(t.Context(), append([]string{"setup", "--port", "443", "--yes", "--close-world"}, args...)...)
			if code != exitError || c.name != "the name is taken" && len(o.mutating()) > 0 || len(o.shut) > 0 {
				t.Errorf("exit code %d, calls %v, shut %v", code, o.mutating(), o.shut)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is not in %s", want, stderr)
				}
			}
		})
	}
}

// The permissions that docs/setup.md lists are those that setups need, and no others.
func TestSetupPermissions(t *testing.T) {
	page, err := os.ReadFile("../../docs/setup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Fatal(err)
	}
	listed := policy.Statement[0].Action
	called := map[string]bool{}
	note := func(o *originSite) {
		for _, c := range o.Calls() {
			called[c.Service+":"+c.Action] = true
		}
	}
	list := `{"protocol": "tcp", "ports": "8080", "source": "list:com.amazonaws.global.cloudfront.origin-facing"}, `
	shop := newOriginSite(t, strings.Replace(openShop, `"ingress": [`, `"ingress": [`+list, 1))
	shop.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	shop.must("setup", "--load-balancer", "shop", "--port", "8443", "--yes") // a port more
	// The rules are stamped anew where the next file only takes away.
	ranges := shop.flags[len(shop.flags)-1]
	later := strings.Replace(originFacingRanges, "2026-01-02-03-04-05", "2026-01-03-03-04-05", 1)
	later = strings.Replace(later, "1767323045", "1767409445", 1)
	later = strings.Replace(later, `,
  {"ip_prefix": "99.84.4.0/24", "region": "GLOBAL", "service": "CLOUDFRONT_ORIGIN_FACING", "network_border_group": "GLOBAL"}`, "", 1)
	if err := os.WriteFile(ranges, []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	shop.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	note(shop)
	cluster := newOriginSite(t, clusterShop)
	cluster.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	cluster.must("setup", "--load-balancer", "shop", "--undo", "--yes")
	note(cluster)
	instance := newOriginSite(t, `{"interfaces": [{"instance": "i-0123456789abcdef0", "publicIp": "198.51.100.7"}]}`)
	instance.must("setup", "--instance", "i-0123456789abcdef0", "--port", "443", "--yes")
	note(instance)
	instance.ResetCalls()
	// Nobody else lets CloudFront in there, so that it takes a group that does.
	if err := instance.here().AddRules(instance.here().Interfaces()[0].Groups[0], ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("0.0.0.0/0"))},
		ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("::/0"))}); err != nil {
		t.Fatal(err)
	}
	instance.must("setup", "--instance", "i-0123456789abcdef0", "--undo", "--yes")
	note(instance)
	for _, action := range listed {
		// With its tags in the same call, the creation of a group needs it too.
		if !called[action] && action != "ec2:CreateTags" {
			t.Errorf("%s is listed and not needed", action)
		}
		delete(called, action)
	}
	if len(called) > 0 {
		t.Errorf("not listed: %v", called)
	}
}
