package secgroup

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/hint"

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
// See "Filter" in https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
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

// DiscoverLists returns the prefix lists of an account that carry the tag, with their entries, by one describe and one
// look at the entries of each list. The owner is the account's ID; if it is empty, lists that other accounts share and
// whose tags EC2 shows are among them.
//
// The page of DescribeManagedPrefixLists names no filter for tags, so they are checked here. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html
func DiscoverLists(ctx context.Context, api API, tagKey, owner string) ([]Holder, error) {
	var filters []types.Filter
	if owner != "" {
		filters = []types.Filter{{Name: aws.String("owner-id"), Values: []string{owner}}}
	}
	described, err := describeLists(ctx, api, "describe the prefix lists tagged "+tagKey, filters)
	var lists []Holder
	for _, d := range described {
		l := newPrefixList(d)
		_, tagged := l.Tags[tagKey]
		if !tagged || d.State == types.PrefixListStateDeleteInProgress || d.State == types.PrefixListStateDeleteComplete {
			continue // EC2 still shows a deleted list for a while
		}
		if l.Err == nil {
			l.Ingress, l.Err = Entries(ctx, api, l.ID, l.Version)
		}
		lists = append(lists, l)
	}
	return lists, err
}

// describeLists returns the prefix lists that the filters match. An ID in a filter that no list has is not an error, as
// it is among PrefixListIds: of a list that is no longer shared, say.
func describeLists(ctx context.Context, api ec2.DescribeManagedPrefixListsAPIClient, doing string, filters []types.Filter) ([]types.ManagedPrefixList, error) {
	pages := ec2.NewDescribeManagedPrefixListsPaginator(api, &ec2.DescribeManagedPrefixListsInput{Filters: filters, MaxResults: aws.Int32(ListsPerPage)})
	return Collect(ctx, pages.HasMorePages, pages.NextPage,
		func(page *ec2.DescribeManagedPrefixListsOutput) []types.ManagedPrefixList { return page.PrefixLists },
		doing, "ec2:DescribeManagedPrefixLists")
}

// DescribeLists returns the prefix lists with the given IDs, without their entries. An ID that no list has is not an
// error.
func DescribeLists(ctx context.Context, api ec2.DescribeManagedPrefixListsAPIClient, ids []string) ([]Holder, error) {
	var lists []Holder
	for some := range slices.Chunk(ids, ValuesPerFilter) {
		described, err := describeLists(ctx, api, "describe the prefix lists "+strings.Join(some, ", "), []types.Filter{{Name: aws.String("prefix-list-id"), Values: some}})
		if err != nil {
			return nil, err
		}
		for _, d := range described {
			lists = append(lists, newPrefixList(d))
		}
	}
	return lists, nil
}

func newPrefixList(described types.ManagedPrefixList) Holder {
	l := Holder{
		Kind:       ManagedPrefixList,
		ID:         aws.ToString(described.PrefixListId),
		Name:       aws.ToString(described.PrefixListName),
		Owner:      aws.ToString(described.OwnerId),
		Version:    aws.ToInt64(described.Version),
		MaxEntries: int(aws.ToInt32(described.MaxEntries)),
		Tags:       tagsOf(described.Tags),
	}
	switch family := aws.ToString(described.AddressFamily); family {
	case IPv4.String():
	case IPv6.String():
		l.Family = IPv6
	default:
		l.Err = fmt.Errorf("EC2 returned a prefix list of the address family %q, which is neither IPv4 nor IPv6", family)
	}
	// https://docs.aws.amazon.com/vpc/latest/ipam/automate-prefix-list-updates.html
	if aws.ToBool(described.IpamPrefixListResolverSyncEnabled) {
		l.Err = hint.New("an IPAM prefix list resolver manages the entries of this list, and EC2 refuses to change them otherwise",
			"remove the tag from the list, or turn off its synchronization with the resolver")
	}
	return l
}

// Entries returns the entries of a version of a list, or of its newest for version 0. Naming the version ties these
// entries to the CurrentVersion that the next change is guarded by.
func Entries(ctx context.Context, api ec2.GetManagedPrefixListEntriesAPIClient, id string, version int64) ([]Rule, error) {
	in := &ec2.GetManagedPrefixListEntriesInput{PrefixListId: aws.String(id), MaxResults: aws.Int32(ListsPerPage)}
	if version > 0 {
		in.TargetVersion = aws.Int64(version)
	}
	pages := ec2.NewGetManagedPrefixListEntriesPaginator(api, in)
	entries, err := Collect(ctx, pages.HasMorePages, pages.NextPage,
		func(page *ec2.GetManagedPrefixListEntriesOutput) []types.PrefixListEntry { return page.Entries },
		"get the entries of prefix list "+id, "ec2:GetManagedPrefixListEntries")
	rules := make([]Rule, len(entries))
	for i, e := range entries {
		prefix, err := netip.ParsePrefix(aws.ToString(e.Cidr))
		if err != nil {
			return nil, fmt.Errorf("EC2 returned an entry that cannot be read: %w", err)
		}
		rules[i] = Rule{RuleID: RuleID{Source: Source{Prefix: prefix.Masked()}}, Description: aws.ToString(e.Description)}
	}
	return rules, err
}

// ListSize returns how large to make a prefix list of so many entries: with an eighth to spare, and at least one, as
// the list grows when CloudFront does. More would be a waste, as each rule that refers to the list counts as many rules
// as the list may have entries. See https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
func ListSize(entries int) int {
	const step = 5
	return (entries + entries/8 + step) / step * step
}

// managedWeights are the weights of the prefix lists that AWS manages, by their names without "com.amazonaws", the
// region and "ipv6". EC2 does not return them; those that are not here count as one. See "AWS-managed prefix list
// weight" in https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
var managedWeights = map[string]int{
	"cloudfront.origin-facing": 55,
	"ec2-instance-connect":     2,
	"groundstation":            5,
	"route53-healthchecks":     25,
	"s3express":                6,
	"vpc-lattice":              10,
}

// weighPrefixLists sets the weight of the rules that refer to prefix lists. It asks EC2 only if there are any. A prefix
// list counts, in both families, as many rules as it may have entries. Without the permission to ask each counts as
// one: EC2 will refuse what does not fit.
func weighPrefixLists(ctx context.Context, api ec2.DescribeManagedPrefixListsAPIClient, groups []Group) error {
	referring := map[string][]*Rule{}
	for _, g := range groups {
		for i, r := range g.Ingress {
			if id := r.Source.Reference; strings.HasPrefix(id, "pl-") {
				referring[id] = append(referring[id], &g.Ingress[i])
			}
		}
	}
	lists, err := DescribeLists(ctx, api, slices.Sorted(maps.Keys(referring)))
	if awserr.IsDenied(err) {
		return nil
	}
	for _, l := range lists {
		n := max(1, l.MaxEntries)
		if name, managed := strings.CutPrefix(l.Name, "com.amazonaws."); managed {
			_, name, _ = strings.Cut(name, ".") // without the region
			n = max(n, managedWeights[strings.TrimPrefix(name, "ipv6.")])
		}
		for _, r := range referring[l.ID] {
			r.Weight = Weight{n, n}
		}
	}
	return err
}
