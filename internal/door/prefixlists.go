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

	"github.com/aws/aws-sdk-go-v2/service/ec2"
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
		s.Lists = map[string]secgroup.Holder{}
	}
	var ids []string
	for _, g := range groups {
		for _, r := range g.Ingress {
			if id := r.Source.Reference; strings.HasPrefix(id, "pl-") && s.Lists[id].ID == "" {
				ids = append(ids, id)
				s.Lists[id] = secgroup.Holder{Kind: secgroup.ManagedPrefixList, ID: id, Family: unknownFamily}
			}
		}
	}
	described, err := secgroup.DescribeLists(ctx, api, ids)
	if err != nil {
		s.ListsErr = err
	}
	for _, l := range described {
		if slices.Contains(ids, l.ID) {
			s.Lists[l.ID] = l
		}
	}
	for _, id := range ids {
		l := s.Lists[id]
		l.Ingress, l.Err = EntriesOf(ctx, api, id)
		s.Lists[id] = l
	}
	return ctx.Err()
}

// unknownFamily is that of a list which could not be described.
const unknownFamily secgroup.Family = -1

// EntriesOf returns the entries of a prefix list. One that is not there for this account may be one that another has
// ceased to share: rules that refer to it stay. See
// https://docs.aws.amazon.com/vpc/latest/userguide/work-with-shared-prefixes.html
func EntriesOf(ctx context.Context, api ec2.GetManagedPrefixListEntriesAPIClient, id string) ([]secgroup.Rule, error) {
	entries, err := secgroup.Entries(ctx, api, id, 0)
	if answer, ok := errors.AsType[smithy.APIError](err); ok && strings.EqualFold(answer.ErrorCode(), "InvalidPrefixListID.NotFound") {
		err = hint.With(fmt.Errorf("%w: it is not shared with this account", err), "ask the account that owns it to share it again (AWS RAM), or check with that account's credentials (--profile)")
	}
	return entries, err
}

// prefixesOf returns the IP ranges that are the sources of rules.
func prefixesOf(rules []secgroup.Rule) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(rules))
	for i, r := range rules {
		prefixes[i] = r.Source.Prefix
	}
	return prefixes
}
