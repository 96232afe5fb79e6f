package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// originFacingRanges is an ip-ranges.json whose compact cover is the first and the third of its IPv4 ranges, and the
// IPv6 range.
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

// An originSite is an endpoint with an origin that somebody sets up, and a witness who looks at each interface between
// any two calls.
type originSite struct {
	*operator
	// shut is what the witness has seen to be shut out.
	shut  []string
	start int // how many groups there were

	groups     map[string]ec2sim.Group
	interfaces map[string]ec2sim.Interface
	lists      map[string]ec2sim.PrefixList
	let        map[string]bool
}

func newOriginSite(t *testing.T, seed string) *originSite {
	t.Helper()
	o := &originSite{
		operator: newOperatorWith(t, seed, originFacingRanges),
		groups:   map[string]ec2sim.Group{}, interfaces: map[string]ec2sim.Interface{}, lists: map[string]ec2sim.PrefixList{},
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
	o.let, o.start = o.letIn(), len(o.groups)
	o.Observe(o.witness)
	return o
}

func (o *originSite) here() ec2sim.Region { return o.Region("", "us-east-1") }

// shop is a command that sets the load balancer shop up.
func shop(args ...string) []string {
	return append([]string{"setup", "--load-balancer", "shop", "--port", "443", "--yes"}, args...)
}

// undoShop is one that undoes that.
var undoShop = []string{"setup", "--load-balancer", "shop", "--undo", "--yes"}

// changes checks which calls have changed something since the last look, and that nobody was shut out.
func (o *originSite) changes(want string) {
	o.t.Helper()
	if got := strings.Join(o.mutating(), " "); got != want || len(o.shut) > 0 {
		o.t.Errorf("it calls %q, want %q; shut out %v", got, want, o.shut)
	}
	o.ResetCalls()
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

// closed checks that all that is wanted gets in at every interface of the load balancer, nobody does from anywhere, and
// nothing is left to do.
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
	o.must(shop("--close-world")...)
	o.changes("")
}

// setSetupPatience has a setup wait for nothing, which an endpoint here shows at once.
func setSetupPatience(t *testing.T) {
	t.Helper()
	before := setupPatience
	setupPatience = 0
	t.Cleanup(func() { setupPatience = before })
}

// A scenario is a setup or an undo that is cut short or refused, after another command went well.
type scenario struct {
	name, seed    string
	first, second []string
	done          func(*originSite) // checks that it is done
}

var scenarios = []scenario{
	{"groups", openShop, nil, shop("--close-world"), func(o *originSite) { o.closed(3) }},
	{"lists", clusterShop, nil, shop(), func(o *originSite) {
		o.says(exitOK, "kubectl annotate", shop()...)
		o.filled()
	}},
	{"undo of groups", openShop, shop(), undoShop, (*originSite).undone},
	{"undo of lists", clusterShop, shop(), undoShop, (*originSite).undone},
}

// undone checks that nothing is left but the groups that there were.
func (o *originSite) undone() {
	o.t.Helper()
	if n := len(o.here().Groups()); n != o.start || len(o.made()) > 0 || len(o.shut) > 0 {
		o.t.Errorf("%d groups, were %d, lists %v, shut out %v", n, o.start, o.made(), o.shut)
	}
}

// begin returns a site where the first command was run.
func (s scenario) begin(t *testing.T) *originSite {
	t.Helper()
	setSetupPatience(t)
	o := newOriginSite(t, s.seed)
	if s.first != nil {
		o.must(s.first...)
	}
	o.ResetCalls()
	return o
}

// calls returns the calls of the second command.
func (s scenario) calls(t *testing.T) []ec2sim.Call {
	t.Helper()
	o := s.begin(t)
	o.must(s.second...)
	return o.Calls()
}

// interrupted is one more kind of fault: the operator stops the setup.
const interrupted ec2sim.FaultKind = "interrupt"

// cut returns a site where the call with a number fails, before or after its effect, or is the last before an
// interrupt, which ends the context.
func (s scenario) cut(t *testing.T, n int, kind ec2sim.FaultKind) (context.Context, *originSite) {
	t.Helper()
	o := s.begin(t)
	ctx, interrupt := context.WithCancel(t.Context())
	t.Cleanup(interrupt)
	if kind != interrupted {
		o.Inject(ec2sim.Fault{Kind: kind, Action: ec2sim.AnyAction, After: n, Code: "Boom"})
		return ctx, o
	}
	seen := 0
	o.before = func() {
		if seen == n {
			interrupt()
		}
		seen++
	}
	return ctx, o
}
