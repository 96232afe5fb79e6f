package secgroup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func TestApply(t *testing.T) {
	rules := []Rule{{RuleID: tcp(tcp443, "13.32.0.0/15"), Description: "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z"}}
	perms := []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
		IpRanges: []types.IpRange{{CidrIp: aws.String("13.32.0.0/15"), Description: aws.String("cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z")}},
	}}
	for _, test := range []struct {
		op          string
		authorizes  []*ec2.AuthorizeSecurityGroupIngressInput
		revokes     []*ec2.RevokeSecurityGroupIngressInput
		redescribes []*ec2.UpdateSecurityGroupRuleDescriptionsIngressInput
	}{
		{op: authorize, authorizes: []*ec2.AuthorizeSecurityGroupIngressInput{{GroupId: aws.String("sg-1"), IpPermissions: perms}}},
		{op: revoke, revokes: []*ec2.RevokeSecurityGroupIngressInput{{GroupId: aws.String("sg-1"), IpPermissions: perms}}},
		{op: redescribe, redescribes: []*ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{{GroupId: aws.String("sg-1"), IpPermissions: perms}}},
	} {
		t.Run(test.op, func(t *testing.T) {
			api := &fakeEC2{}
			if err := applied(t.Context(), api, stepOf(test.op, "sg-1", rules...)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.authorizes, api.authorizes, compareSDK); diff != "" {
				t.Errorf("authorizes: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(test.revokes, api.revokes, compareSDK); diff != "" {
				t.Errorf("revokes: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(test.redescribes, api.redescribes, compareSDK); diff != "" {
				t.Errorf("redescribes: -want +got\n%s", diff)
			}
			if len(api.describes) > 0 {
				t.Error("a step describes groups")
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	rule := func(protocol string, from, to int32, source, description string) Rule {
		s := Source{Reference: source}
		if p, err := netip.ParsePrefix(source); err == nil {
			s = Source{Prefix: p}
		}
		return Rule{RuleID: RuleID{protocol, from, to, s}, Description: description}
	}
	permission := func(protocol string, from, to int32, sources types.IpPermission) types.IpPermission {
		sources.IpProtocol, sources.FromPort, sources.ToPort = &protocol, &from, &to
		return sources
	}
	ipv4 := func(cidrs ...string) types.IpPermission {
		var p types.IpPermission
		for _, cidr := range cidrs {
			p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: aws.String(cidr)})
		}
		return p
	}
	for _, test := range []struct {
		name  string
		rules []Rule
		want  []types.IpPermission
	}{
		{"none", nil, nil},
		{
			"one permission for the same ports",
			[]Rule{rule("tcp", 443, 443, "1.0.0.0/24", ""), rule("tcp", 443, 443, "2.0.0.0/24", ""), rule("tcp", 443, 443, "3.0.0.0/24", "")},
			[]types.IpPermission{permission("tcp", 443, 443, ipv4("1.0.0.0/24", "2.0.0.0/24", "3.0.0.0/24"))},
		},
		{
			"another port, another last port, another protocol",
			[]Rule{
				rule("tcp", 80, 80, "1.0.0.0/24", ""), rule("tcp", 443, 443, "1.0.0.0/24", ""), rule("tcp", 80, 81, "1.0.0.0/24", ""),
				rule("udp", 80, 80, "1.0.0.0/24", ""), rule("tcp", 80, 80, "2.0.0.0/24", ""),
			},
			[]types.IpPermission{
				permission("tcp", 80, 80, ipv4("1.0.0.0/24", "2.0.0.0/24")), permission("tcp", 443, 443, ipv4("1.0.0.0/24")),
				permission("tcp", 80, 81, ipv4("1.0.0.0/24")), permission("udp", 80, 80, ipv4("1.0.0.0/24")),
			},
		},
		{
			"each kind of source",
			[]Rule{
				rule("tcp", 443, 443, "1.0.0.0/24", "four"), rule("tcp", 443, 443, "2600:9000::/28", "six"),
				rule("tcp", 443, 443, "pl-3b927c52", "list"), rule("tcp", 443, 443, "111122223333/sg-9", "group"),
			},
			[]types.IpPermission{permission("tcp", 443, 443, types.IpPermission{
				IpRanges:         []types.IpRange{{CidrIp: aws.String("1.0.0.0/24"), Description: aws.String("four")}},
				Ipv6Ranges:       []types.Ipv6Range{{CidrIpv6: aws.String("2600:9000::/28"), Description: aws.String("six")}},
				PrefixListIds:    []types.PrefixListId{{PrefixListId: aws.String("pl-3b927c52"), Description: aws.String("list")}},
				UserIdGroupPairs: []types.UserIdGroupPair{{UserId: aws.String("111122223333"), GroupId: aws.String("sg-9"), Description: aws.String("group")}},
			})},
		},
		{
			"each kind of source without a description",
			[]Rule{rule("tcp", 443, 443, "2600:9000::/28", ""), rule("tcp", 443, 443, "pl-3b927c52", ""), rule("tcp", 443, 443, "111122223333/sg-9", "")},
			[]types.IpPermission{permission("tcp", 443, 443, types.IpPermission{
				Ipv6Ranges:       []types.Ipv6Range{{CidrIpv6: aws.String("2600:9000::/28")}},
				PrefixListIds:    []types.PrefixListId{{PrefixListId: aws.String("pl-3b927c52")}},
				UserIdGroupPairs: []types.UserIdGroupPair{{UserId: aws.String("111122223333"), GroupId: aws.String("sg-9")}},
			})},
		},
		{"all protocols", []Rule{rule("-1", -1, -1, "1.0.0.0/24", "")}, []types.IpPermission{permission("-1", -1, -1, ipv4("1.0.0.0/24"))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			perms := permissions(test.rules)
			if diff := cmp.Diff(test.want, perms, compareSDK); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			// What EC2 would describe after that are the same rules.
			there := map[RuleID]string{}
			for _, p := range perms {
				rules, err := rulesOf(p)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rules {
					there[r.RuleID] = r.Description
				}
			}
			want := map[RuleID]string{}
			for _, r := range test.rules {
				want[r.RuleID] = r.Description
			}
			if diff := cmp.Diff(want, there, compare); diff != "" {
				t.Errorf("described again: -want +got\n%s", diff)
			}
		})
	}
}

func TestApplyFails(t *testing.T) {
	for _, test := range []struct {
		op   string
		code string
		want string // at the end of the error, what to do
	}{
		{authorize, "UnauthorizedOperation", "; grant the permission ec2:AuthorizeSecurityGroupIngress"},
		{revoke, "UnauthorizedOperation", "; grant the permission ec2:RevokeSecurityGroupIngress"},
		{redescribe, "UnauthorizedOperation", "; grant the permission ec2:UpdateSecurityGroupRuleDescriptionsIngress"},
		{revoke, "AccessDenied", "; grant the permission ec2:RevokeSecurityGroupIngress"},
		{authorize, "AuthFailure", "; check the credentials and the clock"},
		{authorize, "ExpiredToken", "; check the credentials and the clock"},
		{authorize, "RequestExpired", "; check the credentials and the clock"},
		{authorize, "InvalidClientTokenId", "; check the credentials and the clock"},
		{authorize, "UnrecognizedClientException", "; check the credentials and the clock"},
		{authorize, "RequestLimitExceeded", "; AWS is throttling this account: run again later"},
		{authorize, "RulesPerSecurityGroupLimitExceeded", "add a group to its pool (all groups of a pool carry the same pool tag), or raise quota L-0EA8095F"},
		{authorize, "InvalidPermission.Duplicate", "InvalidPermission.Duplicate: of EC2"},
		{revoke, "InvalidPermission.NotFound", "InvalidPermission.NotFound: of EC2"},
		{authorize, "InternalError", "InternalError: of EC2"},
	} {
		t.Run(fmt.Sprint(test.op, " ", test.code), func(t *testing.T) {
			api := &fakeEC2{err: ec2Error(test.code)}
			step := stepOf(test.op, "sg-1", Rule{RuleID: tcp(tcp443, "1.0.0.0/24")}, Rule{RuleID: tcp(tcp443, "2.0.0.0/24")})
			err := applied(t.Context(), api, step)
			checkError(t, err, test.op+" 2 rules in sg-1: ", test.code, test.want)
			if !errors.Is(err, api.err) {
				t.Errorf("%v does not wrap what EC2 said", err)
			}
		})
	}
}

// A mistyped region is a host that does not resolve.
func TestApplyToNoRegion(t *testing.T) {
	api := &fakeEC2{err: &net.DNSError{Err: "no such host", Name: "ec2.us-esat-1.amazonaws.com", IsNotFound: true}}
	err := applied(t.Context(), api, stepOf(authorize, "sg-1", Rule{RuleID: tcp(tcp443, "1.0.0.0/24")}))
	checkError(t, err, "ec2.us-esat-1.amazonaws.com", "; check the name of the region")
}

func TestIsConflict(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{ec2Error("InvalidPermission.Duplicate"), true},
		{ec2Error("InvalidPermission.NotFound"), true},
		{ec2Error("RulesPerSecurityGroupLimitExceeded"), true},
		{ec2Error("InvalidGroup.NotFound"), true},
		{fmt.Errorf("pool web: %w", ec2Error("InvalidPermission.Duplicate")), true},
		{errors.Join(errors.New("first"), ec2Error("InvalidPermission.NotFound")), true},
		{ec2Error("InvalidPermission.Malformed"), false},
		{ec2Error("UnauthorizedOperation"), false},
		{ec2Error("RequestLimitExceeded"), false},
		{ec2Error("InternalError"), false},
		{errors.New("InvalidPermission.Duplicate"), false},
		{nil, false},
	} {
		if got := IsConflict(test.err); got != test.want {
			t.Errorf("%v is a conflict: %t, want %t", test.err, got, test.want)
		}
	}
	// The hint about a quota comes beside the error, and errors.As still finds it.
	api := &fakeEC2{err: ec2Error("RulesPerSecurityGroupLimitExceeded")}
	if err := applied(t.Context(), api, stepOf(authorize, "sg-1", Rule{RuleID: tcp(tcp443, "1.0.0.0/24")})); !IsConflict(err) {
		t.Errorf("%v is no conflict", err)
	}
}
