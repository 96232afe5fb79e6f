package ec2sim_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The quota counts both families apart, references in both.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html#security-group-size
func TestQuota(t *testing.T) {
	s := start(t, ec2sim.Options{})
	other := s.group("", "other")
	toGroup := types.IpPermission{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &other}}}
	office, err := s.here.CreatePrefixList(ec2sim.PrefixList{Name: "office", Family: "IPv4", MaxEntries: 10})
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
