package secgroup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fakeEC2 answers from memory and keeps what it was asked.
type fakeEC2 struct {
	pages [][]types.SecurityGroup // of DescribeSecurityGroups
	lists []types.ManagedPrefixList
	err   error // of every call

	describes   []*ec2.DescribeSecurityGroupsInput
	listIDs     [][]string // of each DescribeManagedPrefixLists
	authorizes  []*ec2.AuthorizeSecurityGroupIngressInput
	revokes     []*ec2.RevokeSecurityGroupIngressInput
	redescribes []*ec2.UpdateSecurityGroupRuleDescriptionsIngressInput
}

var _ API = (*fakeEC2)(nil)

func (f *fakeEC2) DescribeNetworkInterfaces(context.Context, *ec2.DescribeNetworkInterfacesInput, ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	return &ec2.DescribeNetworkInterfacesOutput{}, nil
}

func (f *fakeEC2) GetManagedPrefixListEntries(context.Context, *ec2.GetManagedPrefixListEntriesInput, ...func(*ec2.Options)) (*ec2.GetManagedPrefixListEntriesOutput, error) {
	return &ec2.GetManagedPrefixListEntriesOutput{}, f.err
}

func (f *fakeEC2) ModifyManagedPrefixList(context.Context, *ec2.ModifyManagedPrefixListInput, ...func(*ec2.Options)) (*ec2.ModifyManagedPrefixListOutput, error) {
	return &ec2.ModifyManagedPrefixListOutput{}, f.err
}

func (f *fakeEC2) DescribeSecurityGroups(_ context.Context, in *ec2.DescribeSecurityGroupsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	f.describes = append(f.describes, in)
	if f.err != nil {
		return nil, f.err
	}
	page := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscanf(*in.NextToken, "page %d", &page); err != nil {
			return nil, fmt.Errorf("token %q is not one of mine", *in.NextToken)
		}
	}
	out := &ec2.DescribeSecurityGroupsOutput{SecurityGroups: f.pages[page]}
	if page+1 < len(f.pages) {
		out.NextToken = aws.String(fmt.Sprintf("page %d", page+1))
	}
	return out, nil
}

func (f *fakeEC2) DescribeManagedPrefixLists(_ context.Context, in *ec2.DescribeManagedPrefixListsInput, _ ...func(*ec2.Options)) (*ec2.DescribeManagedPrefixListsOutput, error) {
	f.listIDs = append(f.listIDs, in.Filters[0].Values)
	return &ec2.DescribeManagedPrefixListsOutput{PrefixLists: f.lists}, f.err
}

func (f *fakeEC2) AuthorizeSecurityGroupIngress(_ context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, _ ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	f.authorizes = append(f.authorizes, in)
	return &ec2.AuthorizeSecurityGroupIngressOutput{}, f.err
}

func (f *fakeEC2) RevokeSecurityGroupIngress(_ context.Context, in *ec2.RevokeSecurityGroupIngressInput, _ ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	f.revokes = append(f.revokes, in)
	return &ec2.RevokeSecurityGroupIngressOutput{}, f.err
}

func (f *fakeEC2) UpdateSecurityGroupRuleDescriptionsIngress(_ context.Context, in *ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, _ ...func(*ec2.Options)) (*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput, error) {
	f.redescribes = append(f.redescribes, in)
	return &ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput{}, f.err
}

// ec2Error returns an error with a code of EC2, wrapped as the SDK does.
func ec2Error(code string) error {
	return &smithy.OperationError{ServiceID: "EC2", OperationName: "Call", Err: &smithy.GenericAPIError{Code: code, Message: "of EC2"}}
}

var testTags = []types.Tag{{Key: aws.String(testKey), Value: aws.String("443")}}

// compareSDK compares inputs of the SDK.
var compareSDK = cmpopts.IgnoreUnexported(
	ec2.AuthorizeSecurityGroupIngressInput{}, ec2.RevokeSecurityGroupIngressInput{}, ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{},
	ec2.DescribeSecurityGroupsInput{},
	types.Filter{}, types.IpPermission{}, types.IpRange{}, types.Ipv6Range{}, types.PrefixListId{}, types.UserIdGroupPair{}, types.Tag{},
)

// Groups are described by their IDs whatever their tags, to the last page, and in one call for each page.
func TestDescribe(t *testing.T) {
	api := &fakeEC2{pages: [][]types.SecurityGroup{
		{{GroupId: aws.String("sg-1"), GroupName: aws.String("web"), IpPermissions: []types.IpPermission{{
			IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
			PrefixListIds: []types.PrefixListId{{PrefixListId: aws.String("pl-3b927c52")}},
		}}}},
		{{GroupId: aws.String("sg-2")}},
	}}
	groups, err := Describe(t.Context(), api, []string{"sg-1", "sg-2", "sg-3"})
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != 2 || groups[0].Name != "web" || groups[0].Ingress[0].Source.Reference != "pl-3b927c52" || groups[1].ID != "sg-2" {
		t.Errorf("got %+v", groups)
	}
	filter := types.Filter{Name: aws.String("group-id"), Values: []string{"sg-1", "sg-2", "sg-3"}}
	if diff := cmp.Diff([]types.Filter{filter}, api.describes[1].Filters, compareSDK); diff != "" || len(api.describes) != 2 || len(api.listIDs) != 0 {
		t.Errorf("%d calls, %d of prefix lists: %s", len(api.describes), len(api.listIDs), diff)
	}
	api.err = ec2Error("UnauthorizedOperation")
	_, err = Describe(t.Context(), api, []string{"sg-1", "sg-2"})
	if err == nil || !strings.Contains(err.Error(), "describe the security groups sg-1, sg-2: ") || !strings.Contains(err.Error(), "ec2:DescribeSecurityGroups") {
		t.Errorf("got %v", err)
	}
}

func TestDiscover(t *testing.T) {
	api := &fakeEC2{pages: [][]types.SecurityGroup{
		{{
			GroupId: aws.String("sg-1"), GroupName: aws.String("web"), VpcId: aws.String("vpc-1"), Description: aws.String("not kept"),
			Tags: []types.Tag{{Key: aws.String("cloudfront-ingress"), Value: aws.String("443")}, {Key: aws.String("Name"), Value: aws.String("Web")}, {Key: aws.String("empty")}},
			IpPermissions: []types.IpPermission{
				{
					IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
					IpRanges: []types.IpRange{
						{CidrIp: aws.String("13.32.0.0/15"), Description: aws.String("cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z")},
						{CidrIp: aws.String("198.51.100.7/32")},
					},
					Ipv6Ranges: []types.Ipv6Range{{CidrIpv6: aws.String("2600:9000::/28"), Description: aws.String("v6")}},
				},
				{
					IpProtocol: aws.String("tcp"), FromPort: aws.Int32(8000), ToPort: aws.Int32(8080),
					PrefixListIds:    []types.PrefixListId{{PrefixListId: aws.String("pl-3b927c52"), Description: aws.String("list")}},
					UserIdGroupPairs: []types.UserIdGroupPair{{UserId: aws.String("111122223333"), GroupId: aws.String("sg-9"), Description: aws.String("peer")}},
				},
				{IpProtocol: aws.String("icmp"), FromPort: aws.Int32(8), ToPort: aws.Int32(-1), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}},
				{IpProtocol: aws.String("-1"), Ipv6Ranges: []types.Ipv6Range{{CidrIpv6: aws.String("::/0")}}},
				{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22)},
			},
			IpPermissionsEgress: []types.IpPermission{{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}},
		}},
		{},
		{{GroupId: aws.String("sg-2"), Tags: testTags}, {GroupId: aws.String("sg-3"), Tags: []types.Tag{{Key: aws.String("cloudfront-ingress-pool")}}}},
	}}
	groups, stray, err := Discover(t.Context(), api, "cloudfront-ingress")
	if err != nil {
		t.Fatal(err)
	}
	rule := func(protocol string, from, to int32, source Source, description string) Rule {
		return Rule{RuleID: RuleID{protocol, from, to, source}, Description: description}
	}
	ip := func(cidr string) Source { return Source{Prefix: netip.MustParsePrefix(cidr)} }
	want := []Group{
		{
			ID: "sg-1", Name: "web", VPC: "vpc-1",
			Tags: map[string]string{"cloudfront-ingress": "443", "Name": "Web", "empty": ""},
			Ingress: []Rule{
				rule("tcp", 443, 443, ip("13.32.0.0/15"), "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z"),
				rule("tcp", 443, 443, ip("198.51.100.7/32"), ""),
				rule("tcp", 443, 443, ip("2600:9000::/28"), "v6"),
				rule("tcp", 8000, 8080, Source{Reference: "pl-3b927c52"}, "list"),
				rule("tcp", 8000, 8080, Source{Reference: "111122223333/sg-9"}, "peer"),
				rule("icmp", 8, -1, ip("0.0.0.0/0"), ""),
				rule("-1", -1, -1, ip("::/0"), ""),
			},
		},
		{ID: "sg-2", Tags: map[string]string{testKey: "443"}},
	}
	if diff := cmp.Diff(want, groups, compare); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(stray) != 1 || stray[0].GroupID != "sg-3" {
		t.Errorf("stray tags: %v", stray)
	}
	filter := []types.Filter{{Name: aws.String("tag-key"), Values: []string{"cloudfront-ingress", "cloudfront-ingress-pool", "cloudfront-ingress-mode"}}}
	wantCalls := []*ec2.DescribeSecurityGroupsInput{
		{Filters: filter, MaxResults: aws.Int32(1000)},
		{Filters: filter, MaxResults: aws.Int32(1000), NextToken: aws.String("page 1")},
		{Filters: filter, MaxResults: aws.Int32(1000), NextToken: aws.String("page 2")},
	}
	if diff := cmp.Diff(wantCalls, api.describes, compareSDK); diff != "" {
		t.Errorf("calls: -want +got\n%s", diff)
	}
	if len(api.authorizes)+len(api.revokes)+len(api.redescribes) > 0 {
		t.Error("discovering changes something")
	}
}

// The filter finds the very tag key: * and ? are no wildcards in it.
func TestDiscoverEscapesTheTagKey(t *testing.T) {
	for key, want := range map[string]string{
		"cloudfront-ingress": "cloudfront-ingress",
		"team/edge:443@x.y":  "team/edge:443@x.y",
		"cloudfront*":        `cloudfront\*`,
		"cloudfront?":        `cloudfront\?`,
		`a\b`:                `a\\b`,
		`\*?`:                `\\\*\?`,
		"é*":                 `é\*`,
	} {
		api := &fakeEC2{pages: [][]types.SecurityGroup{nil}}
		if _, _, err := Discover(t.Context(), api, key); err != nil {
			t.Fatal(err)
		}
		want := []types.Filter{{Name: aws.String("tag-key"), Values: []string{want, want + "-pool", want + "-mode"}}}
		if diff := cmp.Diff(want, api.describes[0].Filters, compareSDK); diff != "" {
			t.Errorf("%s: -want +got\n%s", key, diff)
		}
	}
}

func TestDiscoverFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		api   *fakeEC2
		words []string
	}{
		{
			"without permission", &fakeEC2{err: ec2Error("UnauthorizedOperation")},
			[]string{"describe the security groups tagged cloudfront-ingress: ", "UnauthorizedOperation", "grant the permission ec2:DescribeSecurityGroups"},
		},
		{"throttled", &fakeEC2{err: ec2Error("RequestLimitExceeded")}, []string{"describe the security groups tagged cloudfront-ingress: ", "run again later"}},
		{"no answer", &fakeEC2{err: errors.New("connection reset")}, []string{"describe the security groups tagged cloudfront-ingress: connection reset"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Discover(t.Context(), test.api, "cloudfront-ingress")
			checkError(t, err, test.words...)
			if test.api.err != nil && !errors.Is(err, test.api.err) {
				t.Errorf("%v does not wrap what EC2 said", err)
			}
		})
	}
}

// A group with a rule that cannot be read fails alone: the others are planned, and none of its rules is touched.
func TestDiscoverUnreadableRule(t *testing.T) {
	for name, p := range map[string]types.IpPermission{
		"IPv4 source": {IpRanges: []types.IpRange{{CidrIp: aws.String("13.32.0.0")}}},
		"IPv6 source": {Ipv6Ranges: []types.Ipv6Range{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			api := &fakeEC2{pages: [][]types.SecurityGroup{{
				{GroupId: aws.String("sg-1"), Tags: testTags, IpPermissions: []types.IpPermission{p}},
				{GroupId: aws.String("sg-2"), Tags: testTags},
			}}}
			groups, _, err := Discover(t.Context(), api, testKey)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := NewPlan(t.Context(), groups, Request{Stamp: testStamp, Ranges: []netip.Prefix{netip.MustParsePrefix("13.32.0.0/15")}, RulesPerGroup: 60})
			if err != nil {
				t.Fatal(err)
			}
			checkError(t, plan.Failures(), "sg-1: EC2 returned a rule whose source cannot be read")
			if len(plan.Pools[0].Steps) != 0 || len(plan.Pools[1].Steps) != 1 {
				t.Errorf("steps %v and %v", plan.Pools[0].Steps, plan.Pools[1].Steps)
			}
		})
	}
}

// A prefix list weighs as many rules as it may have entries; those of AWS weigh what the user guide says.
func TestDiscoverWeighsPrefixLists(t *testing.T) {
	permission := func(ids ...string) types.IpPermission {
		p := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443)}
		for _, id := range ids {
			p.PrefixListIds = append(p.PrefixListIds, types.PrefixListId{PrefixListId: aws.String(id)})
		}
		return p
	}
	groups := []types.SecurityGroup{
		{GroupId: aws.String("sg-1"), Tags: testTags, IpPermissions: []types.IpPermission{permission("pl-own", "pl-cloudfront", "pl-s3", "pl-fake", "pl-hidden")}},
		{GroupId: aws.String("sg-2"), Tags: testTags, IpPermissions: []types.IpPermission{
			permission("pl-own"),
			{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{UserId: aws.String("111122223333"), GroupId: aws.String("sg-9")}}},
		}},
	}
	lists := []types.ManagedPrefixList{
		{PrefixListId: aws.String("pl-own"), PrefixListName: aws.String("office"), MaxEntries: aws.Int32(20)},
		{PrefixListId: aws.String("pl-cloudfront"), PrefixListName: aws.String("com.amazonaws.global.cloudfront.origin-facing")},
		{PrefixListId: aws.String("pl-s3"), PrefixListName: aws.String("com.amazonaws.eu-west-1.s3")},
		{PrefixListId: aws.String("pl-fake"), PrefixListName: aws.String("my.cloudfront.origin-facing"), MaxEntries: aws.Int32(3)},
	}
	for _, test := range []struct {
		name    string
		err     error
		weights map[string]Weight // by source
	}{
		{"described", nil, map[string]Weight{
			"pl-own": {20, 20}, "pl-cloudfront": {55, 55}, "pl-s3": {1, 1}, "pl-fake": {3, 3}, "pl-hidden": {1, 1}, "111122223333/sg-9": {1, 1},
		}},
		{"without permission", ec2Error("UnauthorizedOperation"), map[string]Weight{
			"pl-own": {1, 1}, "pl-cloudfront": {1, 1}, "pl-s3": {1, 1}, "pl-fake": {1, 1}, "pl-hidden": {1, 1}, "111122223333/sg-9": {1, 1},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &prefixListError{fakeEC2{pages: [][]types.SecurityGroup{groups}, lists: lists}, test.err}
			discovered, _, err := Discover(t.Context(), api, "cloudfront-ingress")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]Weight{}
			for _, g := range discovered {
				for _, r := range g.Ingress {
					got[r.Source.String()] = r.Weighs()
				}
			}
			if diff := cmp.Diff(test.weights, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff([][]string{{"pl-cloudfront", "pl-fake", "pl-hidden", "pl-own", "pl-s3"}}, api.listIDs); diff != "" {
				t.Errorf("asked: -want +got\n%s", diff)
			}
		})
	}
	t.Run("throttled", func(t *testing.T) {
		api := &prefixListError{fakeEC2{pages: [][]types.SecurityGroup{groups}}, ec2Error("RequestLimitExceeded")}
		_, _, err := Discover(t.Context(), api, "cloudfront-ingress")
		checkError(t, err, "describe the prefix lists that rules refer to: ", "run again later")
	})
}

// prefixListError fails where prefix lists are described.
type prefixListError struct {
	fakeEC2
	listErr error
}

func (f *prefixListError) DescribeManagedPrefixLists(ctx context.Context, in *ec2.DescribeManagedPrefixListsInput, _ ...func(*ec2.Options)) (*ec2.DescribeManagedPrefixListsOutput, error) {
	out, _ := f.fakeEC2.DescribeManagedPrefixLists(ctx, in)
	return out, f.listErr
}

// checkError fails unless err holds all the words.
func checkError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want one with %q", err, word)
		}
	}
}
