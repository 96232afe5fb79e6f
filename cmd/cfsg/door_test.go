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
	"slices"
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

// A situation is a door, and how it came to be: testdata/doors/situations.txt says what its lines mean.
type situation struct {
	name    string
	lines   map[string]string // by their first word
	replace []string          // of the seed: in turns what becomes what
}

// situations reads them all.
func situations(t *testing.T) (all []situation) {
	t.Helper()
	text, err := os.ReadFile("testdata/doors/situations.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range strings.Split(string(text), "\n# ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		s := situation{name: name, lines: map[string]string{}}
		for line := range strings.Lines(body) {
			switch word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); word {
			case "replace", "with":
				s.replace = append(s.replace, rest)
			default:
				s.lines[word] = rest
			}
		}
		all = append(all, s)
	}
	return all
}

// seed returns the seed of its endpoint.
func (s situation) seed(t *testing.T) string {
	t.Helper()
	seed, err := os.ReadFile("../../internal/ec2sim/testdata/doors/" + s.lines["seed"] + ".json")
	if err != nil {
		t.Fatal(err)
	}
	text := string(seed)
	for pair := range slices.Chunk(s.replace, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("%s is not in the seed", pair[0])
		}
		text = strings.Replace(text, pair[0], pair[1], 1)
	}
	return text
}

// base is what the groups are synced with, unless a situation has another file.
var base = doorFile(1767323045, "13.32.0.0/15", "13.34.0.0/16", "18.64.0.0/14")

// doorFiles are the published files by the names that situations have for them.
var doorFiles = map[string]string{
	"":        base,
	"none":    base,
	"shorter": doorFile(1767409445, "13.32.0.0/15"),
	"recut":   doorFile(1767409445, "13.32.0.0/15", "13.34.0.0/16", "18.64.0.0/14", "52.84.0.0/15"),
	"earlier": doorFile(1767236645, "13.32.0.0/15", "13.34.0.0/16", "18.64.0.0/14", "52.84.0.0/15"),
	"facing":  `{"syncToken": "1767323045", "prefixes": [` + facingRange + `], "ipv6_prefixes": []}`,
	"both":    strings.Replace(base, `[{`, `[`+facingRange+`, {`, 1),
}

const facingRange = `{"ip_prefix": "13.32.0.0/15", "service": "CLOUDFRONT_ORIGIN_FACING"}`

// One table of situations by commands and function.
func TestSituations(t *testing.T) {
	for _, s := range situations(t) {
		t.Run(s.name, func(t *testing.T) {
			o := newOperatorWith(t, s.seed(t), doorFiles[s.lines["first"]])
			// EC2 knows AWS's list, whatever the seed says.
			here := o.Region("", "us-east-1")
			known := ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix("13.32.0.0/15")}
			if err := here.SetEntries(here.PrefixLists()[0].ID, known); err != nil {
				t.Fatal(err)
			}
			if s.lines["first"] != "none" {
				o.cfsg(t.Context(), "apply", "--yes") // what it fails with is in the cells
			}
			if err := os.WriteFile(o.flags[5], []byte(doorFiles[s.lines["then"]]), 0o600); err != nil {
				t.Fatal(err)
			}
			o.flags = append(o.flags, strings.Fields(s.lines["flags"])...)
			o.Deny(strings.Fields(s.lines["deny"])...)
			o.checkCell(t, s.lines["check"], "check", "--load-balancer", cmp.Or(s.lines["at"], "shop"))
			status := o.checkCell(t, s.lines["status"], "status")
			if plan := o.checkCell(t, s.lines["status"], "plan"); plan != status && !strings.Contains(plan, "RequestID") {
				t.Errorf("status says %q, plan %q", status, plan)
			}
			if s.lines["function"] != "n/a" {
				o.checkFunction(t, s.lines["function"], strings.Contains(s.lines["flags"], "ORIGIN_FACING"))
			}
		})
	}
}

const shut = "failed: CLOUDFRONT is shut out over IPv4: "

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
	sealed := shut + "no outbound rule of load balancer shop (" + web.ID + " web) leads to port 8443 of "
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
	cells(shut+"no route to an internet gateway", shut+"no route to an internet gateway")
	_, err = client.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: table.RouteTable.RouteTableId, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: gateway.InternetGateway.InternetGatewayId})
	must(err)
	cells("attention: cannot tell whether all of CLOUDFRONT gets in over IPv4: cannot see VPC Block Public Access", "attention: cannot see VPC Block Public Access")
	_, err = client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(80), ToPort: aws.Int32(80), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}},
	}})
	must(err)
	cells("attention: ", "attention: open to the world: ")
	acls, err := client.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: []types.Filter{{Name: aws.String("association.subnet-id"), Values: []string{*subnet.SubnetId}}}})
	must(err)
	_, err = client.CreateNetworkAclEntry(ctx, &ec2.CreateNetworkAclEntryInput{
		NetworkAclId: acls.NetworkAcls[0].NetworkAclId, RuleNumber: aws.Int32(50), Egress: aws.Bool(false), Protocol: aws.String("6"),
		PortRange: &types.PortRange{From: aws.Int32(443), To: aws.Int32(443)}, CidrBlock: aws.String("18.64.0.0/14"), RuleAction: types.RuleActionDeny,
	})
	must(err)
	cells("failed: part of CLOUDFRONT is shut out over IPv4: network ACL acl-", "failed: part of CLOUDFRONT is shut out over IPv4: network ACL acl-")
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
