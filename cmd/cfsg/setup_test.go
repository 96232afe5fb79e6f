package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/ec2sim"
)

// One command, and a second one that has nothing to do; the rules of others stay, and what is open to the world does
// without --close-world. An undo takes back what was made, and nothing else.
func TestSetup(t *testing.T) {
	o := newOriginSite(t, openShop)
	before, interfaces := o.here().Groups(), o.here().Interfaces()
	o.says(exitOK, "3 authorize cloudfront-ingress-shop-1 2 IPv4 and 1 IPv6 rules on port 443", shop("--dry-run")...)
	o.changes("")
	o.says(exitOK, "Still open to the world: ", shop()...)
	o.changes("CreateSecurityGroup RevokeSecurityGroupEgress AuthorizeSecurityGroupIngress SetSecurityGroups")
	for _, g := range before {
		if now, _ := o.here().Group(g.ID); len(now.Ingress) != len(g.Ingress) {
			t.Errorf("the rules of %s were %v, are %v", g.Name, g.Ingress, now.Ingress)
		}
	}
	o.must(undoShop...)
	o.undone()
	for i, was := range interfaces {
		if now := o.here().Interfaces()[i]; !slices.Equal(now.Groups, was.Groups) {
			t.Errorf("%s has %v, had %v", was.ID, now.Groups, was.Groups)
		}
	}
	o.ResetCalls()
	o.says(exitOK, "nothing to undo", undoShop...)
	o.changes("")
	o.must(shop()...)
	o.ResetCalls()
	o.must(shop("--close-world")...)
	o.changes("CreateTags RevokeSecurityGroupIngress CreateTags RevokeSecurityGroupIngress")
	o.closed(3)
	// The engine of the function takes the group for its own, and has nothing to do.
	o.must("plan", "--detailed-exitcode")
	o.must("status", "--detailed-exitcode")
	// --yes does not answer for shutting CloudFront out, with ports named or not.
	o.ResetCalls()
	for _, args := range [][]string{undoShop, shop("--undo")} {
		if stdout := o.says(exitError, "it would shut CloudFront out at eni-", args...); !strings.Contains(stdout, "detach") {
			t.Error(stdout)
		}
		o.changes("")
	}
}

// A setup or an undo that is cut short at any call, in any way, leaves CloudFront in, and the next one goes on to the
// end. One that ends well has done all.
func TestSetupKilledAtEveryCall(t *testing.T) {
	for _, s := range scenarios {
		tried, changes := map[string]bool{}, 0
		for n, c := range s.calls(t) {
			if c.Mutating {
				changes++
			}
			now := fmt.Sprint(c.Action, changes)
			if tried[now] {
				continue // the same question after the same changes
			}
			tried[now] = true
			for _, kind := range []ec2sim.FaultKind{ec2sim.ErrorBefore, ec2sim.ErrorAfter, ec2sim.CutAfter, interrupted} {
				if !c.Mutating && (kind == ec2sim.ErrorAfter || kind == ec2sim.CutAfter) {
					continue // as before the effect
				}
				if s.first != nil && (kind == ec2sim.CutAfter || kind == interrupted) {
					continue // these take their time
				}
				t.Run(fmt.Sprintf("%s %d %s %s", s.name, n, c.Action, kind), func(t *testing.T) {
					ctx, o := s.cut(t, n, kind)
					if code, _, _ := o.cfsg(ctx, s.second...); code != exitOK {
						o.must(s.second...)
					}
					s.done(o)
				})
			}
		}
	}
}

// A call that is refused is told with the permission that it needs; CloudFront stays in, and what was open does too.
// What only the verdict needs keeps nothing from being done: it is no ✓.
func TestSetupRefusedAtEveryCall(t *testing.T) {
	for _, s := range scenarios {
		refused := map[string]bool{}
		for _, c := range s.calls(t) {
			permission := c.Service + ":" + c.Action
			if refused[permission] || c.Service == "sts" { // which needs no permission, so AWS does not refuse it
				continue
			}
			refused[permission] = true
			t.Run(s.name+" "+permission, func(t *testing.T) {
				o := s.begin(t)
				o.Inject(ec2sim.Fault{Kind: ec2sim.Refused, Service: c.Service, Action: c.Action, Count: ec2sim.Forever})
				code, want := exitError, permission
				switch c.Action {
				case "GetServiceQuota": // the default is assumed
					code = exitOK
				case "DescribeNetworkAcls", "DescribeRouteTables", "DescribeVpcBlockPublicAccessOptions", "DescribeTargetGroups":
					if code = exitOK; s.name == "lists" {
						want = "! the owner of the security groups has something to do"
					}
				case "GetManagedPrefixListEntries":
					if s.name == "undo of lists" { // these go anyway
						code, want = exitOK, "✓"
					}
				}
				o.says(code, want, s.second...)
				o.ClearFaults()
				o.must(s.second...)
				s.done(o)
			})
		}
		if len(refused) < 6 {
			t.Errorf("%s: only %v were refused", s.name, refused)
		}
	}
}

// The story that shut CloudFront out by hand: whatever the mode of the old group and the order of the commands, it
// stays in.
func TestSetupInAnyOrder(t *testing.T) {
	commands := map[string][]string{
		"apply": {"apply", "--yes", "--service", "CLOUDFRONT_ORIGIN_FACING", "--within", "CLOUDFRONT"}, "setup": shop(), "close": shop("--close-world"),
	}
	for _, mode := range []string{"", "owned", "exclusive"} {
		for _, order := range []string{"apply setup close", "apply close setup", "setup apply close", "setup close apply", "close apply setup", "close setup apply"} {
			t.Run(strings.TrimSpace(mode+" "+order), func(t *testing.T) {
				seed, groups := openShop, 3
				if mode != "" {
					seed = strings.Replace(seed, `"name": "web",`, `"name": "web", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-mode": "`+mode+`"},`, 1)
					if strings.HasPrefix(order, "apply") {
						groups = 2 // the old group has the ranges, and no other is needed
					}
				}
				o := newOriginSite(t, seed)
				for command := range strings.FieldsSeq(order) {
					// Before there is a tagged group there is nothing to apply.
					if code, _, stderr := o.cfsg(t.Context(), commands[command]...); code != exitOK && !strings.Contains(stderr, "no security group is tagged") {
						t.Fatalf("%s: %s", command, stderr)
					}
				}
				o.closed(groups)
			})
		}
	}
}

// A group of the name that setup gives its own is not taken for one.
func TestSetupWhereTheNameIsTaken(t *testing.T) {
	setSetupPatience(t)
	o := newOriginSite(t, strings.Replace(openShop, "[", `[{"name": "cloudfront-ingress-shop-1"}, `, 1))
	o.says(exitError, "a group of this name exists that cfsg setup did not create", shop("--close-world")...)
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
	last := o.here().Interfaces()[1].ID
	o.says(exitError, "at "+last+", CloudFront may not get in completely without the rules that are open to the world, so they stay", shop("--close-world")...)
	o.changes("CreateSecurityGroup RevokeSecurityGroupEgress AuthorizeSecurityGroupIngress SetSecurityGroups")
	o.before = func() {}
	if err := o.here().Attach(last, o.here().Interfaces()[0].Groups...); err != nil {
		t.Fatal(err)
	}
	o.must(shop("--close-world")...)
	o.closed(3)
}

// A group that is attached to two origins is closed once both are set up.
func TestSetupOfTwoOrigins(t *testing.T) {
	o := newOriginSite(t, `{"groups": [{"name": "web", "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]}],
	  "interfaces": [
	    {"groups": ["web"], "instance": "i-0123456789abcdef0", "publicIp": "198.51.100.7"},
	    {"groups": ["web"], "instance": "i-0123456789abcdef0", "publicIp": "198.51.100.8"},
	    {"groups": ["web"], "instance": "i-0123456789abcdef1", "publicIp": "198.51.100.9"}]}`)
	for i, instance := range []string{"i-0123456789abcdef0", "i-0123456789abcdef1"} {
		var doc document.Setup
		if err := json.Unmarshal([]byte(o.must("setup", "--instance", instance, "--port", "443", "--yes", "--close-world", "-o", "json")), &doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Interfaces) != 2-i || len(doc.OpenToWorld) != 1 || doc.OpenToWorld[0].Closed != (i == 1) || doc.Verdict != "open" {
			t.Errorf("%s: %d interfaces, %+v, %s", instance, len(doc.Interfaces), doc.OpenToWorld, doc.Verdict)
		}
	}
	for id, i := range o.interfaces {
		if len(i.Groups) != 2 || len(o.shut) > 0 {
			t.Errorf("%s has the groups %v; shut out %v", id, i.Groups, o.shut)
		}
	}
}

// Where more is wanted than a group holds there are several, of one pool; ports that are asked for later are opened
// besides the first.
func TestSetupPool(t *testing.T) {
	o := newOriginSite(t, openShop)
	made := func(want string) {
		t.Helper()
		var got []string
		for _, g := range o.here().Groups() {
			if g.Tags["cloudfront-ingress-setup"] == "load-balancer/shop" && g.Tags["cloudfront-ingress-pool"] == "setup-shop" {
				got = append(got, g.Name+" "+g.Tags["cloudfront-ingress"])
			}
		}
		if fmt.Sprint(got) != want || len(o.shut) > 0 {
			t.Errorf("made %s, want %s; shut out %v", got, want, o.shut)
		}
	}
	o.here().SetQuota(2) // three IPv4 ranges, and a slot to spare
	o.must(shop("--close-world", "--service", "CLOUDFRONT")...)
	made("[cloudfront-ingress-shop-1 443 cloudfront-ingress-shop-2 443]")
	o.here().SetQuota(60)
	o.must("setup", "--load-balancer", "shop", "--port", "8443", "--yes", "--close-world", "--service", "CLOUDFRONT")
	made("[cloudfront-ingress-shop-1 443 8443 cloudfront-ingress-shop-2 443 8443]")
	o.must("check", "--load-balancer", "shop", "--port", "443,8443")
}

// Without a group of its own the engine would be asked for all groups: a setup changes none but those it has made.
func TestSetupLeavesOtherGroupsAlone(t *testing.T) {
	o := newOriginSite(t, strings.Replace(openShop, `{"name": "ssh",`, `{"name": "other", "tags": {"cloudfront-ingress": "80"}}, {"name": "ssh",`, 1))
	var marked ec2sim.Group
	// Somebody takes the mark off the group right before the ranges are authorized.
	o.before = func() {
		calls := o.mutating()
		if len(calls) == 0 || calls[len(calls)-1] != "RevokeSecurityGroupEgress" || marked.ID != "" {
			return
		}
		for _, g := range o.here().Groups() {
			if g.Tags["cloudfront-ingress-setup"] != "" {
				marked = g
			}
		}
		if err := o.here().SetTags(marked.ID, nil); err != nil {
			t.Error(err)
		}
	}
	o.says(exitError, "no security group tagged cloudfront-ingress has this ID", shop("--close-world")...)
	if err := o.here().SetTags(marked.ID, marked.Tags); err != nil {
		t.Fatal(err)
	}
	o.must(shop("--close-world")...)
	for _, g := range o.here().Groups() {
		if g.Name == "other" && len(g.Ingress) > 0 {
			t.Errorf("setup has let %d ranges in at another group", len(g.Ingress))
		}
	}
	o.closed(3)
}

// An interface takes as many groups as its quota says, and an origin that is gone leaves a group behind that can be
// taken back, unless somebody has attached it elsewhere.
func TestSetupOfAnInterface(t *testing.T) {
	o := newOriginSite(t, `{"groups": [{"name": "a", "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}],
	  "interfaces": [{"groups": ["a", "b", "c", "d", "e"], "publicIp": "198.51.100.7"}]}`)
	id := o.here().Interfaces()[0].ID
	setUp, undo := []string{"setup", id, "--port", "443", "--yes", "--close-world"}, []string{"setup", id, "--undo", "--yes"}
	o.says(exitError, "raise quota L-2AFB9258", setUp...)
	o.changes("")
	o.here().SetGroupsPerInterface(6)
	o.must(setUp...)
	groups := o.here().Interfaces()[0].Groups
	if len(groups) != 6 || len(o.shut) > 0 {
		t.Errorf("%s has %v, %v", id, groups, o.shut)
	}
	o.Observe(func(ec2sim.Change) {})
	other, err := o.here().CreateInterface(ec2sim.Interface{Groups: groups[5:], Description: "of somebody else"})
	if err != nil {
		t.Fatal(err)
	}
	o.ResetCalls()
	o.says(exitError, "of somebody else", undo...)
	o.changes("")
	for _, gone := range []string{id, other.ID} {
		if err := o.here().DeleteInterface(gone); err != nil {
			t.Fatal(err)
		}
	}
	o.says(exitOK, "interface "+id+" is gone.", undo...)
	if slices.ContainsFunc(o.here().Groups(), func(g ec2sim.Group) bool { return g.ID == groups[5] }) {
		t.Error("the group is there still")
	}
}

// The permissions that docs/setup.md lists are those that setups need, and no others.
func TestSetupPermissions(t *testing.T) {
	listed := policyOf(t, readPage(t, "docs/setup.md"))
	called := map[string]bool{}
	note := func(o *originSite) {
		for _, c := range o.Calls() {
			called[c.Service+":"+c.Action] = true
		}
	}
	door := newOriginSite(t, `{
	  "vpcs": [{"name": "shop", "cidr": "10.1.0.0/16"}], "blockPublicAccess": [{"mode": "block-ingress", "exclusions": [{"vpc": "shop"}]}],
	  "groups": [{"vpc": "shop", "name": "web"}, {"vpc": "shop", "name": "app", "ingress": [{"protocol": "tcp", "ports": "8443", "source": "group:web"}]}],
	  "interfaces": [{"vpc": "shop", "groups": ["app"], "instance": "i-0123456789abcdef0", "privateIp": "10.1.0.10"}],
	  "loadBalancers": [{"vpc": "shop", "name": "shop", "type": "network", "groups": ["web"], "listeners": ["TCP:443"], "interfaces": [{"publicIp": "198.51.100.8"}]}],
	  "targetGroups": [{"vpc": "shop", "name": "app", "protocol": "TCP", "port": 8443, "listeners": ["shop:443"], "targets": [{"id": "i-0123456789abcdef0"}]}]}`)
	door.says(exitOK, "✓", shop()...)
	note(door)
	list := `{"protocol": "tcp", "ports": "8080", "source": "list:com.amazonaws.global.cloudfront.origin-facing"}, `
	site := newOriginSite(t, strings.Replace(openShop, `"ingress": [`, `"ingress": [`+list, 1))
	site.must(shop("--close-world")...)
	site.must("setup", "--load-balancer", "shop", "--port", "8443", "--yes") // a port more
	// The rules are described again where the next file only takes away.
	later := strings.NewReplacer("2026-01-02-03-04-05", "2026-01-03-03-04-05", "1767323045", "1767409445", `,
  {"ip_prefix": "99.84.4.0/24", "region": "GLOBAL", "service": "CLOUDFRONT_ORIGIN_FACING", "network_border_group": "GLOBAL"}`, "").Replace(originFacingRanges)
	if err := os.WriteFile(site.flags[len(site.flags)-1], []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	site.must(shop()...)
	note(site)
	cluster := newOriginSite(t, clusterShop)
	cluster.must(shop()...)
	cluster.must(undoShop...)
	note(cluster)
	instance := newOriginSite(t, `{"interfaces": [{"instance": "i-0123456789abcdef0", "publicIp": "198.51.100.7"}]}`)
	instance.must("setup", "i-0123456789abcdef0", "--port", "443", "--yes")
	note(instance)
	instance.ResetCalls()
	// Nobody else lets CloudFront in there, so that it takes a group that does.
	everyone := func(p string) ec2sim.Rule {
		return ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix(p))}
	}
	if err := instance.here().AddRules(instance.here().Interfaces()[0].Groups[0], everyone("0.0.0.0/0"), everyone("::/0")); err != nil {
		t.Fatal(err)
	}
	instance.must("setup", "i-0123456789abcdef0", "--undo", "--yes")
	note(instance)
	called["ec2:CreateTags"] = true // with its tags in the same call, the creation of a group needs it too
	checkPermissions(t, listed, called)
}

// readPage returns a page of the project.
func readPage(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// policyOf returns the actions of the first policy on a page.
func policyOf(t *testing.T, page string) []string {
	t.Helper()
	_, text, _ := strings.Cut(page, "```json\n")
	text, _, _ = strings.Cut(text, "```")
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Fatal(err)
	}
	return policy.Statement[0].Action
}

// checkPermissions compares the actions that a page lists with those that were called.
func checkPermissions(t *testing.T, listed []string, called map[string]bool) {
	t.Helper()
	for _, action := range listed {
		if !called[action] {
			t.Errorf("%s is listed and not needed", action)
		}
		delete(called, action)
	}
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: "No permissions are required"
	if delete(called, "sts:GetCallerIdentity"); len(called) > 0 {
		t.Errorf("not listed: %v", called)
	}
}
