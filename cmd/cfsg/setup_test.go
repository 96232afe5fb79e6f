package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// One command, and a second one that has nothing to do; the rules of others stay, and what is open to the world does
// without --close-world.
func TestSetup(t *testing.T) {
	o := newOriginSite(t, openShop)
	before := o.here().Groups()
	if code, stdout, _ := o.shop("--dry-run"); code != exitOK || len(o.mutating()) > 0 || !strings.Contains(stdout, "3   authorize   cloudfront-ingress-shop-1   2 IPv4 and 1 IPv6 rules on port 443") {
		t.Errorf("dry run: exit code %d, calls %v\n%s", code, o.mutating(), stdout)
	}
	code, stdout, stderr := o.shop("--yes")
	if code != exitOK || !strings.Contains(stdout, "Still open to the world: ") {
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
	if code, _, stderr := o.shop("--yes", "--close-world"); code != exitOK || strings.Join(o.mutating(), " ") != "CreateTags RevokeSecurityGroupIngress CreateTags RevokeSecurityGroupIngress" {
		t.Errorf("exit code %d, calls %v, %s", code, o.mutating(), stderr)
	}
	o.closed(3)
	// The engine of the function takes the group for its own, and has nothing to do.
	compact := []string{"--detailed-exitcode", "--service", "CLOUDFRONT_ORIGIN_FACING", "--within", "CLOUDFRONT"}
	o.must(append([]string{"plan"}, compact...)...)
	o.must(append([]string{"status"}, compact...)...)
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

// Where more is wanted than a group holds there are several, of one pool; ports that are asked for later are opened
// besides the first.
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

// Without a group of its own the engine would be asked for all groups: a setup changes none but those it has made.
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

// An interface takes as many groups as its quota says, and an origin that is gone leaves a group behind that can be
// taken back.
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
