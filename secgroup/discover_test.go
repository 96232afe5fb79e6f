package secgroup

import (
	"context"
	"net/netip"
	"strconv"
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
	API
	pages        [][]types.SecurityGroup // of DescribeSecurityGroups
	lists        []types.ManagedPrefixList
	err, listErr error

	describes []*ec2.DescribeSecurityGroupsInput
	listIDs   [][]string // of each DescribeManagedPrefixLists
}

func (f *fakeEC2) DescribeSecurityGroups(_ context.Context, in *ec2.DescribeSecurityGroupsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	f.describes = append(f.describes, in)
	page, _ := strconv.Atoi(aws.ToString(in.NextToken))
	out := &ec2.DescribeSecurityGroupsOutput{SecurityGroups: f.pages[page]}
	if page+1 < len(f.pages) {
		out.NextToken = aws.String(strconv.Itoa(page + 1))
	}
	return out, f.err
}

func (f *fakeEC2) DescribeManagedPrefixLists(_ context.Context, in *ec2.DescribeManagedPrefixListsInput, _ ...func(*ec2.Options)) (*ec2.DescribeManagedPrefixListsOutput, error) {
	f.listIDs = append(f.listIDs, in.Filters[0].Values)
	return &ec2.DescribeManagedPrefixListsOutput{PrefixLists: f.lists}, f.listErr
}

func (f *fakeEC2) AuthorizeSecurityGroupIngress(context.Context, *ec2.AuthorizeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	return nil, f.err
}

func (f *fakeEC2) RevokeSecurityGroupIngress(context.Context, *ec2.RevokeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	return nil, f.err
}

func (f *fakeEC2) UpdateSecurityGroupRuleDescriptionsIngress(context.Context, *ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, ...func(*ec2.Options)) (*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput, error) {
	return nil, f.err
}

// ec2Error returns an error with a code of EC2, wrapped as the SDK does.
func ec2Error(code string) error {
	return &smithy.OperationError{ServiceID: "EC2", OperationName: "Call", Err: &smithy.GenericAPIError{Code: code, Message: "of EC2"}}
}

var testTags = []types.Tag{{Key: aws.String(testKey), Value: aws.String("443")}}

// compareSDK compares inputs of the SDK.
var compareSDK = cmpopts.IgnoreUnexported(ec2.DescribeSecurityGroupsInput{}, types.Filter{})

// Groups are described by their IDs whatever their tags. An error names what was asked for, and the permission.
func TestDescribe(t *testing.T) {
	api := &fakeEC2{pages: [][]types.SecurityGroup{{{GroupId: aws.String("sg-1")}}, {{GroupId: aws.String("sg-2")}}}}
	groups, err := Describe(t.Context(), api, []string{"sg-1", "sg-2", "sg-3"})
	filter := types.Filter{Name: aws.String("group-id"), Values: []string{"sg-1", "sg-2", "sg-3"}}
	if diff := cmp.Diff([]types.Filter{filter}, api.describes[1].Filters, compareSDK); diff != "" || err != nil || len(groups) != 2 || len(api.describes) != 2 {
		t.Errorf("got %+v by %d calls, %v, %s", groups, len(api.describes), err, diff)
	}
	api.err = ec2Error("UnauthorizedOperation")
	_, err = Describe(t.Context(), api, []string{"sg-1", "sg-2"})
	checkError(t, err, "describe the security groups sg-1, sg-2: ", "grant the permission ec2:DescribeSecurityGroups")
	_, _, err = Discover(t.Context(), api, testKey)
	checkError(t, err, "describe the security groups tagged cloudfront-ingress: ", "UnauthorizedOperation", "grant the permission ec2:DescribeSecurityGroups")
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
			Egress: []Rule{rule("-1", -1, -1, ip("0.0.0.0/0"), "")},
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
		{Filters: filter, MaxResults: aws.Int32(1000), NextToken: aws.String("1")},
		{Filters: filter, MaxResults: aws.Int32(1000), NextToken: aws.String("2")},
	}
	if diff := cmp.Diff(wantCalls, api.describes, compareSDK); diff != "" {
		t.Errorf("calls: -want +got\n%s", diff)
	}
}

// In a filter * and ? are wildcards, and the tag key is none.
func TestEscapeFilter(t *testing.T) {
	for key, want := range map[string]string{"team/edge:443@x.y": "team/edge:443@x.y", `\*?`: `\\\*\?`, "é*": `é\*`} {
		if got := escapeFilter(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// A group with a rule that cannot be read fails alone: the others are planned, and none of its rules is touched.
func TestDiscoverUnreadableRule(t *testing.T) {
	for _, p := range []types.IpPermission{{IpRanges: []types.IpRange{{CidrIp: aws.String("13.32.0.0")}}}, {Ipv6Ranges: []types.Ipv6Range{{}}}} {
		groups, _, err := Discover(t.Context(), &fakeEC2{pages: [][]types.SecurityGroup{{
			{GroupId: aws.String("sg-1"), Tags: testTags, IpPermissions: []types.IpPermission{p}},
			{GroupId: aws.String("sg-2"), Tags: testTags},
		}}}, testKey)
		if err != nil {
			t.Fatal(err)
		}
		plan := newPlan(t, groups, prefixes("13.32.0.0/15"), nil)
		checkError(t, plan.Failures(), "sg-1: EC2 returned a rule whose source cannot be read")
		checkSteps(t, plan, "authorize sg-2: 443 13.32.0.0/15")
	}
}

// A prefix list weighs as many rules as it may have entries; those of AWS weigh what the user guide says. Without the
// permission to ask, each counts as one.
func TestDiscoverWeighsPrefixLists(t *testing.T) {
	var p types.IpPermission
	for _, id := range []string{"pl-own", "pl-cloudfront", "pl-s3", "pl-fake", "pl-hidden", "pl-own"} {
		p.PrefixListIds = append(p.PrefixListIds, types.PrefixListId{PrefixListId: aws.String(id)})
	}
	p.UserIdGroupPairs = []types.UserIdGroupPair{{UserId: aws.String("111122223333"), GroupId: aws.String("sg-9")}}
	list := func(id, name string, size int32) types.ManagedPrefixList {
		return types.ManagedPrefixList{PrefixListId: &id, PrefixListName: &name, MaxEntries: &size}
	}
	api := &fakeEC2{
		pages: [][]types.SecurityGroup{{{GroupId: aws.String("sg-1"), Tags: testTags, IpPermissions: []types.IpPermission{p}}}},
		lists: []types.ManagedPrefixList{
			list("pl-own", "office", 20), list("pl-cloudfront", "com.amazonaws.global.cloudfront.origin-facing", 0),
			list("pl-s3", "com.amazonaws.eu-west-1.s3", 0), list("pl-fake", "my.cloudfront.origin-facing", 3),
		},
	}
	for _, test := range []struct {
		err  error
		want map[string]int // by source, where it is not one
	}{
		{nil, map[string]int{"pl-own": 20, "pl-cloudfront": 55, "pl-fake": 3}},
		{ec2Error("UnauthorizedOperation"), nil},
	} {
		api.listErr, api.listIDs = test.err, nil
		groups, _, err := Discover(t.Context(), api, testKey)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range groups[0].Ingress {
			n := max(1, test.want[r.Source.String()])
			if got := r.Weighs(); got != (Weight{n, n}) {
				t.Errorf("%s weighs %v, want %d", r.Source, got, n)
			}
		}
		if diff := cmp.Diff([][]string{{"pl-cloudfront", "pl-fake", "pl-hidden", "pl-own", "pl-s3"}}, api.listIDs); diff != "" {
			t.Errorf("asked: -want +got\n%s", diff)
		}
	}
	api.listErr = ec2Error("RequestLimitExceeded")
	_, _, err := Discover(t.Context(), api, testKey)
	checkError(t, err, "describe the prefix lists pl-cloudfront, pl-fake, ", "run again later")
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
