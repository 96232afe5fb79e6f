package secgroup

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/hint"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A PrefixList is a customer-managed prefix list as EC2 describes it. Security groups of this and other accounts refer
// to it; whoever writes those rules decides on the ports, and what is written here are the list's entries.
type PrefixList struct {
	ID     string // pl-…
	Name   string
	Owner  string // the account that it belongs to; others may share it
	Family Family
	// Version is that of the entries. A change names the version that it is made for, and makes the next one.
	Version int64
	// MaxEntries is how many entries it may have, and what a rule that refers to it weighs.
	MaxEntries int
	Tags       map[string]string
	Entries    []Entry
	// Err says why the list could not be read; it is left alone.
	Err error
}

// An Entry is one IP range of a prefix list. The range is what identifies it.
type Entry struct {
	Prefix      netip.Prefix
	Description string
}

// listsPerPage is the most lists, and entries, that one call returns. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html
const listsPerPage = 100

// DiscoverLists returns the prefix lists that carry the tag, with their entries, by one describe and one look at the
// entries of each list. Lists that another account shares are among them where EC2 shows their tags.
//
// The page of DescribeManagedPrefixLists names no filter for tags. It takes tag-key all the same, as the data source
// aws_ec2_managed_prefix_lists of Terraform relies on:
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/ec2_managed_prefix_lists
func DiscoverLists(ctx context.Context, api API, tagKey string) ([]PrefixList, error) {
	pages := ec2.NewDescribeManagedPrefixListsPaginator(api, &ec2.DescribeManagedPrefixListsInput{
		Filters:    []types.Filter{{Name: aws.String("tag-key"), Values: []string{escapeFilter(tagKey)}}},
		MaxResults: aws.Int32(listsPerPage),
	})
	var lists []PrefixList
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awserr.Explain(fmt.Errorf("describe the prefix lists tagged %s: %w", tagKey, err), "ec2:DescribeManagedPrefixLists")
		}
		for _, described := range page.PrefixLists {
			if s := described.State; s == types.PrefixListStateDeleteInProgress || s == types.PrefixListStateDeleteComplete {
				continue // EC2 still shows it for a while
			}
			l := newPrefixList(described)
			if _, tagged := l.Tags[tagKey]; !tagged {
				continue // an endpoint that does not know the filter returns every list
			}
			if l.Err == nil {
				l.Entries, l.Err = entriesOf(ctx, api, l.ID, l.Version)
			}
			lists = append(lists, l)
		}
	}
	return lists, nil
}

func newPrefixList(described types.ManagedPrefixList) PrefixList {
	l := PrefixList{
		ID:         aws.ToString(described.PrefixListId),
		Name:       aws.ToString(described.PrefixListName),
		Owner:      aws.ToString(described.OwnerId),
		Version:    aws.ToInt64(described.Version),
		MaxEntries: int(aws.ToInt32(described.MaxEntries)),
		Tags:       make(map[string]string, len(described.Tags)),
	}
	for _, tag := range described.Tags {
		l.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	switch family := aws.ToString(described.AddressFamily); family {
	case IPv4.String():
	case IPv6.String():
		l.Family = IPv6
	default:
		l.Err = fmt.Errorf("EC2 returned a prefix list of the address family %q, which is neither IPv4 nor IPv6", family)
	}
	return l
}

// entriesOf returns the entries of a version of a list. By the version, what is read belongs to what the next change
// says it is made for.
func entriesOf(ctx context.Context, api API, id string, version int64) ([]Entry, error) {
	pages := ec2.NewGetManagedPrefixListEntriesPaginator(api, &ec2.GetManagedPrefixListEntriesInput{
		PrefixListId:  aws.String(id),
		TargetVersion: aws.Int64(version),
		MaxResults:    aws.Int32(listsPerPage),
	})
	var entries []Entry
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awserr.Explain(fmt.Errorf("get the entries of %s: %w", id, err), "ec2:GetManagedPrefixListEntries")
		}
		for _, e := range page.Entries {
			prefix, err := netip.ParsePrefix(aws.ToString(e.Cidr))
			if err != nil {
				return nil, fmt.Errorf("EC2 returned an entry that cannot be read: %w", err)
			}
			entries = append(entries, Entry{prefix.Masked(), aws.ToString(e.Description)})
		}
	}
	return entries, nil
}

// ListSettings are what the tags of a prefix list ask for.
type ListSettings struct {
	// Filled lists hold the ranges; of others every owned entry is withdrawn.
	Filled bool
	// Pool names the lists that share the ranges of a family; it is empty for a list of its own.
	Pool string
}

// ParseListSettings reads the settings of a prefix list from its tags. An error names the tag, its value and what it
// may hold.
func ParseListSettings(key string, tags map[string]string) (ListSettings, error) {
	var s ListSettings
	switch value := strings.TrimSpace(tags[key]); value {
	case "ranges":
		s.Filled = true
	case "none":
	default:
		return s, fmt.Errorf("tag %s=%q: on a prefix list it is %q, or %q to withdraw the entries; the ports are in the rules that refer to the list",
			key, value, "ranges", "none")
	}
	if pool, ok := tags[key+poolSuffix]; ok {
		if s.Pool = strings.TrimSpace(pool); s.Pool == "" {
			return s, hint.New(fmt.Sprintf("tag %s%s is empty", key, poolSuffix), "give the pool a name, or remove the tag")
		}
	}
	if mode, ok := tags[key+modeSuffix]; ok && mode != "owned" {
		return s, hint.New("tag "+key+modeSuffix+" is for security groups", "remove it from the prefix list, of which only owned entries are ever changed")
	}
	return s, nil
}
