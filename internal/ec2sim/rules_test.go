package ec2sim_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cloudfront-sg-sync/internal/ec2sim"
)

// What AuthorizeSecurityGroupIngress refuses: see the page cited with each case.
func TestAuthorizeRefuses(t *testing.T) {
	const (
		api    = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
		quotas = "https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html"
	)
	described := func(cidr, text string) types.IpPermission {
		p := tcp(443, cidr)
		p.IpRanges[0].Description = &text
		return p
	}
	cases := []struct {
		name, page string
		perm       types.IpPermission
		code       string
	}{
		{"the rule is there", api + "errors-overview.html", tcp(443, "192.0.2.0/24"), "InvalidPermission.Duplicate"},
		{"the rule is there with another description", api + "errors-overview.html", described("192.0.2.0/24", "new"), "InvalidPermission.Duplicate"},
		{"the rule is there in canonical form", api + "API_IpRange.html", tcp(443, "192.0.2.77/24"), "InvalidPermission.Duplicate"},
		{"one of many is there", api + "errors-overview.html", tcp(443, "198.51.100.0/24", "192.0.2.0/24"), "InvalidPermission.Duplicate"},
		{"twice in one request", "https://github.com/aws/aws-sdk-go/issues/1340", tcp(443, "198.51.100.0/24", "198.51.100.0/24"), "InvalidParameterValue"},
		{"twice in canonical form", api + "API_IpRange.html", tcp(443, "198.51.100.0/24", "198.51.100.9/24"), "InvalidParameterValue"},
		{"61 IPv4 rules", quotas, tcp(80, v4(61)...), "RulesPerSecurityGroupLimitExceeded"},
		{"60 IPv4 rules beside the one there", quotas, tcp(80, v4(60)...), "RulesPerSecurityGroupLimitExceeded"},
		{"61 IPv6 rules", quotas, tcp(80, v6(61)...), "RulesPerSecurityGroupLimitExceeded"},
		{"no range", api + "API_IpRange.html", tcp(443, "everyone"), "InvalidParameterValue"},
		{"an address", api + "API_IpRange.html", tcp(443, "192.0.2.1"), "InvalidParameterValue"},
		{"33 bits", api + "API_IpRange.html", tcp(443, "192.0.2.1/33"), "InvalidParameterValue"},
		{"port 70000", api + "API_IpPermission.html", tcpRange(70000, 70000, "192.0.2.0/24"), "InvalidParameterValue"},
		{"ports the wrong way round", api + "API_IpPermission.html", tcpRange(90, 80, "192.0.2.0/24"), "InvalidParameterValue"},
		{"no ports", api + "API_IpPermission.html", types.IpPermission{IpProtocol: aws.String("tcp"), IpRanges: []types.IpRange{{CidrIp: aws.String("192.0.2.0/24")}}}, "InvalidParameterValue"},
		{"unknown protocol", api + "API_IpPermission.html", types.IpPermission{IpProtocol: aws.String("quic"), IpRanges: []types.IpRange{{CidrIp: aws.String("192.0.2.0/24")}}}, "InvalidParameterValue"},
		{"description of 256 characters", api + "API_IpRange.html", described("198.51.100.0/24", strings.Repeat("a", 256)), "InvalidParameterValue"},
		{"description with a character not allowed", api + "API_IpRange.html", described("198.51.100.0/24", "naïve"), "InvalidParameterValue"},
		{"an IPv6 range as IPv4", api + "API_IpRange.html", types.IpPermission{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("2001:db8::/32")}}}, "InvalidParameterValue"},
		{"an unknown group", api + "errors-overview.html", types.IpPermission{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: aws.String("sg-00000000000000000")}}}, "InvalidGroup.NotFound"},
		{"an unknown prefix list", api + "errors-overview.html", types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: aws.String("pl-00000000000000000")}}}, "InvalidPrefixListID.NotFound"},
		{"no source", api + "API_IpPermission.html", tcp(443), "MissingParameter"},
	}
	s := start(t, ec2sim.Options{})
	id := s.group("", "web", rule(443, "192.0.2.0/24", "first"))
	before := s.rules(id)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			wantCode(t, s.authorize(id, c.perm), c.code)
			if got := s.rules(id); len(got) != len(before) || got[0].Description != before[0].Description {
				t.Errorf("the group has changed to %v; %s", got, c.page)
			}
		})
	}
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
func TestAuthorize(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	perm := tcp(443, "192.0.2.99/24", "2001:db8::1/32")
	perm.IpRanges[0].Description = aws.String("a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*")
	out, err := s.AuthorizeSecurityGroupIngress(t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: []types.IpPermission{perm}})
	if err != nil {
		t.Fatal(err)
	}
	if !*out.Return || len(out.SecurityGroupRules) != 2 {
		t.Fatalf("got %+v", out)
	}
	if r := out.SecurityGroupRules[0]; *r.CidrIpv4 != "192.0.2.0/24" || *r.FromPort != 443 || *r.IsEgress || *r.GroupId != id || !strings.HasPrefix(*r.SecurityGroupRuleId, "sgr-") {
		t.Errorf("got %+v", r)
	}
	got, err := s.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	p := got.SecurityGroups[0].IpPermissions
	if len(p) != 1 || *p[0].IpRanges[0].CidrIp != "192.0.2.0/24" || *p[0].IpRanges[0].Description != *perm.IpRanges[0].Description || *p[0].Ipv6Ranges[0].CidrIpv6 != "2001:db8::/32" {
		t.Errorf("described as %+v", p)
	}
}

// The quota counts both families apart, references in both.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html#security-group-size
func TestQuota(t *testing.T) {
	s := start(t, ec2sim.Options{})
	other := s.group("", "other")
	toGroup := types.IpPermission{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &other}}}
	office, err := s.here.PutPrefixList("office", 10, netip.MustParsePrefix("192.0.2.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	toList := types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: &office.ID}}}
	cloudFront := s.here.PrefixLists()[0]
	toCloudFront := types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: &cloudFront.ID}}}

	cases := []struct {
		name  string
		perms []types.IpPermission
		full  bool
	}{
		{"60 of each family", []types.IpPermission{tcp(443, v4(60)...), tcp(443, v6(60)...)}, false},
		{"two ports share a quota", []types.IpPermission{tcp(80, v4(30)...), tcp(443, v4(31)...)}, true},
		{"59 and a group", []types.IpPermission{tcp(443, v4(59)...), tcp(443, v6(59)...), toGroup}, false},
		{"60 IPv4 and a group", []types.IpPermission{tcp(443, v4(60)...), toGroup}, true},
		{"60 IPv6 and a group", []types.IpPermission{tcp(443, v6(60)...), toGroup}, true},
		{"50 and a list of 10", []types.IpPermission{tcp(443, v4(50)...), toList}, false},
		{"51 and a list of 10", []types.IpPermission{tcp(443, v4(51)...), toList}, true},
		{"5 and CloudFront's list", []types.IpPermission{tcp(443, v4(5)...), toCloudFront}, false},
		{"6 and CloudFront's list", []types.IpPermission{tcp(443, v4(6)...), toCloudFront}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			id := s.group("", strings.ReplaceAll(c.name, "'", ""))
			code := ""
			if c.full {
				code = "RulesPerSecurityGroupLimitExceeded"
			}
			wantCode(t, s.authorize(id, c.perms...), code)
			if c.full && len(s.rules(id)) != 0 {
				t.Error("rules were authorized all the same")
			}
		})
	}

	s.here.SetQuota(2)
	id := s.group("", "small")
	wantCode(t, s.authorize(id, tcp(443, v4(3)...)), "RulesPerSecurityGroupLimitExceeded")
	wantCode(t, s.authorize(id, tcp(443, v4(2)...)), "")
}

// No connection breaks under a long answer.
func TestLongAnswers(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	perms := []types.IpPermission{tcp(443, v4(60)...)}
	for range 200 {
		wantCode(t, s.authorize(id, perms...), "")
		_, err := s.RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: perms})
		wantCode(t, err, "")
	}
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
func TestRevoke(t *testing.T) {
	s := start(t, ec2sim.Options{})
	revoke := func(id string, perms ...types.IpPermission) (*ec2.RevokeSecurityGroupIngressOutput, error) {
		return s.RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: perms})
	}
	rules := []ec2sim.Rule{rule(443, "192.0.2.0/24", "described"), rule(443, "198.51.100.0/24", "")}

	t.Run("without the description", func(t *testing.T) {
		id := s.group(s.here.OtherVPC(), "described", rules...)
		out, err := revoke(id, tcp(443, "192.0.2.0/24"))
		wantCode(t, err, "")
		if len(s.rules(id)) != 1 || *out.RevokedSecurityGroupRules[0].CidrIpv4 != "192.0.2.0/24" {
			t.Errorf("got %+v, %v stands", out, s.rules(id))
		}
	})
	t.Run("with another description", func(t *testing.T) {
		id := s.group(s.here.OtherVPC(), "redescribed", rules...)
		p := tcp(443, "192.0.2.0/24")
		p.IpRanges[0].Description = aws.String("another")
		_, err := revoke(id, p)
		wantCode(t, err, "")
	})
	t.Run("one missing, not the default VPC", func(t *testing.T) {
		id := s.group(s.here.OtherVPC(), "missing", rules...)
		_, err := revoke(id, tcp(443, "192.0.2.0/24", "203.0.113.0/24"))
		wantCode(t, err, "InvalidPermission.NotFound")
		if len(s.rules(id)) != 2 {
			t.Errorf("only %v stands", s.rules(id))
		}
	})
	t.Run("one missing, the default VPC", func(t *testing.T) {
		id := s.group(s.here.DefaultVPC(), "missing", rules...)
		out, err := revoke(id, tcp(443, "192.0.2.0/24", "203.0.113.0/24"))
		wantCode(t, err, "")
		if len(s.rules(id)) != 1 || len(out.UnknownIpPermissions) != 1 || *out.UnknownIpPermissions[0].IpRanges[0].CidrIp != "203.0.113.0/24" {
			t.Errorf("got %+v, %v stands", out, s.rules(id))
		}
	})
	t.Run("other ports", func(t *testing.T) {
		id := s.group(s.here.OtherVPC(), "ports", rules...)
		_, err := revoke(id, tcpRange(443, 444, "192.0.2.0/24"))
		wantCode(t, err, "InvalidPermission.NotFound")
	})
	t.Run("nothing", func(t *testing.T) {
		_, err := revoke(s.group("", "nothing"))
		wantCode(t, err, "MissingParameter")
	})
}

// A reference to a group of another VPC is refused.
func TestReferences(t *testing.T) {
	s := start(t, ec2sim.Options{})
	web, db := s.group("", "web"), s.group("", "db")
	far := s.group(s.here.OtherVPC(), "far")
	from := func(id string) types.IpPermission {
		p := tcp(5432)
		p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: &id, Description: aws.String("the web servers")}}
		return p
	}
	wantCode(t, s.authorize(db, from(far)), "InvalidGroup.NotFound")
	wantCode(t, s.authorize(db, from(web)), "")
	wantCode(t, s.authorize(db, from(web)), "InvalidPermission.Duplicate")
	out, err := s.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{db}})
	if err != nil {
		t.Fatal(err)
	}
	if pair := out.SecurityGroups[0].IpPermissions[0].UserIdGroupPairs[0]; *pair.GroupId != web || *pair.UserId != ec2sim.DefaultAccount || *pair.Description != "the web servers" {
		t.Errorf("got %+v", pair)
	}
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
	_, err = s.DeleteSecurityGroup(t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &web})
	wantCode(t, err, "DependencyViolation")
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupEgress.html
func TestEgress(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	_, err := s.AuthorizeSecurityGroupEgress(t.Context(), &ec2.AuthorizeSecurityGroupEgressInput{GroupId: &id, IpPermissions: []types.IpPermission{tcp(443, "192.0.2.0/24")}})
	wantCode(t, err, "")
	everything := types.IpPermission{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}
	_, err = s.RevokeSecurityGroupEgress(t.Context(), &ec2.RevokeSecurityGroupEgressInput{GroupId: &id, IpPermissions: []types.IpPermission{everything}})
	wantCode(t, err, "")
	g, _ := s.here.Group(id)
	if len(g.Egress) != 1 || len(g.Ingress) != 0 {
		t.Errorf("got %v and %v", g.Egress, g.Ingress)
	}
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html
func TestUpdateDescriptions(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web", rule(443, "192.0.2.0/24", "old"))
	update := func(description *string) error {
		p := tcp(443, "192.0.2.0/24")
		p.IpRanges[0].Description = description
		_, err := s.UpdateSecurityGroupRuleDescriptionsIngress(t.Context(), &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{GroupId: &id, IpPermissions: []types.IpPermission{p}})
		return err
	}
	wantCode(t, update(aws.String("new")), "")
	if got := s.rules(id)[0].Description; got != "new" {
		t.Errorf("got %q", got)
	}
	wantCode(t, update(nil), "")
	if got := s.rules(id)[0].Description; got != "" {
		t.Errorf("got %q, want none", got)
	}
}
