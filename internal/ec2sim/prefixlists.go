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
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ManagedPrefixList.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html, whose page names no filters
// for tags, which it takes all the same: aws_ec2_managed_prefix_lists of Terraform relies on them, see
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/ec2_managed_prefix_lists
type PrefixList struct {
	Owner        string            `json:"account" xml:"ownerId" filter:"owner-id"` // an account, or "AWS"
	Region       string            `json:"region" xml:"-"`
	ID           string            `json:"-" xml:"prefixListId" filter:"prefix-list-id"` // pl-…
	Name         string            `json:"name" xml:"prefixListName" filter:"prefix-list-name"`
	Family       string            `json:"family" xml:"addressFamily"` // "IPv4" or "IPv6"
	MaxEntries   int               `json:"maxEntries" xml:"maxEntries,omitempty"`
	Version      int               `json:"-" xml:"version,omitempty"`      // of the entries, counts from 1
	State        string            `json:"-" xml:"state"`                  // such as "modify-complete"
	StateMessage string            `json:"-" xml:"stateMessage,omitempty"` // why a change has failed
	Entries      []PrefixListEntry `json:"entries" xml:"-"`
	Tags         Tags              `json:"tags" xml:"tagSet"`
	// Synced says that an IPAM prefix list resolver manages the entries; nobody else may change them.
	// https://docs.aws.amazon.com/vpc/latest/ipam/automate-prefix-list-updates.html
	Synced bool `json:"ipamPrefixListResolverSyncEnabled" xml:"ipamPrefixListResolverSyncEnabled"`

	versions map[int][]PrefixListEntry // those that can be restored, with the current one
	under    change                    // the change under way, if State says that there is one
}

func (l *PrefixList) key() string { return l.ID }

// A PrefixListEntry is an IP range of a prefix list.
type PrefixListEntry struct {
	Prefix      netip.Prefix `xml:"cidr"`
	Description string       `xml:"description,omitempty"`
}

func (e PrefixListEntry) key() string { return e.Prefix.String() }

// UnmarshalText reads an entry of a seed.
func (e *PrefixListEntry) UnmarshalText(text []byte) error { return e.Prefix.UnmarshalText(text) }

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
	for _, l := range [][2]string{{CloudFrontIPv4, "IPv4"}, {CloudFrontIPv6, "IPv6"}} {
		s.enterPrefixList(PrefixList{Name: l[0], Family: l[1], Owner: ownedByAWS, MaxEntries: cloudFrontWeight, State: "create-complete"})
	}
}

func (s *site) enterPrefixList(l PrefixList) *PrefixList {
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
	CIDR        string `query:"Cidr"`
	Description string `query:"Description"`
}

type createPrefixListInput struct {
	Name        string            `query:"PrefixListName"`
	Family      string            `query:"AddressFamily"`
	MaxEntries  int               `query:"MaxEntries"`
	Entries     []prefixListEntry `query:"Entry"`
	TagSpecs    tagSpecs          `query:"TagSpecification"`
	ClientToken string            `query:"ClientToken"`
}

// prefixListXML leaves out what of AWS's own lists nobody is shown.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
func (*site) prefixListXML(l *PrefixList) PrefixList {
	shown := *l
	if l.Owner == ownedByAWS {
		shown.MaxEntries, shown.Version = 0, 0
	}
	return shown
}

// createPrefixList creates a list, or finds the one that the same request has created before.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
func (s *site) createPrefixList(_ *call, in createPrefixListInput) (body, error) {
	if l := s.prefixLists.byID[s.tokens[in.ClientToken]]; l != nil {
		return body{{"prefixList", s.prefixListXML(l)}}, nil
	}
	tags, err := in.TagSpecs.tagsFor(prefixListKind)
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

// parseEntries reads the entries of a request, and refuses duplicates.
func (l *PrefixList) parseEntries(request []prefixListEntry) ([]PrefixListEntry, error) {
	var entries []PrefixListEntry
	for _, e := range request {
		src, err := parseCIDR(e.CIDR, l.Family == "IPv4")
		if err != nil {
			return nil, err
		}
		entries = append(entries, PrefixListEntry{src.Prefix, e.Description})
	}
	return entries, l.checkEntries(entries)
}

// checkEntries refuses entries that no list of the family can have.
func (l *PrefixList) checkEntries(entries []PrefixListEntry) error {
	for i, e := range entries {
		switch p := e.Prefix; {
		case !p.IsValid() || p.Addr().Is4() != (l.Family == "IPv4"):
			return errorf("InvalidParameterValue", "entry %s is not %s", p, l.Family)
		case p != p.Masked():
			return errorf("InvalidParameterValue", "entry %s has host bits", p)
		case entryOf(entries, p) < i:
			return errorf("InvalidParameterValue", "Request cannot contain Cidr %s twice", p)
		case len(e.Description) > 255:
			return errorf("InvalidParameterValue", "The description of %s has more than 255 characters", p)
		}
	}
	return nil
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
	added := s.enterPrefixList(l)
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

type prefixListInput struct {
	paging
	ID      string `query:"PrefixListId"`
	Version *int   `query:"TargetVersion"`
}

// prefixListEntries gives the entries of a version, the current one if none is asked for.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html
func (s *site) prefixListEntries(_ *call, in prefixListInput) (body, error) {
	l, err := s.prefixLists.find(in.ID)
	if err != nil {
		return nil, err
	}
	entries := l.Entries
	if in.Version != nil {
		if entries, err = l.stored(*in.Version); err != nil {
			return nil, err
		}
	}
	return answer(s, tableOf(&entryKind, entries), describeInput{paging: in.paging}, "item", "nextToken", itself)
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

type association struct {
	Resource string `xml:"resourceId"`
	Owner    string `xml:"resourceOwner"`
}

func (a association) key() string { return a.Resource }

// prefixListAssociations gives the owner of a list the security groups that refer to it, whoever they belong to.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListAssociations.html
func (s *site) prefixListAssociations(_ *call, in prefixListInput) (body, error) {
	l, err := s.ownList(in.ID)
	if err != nil {
		return nil, err
	}
	var all []association
	for _, g := range s.server.referringTo(l) {
		all = append(all, association{g.ID, g.Account})
	}
	return answer(s, tableOf(&associationKind, all), describeInput{paging: in.paging}, "item", "nextToken", itself)
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
