package ec2sim

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The prefix lists AWS maintains for CloudFront: the addresses of the servers that connect to origins.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
const (
	CloudFrontIPv4 = "com.amazonaws.global.cloudfront.origin-facing"
	CloudFrontIPv6 = "com.amazonaws.global.ipv6.cloudfront.origin-facing"
)

// cloudFrontWeight is what a reference to either counts against a quota.
const cloudFrontWeight = 55

// ownedByAWS is the owner of the lists that AWS maintains.
const ownedByAWS = "AWS"

// A PrefixList is a managed prefix list as it is at one moment. In a rule it counts as often as it may have entries,
// however many it has. Like a [Group] it must only be read.
type PrefixList struct {
	Owner        string // an account, or "AWS"
	Region       string
	ID           string // pl-…
	Name         string
	Family       string // "IPv4" or "IPv6"
	MaxEntries   int
	Version      int    // of the entries, counts from 1
	State        string // such as "modify-complete"
	StateMessage string // why a change has failed
	Entries      []PrefixListEntry
	Tags         Tags

	versions map[int][]PrefixListEntry // those that can be restored, with the current one
	under    change                    // the change under way, if State says that there is one
}

// A PrefixListEntry is an IP range of a prefix list.
type PrefixListEntry struct {
	Prefix      netip.Prefix
	Description string
}

// Limits of prefix lists.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-quotas-managed-prefix-lists
const (
	mostEntries  = 1000
	mostVersions = 1000
)

// mostChanges is how many entries a call may add, and how many it may remove.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
const mostChanges = 100

func (s *site) addManagedPrefixLists() {
	for _, l := range []PrefixList{{Name: CloudFrontIPv4, Family: "IPv4"}, {Name: CloudFrontIPv6, Family: "IPv6"}} {
		l.Owner, l.MaxEntries, l.State = ownedByAWS, cloudFrontWeight, "create-complete"
		s.putPrefixList(l)
	}
}

func (s *site) putPrefixList(l PrefixList) *PrefixList {
	l.Region, l.ID = s.region, s.server.newID("pl")
	l.enter(l.Entries)
	s.prefixLists.put(&l)
	return &l
}

// enter makes entries the next version of a list. The oldest version gives way to one that is too many.
func (l *PrefixList) enter(entries []PrefixListEntry) {
	if l.versions == nil {
		l.versions = map[int][]PrefixListEntry{}
	}
	l.Version++
	l.Entries, l.versions[l.Version] = entries, entries
	delete(l.versions, l.Version-mostVersions)
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

type prefixListOutput struct {
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
	Message    string `xml:"stateMessage,omitempty"`
	Version    *int   `xml:"version"`
	Owner      string `xml:"ownerId"`
	Tags       Tags   `xml:"tagSet"`
}

// prefixListXML leaves out what of AWS's own lists nobody is shown.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
func (*site) prefixListXML(l *PrefixList) prefixListXML {
	x := prefixListXML{
		ID: l.ID, ARN: arn(l.Region, strings.ToLower(l.Owner), "prefix-list/"+l.ID), Name: l.Name,
		Family: l.Family, State: l.State, Message: l.StateMessage, Owner: l.Owner, Tags: l.Tags,
	}
	if l.Owner != ownedByAWS {
		maxEntries, version := l.MaxEntries, l.Version
		x.MaxEntries, x.Version = &maxEntries, &version
	}
	return x
}

// createPrefixList creates a list, or finds the one that the same request has created before.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
func (s *site) createPrefixList(_ *call, in createPrefixListInput) (*prefixListOutput, error) {
	if l := s.prefixLists.byID[s.tokens[in.ClientToken]]; l != nil {
		return &prefixListOutput{List: s.prefixListXML(l)}, nil
	}
	tags, err := in.TagSpecs.tagsFor(prefixListKind.resourceType)
	if err != nil {
		return nil, err
	}
	if len(in.Entries) > mostChanges {
		return nil, tooManyChanges()
	}
	l := PrefixList{Owner: s.account, Name: in.Name, Family: in.Family, MaxEntries: in.MaxEntries, Tags: tags}
	if l.Entries, err = l.parseEntries(in.Entries); err != nil {
		return nil, err
	}
	list, err := s.addPrefixList(l)
	if err != nil {
		return nil, err
	}
	if in.ClientToken != "" {
		s.tokens[in.ClientToken] = list.ID
	}
	return s.alter(list, "create", func() string { return "" }), nil
}

// parseEntries reads the entries of a request, no two of which may be the same.
func (l *PrefixList) parseEntries(request []prefixListEntry) ([]PrefixListEntry, error) {
	var entries []PrefixListEntry
	for _, e := range request {
		src, err := parseCIDR(e.CIDR, l.Family == "IPv4")
		if err != nil {
			return nil, err
		}
		if entryOf(entries, src.Prefix) >= 0 {
			return nil, errorf("InvalidParameterValue", "Request cannot contain Cidr %s twice", src.Prefix)
		}
		if len(e.Description) > 255 {
			return nil, errorf("InvalidParameterValue", "The description of %s has more than 255 characters", src.Prefix)
		}
		entries = append(entries, PrefixListEntry{src.Prefix, e.Description})
	}
	return entries, nil
}

// entryOf returns where the entry of a prefix is, -1 if it is not there.
func entryOf(entries []PrefixListEntry, p netip.Prefix) int {
	return slices.IndexFunc(entries, func(e PrefixListEntry) bool { return e.Prefix == p })
}

// addPrefixList creates a customer-managed prefix list.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
func (s *site) addPrefixList(l PrefixList) (*PrefixList, error) {
	if err := checkListName(l.Name); err != nil {
		return nil, err
	}
	if l.Family != "IPv4" && l.Family != "IPv6" {
		return nil, errorf("InvalidParameterValue", "Value (%s) for parameter addressFamily is invalid. It must be IPv4 or IPv6.", l.Family)
	}
	if err := l.checkSize(l.MaxEntries, len(l.Entries)); err != nil {
		return nil, err
	}
	l.State = "create-complete"
	added := s.putPrefixList(l)
	s.touch(added.ID)
	return added, nil
}

func checkListName(name string) error {
	switch {
	case name == "":
		return missing("PrefixListName")
	case len(name) > 255:
		return errorf("InvalidParameterValue", "The name of a prefix list has up to 255 characters")
	case strings.HasPrefix(name, "com.amazonaws"):
		return errorf("InvalidParameterValue", "Prefix list names may not start with com.amazonaws: %s", name)
	}
	return nil
}

// checkSize refuses a size that no list may have, and more entries than fit.
//
// https://github.com/awsdocs/amazon-vpc-user-guide/pull/65 (the size)
func (l *PrefixList) checkSize(size, entries int) error {
	if size < 1 || size > mostEntries {
		return errorf("InvalidParameterValue", "Value (%d) for parameter maxEntries is invalid. It must be between 1 and %d.", size, mostEntries)
	}
	if entries > size {
		return errorf("PrefixListMaxEntriesExceeded", "You have reached the maximum number of entries for the prefix list %s", l.Name)
	}
	return nil
}

// prefixListKind has the filters of DescribeManagedPrefixLists. Its page names none for tags, which it takes all the
// same: aws_ec2_managed_prefix_lists of Terraform relies on them.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/ec2_managed_prefix_lists
var prefixListKind = kind[*PrefixList]{
	prefix: "pl-", malformed: "InvalidPrefixListId.Malformed", notFound: "InvalidPrefixListID.NotFound", message: "The prefix list ID '%s' does not exist",
	set: "prefixListSet", ids: "PrefixListId", pagesOfIDs: true,
	resourceType: "prefix-list", smallest: 1, largest: maxPrefixListResults,
	id:   func(l *PrefixList) string { return l.ID },
	tags: func(l *PrefixList) *Tags { return &l.Tags },
	filters: attributes[*PrefixList]{
		"owner-id":         func(l *PrefixList) []string { return []string{l.Owner} },
		"prefix-list-id":   func(l *PrefixList) []string { return []string{l.ID} },
		"prefix-list-name": func(l *PrefixList) []string { return []string{l.Name} },
	},
}

// maxPrefixListResults is the longest page of the calls about prefix lists.
const maxPrefixListResults = 100

type prefixListEntriesInput struct {
	dryRun
	paging
	ID      string `query:"PrefixListId"`
	Version *int   `query:"TargetVersion"`
}

var entryKind = kind[prefixListEntry]{
	set:      "entrySet",
	id:       func(e prefixListEntry) string { return e.CIDR },
	smallest: 1, largest: maxPrefixListResults,
}

// prefixListEntries gives the entries of a version, the current one if none is asked for.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html
func (s *site) prefixListEntries(_ *call, in prefixListEntriesInput) (*listing[prefixListEntry], error) {
	l, err := s.prefixLists.find(in.ID)
	if err != nil {
		return nil, err
	}
	stored := l.Entries
	if in.Version != nil {
		if stored, err = l.stored(*in.Version); err != nil {
			return nil, err
		}
	}
	entries := make([]prefixListEntry, 0, len(stored))
	for _, e := range stored {
		entries = append(entries, prefixListEntry{e.Prefix.String(), e.Description})
	}
	return list(s, tableOf(&entryKind, entries), describeInput{paging: in.paging}, itself)
}

// stored returns the entries of a version that is still kept.
//
// https://github.com/pulumi/pulumi-aws/issues/1784 (the error)
func (l *PrefixList) stored(version int) ([]PrefixListEntry, error) {
	entries, ok := l.versions[version]
	if !ok {
		return nil, errorf("InvalidParameterValue", "The specified value for version is not valid.")
	}
	return entries, nil
}

type prefixListAssociationsInput struct {
	dryRun
	paging
	ID string `query:"PrefixListId"`
}

type associationOfListXML struct {
	Resource string `xml:"resourceId"`
	Owner    string `xml:"resourceOwner"`
}

var associationKind = kind[associationOfListXML]{
	set:     "prefixListAssociationSet",
	id:      func(a associationOfListXML) string { return a.Resource },
	largest: 255,
}

// prefixListAssociations gives the owner of a list the security groups that refer to it, whoever they belong to.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListAssociations.html
func (s *site) prefixListAssociations(_ *call, in prefixListAssociationsInput) (*listing[associationOfListXML], error) {
	l, err := s.ownList(in.ID)
	if err != nil {
		return nil, err
	}
	var all []associationOfListXML
	for _, g := range s.server.referringTo(l) {
		all = append(all, associationOfListXML{g.ID, g.Account})
	}
	return list(s, tableOf(&associationKind, all), describeInput{paging: in.paging}, itself)
}

// referringTo returns the groups of all accounts that refer to a list, in the order of their IDs.
func (s *Server) referringTo(l *PrefixList) (groups []*Group) {
	for key, at := range s.sites {
		if key.region != l.Region {
			continue
		}
		for g := range at.groups.all {
			if refersTo(g.Ingress, l.ID) || refersTo(g.Egress, l.ID) {
				groups = append(groups, g)
			}
		}
	}
	slices.SortFunc(groups, func(a, b *Group) int { return strings.Compare(a.ID, b.ID) })
	return groups
}

// A change is something done to a prefix list that takes time.
type change struct {
	verb   string        // such as "modify", which its states begin with
	due    time.Time     // when it is done
	finish func() string // does it, or says why it cannot be done
}
