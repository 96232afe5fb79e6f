package export

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"
)

// writeJSON writes a document. JSON has no comments, so its members name the source.
func (in Input) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		MadeBy      string         `json:"madeBy"`
		Services    []string       `json:"services"`
		Within      []string       `json:"within"`
		SyncToken   string         `json:"syncToken"`
		PublishedAt string         `json:"publishedAt"`
		IPv4        []netip.Prefix `json:"ipv4"`
		IPv6        []netip.Prefix `json:"ipv6"`
	}{
		"cfsg export json (cloudfront-sg-sync)", in.Selection.Services, append([]string{}, in.Selection.Within...),
		in.SyncToken, in.Time(), append([]netip.Prefix{}, in.IPv4...), append([]netip.Prefix{}, in.IPv6...),
	})
}

// mostAtOnce is the number of entries that a prefix list can be created with: Terraform's provider makes a single call.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
const mostAtOnce = 100

// fitsLists refuses more ranges than a list can be created with. A list without its entries would let nobody in.
func (in Input) fitsLists() error {
	for _, list := range in.Lists() {
		if n := len(list.Ranges); n > mostAtOnce {
			return hint.New(fmt.Sprintf("a prefix list can be created with %d entries, and there are %d %s ranges",
				mostAtOnce, n, list.Family), "export the compact cover (--service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT)")
		}
	}
	return nil
}

// A PrefixList is a prefix list to create.
type PrefixList struct {
	Family string
	Size   int
	Ranges []netip.Prefix
}

// Lists returns a prefix list for each family that has ranges.
func (in Input) Lists() []PrefixList {
	var lists []PrefixList
	for _, l := range []PrefixList{{Family: "IPv4", Ranges: in.IPv4}, {Family: "IPv6", Ranges: in.IPv6}} {
		if l.Size = secgroup.ListSize(len(l.Ranges)); len(l.Ranges) > 0 {
			lists = append(lists, l)
		}
	}
	return lists
}

// Weight is the number of rules that the references to the lists count as, on all ports.
func (in Input) Weight() int {
	weight := 0
	for _, l := range in.Lists() {
		weight += l.Size * len(in.Ports)
	}
	return weight
}

// TooHeavy reports whether a security group needs a higher quota for the rules. See
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func (in Input) TooHeavy() bool { return in.Weight() > engine.DefaultRulesPerGroup }

// Description is the description of an entry, by which the function recognizes it.
func (in Input) Description() string {
	return fmt.Sprintf("%s: %s %s", in.TagKey, in.Selection, in.Time())
}
