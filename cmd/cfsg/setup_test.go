package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// originFacingRanges is an ip-ranges.json whose compact cover is the first and
// the third of its IPv4 ranges, and the IPv6 range.
const originFacingRanges = `{"syncToken": "1767323045", "createDate": "2026-01-02-03-04-05", "prefixes": [
  {"ip_prefix": "18.64.0.0/14", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"},
  {"ip_prefix": "52.84.0.0/15", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"},
  {"ip_prefix": "99.84.0.0/16", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"},
  {"ip_prefix": "18.65.0.0/16", "region": "GLOBAL", "service": "CLOUDFRONT_ORIGIN_FACING", "network_border_group": "GLOBAL"},
  {"ip_prefix": "99.84.4.0/24", "region": "GLOBAL", "service": "CLOUDFRONT_ORIGIN_FACING", "network_border_group": "GLOBAL"}
], "ipv6_prefixes": [
  {"ipv6_prefix": "2600:9000::/28", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"},
  {"ipv6_prefix": "2600:9000:1000::/36", "region": "GLOBAL", "service": "CLOUDFRONT_ORIGIN_FACING", "network_border_group": "GLOBAL"}
]}`

// wantedAtOrigins are what of it connects to origins.
var wantedAtOrigins = []netip.Prefix{
	netip.MustParsePrefix("18.65.0.0/16"), netip.MustParsePrefix("99.84.4.0/24"), netip.MustParsePrefix("2600:9000:1000::/36"),
}

// openShop is a load balancer that is open to the world, with a second group.
const openShop = `{"groups": [
  {"name": "web", "ingress": [
    {"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0", "description": "launch day"},
    {"protocol": "tcp", "ports": "443", "source": "::/0"}]},
  {"name": "ssh", "ingress": [{"protocol": "tcp", "ports": "22", "source": "198.51.100.0/24"}]}
],
 "loadBalancers": [{"name": "shop", "groups": ["web", "ssh"], "listeners": ["HTTPS:443"],
  "interfaces": [{"publicIp": "198.51.100.8", "ipv6": "2001:db8::8"}, {"publicIp": "198.51.100.9", "ipv6": "2001:db8::9"}]}]}`

// An originSite is an endpoint with an origin that somebody sets up, and a
// witness who looks at each interface between any two calls.
type originSite struct {
	*operator
	t *testing.T
	// shut is what the witness has seen to be shut out.
	shut []string

	groups     map[string]ec2sim.Group
	interfaces map[string]ec2sim.Interface
	lists      map[string]ec2sim.PrefixList
	let        map[string]bool
}

func newOriginSite(t *testing.T, seed string) *originSite {
	t.Helper()
	o := &originSite{
		operator: newOperatorWith(t, seed, originFacingRanges), t: t,
		groups: map[string]ec2sim.Group{}, interfaces: map[string]ec2sim.Interface{}, lists: map[string]ec2sim.PrefixList{},
	}
	for _, g := range o.here().Groups() {
		o.groups[g.ID] = g
	}
	for _, i := range o.here().Interfaces() {
		o.interfaces[i.ID] = i
	}
	for _, l := range o.here().PrefixLists() {
		o.lists[l.ID] = l
	}
	o.let = o.letIn()
	o.Observe(o.witness)
	return o
}

func (o *originSite) here() ec2sim.Region { return o.Region("", "us-east-1") }

// shop sets the load balancer shop up.
func (o *originSite) shop(args ...string) (code int, stdout, stderr string) {
	return o.cfsg(o.t.Context(), append([]string{"setup", "--load-balancer", "shop", "--port", "443"}, args...)...)
}

// must is a command that has to end well.
func (o *originSite) must(args ...string) string {
	o.t.Helper()
	code, stdout, stderr := o.cfsg(o.t.Context(), args...)
	if code != exitOK {
		o.t.Fatalf("%v: exit code %d, %s", args, code, stderr)
	}
	return stdout
}

// letIn returns which wanted ranges get in at which interfaces.
func (o *originSite) letIn() map[string]bool {
	let := map[string]bool{}
	for id, i := range o.interfaces {
		for _, g := range i.Groups {
			for _, r := range o.groups[g].Ingress {
				for _, p := range wantedAtOrigins {
					sources := []netip.Prefix{r.Source.Prefix}
					for _, e := range o.lists[r.Source.Reference].Entries {
						sources = append(sources, e.Prefix)
					}
					port := r.Protocol == "-1" || r.Protocol == "tcp" && r.From <= 443 && 443 <= r.To
					for _, s := range sources {
						if port && s.IsValid() && s.Bits() <= p.Bits() && s.Contains(p.Addr()) {
							let[fmt.Sprint(id, " ", p)] = true
						}
					}
				}
			}
		}
	}
	return let
}

// witness notes what was let in before a change and is not any more.
func (o *originSite) witness(c ec2sim.Change) {
	for _, g := range c.Groups {
		o.groups[g.ID] = g
	}
	for _, i := range c.Interfaces {
		o.interfaces[i.ID] = i
	}
	for _, l := range c.PrefixLists {
		o.lists[l.ID] = l
	}
	for _, id := range c.Deleted {
		delete(o.groups, id)
		delete(o.interfaces, id)
	}
	now := o.letIn()
	for what := range o.let {
		if !now[what] {
			o.shut = append(o.shut, fmt.Sprintf("%s of %s shut out %s", c.Call.Action, c.Call.Resource, what))
		}
	}
	o.let = now
}

// mutating returns the calls that have changed something, or were to.
func (o *originSite) mutating() []string {
	var calls []string
	for _, c := range o.Calls() {
		if c.Mutating {
			calls = append(calls, c.Action)
		}
	}
	return calls
}

// closed checks that all that is wanted gets in at every interface of the load
// balancer, nobody does from anywhere, and nothing is left to do.
func (o *originSite) closed(groups int) {
	o.t.Helper()
	for id, i := range o.interfaces {
		for _, p := range wantedAtOrigins {
			if !o.let[fmt.Sprint(id, " ", p)] {
				o.t.Errorf("%s does not get in at %s", p, id)
			}
		}
		if len(i.Groups) != groups {
			o.t.Errorf("%s has the groups %v, want %d", id, i.Groups, groups)
		}
	}
	for _, g := range o.here().Groups() {
		for _, r := range g.Ingress {
			if r.Source.Prefix.IsValid() && r.Source.Prefix.Bits() == 0 {
				o.t.Errorf("%s is open to the world: %+v", g.Name, r)
			}
		}
		if strings.HasPrefix(g.Name, "cloudfront-ingress-") && len(g.Egress) > 0 {
			o.t.Errorf("%s lets out %+v", g.Name, g.Egress)
		}
	}
	if len(o.shut) > 0 {
		o.t.Errorf("at some moment: %s", strings.Join(o.shut, "; "))
	}
	o.ResetCalls()
	if code, stdout, stderr := o.shop("--yes", "--close-world"); code != exitOK || len(o.mutating()) > 0 {
		o.t.Errorf("run again: exit code %d, calls %v, %s%s", code, o.mutating(), stdout, stderr)
	}
}

// One command, and a second one that has nothing to do; the rules of others stay,
// and what is open to the world does without --close-world.
func TestSetup(t *testing.T) {
	o := newOriginSite(t, openShop)
	before := o.here().Groups()
	if code, stdout, _ := o.shop("--dry-run"); code != exitOK || len(o.mutating()) > 0 || !strings.Contains(stdout, "3   authorize   cloudfront-ingress-shop-1   2 IPv4 and 1 IPv6 rules on port 443") {
		t.Errorf("dry run: exit code %d, calls %v\n%s", code, o.mutating(), stdout)
	}
	code, stdout, stderr := o.shop("--yes")
	if code != exitOK || !strings.Contains(stdout, "is still open to the world: run this again") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	want := "CreateSecurityGroup RevokeSecurityGroupEgress AuthorizeSecurityGroupIngress SetSecurityGroups"
	if got := strings.Join(o.mutating(), " "); got != want {
		t.Errorf("it calls %s, want %s", got, want)
	}
	for _, g := range before {
		if now, _ := o.here().Group(g.ID); len(now.Ingress) != len(g.Ingress) {
			t.Errorf("the rules of %s were %v, are %v", g.Name, g.Ingress, now.Ingress)
		}
	}
	o.ResetCalls()
	if code, _, stderr := o.shop("--yes", "--close-world"); code != exitOK || strings.Join(o.mutating(), " ") != "RevokeSecurityGroupIngress RevokeSecurityGroupIngress" {
		t.Errorf("exit code %d, calls %v, %s", code, o.mutating(), stderr)
	}
	o.closed(3)
	// The engine of the function takes the group for its own, and has nothing to do.
	compact := []string{"--detailed-exitcode", "--service", "CLOUDFRONT_ORIGIN_FACING", "--within", "CLOUDFRONT"}
	o.must(append([]string{"plan"}, compact...)...)
	o.must(append([]string{"status"}, compact...)...)
}

// A setup that is cut short at any call, in any way, leaves CloudFront in, and
// the next one goes on to the end.
func TestSetupKilledAtEveryCall(t *testing.T) {
	reference := newOriginSite(t, openShop)
	if code, _, stderr := reference.shop("--yes", "--close-world"); code != exitOK {
		t.Fatal(stderr)
	}
	calls := reference.Calls()
	kinds := []ec2sim.FaultKind{ec2sim.ErrorBefore, ec2sim.ErrorAfter, ec2sim.CutAfter, "interrupt"}
	for n, c := range calls {
		for _, kind := range kinds {
			if !c.Mutating && (kind == ec2sim.ErrorAfter || kind == ec2sim.CutAfter) {
				continue // as before the effect
			}
			t.Run(fmt.Sprintf("%d %s %s", n, c.Action, kind), func(t *testing.T) {
				o := newOriginSite(t, openShop)
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				if kind == "interrupt" {
					seen := 0
					o.before = func() {
						if seen == n {
							interrupt()
						}
						seen++
					}
				} else {
					o.Inject(ec2sim.Fault{Kind: kind, Action: ec2sim.AnyAction, After: n, Code: "Boom", Status: http.StatusBadRequest})
				}
				code, _, stderr := o.cfsg(ctx, "setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
				if code == exitOK && kind != ec2sim.CutAfter && kind != "interrupt" && c.Service != "servicequotas" {
					t.Errorf("nothing is said of %s at %s: %s", kind, c.Action, stderr)
				}
				if code, _, stderr := o.shop("--yes", "--close-world"); code != exitOK {
					t.Fatalf("the next run: %s", stderr)
				}
				o.closed(3)
			})
		}
	}
}

// A call that is refused is told with the permission that it needs; CloudFront
// stays in, and what was open does too.
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

// An undo takes back what was made, and nothing else.
func TestSetupUndo(t *testing.T) {
	o := newOriginSite(t, openShop)
	groups, interfaces := o.here().Groups(), o.here().Interfaces()
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	if code, _, stderr := o.shop("--undo", "--yes"); code != exitOK {
		t.Fatal(stderr)
	}
	if now := o.here().Groups(); len(now) != len(groups) {
		t.Errorf("groups %v, were %v", now, groups)
	}
	for i, was := range interfaces {
		if now := o.here().Interfaces()[i]; !slices.Equal(now.Groups, was.Groups) {
			t.Errorf("%s has %v, had %v", was.ID, now.Groups, was.Groups)
		}
	}
	if len(o.shut) > 0 {
		t.Error(o.shut)
	}
	o.ResetCalls()
	if code, stdout, _ := o.cfsg(t.Context(), "setup", "--load-balancer", "shop", "--undo", "--yes"); code != exitOK || len(o.mutating()) > 0 || !strings.Contains(stdout, "nothing to undo") {
		t.Errorf("again: exit code %d, %v, %s", code, o.mutating(), stdout)
	}
}

// --yes does not answer for shutting CloudFront out, with ports named or not.
func TestSetupUndoThatShutsOut(t *testing.T) {
	o := newOriginSite(t, openShop)
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	o.ResetCalls()
	for _, args := range [][]string{{"--port", "443"}, {}} {
		code, stdout, stderr := o.cfsg(t.Context(), append([]string{"setup", "--load-balancer", "shop", "--undo", "--yes"}, args...)...)
		if code != exitError || len(o.mutating()) > 0 || !strings.Contains(stderr, "it would shut CloudFront out at eni-") || !strings.Contains(stdout, "detach") {
			t.Errorf("exit code %d, %v, %s%s", code, o.mutating(), stdout, stderr)
		}
	}
}

// An undo that is cut short goes on the next time, also where the load balancer
// is gone, and refuses where somebody has attached the group elsewhere.
func TestSetupUndoKilledAtEveryCall(t *testing.T) {
	set := func(t *testing.T) *originSite {
		o := newOriginSite(t, openShop)
		o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
		o.ResetCalls()
		return o
	}
	reference := set(t)
	reference.must("setup", "--load-balancer", "shop", "--port", "443", "--undo", "--yes")
	for n, c := range reference.Calls() {
		t.Run(fmt.Sprintf("%d %s", n, c.Action), func(t *testing.T) {
			o := set(t)
			o.Inject(ec2sim.Fault{Kind: ec2sim.ErrorAfter, Action: ec2sim.AnyAction, After: n, Code: "Boom", Status: http.StatusBadRequest})
			if code, _, _ := o.shop("--undo", "--yes"); code != exitError {
				t.Errorf("nothing is said of an error at %s", c.Action)
			}
			o.must("setup", "--load-balancer", "shop", "--undo", "--yes")
			if n := len(o.here().Groups()); n != len(newOriginSite(t, openShop).here().Groups()) || len(o.shut) > 0 {
				t.Errorf("%d groups, %v", n, o.shut)
			}
		})
	}
	o := set(t)
	for _, g := range o.here().Groups() {
		if g.Name == "cloudfront-ingress-shop-1" {
			if _, err := o.here().CreateInterface(ec2sim.Interface{Groups: []string{g.ID}, Description: "of somebody else"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code, _, stderr := o.shop("--undo", "--yes"); code != exitError || len(o.mutating()) > 0 || !strings.Contains(stderr, "of somebody else") {
		t.Errorf("exit code %d, %v, %s", code, o.mutating(), stderr)
	}
}

// The story that shut CloudFront out by hand: whatever the mode of the old group
// and the order of the commands, it stays in.
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

// setSetupPatience has a setup wait for nothing, which an endpoint here shows at
// once.
func setSetupPatience(t *testing.T) {
	t.Helper()
	before := setupPatience
	setupPatience = 0
	t.Cleanup(func() { setupPatience = before })
}

// What is open to the world beyond the ports, where another tool brings it back,
// or is needed elsewhere, is left open, and told.
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

// A group that is attached to two origins is closed once both are set up.
func TestSetupOfTwoOrigins(t *testing.T) {
	o := newOriginSite(t, `{"groups": [{"name": "web", "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]}],
	  "interfaces": [
	    {"groups": ["web"], "instance": "i-0123456789abcdef0", "publicIp": "198.51.100.7"},
	    {"groups": ["web"], "instance": "i-0123456789abcdef0", "publicIp": "198.51.100.8"},
	    {"groups": ["web"], "instance": "i-0123456789abcdef1", "publicIp": "198.51.100.9"}]}`)
	setUp := func(instance string) string {
		return o.must("setup", "--instance", instance, "--port", "443", "--yes", "--close-world", "-o", "json")
	}
	for i, instance := range []string{"i-0123456789abcdef0", "i-0123456789abcdef1"} {
		var doc document.Setup
		if err := json.Unmarshal([]byte(setUp(instance)), &doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Interfaces) != 2-i || len(doc.OpenToWorld) != 1 || doc.OpenToWorld[0].Closed != (i == 1) || doc.Verdict != "open" {
			t.Errorf("%s: %d interfaces, %+v, %s", instance, len(doc.Interfaces), doc.OpenToWorld, doc.Verdict)
		}
	}
	for id, i := range o.interfaces {
		if len(i.Groups) != 2 {
			t.Errorf("%s has the groups %v", id, i.Groups)
		}
	}
	if len(o.shut) > 0 {
		t.Error(o.shut)
	}
}

// Where more is wanted than a group holds there are several, of one pool; ports
// that are asked for later are opened besides the first.
func TestSetupPool(t *testing.T) {
	o := newOriginSite(t, openShop)
	o.here().SetQuota(2)
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world", "--service", "CLOUDFRONT")
	made := func() (names []string) {
		for _, g := range o.here().Groups() {
			if g.Tags["cloudfront-ingress-setup"] == "load-balancer/shop" && g.Tags["cloudfront-ingress-pool"] == "setup-shop" {
				names = append(names, g.Name+" "+g.Tags["cloudfront-ingress"])
			}
		}
		return names
	}
	// Three IPv4 ranges, and a slot to spare.
	if got, want := fmt.Sprint(made()), "[cloudfront-ingress-shop-1 443 cloudfront-ingress-shop-2 443]"; got != want {
		t.Errorf("made %s, want %s", got, want)
	}
	o.here().SetQuota(60)
	o.must("setup", "--load-balancer", "shop", "--port", "8443", "--yes", "--close-world", "--service", "CLOUDFRONT")
	if got, want := fmt.Sprint(made()), "[cloudfront-ingress-shop-1 443 8443 cloudfront-ingress-shop-2 443 8443]"; got != want {
		t.Errorf("made %s, want %s", got, want)
	}
	if len(o.shut) > 0 {
		t.Error(o.shut)
	}
	o.must("check", "--load-balancer", "shop", "--port", "443,8443")
}

// The permissions that docs/setup.md lists are those that setups need, and no
// others.
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

// Where the group is not seen at every interface, as while AWS is attaching it or
// where another tool has taken it away, nothing is closed.
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

// Without a group of its own the engine would be asked for all groups: a setup
// changes none but those it has made.
func TestSetupLeavesOtherGroupsAlone(t *testing.T) {
	o := newOriginSite(t, strings.Replace(openShop, `{"name": "ssh",`, `{"name": "other", "tags": {"cloudfront-ingress": "80"}}, {"name": "ssh",`, 1))
	var marks map[string]string
	var id string
	// Somebody takes the mark off the group right before the ranges are authorized.
	o.before = func() {
		calls := o.mutating()
		if len(calls) == 0 || calls[len(calls)-1] != "RevokeSecurityGroupEgress" || id != "" {
			return
		}
		for _, g := range o.here().Groups() {
			if g.Tags["cloudfront-ingress-setup"] != "" {
				id, marks = g.ID, g.Tags
			}
		}
		if err := o.here().SetTags(id, nil); err != nil {
			t.Error(err)
		}
	}
	if code, _, stderr := o.shop("--yes", "--close-world"); code != exitError || !strings.Contains(stderr, "no security group is tagged cloudfront-ingress-setup=load-balancer/shop any more") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if err := o.here().SetTags(id, marks); err != nil {
		t.Fatal(err)
	}
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	for _, g := range o.here().Groups() {
		if g.Name == "other" && len(g.Ingress) > 0 {
			t.Errorf("setup has let %d ranges in at another group", len(g.Ingress))
		}
	}
	o.closed(3)
}

// An interface takes as many groups as its quota says, and an origin that is gone
// leaves a group behind that can be taken back.
func TestSetupOfAnInterface(t *testing.T) {
	o := newOriginSite(t, `{"groups": [{"name": "a", "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}],
	  "interfaces": [{"groups": ["a", "b", "c", "d", "e"], "publicIp": "198.51.100.7"}]}`)
	id := o.here().Interfaces()[0].ID
	setUp := []string{"setup", "--interface", id, "--port", "443", "--yes", "--close-world"}
	if code, _, stderr := o.cfsg(t.Context(), setUp...); code != exitError || len(o.mutating()) > 0 || !strings.Contains(stderr, "raise quota L-2AFB9258") {
		t.Errorf("exit code %d, %v, %s", code, o.mutating(), stderr)
	}
	o.here().SetGroupsPerInterface(6)
	o.must(setUp...)
	if i := o.here().Interfaces()[0]; len(i.Groups) != 6 || len(o.shut) > 0 {
		t.Errorf("%s has %v, %v", id, i.Groups, o.shut)
	}
	o.Observe(func(ec2sim.Change) {})
	api := ec2.New(ec2.Options{Region: "us-east-1", BaseEndpoint: &o.url, Credentials: credentials.NewStaticCredentialsProvider("any", "any", "")})
	if _, err := api.DeleteNetworkInterface(t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &id}); err != nil {
		t.Fatal(err)
	}
	stdout := o.must("setup", "--interface", id, "--undo", "--yes")
	if !strings.Contains(stdout, "interface "+id+" is gone.") || slices.ContainsFunc(o.here().Groups(), func(g ec2sim.Group) bool { return strings.HasPrefix(g.Name, "cloudfront-ingress-") }) {
		t.Errorf("the group is there still: %s", stdout)
	}
}
