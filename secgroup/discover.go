package secgroup

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// API is the part of the EC2 client that this package calls.
type API interface {
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeManagedPrefixListsAPIClient
	ec2.GetManagedPrefixListEntriesAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
	AuthorizeSecurityGroupIngress(context.Context, *ec2.AuthorizeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error)
	RevokeSecurityGroupIngress(context.Context, *ec2.RevokeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error)
	UpdateSecurityGroupRuleDescriptionsIngress(context.Context, *ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, ...func(*ec2.Options)) (*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput, error)
	ModifyManagedPrefixList(context.Context, *ec2.ModifyManagedPrefixListInput, ...func(*ec2.Options)) (*ec2.ModifyManagedPrefixListOutput, error)
}

// EC2's limits. An Application Load Balancer takes as many groups as an interface does by default. The rules of a group
// times the groups of an interface may not exceed MaxInterfaceRules, so no group has more either. See
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
const (
	InterfaceGroups    = 5
	maxInterfaceGroups = 16
	MaxInterfaceRules  = 1000
	maxEntries         = 1000 // of a prefix list
	groupsPerPage      = 1000 // and interfaces
	ListsPerPage       = 100  // and entries
	ValuesPerFilter    = 200
)

// Discover returns the groups that carry the tag, with their rules and what these weigh. The same describe shows stray
// tags: those of the groups, and groups that lack the tag and carry another of its keys. [FindStrayTags] finds mistyped
// ones as well.
func Discover(ctx context.Context, api API, tagKey string) (groups []Group, stray []StrayTag, err error) {
	keys := []string{escapeFilter(tagKey), escapeFilter(tagKey + poolSuffix), escapeFilter(tagKey + modeSuffix)}
	described, err := describe(ctx, api, "tagged "+tagKey, "tag-key", keys)
	if err != nil {
		return nil, nil, err
	}
	stray = StrayTags(tagKey, described)
	groups = slices.DeleteFunc(described, func(g Group) bool {
		_, tagged := g.Tags[tagKey]
		return !tagged
	})
	return groups, stray, weighPrefixLists(ctx, api, groups)
}

// Describe returns the groups with the given IDs, with their rules but not what these weigh. An ID that no group has is
// not an error.
func Describe(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, ids []string) ([]Group, error) {
	return describe(ctx, api, strings.Join(ids, ", "), "group-id", ids)
}

// Referring returns the groups with an inbound rule that refers to any of the prefix lists. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
func Referring(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, lists []string) ([]Group, error) {
	return describe(ctx, api, "that refer to "+strings.Join(lists, ", "), "ip-permission.prefix-list-id", lists)
}

// describe returns the groups that match a filter, by a call for each 200 values; what names them in an error.
func describe(ctx context.Context, api ec2.DescribeSecurityGroupsAPIClient, what, filter string, values []string) (groups []Group, err error) {
	for some := range slices.Chunk(values, ValuesPerFilter) {
		pages := ec2.NewDescribeSecurityGroupsPaginator(api, &ec2.DescribeSecurityGroupsInput{
			Filters:    []types.Filter{{Name: aws.String(filter), Values: some}},
			MaxResults: aws.Int32(groupsPerPage),
		})
		described, err := Collect(ctx, pages.HasMorePages, pages.NextPage, newGroups, "describe the security groups "+what, "ec2:DescribeSecurityGroups")
		if err != nil {
			return nil, err
		}
		groups = append(groups, described...)
	}
	return groups, nil
}

// Collect returns the items of all pages. An error says what was being done, and which action it takes.
func Collect[Page, Item any](
	ctx context.Context, more func() bool, next func(context.Context, ...func(*ec2.Options)) (*Page, error), items func(*Page) []Item, doing, action string,
) (all []Item, err error) {
	for more() {
		page, err := next(ctx)
		if err != nil {
			return nil, awserr.Explain(fmt.Errorf("%s: %w", doing, err), action)
		}
		all = append(all, items(page)...)
	}
	return all, nil
}

// escapeFilter makes a filter's value match only itself: * and ? are wildcards there, and \ makes a character plain.
// See "Filter" in
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func escapeFilter(value string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `\`, `\\`).Replace(value)
}

// newGroups returns the groups of a page, which take a fraction of its memory.
func newGroups(page *ec2.DescribeSecurityGroupsOutput) []Group {
	groups := make([]Group, len(page.SecurityGroups))
	for i, sg := range page.SecurityGroups {
		g := &groups[i]
		g.ID, g.Name = aws.ToString(sg.GroupId), aws.ToString(sg.GroupName)
		g.VPC, g.Owner, g.Tags = aws.ToString(sg.VpcId), aws.ToString(sg.OwnerId), tagsOf(sg.Tags)
		g.Ingress, g.Err = rulesOf(sg.IpPermissions)
		g.Egress, _ = rulesOf(sg.IpPermissionsEgress) // no sync needs them, so one that cannot be read fails none
	}
	return groups
}

func tagsOf(described []types.Tag) map[string]string {
	tags := make(map[string]string, len(described))
	for _, tag := range described {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

// rulesOf returns the rules of permissions, one for each source. Successive rules share the text of an equal
// description, because a run may keep hundreds of thousands of them.
func rulesOf(permissions []types.IpPermission) (rules []Rule, err error) {
	n := 0
	for _, p := range permissions {
		n += len(p.IpRanges) + len(p.Ipv6Ranges) + len(p.PrefixListIds) + len(p.UserIdGroupPairs)
	}
	rules = make([]Rule, 0, n)
	for _, p := range permissions {
		rule := Rule{RuleID: RuleID{Protocol: aws.ToString(p.IpProtocol), From: -1, To: -1}}
		if p.FromPort != nil {
			rule.From = *p.FromPort
		}
		if p.ToPort != nil {
			rule.To = *p.ToPort
		}
		add := func(source Source, description *string) {
			rule.Source = source
			if text := aws.ToString(description); rule.Description != text {
				rule.Description = text
			}
			rules = append(rules, rule)
		}
		ranges := slices.Clip(p.IpRanges)
		for _, r := range p.Ipv6Ranges {
			ranges = append(ranges, types.IpRange{CidrIp: r.CidrIpv6, Description: r.Description})
		}
		for _, r := range ranges {
			prefix, unreadable := netip.ParsePrefix(aws.ToString(r.CidrIp))
			if unreadable != nil {
				err = fmt.Errorf("EC2 returned a rule whose source cannot be read: %w", unreadable)
				continue
			}
			add(Source{Prefix: prefix.Masked()}, r.Description)
		}
		for _, r := range p.PrefixListIds {
			add(Source{Reference: aws.ToString(r.PrefixListId)}, r.Description)
		}
		for _, r := range p.UserIdGroupPairs {
			add(Source{Reference: aws.ToString(r.UserId) + "/" + aws.ToString(r.GroupId)}, r.Description)
		}
	}
	return rules, err
}
