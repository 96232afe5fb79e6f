package door

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// ReadLists reads the prefix lists that rules of the groups refer to, except those that are known. AWS's own for
// CloudFront, com.amazonaws.global.cloudfront.origin-facing and com.amazonaws.global.ipv6.cloudfront.origin-facing, are
// read like any other: their entries say what they let in. See
// https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
//
// It fails only if the context ends. If names cannot be read, ListsErr says why; if entries cannot, the Err of their
// list does.
func (s *Scene) ReadLists(ctx context.Context, api API, groups []secgroup.Group) error {
	if s.Lists == nil {
		s.Lists = map[string]PrefixList{}
	}
	var ids []string
	for _, g := range groups {
		for _, r := range g.Ingress {
			if id := r.Source.Reference; strings.HasPrefix(id, "pl-") && s.Lists[id].ID == "" {
				ids = append(ids, id)
				s.Lists[id] = PrefixList{ID: id, Family: -1}
			}
		}
	}
	for some := range slices.Chunk(ids, secgroup.ValuesPerFilter) {
		if err := nameLists(ctx, api, some, s.Lists); err != nil {
			s.ListsErr = err
		}
	}
	for _, id := range ids {
		l := s.Lists[id]
		l.Entries, l.Err = EntriesOf(ctx, api, id)
		s.Lists[id] = l
	}
	return ctx.Err()
}

// notShared says what to do about entries that are not there to read. A list that is not there for this account may be
// one that another has ceased to share: rules that refer to it stay. See
// https://docs.aws.amazon.com/vpc/latest/userguide/work-with-shared-prefixes.html
func notShared(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && strings.EqualFold(api.ErrorCode(), "InvalidPrefixListID.NotFound") {
		return hint.With(fmt.Errorf("%w: it is not shared with this account", err), "ask the account that owns it to share it again (AWS RAM), or check with that account's credentials (--profile)")
	}
	return err
}

// nameLists fills in the names and families of prefix lists.
func nameLists(ctx context.Context, api ec2.DescribeManagedPrefixListsAPIClient, ids []string, lists map[string]PrefixList) error {
	pages := ec2.NewDescribeManagedPrefixListsPaginator(api, &ec2.DescribeManagedPrefixListsInput{
		// By a filter: an ID that is not there would be an error for all.
		Filters: []types.Filter{{Name: aws.String("prefix-list-id"), Values: ids}},
	})
	found, err := secgroup.Collect(ctx, pages.HasMorePages, pages.NextPage,
		func(page *ec2.DescribeManagedPrefixListsOutput) []types.ManagedPrefixList { return page.PrefixLists },
		"describe the prefix lists "+strings.Join(ids, ", "), "ec2:DescribeManagedPrefixLists")
	for _, described := range found {
		l, asked := lists[aws.ToString(described.PrefixListId)]
		if !asked {
			continue
		}
		l.Name, l.Owner = aws.ToString(described.PrefixListName), aws.ToString(described.OwnerId)
		l.Tags = map[string]string{}
		for _, tag := range described.Tags {
			l.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		for _, f := range []secgroup.Family{secgroup.IPv4, secgroup.IPv6} {
			if aws.ToString(described.AddressFamily) == f.String() {
				l.Family = f
			}
		}
		lists[l.ID] = l
	}
	return err
}

// EntriesOf returns the entries of a prefix list.
func EntriesOf(ctx context.Context, api ec2.GetManagedPrefixListEntriesAPIClient, id string) ([]netip.Prefix, error) {
	pages := ec2.NewGetManagedPrefixListEntriesPaginator(api, &ec2.GetManagedPrefixListEntriesInput{
		PrefixListId: aws.String(id), MaxResults: aws.Int32(secgroup.ListsPerPage),
	})
	found, err := secgroup.Collect(ctx, pages.HasMorePages, pages.NextPage,
		func(page *ec2.GetManagedPrefixListEntriesOutput) []types.PrefixListEntry { return page.Entries },
		"get the entries of prefix list "+id, "ec2:GetManagedPrefixListEntries")
	if err != nil {
		return nil, notShared(err)
	}
	var entries []netip.Prefix
	for _, e := range found {
		p, err := netip.ParsePrefix(aws.ToString(e.Cidr))
		if err != nil {
			return nil, fmt.Errorf("get the entries of prefix list %s: EC2 returned one that cannot be read: %w", id, err)
		}
		entries = append(entries, p.Masked())
	}
	return entries, nil
}
