package main

import (
	"encoding/json"
	"fmt"
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
	o.says(exitOK, "a prefix list of up to 5 IPv4 entries, 2 of them now, tagged cloudfront-ingress=ranges", shop("--dry-run")...)
	o.changes("")
	stdout := o.must(shop("--close-world")...)
	o.changes("CreateManagedPrefixList CreateManagedPrefixList ModifyManagedPrefixList ModifyManagedPrefixList")
	o.filled()
	lists := o.made()
	annotate := "kubectl annotate ingress --namespace shop web alb.ingress.kubernetes.io/security-group-prefix-lists=" + lists[0].ID + "," + lists[1].ID + " alb.ingress.kubernetes.io/inbound-cidrs=0.0.0.0/0,::/0 "
	if strings.Contains(stdout, "no rule opens that to the world") {
		t.Error(stdout)
	}
	o.says(exitOK, annotate, shop("--close-world")...)
	o.changes("")
	// The controller does what it was told to, and adds rules. Only then is it told to take others away: whichever it
	// does first, CloudFront gets in.
	o.refer(false)
	o.ResetCalls()
	if stdout := o.says(exitOK, "kubectl annotate ingress --namespace shop web alb.ingress.kubernetes.io/inbound-cidrs- ", shop("--close-world")...); strings.Contains(stdout, "security-group-prefix-lists=") {
		t.Error(stdout)
	}
	o.refer(true)
	if stdout := o.says(exitOK, "no rule opens that to the world", shop("--close-world")...); strings.Contains(stdout, "kubectl") {
		t.Error(stdout)
	}
	o.changes("")
	o.filled()
	o.must("plan", "--detailed-exitcode")
	o.must("status", "--detailed-exitcode")
	// An undo leaves lists that a group refers to.
	o.says(exitError, "so nothing was undone hint: first let CloudFront in through other rules", undoShop...)
	o.changes("")
	// A list that somebody has emptied is put right.
	if err := o.here().SetEntries(lists[0].ID, ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix("198.51.100.0/24")}); err != nil {
		t.Fatal(err)
	}
	o.must(shop()...)
	if now := o.made()[0]; len(now.Entries) != 3 {
		t.Errorf("entries %v", now.Entries)
	}
}

// A controller's group is not closed here, even where CloudFront gets in by the lists: it would come back.
func TestSetupByListClosesNothingOfAController(t *testing.T) {
	o := newOriginSite(t, otherShop(`"elbv2.k8s.aws/cluster": "prod"`)) // the group itself carries no tag
	o.must(shop()...)
	o.refer(false)
	o.ResetCalls()
	o.says(exitOK, "The Kubernetes cluster prod would restore it", shop("--close-world")...)
	o.changes("")
}

// A command to paste is left out where it would shut CloudFront out: for want of a list of a family, even if the owner
// has been quicker and refers to the other. Lists for which there is no room are refused.
func TestSetupByListKeepsWhatShutsOut(t *testing.T) {
	o := newOriginSite(t, clusterShop)
	ipv4 := shop("--family", "ipv4")
	stdout := o.says(exitOK, "the load balancer has IPv6 addresses, for which there is no list. Run this again for both families.", ipv4...)
	o.refer(false)
	if stdout += o.says(exitOK, "Still open to the world", ipv4...); strings.Contains(stdout, "kubectl") {
		t.Error(stdout)
	}
	// A controller writes a rule for each listener, and has no room for these.
	o = newOriginSite(t, strings.Replace(clusterShop, `["HTTPS:443"]`, `["HTTPS:443", "HTTP:80"]`, 1))
	o.here().SetQuota(10)
	o.says(exitError, "a rule for each list on 2 ports counts as 10 rules, next to the 1 it has, and a security group of load balancer shop can have 10 hint: raise quota L-0EA8095F", shop()...)
	o.changes("")
	// Lists with one place to spare find room beside the groups that are attached.
	o.here().SetQuota(20)
	o.must(shop()...)
	if lists := o.made(); len(lists) != 2 || lists[0].MaxEntries != 3 || lists[1].MaxEntries != 2 {
		t.Errorf("they are %+v", lists)
	}
}

// A run for one address family does not close the other, whose ranges an earlier run has let in.
func TestSetupClosesNoFamily(t *testing.T) {
	for name, seed := range map[string]string{"by lists": clusterShop, "by groups": openShop} {
		t.Run(name, func(t *testing.T) {
			o := newOriginSite(t, seed)
			o.must(shop()...)
			if name == "by lists" {
				o.refer(true)
			}
			o.ResetCalls()
			for _, port := range []string{"443", "80"} {
				o.says(exitError, "lets in IPv6, but no IPv6 range is wanted now", "setup", "shop", "--port", port, "--family", "ipv4", "--yes")
				o.changes("")
			}
		})
	}
}

// A list that EC2 does not show is not said to be missing where it refuses to tell.
func TestSetupByListRefusedMidway(t *testing.T) {
	refused := ec2sim.Fault{Kind: ec2sim.Refused, Action: "DescribeManagedPrefixLists", Count: ec2sim.Forever}
	for ; ; refused.After++ {
		setSetupPatience(t)
		o := newOriginSite(t, clusterShop)
		o.Inject(refused)
		code, _, stderr := o.cfsg(t.Context(), shop()...)
		if code == exitOK {
			break
		}
		if !strings.Contains(stderr, "ec2:DescribeManagedPrefixLists") || strings.Contains(stderr, "has this ID") {
			t.Errorf("after %d calls it says %s", refused.After, stderr)
		}
	}
	if refused.After < 4 {
		t.Errorf("lists were described only %d times", refused.After)
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
			if err := json.Unmarshal([]byte(o.must("setup", "shop", "--port", "443,8000-8080", "--yes", "--prefix-list", "-o", "json")), &doc); err != nil {
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
