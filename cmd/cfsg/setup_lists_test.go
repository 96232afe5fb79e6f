package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"go.yaml.in/yaml/v3"
)

// clusterShop is a load balancer that a controller in Kubernetes owns, with its group.
const clusterShop = `{"groups": [
  {"name": "k8s-shop", "tags": {"elbv2.k8s.aws/cluster": "prod"}, "ingress": [
    {"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"},
    {"protocol": "tcp", "ports": "443", "source": "::/0"}]}],
 "loadBalancers": [{"name": "shop", "groups": ["k8s-shop"], "listeners": ["HTTPS:443"],
  "tags": {"elbv2.k8s.aws/cluster": "prod", "ingress.k8s.aws/stack": "shop/web"},
  "interfaces": [{"publicIp": "198.51.100.8", "ipv6": "2001:db8::8"}]}]}`

// otherShop is one with other tags.
func otherShop(tags string) string {
	seed := strings.Replace(clusterShop, `"elbv2.k8s.aws/cluster": "prod", "ingress.k8s.aws/stack": "shop/web"`, tags, 1)
	return strings.Replace(seed, `"tags": {"elbv2.k8s.aws/cluster": "prod"}, `, "", 1)
}

// made returns the prefix lists that a setup has made, IPv4 first.
func (o *originSite) made() []ec2sim.PrefixList {
	var made []ec2sim.PrefixList
	for _, l := range o.here().PrefixLists() {
		if l.Tags["cloudfront-ingress-setup"] != "" {
			made = append(made, l)
		}
	}
	slices.SortFunc(made, func(a, b ec2sim.PrefixList) int { return strings.Compare(a.Family, b.Family) })
	return made
}

// filled checks that there is one list of each family, with all that is wanted, and that nothing else was touched.
func (o *originSite) filled() {
	o.t.Helper()
	var got []string
	for _, l := range o.made() {
		got = append(got, fmt.Sprint(l.Name, " ", len(l.Entries), " of ", l.MaxEntries, " ", l.Tags["cloudfront-ingress"]))
	}
	if want := "[cloudfront-ingress-shop-ipv4 2 of 5 ranges cloudfront-ingress-shop-ipv6 1 of 5 ranges]"; fmt.Sprint(got) != want {
		o.t.Errorf("lists %v, want %s", got, want)
	}
	if n := len(o.here().Groups()); n != len(o.groups) || len(o.shut) > 0 {
		o.t.Errorf("%d groups, were %d; shut out %v", n, len(o.groups), o.shut)
	}
}

// refer has the group refer to the lists as its owner does, and let in nobody else if only is set.
func (o *originSite) refer(only bool) {
	o.t.Helper()
	for _, g := range o.here().Groups() {
		if len(o.groups[g.ID].Ingress) == 0 {
			continue
		}
		rules := slices.DeleteFunc(slices.Clone(g.Ingress), func(r ec2sim.Rule) bool { return only || r.Source.Reference != "" })
		for _, l := range o.made() {
			rules = append(rules, ec2sim.Rule{Permission: ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: ec2sim.Source{Reference: l.ID}}})
		}
		if err := o.here().SetRules(g.ID, rules...); err != nil {
			o.t.Fatal(err)
		}
	}
}

// Where a controller owns the groups, lists are made and filled, and the one line that its owner has to run is told
// only when it does not shut CloudFront out.
func TestSetupByList(t *testing.T) {
	o := newOriginSite(t, clusterShop)
	if code, stdout, stderr := o.shop("--dry-run"); code != exitOK || len(o.mutating()) > 0 || strings.Contains(stdout, "kubectl") ||
		!strings.Contains(stdout, "a prefix list of up to 5 IPv4 entries, 2 of them now, tagged cloudfront-ingress=ranges") {
		t.Errorf("dry run: exit code %d, calls %v\n%s%s", code, o.mutating(), stdout, stderr)
	}
	code, stdout, stderr := o.shop("--yes", "--close-world")
	want := "CreateManagedPrefixList CreateManagedPrefixList ModifyManagedPrefixList ModifyManagedPrefixList"
	if got := strings.Join(o.mutating(), " "); code != exitOK || got != want {
		t.Errorf("exit code %d, it calls %s, want %s\n%s", code, got, want, stderr)
	}
	o.filled()
	lists := o.made()
	annotate := "\n    kubectl annotate ingress --namespace shop web alb.ingress.kubernetes.io/security-group-prefix-lists=" + lists[0].ID + "," + lists[1].ID + " alb.ingress.kubernetes.io/inbound-cidrs=0.0.0.0/0,::/0\n"
	if !strings.Contains(stdout, annotate) || strings.Contains(stdout, "no rule opens that to the world") {
		t.Errorf("%q is not in\n%s", annotate, stdout)
	}
	o.ResetCalls()
	if again := o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world"); len(o.mutating()) > 0 || !strings.Contains(again, annotate) {
		t.Errorf("again: calls %v\n%s", o.mutating(), again)
	}
	// The controller does what it was told to, and adds rules. Only then is it told to take others away: whichever it
	// does first, CloudFront gets in.
	o.refer(false)
	o.ResetCalls()
	stdout = o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	if narrow := "\n    kubectl annotate ingress --namespace shop web alb.ingress.kubernetes.io/inbound-cidrs-\n"; len(o.mutating()) > 0 || !strings.Contains(stdout, narrow) || strings.Contains(stdout, annotate) {
		t.Errorf("calls %v, %q is not in\n%s", o.mutating(), narrow, stdout)
	}
	o.refer(true)
	stdout = o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	if len(o.mutating()) > 0 || strings.Contains(stdout, "kubectl") || !strings.Contains(stdout, "no rule opens that to the world") {
		t.Errorf("calls %v\n%s", o.mutating(), stdout)
	}
	o.filled()
	compact := []string{"--detailed-exitcode", "--service", "CLOUDFRONT_ORIGIN_FACING", "--within", "CLOUDFRONT"}
	o.must(append([]string{"plan"}, compact...)...)
	o.must(append([]string{"status"}, compact...)...)
}

// A controller's group is not closed here, even where CloudFront gets in by the lists: it would come back.
func TestSetupByListClosesNothingOfAController(t *testing.T) {
	o := newOriginSite(t, otherShop(`"elbv2.k8s.aws/cluster": "prod"`)) // the group itself carries no tag
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	o.refer(false)
	o.ResetCalls()
	if stdout := o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world"); len(o.mutating()) > 0 || !strings.Contains(stdout, "The Kubernetes cluster prod would restore it") {
		t.Errorf("calls %v\n%s", o.mutating(), stdout)
	}
}

// What is to be pasted is left out where it would shut CloudFront out.
func TestSetupByListKeepsWhatShutsOut(t *testing.T) {
	o := newOriginSite(t, clusterShop)
	stdout := o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--family", "ipv4")
	if text := strings.Join(strings.Fields(stdout), " "); strings.Contains(text, "kubectl") || !strings.Contains(text, "the load balancer has IPv6 addresses, for which there is no list. Run this again for both families.") {
		t.Errorf("got %s", stdout)
	}
	// A controller writes a rule for each listener, and has no room for these.
	o = newOriginSite(t, strings.Replace(clusterShop, `["HTTPS:443"]`, `["HTTPS:443", "HTTP:80"]`, 1))
	o.here().SetQuota(10)
	code, _, stderr := o.shop("--yes")
	if code != exitError || len(o.mutating()) > 0 || !strings.Contains(stderr, "a rule for each list on 2 ports counts as 10 rules, next to the 1 it has, and a security group of load balancer shop can have 10\nhint: raise quota L-0EA8095F") {
		t.Errorf("exit code %d, calls %v, %s", code, o.mutating(), stderr)
	}
	// Lists with one place to spare find room beside what there is.
	o.here().SetQuota(20)
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	if lists := o.made(); len(lists) != 2 || lists[0].MaxEntries != 3 || lists[1].MaxEntries != 2 {
		t.Errorf("they are %+v", lists)
	}
}

// A run for one address family does not close the other, whose ranges an earlier run has let in.
func TestSetupClosesNoFamily(t *testing.T) {
	for name, seed := range map[string]string{"by lists": clusterShop, "by groups": openShop} {
		t.Run(name, func(t *testing.T) {
			o := newOriginSite(t, seed)
			o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
			if name == "by lists" {
				o.refer(true)
			}
			for _, more := range []string{"443", "80"} {
				o.ResetCalls()
				code, stdout, stderr := o.cfsg(t.Context(), "setup", "--load-balancer", "shop", "--port", more, "--family", "ipv4", "--yes")
				if code != exitError || len(o.mutating()) > 0 || len(o.shut) > 0 || !strings.Contains(stderr, "lets in IPv6, of which no range is wanted now") {
					t.Errorf("port %s: exit code %d, calls %v, shut out %v\n%s%s", more, code, o.mutating(), o.shut, stdout, stderr)
				}
			}
		})
	}
}

// Where an owner has been quicker, the command that leaves the lists alone is told only if they let in each address
// family that CloudFront may connect by.
func TestSetupByListNarrowsNoFamily(t *testing.T) {
	o := newOriginSite(t, clusterShop)
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--family", "ipv4")
	o.refer(false)
	stdout := o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--family", "ipv4")
	if strings.Contains(stdout, "kubectl") || !strings.Contains(stdout, "Still open to the world") {
		t.Errorf("got %s", stdout)
	}
}

// Each owner is told in its own words, and these can be read by its tools.
func TestSetupByListForEachOwner(t *testing.T) {
	cases := []struct{ name, tags, text, paste string }{
		{"Service", `"elbv2.k8s.aws/cluster": "prod", "service.k8s.aws/stack": "shop/web"`, "Service shop/web", "kubectl annotate service --namespace shop web service.beta.kubernetes.io/aws-load-balancer-security-group-prefix-lists=pl-"},
		{"Gateway", `"elbv2.k8s.aws/cluster": "prod", "gateway.k8s.aws.alb/stack": "shop/web"`, "LoadBalancerConfiguration of Gateway shop/web", "]\n  sourceRanges: [\"0.0.0.0/0\", \"::/0\"]"},
		{"group of Ingresses", `"elbv2.k8s.aws/cluster": "prod", "ingress.k8s.aws/stack": "web"`, "cluster prod", "alb.ingress.kubernetes.io/inbound-cidrs: \"0.0.0.0/0,::/0\""},
		{"another controller", `"kubernetes.io/cluster/prod": "owned"`, "cluster prod", "alb.ingress.kubernetes.io/security-group-prefix-lists: pl-"},
		{"CloudFormation", `"aws:cloudformation:stack-name": "edge"`, "stack edge", "    SourcePrefixListId: pl-"},
		{"Terraform", `"ManagedBy": "terraform"`, "Terraform configuration", "  prefix_list_id    = \"pl-"},
		{"nobody", `"team": "web"`, "Terraform configuration", "  prefix_list_id    = \"pl-"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := newOriginSite(t, otherShop(c.tags))
			var doc document.Setup
			if err := json.Unmarshal([]byte(o.must("setup", "--load-balancer", "shop", "--port", "443,8000-8080", "--yes", "--prefix-list", "-o", "json")), &doc); err != nil {
				t.Fatal(err)
			}
			o.filled()
			if doc.ForOwner == nil || !strings.Contains(doc.ForOwner.Text, c.text) {
				t.Fatalf("it says %+v", doc.ForOwner)
			}
			paste := strings.Join(doc.ForOwner.Paste, "\n")
			if !strings.Contains(paste, c.paste) {
				t.Errorf("%q is not in %s", c.paste, paste)
			}
			switch {
			case strings.Contains(paste, "resource"):
				file, diags := hclparse.NewParser().ParseHCL([]byte(paste), "paste.tf")
				if diags.HasErrors() {
					t.Fatal(diags)
				}
				content, diags := file.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "resource", LabelNames: []string{"type", "name"}}}})
				if diags.HasErrors() || len(content.Blocks) != 4 { // two families on two port ranges
					t.Errorf("%v, %d resources", diags, len(content.Blocks))
				}
			case !strings.Contains(paste, "kubectl"):
				var read map[string]any
				if err := yaml.Unmarshal([]byte(paste), &read); err != nil || c.name == "CloudFormation" && len(read) != 4 {
					t.Errorf("%v, %v", err, read)
				}
			}
		})
	}
}

// Where tags say that another tool owns the load balancer or its group, and nothing asks for lists, a group is attached
// as ever, and lists are said to be the other way.
func TestSetupTellsOfLists(t *testing.T) {
	group := strings.Replace(openShop, `"name": "web",`, `"name": "web", "tags": {"terraform": "true"},`, 1)
	for name, seed := range map[string]string{
		"CloudFormation": otherShop(`"aws:cloudformation:stack-name": "edge"`), "Terraform": otherShop(`"managed-by": "Terraform"`), "a group of Terraform": group,
	} {
		o := newOriginSite(t, seed)
		stdout := o.must("setup", "--load-balancer", "shop", "--port", "443", "--dry-run")
		if text := strings.Join(strings.Fields(stdout), " "); !strings.Contains(text, "With --prefix-list no group is attached") || !strings.Contains(text, "attach load balancer shop") {
			t.Errorf("%s: %s", name, stdout)
		}
	}
}

// A setup by lists that is cut short at any call, in any way, is finished by the next, which makes no list twice.
func TestSetupByListKilledAtEveryCall(t *testing.T) {
	setSetupPatience(t)
	reference := newOriginSite(t, clusterShop)
	reference.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	cutAtEveryCall(t, clusterShop, reference.Calls(), func(ctx context.Context, t *testing.T, o *originSite, _ ec2sim.Call, _ ec2sim.FaultKind) {
		o.cfsg(ctx, "setup", "--load-balancer", "shop", "--port", "443", "--yes")
		if stdout := o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes"); !strings.Contains(stdout, "kubectl annotate") {
			t.Errorf("got %s", stdout)
		}
		o.filled()
	})
}

// A call that is refused is told with the permission that it needs.
func TestSetupByListRefusedAtEveryCall(t *testing.T) {
	setUp := []string{"setup", "--load-balancer", "shop", "--port", "443", "--yes"}
	undo := []string{"setup", "--load-balancer", "shop", "--undo", "--yes"}
	for _, c := range []struct {
		action string
		before []string
		args   []string
	}{
		{"CreateManagedPrefixList", nil, setUp},
		{"DescribeManagedPrefixLists", nil, setUp},
		{"ModifyManagedPrefixList", nil, setUp},
		{"GetManagedPrefixListAssociations", setUp, undo},
		{"DeleteManagedPrefixList", setUp, undo},
	} {
		t.Run(c.action, func(t *testing.T) {
			o := newOriginSite(t, clusterShop)
			if c.before != nil {
				o.must(c.before...)
			}
			o.Deny(c.action)
			if code, _, stderr := o.cfsg(t.Context(), c.args...); code != exitError || !strings.Contains(stderr, "ec2:"+c.action) {
				t.Errorf("exit code %d, %s", code, stderr)
			}
		})
	}
}

// An undo deletes the lists, wherever an earlier one was cut short, and none that a group refers to.
func TestSetupByListUndo(t *testing.T) {
	setSetupPatience(t)
	set := func(t *testing.T) *originSite {
		o := newOriginSite(t, clusterShop)
		o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
		o.ResetCalls()
		return o
	}
	o := set(t)
	o.refer(true)
	if code, _, stderr := o.shop("--undo", "--yes"); code != exitError || len(o.mutating()) > 0 || !strings.Contains(stderr, "is still referred to by sg-") || !strings.Contains(stderr, "first let CloudFront in through other rules") {
		t.Errorf("exit code %d, calls %v, %s", code, o.mutating(), stderr)
	}
	reference := set(t)
	reference.must("setup", "--load-balancer", "shop", "--undo", "--yes")
	for n, c := range reference.Calls() {
		t.Run(fmt.Sprintf("%d %s", n, c.Action), func(t *testing.T) {
			o := set(t)
			o.Inject(ec2sim.Fault{Kind: ec2sim.ErrorAfter, Action: ec2sim.AnyAction, After: n, Code: "Boom", Status: http.StatusBadRequest})
			if code, _, _ := o.cfsg(t.Context(), "setup", "--load-balancer", "shop", "--undo", "--yes"); code != exitError {
				t.Errorf("nothing is said of an error at %s", c.Action)
			}
			o.must("setup", "--load-balancer", "shop", "--undo", "--yes")
			if left := o.made(); len(left) > 0 || len(o.shut) > 0 {
				t.Errorf("left %v, shut out %v", left, o.shut)
			}
		})
	}
}

// A list that somebody has taken the tag off, or emptied, is put right.
func TestSetupByListPutsRight(t *testing.T) {
	o := newOriginSite(t, clusterShop)
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	l := o.made()[0]
	if err := o.here().SetEntries(l.ID, ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix("198.51.100.0/24")}); err != nil {
		t.Fatal(err)
	}
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	if now := o.made()[0]; len(now.Entries) != 3 {
		t.Errorf("entries %v", now.Entries)
	}
}
