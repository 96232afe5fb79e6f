package ec2sim

import (
	"net/netip"
	"strings"
)

// The prefix lists AWS maintains for CloudFront: the addresses of the servers
// that connect to origins.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
const (
	CloudFrontIPv4 = "com.amazonaws.global.cloudfront.origin-facing"
	CloudFrontIPv6 = "com.amazonaws.global.ipv6.cloudfront.origin-facing"
)

// cloudFrontWeight is what a reference to either counts against a quota.
const cloudFrontWeight = 55

// A PrefixList is a managed prefix list. In a rule it counts as often as it
// may have entries, however many it has.
type PrefixList struct {
	Owner      string // an account, or "AWS"
	Region     string
	ID         string // pl-…
	Name       string
	MaxEntries int
	Entries    []netip.Prefix // all of one family
	Tags       map[string]string

	family string // "IPv4" or "IPv6"
}

func (s *site) addManagedPrefixLists() {
	for _, l := range []PrefixList{{Name: CloudFrontIPv4, family: "IPv4"}, {Name: CloudFrontIPv6, family: "IPv6"}} {
		l.Owner, l.MaxEntries = "AWS", cloudFrontWeight
		s.putPrefixList(l)
	}
}

func (s *site) putPrefixList(l PrefixList) *PrefixList {
	l.Region, l.ID = s.region, s.server.newID("pl")
	s.prefixLists.put(&l)
	return &l
}

type prefixListEntry struct {
	CIDR        string `query:"Cidr" xml:"cidr"`
	Description string `query:"Description" xml:"description,omitempty"`
}

type createPrefixListInput struct {
	dryRun
	Name        string            `query:"PrefixListName"`
	Family      string            `query:"AddressFamily"`
	MaxEntries  int               `query:"MaxEntries"`
	Entries     []prefixListEntry `query:"Entry"`
	TagSpecs    tagSpecs          `query:"TagSpecification"`
	ClientToken string            `query:"ClientToken"`
}

type createPrefixListOutput struct {
	reply
	List prefixListXML `xml:"prefixList"`
}

type prefixListXML struct {
	ID         string `xml:"prefixListId"`
	ARN        string `xml:"prefixListArn"`
	Name       string `xml:"prefixListName"`
	Family     string `xml:"addressFamily"`
	MaxEntries *int   `xml:"maxEntries"`
	State      string `xml:"state"`
	Version    int    `xml:"version"`
	Owner      string `xml:"ownerId"`
	Tags       []tag  `xml:"tagSet>item"`
}

func (l *PrefixList) xml() prefixListXML {
	x := prefixListXML{
		ID: l.ID, ARN: arn(l.Region, strings.ToLower(l.Owner), "prefix-list/"+l.ID), Name: l.Name,
		Family: l.family, State: "create-complete", Version: 1, Owner: l.Owner, Tags: tagList(l.Tags),
	}
	if l.Owner != "AWS" { // of AWS's own lists only the documentation says what they weigh
		x.MaxEntries = &l.MaxEntries
	}
	return x
}

func (s *site) createPrefixList(_ *call, in createPrefixListInput) (*createPrefixListOutput, error) {
	tags, err := in.TagSpecs.tagsFor(prefixListKind.resourceType)
	if err != nil {
		return nil, err
	}
	l := PrefixList{Owner: s.account, Name: in.Name, MaxEntries: in.MaxEntries, Tags: tags, family: in.Family}
	for _, e := range in.Entries {
		src, err := parseCIDR(e.CIDR, in.Family == "IPv4")
		if err != nil {
			return nil, err
		}
		l.Entries = append(l.Entries, src.Prefix)
	}
	list, err := s.addPrefixList(l)
	if err != nil {
		return nil, err
	}
	return &createPrefixListOutput{List: list.xml()}, nil
}

// addPrefixList creates a customer-managed prefix list.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
func (s *site) addPrefixList(l PrefixList) (*PrefixList, error) {
	switch {
	case l.Name == "":
		return nil, missing("PrefixListName")
	case strings.HasPrefix(l.Name, "com.amazonaws"):
		return nil, errorf("InvalidParameterValue", "Prefix list names may not start with com.amazonaws: %s", l.Name)
	case l.family != "IPv4" && l.family != "IPv6":
		return nil, errorf("InvalidParameterValue", "Value (%s) for parameter addressFamily is invalid. It must be IPv4 or IPv6.", l.family)
	case l.MaxEntries < 1 || l.MaxEntries > 1000:
		return nil, errorf("InvalidParameterValue", "Value (%d) for parameter maxEntries is invalid. It must be between 1 and 1000.", l.MaxEntries)
	case len(l.Entries) > l.MaxEntries:
		return nil, errorf("PrefixListMaxEntriesExceeded", "You have reached the maximum number of entries for the prefix list %s", l.Name)
	}
	return s.putPrefixList(l), nil
}

type describePrefixListsInput struct {
	describeInput
	IDs []string `query:"PrefixListId"`
}

type describePrefixListsOutput struct {
	reply
	Lists []prefixListXML `xml:"prefixListSet>item"`
	Next  string          `xml:"nextToken,omitempty"`
}

// prefixListKind has the filters of DescribeManagedPrefixLists. Its page names
// none for tags, which it takes all the same: aws_ec2_managed_prefix_lists of
// Terraform relies on them.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/ec2_managed_prefix_lists
var prefixListKind = kind[*PrefixList]{
	prefix: "pl-", malformed: "InvalidPrefixListID.Malformed", notFound: "InvalidPrefixListID.NotFound", message: "The prefix list ID '%s' does not exist",
	resourceType: "prefix-list", smallest: 1, largest: maxPrefixListResults,
	id:   func(l *PrefixList) string { return l.ID },
	tags: func(l *PrefixList) map[string]string { return l.Tags },
	filters: attributes[*PrefixList]{
		"owner-id":         func(l *PrefixList) []string { return []string{l.Owner} },
		"prefix-list-id":   func(l *PrefixList) []string { return []string{l.ID} },
		"prefix-list-name": func(l *PrefixList) []string { return []string{l.Name} },
	},
}

// maxPrefixListResults is the longest page of the calls about prefix lists.
const maxPrefixListResults = 100

func (s *site) describePrefixLists(_ *call, in describePrefixListsInput) (*describePrefixListsOutput, error) {
	lists, next, err := s.prefixLists.describe(in.describeInput, in.IDs)
	if err != nil {
		return nil, err
	}
	out := &describePrefixListsOutput{Next: next}
	for _, l := range lists {
		out.Lists = append(out.Lists, l.xml())
	}
	return out, nil
}

type prefixListEntriesInput struct {
	dryRun
	paging
	ID      string `query:"PrefixListId"`
	Version int    `query:"TargetVersion"`
}

type prefixListEntriesOutput struct {
	reply
	Entries []prefixListEntry `xml:"entrySet>item"`
	Next    string            `xml:"nextToken,omitempty"`
}

var entryKind = kind[prefixListEntry]{
	id:       func(e prefixListEntry) string { return e.CIDR },
	smallest: 1, largest: maxPrefixListResults,
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html
func (s *site) prefixListEntries(_ *call, in prefixListEntriesInput) (*prefixListEntriesOutput, error) {
	l, err := s.prefixLists.find(in.ID)
	if err != nil {
		return nil, err
	}
	if in.Version > 1 {
		return nil, errorf("InvalidPrefixListVersion.NotFound", "The prefix list %s has no version %d", l.ID, in.Version)
	}
	entries := make([]prefixListEntry, 0, len(l.Entries))
	for _, p := range l.Entries {
		entries = append(entries, prefixListEntry{CIDR: p.String()})
	}
	entries, next, err := tableOf(&entryKind, entries).describe(describeInput{paging: in.paging}, nil)
	if err != nil {
		return nil, err
	}
	return &prefixListEntriesOutput{Entries: entries, Next: next}, nil
}
