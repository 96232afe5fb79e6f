package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/function"
	"cloudfront-sg-sync/internal/moto"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// doorFile returns a published file with IPv4 ranges of CloudFront, and one of IPv6.
func doorFile(syncToken int, ranges ...string) string {
	var entries []string
	for _, r := range ranges {
		entries = append(entries, fmt.Sprintf(`{"ip_prefix": %q, "service": "CLOUDFRONT"}`, r))
	}
	return fmt.Sprintf(`{"syncToken": "%d", "prefixes": [%s], "ipv6_prefixes": [{"ipv6_prefix": "2600:9000::/28", "service": "CLOUDFRONT"}]}`, syncToken, strings.Join(entries, ","))
}

// A situation is a door, and how it came to be.
type situation struct {
	name   string
	seed   string // of internal/ec2sim/testdata/doors
	change string // of the seed: what becomes what, with => between and ;; after each
	first  string // the file that the groups are synced with; the one below if empty, and not synced with "none"
	then   string // the file that is published now
	at     string // the load balancer to check, if it is not shop
	deny   string // actions that are denied
	flags  string
	// The cells: the mark, and what the cause says. Plan, and apply where nothing changes, say the same as status. For
	// the function it is what its warnings and errors say, or n/a for what it does not look at.
	check, status, function string
}

const (
	shut4  = "failed: CLOUDFRONT is shut out over IPv4: "
	part4  = "failed: part of CLOUDFRONT is shut out over IPv4: "
	part   = "failed: part of CLOUDFRONT is shut out over IPv4"
	shut6  = "failed: CLOUDFRONT is shut out over IPv6: "
	noTell = "attention: cannot tell whether all of CLOUDFRONT gets in over IPv4: "
	world  = "attention: open to the world: "
	na     = "n/a"
	port80 = `"443"}}=>"443"}, "ingress": [{"protocol": "tcp", "ports": "80", "source": "0.0.0.0/0"}]};;`
	office = `"groups": [=>"prefixLists": [{"name": "office", "entries": ["0.0.0.0/0"]}], "groups": [;;`

	beside    = `"loadBalancers"=>"interfaces": [{"vpc": "shop", "subnet": "a", "groups": ["web"], "publicIp": "198.51.100.7", "requester": "amazon-elb", `
	besideEnd = `}], "loadBalancers";;`

	otherWeb = `{"vpc": "shop", "name": "web", "tags": {"cloudfront-ingress": "443"}}=>`
)

var (
	base    = doorFile(1767323045, "13.32.0.0/15", "13.34.0.0/16", "18.64.0.0/14")
	shorter = doorFile(1767409445, "13.32.0.0/15")
	recut   = doorFile(1767409445, "13.32.0.0/15", "13.34.0.0/16", "18.64.0.0/14", "52.84.0.0/15")
	facing  = `{"syncToken": "1767323045", "prefixes": [{"ip_prefix": "13.32.0.0/15", "service": "CLOUDFRONT_ORIGIN_FACING"}], "ipv6_prefixes": []}`
	both    = strings.Replace(base, `[{`, `[{"ip_prefix": "13.32.0.0/15", "service": "CLOUDFRONT_ORIGIN_FACING"}, {`, 1)
	earlier = doorFile(1767236645, "13.32.0.0/15", "13.34.0.0/16", "18.64.0.0/14", "52.84.0.0/15")
)

var situations = []situation{
	{name: "closed and right", seed: "open", check: "ok", status: "ok"},
	{name: "two ports open", seed: "two-listeners", check: "attention: ports 80, 443 are open to the world", status: world, function: "web lets 0.0.0.0/0 in on port 80"},
	{name: "another port open", seed: "open", change: port80, check: "attention: port 80 is open to the world", status: world, function: "web lets 0.0.0.0/0 in on port 80"},
	{
		name: "another port open, and meant", seed: "open", change: strings.Replace(port80, `"443"}, `, `"443", "cloudfront-ingress-public": "80"}, `, 1),
		check: "ok", status: "ok",
	},
	{
		name: "open on one of two interfaces", seed: "open", check: "attention: port 443 is open to the world", status: world, function: "side lets 0.0.0.0/0 in on port 443",
		change: otherWeb + `{"vpc": "shop", "name": "web", "tags": {"cloudfront-ingress": "443"}}, {"vpc": "shop", "name": "side", "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]};;` +
			`"loadBalancers"=>"interfaces": [{"vpc": "shop", "subnet": "a", "groups": ["web", "side"], "publicIp": "198.51.100.7", "description": "ELB app/shop/50dc6c495c0c9188", "requester": "amazon-elb"}], "loadBalancers";;`,
	},
	{
		name: "AWS's list", seed: "open", flags: "--service CLOUDFRONT_ORIGIN_FACING --family ipv4", first: "none", then: facing, check: "ok", status: "attention: 1 rule is missing",
		change: `"443"}}=>"443"}, "ingress": [{"protocol": "tcp", "ports": "443", "source": "list:com.amazonaws.global.cloudfront.origin-facing"}]};;`,
	},
	{
		name: "AWS's list, and no room beside it", seed: "open", flags: "--service CLOUDFRONT_ORIGIN_FACING --family ipv4", first: "none", then: facing, check: "ok", status: "attention: too small", function: "is too small",
		change: `"443"}}=>"443"}, "ingress": [{"protocol": "tcp", "ports": "443", "source": "list:com.amazonaws.global.cloudfront.origin-facing"}]};;` + "{\n  \"vpcs\"=>{\"rulesPerGroup\": 55, \"vpcs\";;",
	},
	{name: "NLB that preserves", seed: "nlb-instances", check: shut4 + "i-0123456789abcdef0 behind load balancer shop does not let 18.64.0.0 in on port 8443 from client addresses", status: shut4 + "i-", function: na},
	{name: "NLB that preserves, and targets let its group in", seed: "nlb-instances", change: `"source": "10.1.0.0/16"=>"source": "group:web";;`, check: "ok", status: "ok"},
	{name: "NLB with addresses as targets", seed: "nlb-addresses", check: "ok", status: "ok"},
	{name: "NLB that does not preserve", seed: "nlb-not-preserved", check: "ok", status: "ok"},
	{name: "NLB without groups", seed: "nlb-without-groups", check: shut4 + "i-", status: "ok", function: na},
	{name: "internal", seed: "open", change: `, "publicIp": "198.51.100.8", "ipv6": "2001:db8::8"=>;;, "publicIp": "198.51.100.9", "ipv6": "2001:db8::9"=>;;`, check: "attention: no public address", status: "attention: eni-"},
	{name: "ACL denies requests", seed: "acl-denies-443", check: shut4 + "network ACL acl-", status: shut4 + "network ACL acl-", function: na},
	{name: "ACL denies answers", seed: "acl-denies-answers", check: shut4 + "network ACL acl-", status: shut4 + "network ACL acl-", function: na},
	{name: "ACL denies one block", seed: "acl-denies-one-block", check: part4 + "network ACL acl-", status: part4 + "network ACL acl-", function: na},
	{name: "no route to an internet gateway", seed: "no-internet-route", check: shut4 + "answers to 18.64.0.0 go to nat-", status: shut4 + "answers to", function: na},
	{name: "IPv6 without route", seed: "no-ipv6-route", check: shut6 + "no route to an internet gateway over IPv6", status: shut6 + "no route", function: na},
	{name: "Block Public Access", seed: "block-public-access", check: shut4 + "VPC Block Public Access is on", status: shut4 + "VPC Block Public Access is on", function: na},
	{name: "Block Public Access with an exclusion", seed: "block-public-access-excluded", check: "ok", status: "ok"},
	{
		name: "partly attached", seed: "open", check: part, status: part, function: "attach sg-", first: base,
		change: otherWeb + `{"vpc": "shop", "name": "web", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}}, {"vpc": "shop", "name": "web-2", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}};;` +
			`{
  "vpcs"=>{"rulesPerGroup": 2, "vpcs";;`,
	},
	{name: "held", seed: "open", then: shorter, check: "ok", status: "attention: held", function: "is held"},
	{name: "older", seed: "open", then: earlier, check: "attention: the file is older than these rules, which are from 2026-01-02", status: "attention: the file is older than these rules, which are from 2026-01-02", function: "made from a newer one"},
	{name: "to be applied", seed: "open", then: recut, check: part, status: part},
	{name: "too small", seed: "open", change: "{\n  \"vpcs\"=>{\"rulesPerGroup\": 2, \"vpcs\";;", check: part, status: part, function: "is too small"},
	{name: "other settings", seed: "open", first: both, then: both, flags: "--service CLOUDFRONT_ORIGIN_FACING --family ipv4", check: "ok", status: "attention: made with other settings"},
	{name: "ACLs may not be read", seed: "open", deny: "DescribeNetworkAcls", check: noTell + "cannot see network ACLs: grant the permission ec2:DescribeNetworkAcls", status: noTell[:11] + "eni-", function: na},
	{name: "routes may not be read", seed: "open", deny: "DescribeRouteTables", check: noTell + "cannot see routes: grant the permission ec2:DescribeRouteTables", status: "attention: eni-", function: na},
	{name: "Block Public Access may not be read", seed: "open", deny: "DescribeVpcBlockPublicAccessOptions", check: noTell + "cannot see VPC Block Public Access: grant", status: "attention: eni-", function: na},
	{
		name: "a list may not be read", seed: "open", deny: "GetManagedPrefixListEntries", change: office + `"443"}}=>"443"}, "ingress": [{"protocol": "tcp", "ports": "443", "source": "list:office"}]};;`,
		check: "attention: cannot tell whether port 443 is open to the world: the entries of pl-", status: "attention: eni-", function: "cannot tell whether rules that refer to pl-",
	},
	{
		name: "a list of port 80 may not be read", seed: "open", deny: "GetManagedPrefixListEntries", change: office + `"443"}}=>"443"}, "ingress": [{"protocol": "tcp", "ports": "80", "source": "list:office"}]};;`,
		check: "attention: cannot tell whether port 80 is open to the world: the entries of pl-", status: "attention: eni-", function: "cannot tell whether rules that refer to pl-",
	},
	{
		name: "another account's load balancer", seed: "open", change: beside + `"description": "ELB app/shop-2/50dc6c495c0c9188"` + besideEnd + `"name": "shop", "groups"=>"name": "shop-1", "groups";;`, at: "shop-2",
		check: "attention: cannot see what is behind load balancer shop-2", status: "attention: eni-", function: na,
	},
	{
		name: "a Classic Load Balancer", seed: "open", change: beside + `"description": "ELB old"` + besideEnd, at: "old",
		check: "attention: cannot see what is behind a Classic Load Balancer", status: "attention: eni-", function: na,
	},
	{name: "no listener", seed: "open", change: `"HTTPS:443"=>"HTTPS:8443";;`, check: "attention: load balancer shop has no listener on port 443", status: "attention: eni-", function: na},
	{
		name: "a target is open to the world", seed: "nlb-instances", change: `"source": "10.1.0.0/16"=>"source": "0.0.0.0/0";;"privateIp": "10.1.0.10"=>"privateIp": "10.1.0.10", "publicIp": "198.51.100.20";;`,
		check: "attention: i-0123456789abcdef0 behind load balancer shop has a public address, and sg-", status: "attention: eni-", function: na,
	},
	{
		name: "no public IPv4 address", seed: "open", change: `"publicIp": "198.51.100.8", =>;;"publicIp": "198.51.100.9", =>;;`,
		check: "attention: no public IPv4 address", status: "attention: eni-",
	},
	{name: "targets may not be read", seed: "open", deny: "DescribeTargetGroups", check: noTell + "cannot see the targets of load balancer shop: grant", status: "attention: eni-", function: na},
	{name: "interfaces may not be read", seed: "open", deny: "DescribeNetworkInterfaces", check: "error: DescribeNetworkInterfaces", status: "attention: cannot see the network interfaces: grant the permission ec2:DescribeNetworkInterfaces", function: "DescribeNetworkInterfaces"},
	{
		name: "nothing may be read", seed: "open", check: "error: DescribeNetworkInterfaces", status: "failed: ", function: "DescribeSecurityGroups",
		deny: "DescribeNetworkInterfaces DescribeSecurityGroups DescribeManagedPrefixLists DescribeNetworkAcls DescribeRouteTables DescribeLoadBalancers",
	},
	{name: "groups may not be read", seed: "open", deny: "DescribeSecurityGroups", check: "error: DescribeSecurityGroups", status: "failed: ", function: "DescribeSecurityGroups"},
}

// One table of situations by commands and function.
func TestSituations(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			seed, err := os.ReadFile("../../internal/ec2sim/testdata/doors/" + s.seed + ".json")
			if err != nil {
				t.Fatal(err)
			}
			text := string(seed)
			for change := range strings.SplitSeq(strings.TrimSuffix(s.change, ";;"), ";;") {
				from, to, _ := strings.Cut(change, "=>")
				if !strings.Contains(text, from) {
					t.Fatalf("%s is not in the seed", from)
				}
				text = strings.Replace(text, from, to, 1)
			}
			first, then := s.first, s.then
			if first == "" {
				first = base
			}
			if then == "" {
				then = base
			}
			o := newOperatorWith(t, text, first)
			// EC2 knows AWS's list, whatever the seed says.
			here := o.Region("", "us-east-1")
			known := ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix("13.32.0.0/15")}
			if err := here.SetEntries(here.PrefixLists()[0].ID, known); err != nil {
				t.Fatal(err)
			}
			if first != "none" {
				o.cfsg(t.Context(), "apply", "--yes") // what it fails with is in the cells
			}
			if err := os.WriteFile(o.flags[5], []byte(then), 0o600); err != nil {
				t.Fatal(err)
			}
			o.flags = append(o.flags, strings.Fields(s.flags)...)
			if s.deny != "" {
				o.Deny(strings.Fields(s.deny)...)
			}
			o.checkCell(t, s.check, "check", "--load-balancer", cmp.Or(s.at, "shop"))
			status := o.checkCell(t, s.status, "status")
			if plan := o.checkCell(t, s.status, "plan"); plan != status && !strings.Contains(plan, "RequestID") {
				t.Errorf("status says %q, plan %q", status, plan)
			}
			if s.function != na {
				o.checkFunction(t, s.function, strings.Contains(s.flags, "ORIGIN_FACING"))
			}
		})
	}
}

// The command that revokes a rule names what the rule refers to.
func TestRevokeReferenceToList(t *testing.T) {
	o := newOperatorWith(t, `{
		"prefixLists": [{"name": "office", "entries": ["0.0.0.0/1"]}],
		"groups": [{"name": "web", "tags": {"cloudfront-ingress": "443"}, "ingress": [{"protocol": "tcp", "ports": "443", "source": "list:office"}]}],
		"interfaces": [{"groups": ["web"], "publicIp": "198.51.100.7"}]
	}`, base)
	o.must("apply", "--yes")
	lists := o.Region("", "us-east-1").PrefixLists()
	want := "--ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,PrefixListIds=[{PrefixListId=" + lists[len(lists)-1].ID + "}]'"
	if stdout := o.must("status"); !strings.Contains(stdout, want) {
		t.Errorf("%s\nlacks %s", stdout, want)
	}
}

// A load balancer passes nothing on to a port that no outbound rule of its groups leads to.
func TestLoadBalancerLetsNothingOut(t *testing.T) {
	seed, err := os.ReadFile("../../internal/ec2sim/testdata/doors/nlb-addresses.json")
	if err != nil {
		t.Fatal(err)
	}
	o := newOperatorWith(t, string(seed), base)
	o.must("apply", "--yes")
	o.checkCell(t, "ok", "check", "shop")
	var web ec2sim.Group
	for _, g := range o.Region("", "us-east-1").Groups() {
		if g.Name == "web" {
			web = g
		}
	}
	client, all := o.client(), types.IpPermission{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}
	if _, err := client.RevokeSecurityGroupEgress(t.Context(), &ec2.RevokeSecurityGroupEgressInput{GroupId: &web.ID, IpPermissions: []types.IpPermission{all}}); err != nil {
		t.Fatal(err)
	}
	sealed := shut4 + "no outbound rule of load balancer shop (" + web.ID + " web) leads to port 8443 of "
	o.checkCell(t, sealed, "check", "shop")
	o.checkCell(t, sealed, "status")
}

// The same on an EC2 that others wrote, as far as it goes: it has no VPC Block Public Access, so no door is seen as a
// whole.
func TestSituationsOnMoto(t *testing.T) {
	o := &operator{url: moto.Start(t)}
	t.Setenv("AWS_ACCESS_KEY_ID", "any")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "any")
	ranges := filepath.Join(t.TempDir(), "ip-ranges.json")
	if err := os.WriteFile(ranges, []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	o.flags = []string{"--endpoint-url", o.url, "--region", "us-east-1", "--ip-ranges", ranges}
	client, ctx := o.client(), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	subnets, err := client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	must(err)
	subnet := subnets.Subnets[0]
	gateway, err := client.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{})
	must(err)
	_, err = client.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: gateway.InternetGateway.InternetGatewayId, VpcId: subnet.VpcId})
	must(err)
	table, err := client.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: subnet.VpcId})
	must(err)
	_, err = client.AssociateRouteTable(ctx, &ec2.AssociateRouteTableInput{RouteTableId: table.RouteTable.RouteTableId, SubnetId: subnet.SubnetId})
	must(err)
	group, err := client.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: aws.String("web"), Description: aws.String("web"), VpcId: subnet.VpcId,
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: []types.Tag{{Key: aws.String("cloudfront-ingress"), Value: aws.String("443")}}}},
	})
	must(err)
	eni, err := client.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: subnet.SubnetId, Groups: []string{*group.GroupId}})
	must(err)
	address, err := client.AllocateAddress(ctx, &ec2.AllocateAddressInput{Domain: types.DomainTypeVpc})
	must(err)
	_, err = client.AssociateAddress(ctx, &ec2.AssociateAddressInput{AllocationId: address.AllocationId, NetworkInterfaceId: eni.NetworkInterface.NetworkInterfaceId})
	must(err)
	cells := func(check, status string) {
		t.Helper()
		o.checkCell(t, check, "check", "--interface", *eni.NetworkInterface.NetworkInterfaceId)
		o.checkCell(t, status, "status")
	}
	cells("failed: CLOUDFRONT is shut out over IPv4", "failed: 4 rules are missing")
	if code, _, stderr := o.cfsg(ctx, "apply", "--yes"); code != exitError || stderr != "1 of 1: authorized 4 rules in "+*group.GroupId+" web\n" {
		t.Fatalf("exit code %d, %s", code, stderr) // there is no way in yet
	}
	cells(shut4+"no route to an internet gateway", shut4+"no route to an internet gateway")
	_, err = client.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: table.RouteTable.RouteTableId, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: gateway.InternetGateway.InternetGatewayId})
	must(err)
	cells(noTell+"cannot see VPC Block Public Access", "attention: cannot see VPC Block Public Access")
	_, err = client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(80), ToPort: aws.Int32(80), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}},
	}})
	must(err)
	cells("attention: ", world)
	acls, err := client.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: []types.Filter{{Name: aws.String("association.subnet-id"), Values: []string{*subnet.SubnetId}}}})
	must(err)
	_, err = client.CreateNetworkAclEntry(ctx, &ec2.CreateNetworkAclEntryInput{
		NetworkAclId: acls.NetworkAcls[0].NetworkAclId, RuleNumber: aws.Int32(50), Egress: aws.Bool(false), Protocol: aws.String("6"),
		PortRange: &types.PortRange{From: aws.Int32(443), To: aws.Int32(443)}, CidrBlock: aws.String("18.64.0.0/14"), RuleAction: types.RuleActionDeny,
	})
	must(err)
	cells(part4+"network ACL acl-", part4+"network ACL acl-")
}

// checkCell runs a command, and returns its judgement. That has to be the mark of the cell with its words in the cause.
func (o *operator) checkCell(t *testing.T, cell string, args ...string) string {
	t.Helper()
	code, stdout, stderr := o.cfsg(t.Context(), append(args, "-o", "json")...)
	var d struct{ Mark, Cause string }
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		d.Mark, d.Cause = "error", stderr
	}
	got := d.Mark + ": " + d.Cause
	mark, cause, _ := strings.Cut(cell, ": ")
	if d.Mark != mark || !strings.Contains(d.Cause, cause) {
		t.Errorf("%s: %s\nwant %s", args[0], got, cell)
	}
	failed := d.Mark == "failed" || d.Mark == "error" || args[0] == "status" && strings.Contains(d.Cause, "too small") // runs fail, too
	if args[0] != "plan" && failed != (code == exitError) {
		t.Errorf("%s: exit code %d with %s; %s", args[0], code, got, stderr)
	}
	return got
}

// checkFunction has the schedule start the function. Its warnings and errors have to say what a cell does.
func (o *operator) checkFunction(t *testing.T, cell string, originFacing bool) {
	t.Helper()
	file := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, o.flags[5]) }))
	t.Cleanup(file.Close)
	env := map[string]string{"IP_RANGES_URL": file.URL, "METRICS_NAMESPACE": "none", "SERVICES": "CLOUDFRONT"}
	if originFacing {
		env["SERVICES"], env["IP_FAMILIES"] = "CLOUDFRONT_ORIGIN_FACING", "ipv4"
	}
	c, err := config.FromEnv(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	h, err := function.New(c, aws.Config{Region: "us-east-1", BaseEndpoint: &o.url, Credentials: credentials.NewStaticCredentialsProvider("any", "any", "")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := h.Invoke(t.Context(), []byte(`{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","time":"2026-08-23T06:00:00Z","detail":{}}`))
	var said struct{ Warnings []string }
	if err == nil {
		err = json.Unmarshal(answer, &said)
	}
	got := strings.Join(said.Warnings, "\n")
	if err != nil {
		got = strings.TrimSpace(err.Error() + "\n" + got)
	}
	if !strings.Contains(got, cell) || cell == "" && got != "" {
		t.Errorf("function: %s\nwant %q", got, cell)
	}
}
