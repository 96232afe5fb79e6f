package ec2sim

import (
	"cmp"
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
	Family       string            `json:"family" xml:"addressFamily"` // "IPv4" or "IPv6"; that of the entries, or IPv4, if empty
	MaxEntries   int               `json:"maxEntries" xml:"maxEntries,omitempty"`
	Version      int               `json:"-" xml:"version,omitempty"`      // of the entries, counts from 1
	State        string            `json:"-" xml:"state"`                  // such as "modify-complete"
	StateMessage string            `json:"-" xml:"stateMessage,omitempty"` // why a change has failed
	Entries      []PrefixListEntry `json:"entries" xml:"-"`
	Tags         Tags              `json:"tags" xml:"tagSet"`
	// Synced says that an IPAM prefix list resolver manages the entries; nobody else may change them.
	// https://docs.aws.amazon.com/vpc/latest/ipam/automate-prefix-list-updates.html
	Synced bool `json:"ipamPrefixListResolverSyncEnabled" xml:"ipamPrefixListResolverSyncEnabled"`

	token    string                    // of the call that created it
	versions map[int][]PrefixListEntry // with the current one
	due      time.Time                 // when the change under way is done
	finish   func()                    // ends it; nil if there is none
}

// A PrefixListEntry is an IP range of a prefix list.
type PrefixListEntry struct {
	Prefix      netip.Prefix `xml:"cidr"`
	Description string       `xml:"description,omitempty"`
}

// UnmarshalText reads an entry of a seed.
func (e *PrefixListEntry) UnmarshalText(text []byte) error { return e.Prefix.UnmarshalText(text) }

// Limits of prefix lists: how many entries one may have, and how many a call may add and may remove.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-quotas-managed-prefix-lists
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
const (
	mostEntries = 1000
	mostChanges = 100
)

func (s *site) enterPrefixList(l PrefixList) *PrefixList {
	l.Region, l.ID, l.State, l.versions = s.region, s.server.newID("pl"), "create-complete", map[int][]PrefixListEntry{}
	l.enter(l.Entries)
	s.prefixLists.byID[l.ID] = &l
	s.touch(l.ID)
	return &l
}

// enter makes entries the next version of a list.
func (l *PrefixList) enter(entries []PrefixListEntry) {
	l.Version++
	l.Entries, l.versions[l.Version] = entries, entries
}

// addPrefixList creates a customer-managed prefix list, by default with room for its entries.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
func (s *site) addPrefixList(l PrefixList) *PrefixList {
	family := "IPv4"
	if len(l.Entries) > 0 && l.Entries[0].Prefix.Addr().Is6() {
		family = "IPv6"
	}
	l.Owner, l.Family, l.MaxEntries = s.account, cmp.Or(l.Family, family), cmp.Or(l.MaxEntries, len(l.Entries))
	switch {
	case l.Name == "":
		refuseMissing("PrefixListName")
	case strings.HasPrefix(l.Name, "com.amazonaws"):
		refuseInvalid("Prefix list names may not start with com.amazonaws: %s", l.Name)
	case l.Family != "IPv4" && l.Family != "IPv6":
		refuseInvalid("Value (%s) for parameter addressFamily is invalid. It must be IPv4 or IPv6.", l.Family)
	}
	l.checkEntries(l.Entries)
	l.checkSize(l.MaxEntries, len(l.Entries))
	return s.enterPrefixList(l)
}

// checkEntries refuses entries that no list of the family can have.
func (l *PrefixList) checkEntries(entries []PrefixListEntry) {
	for i, e := range entries {
		switch p := e.Prefix; {
		case !p.IsValid() || p.Addr().Is4() != (l.Family == "IPv4"):
			refuseInvalid("entry %s is not %s", p, l.Family)
		case p != p.Masked():
			refuseInvalid("entry %s has host bits", p)
		case entryOf(entries, p) < i:
			refuseInvalid("Request cannot contain Cidr %s twice", p)
		case len(e.Description) > 255:
			refuseInvalid("The description of %s has more than 255 characters", p)
		}
	}
}

// entryOf returns where the entry of a prefix is, -1 if it is not there.
func entryOf(entries []PrefixListEntry, p netip.Prefix) int {
	return slices.IndexFunc(entries, func(e PrefixListEntry) bool { return e.Prefix == p })
}

// checkSize refuses a size that no list may have, and more entries than fit.
//
// https://github.com/awsdocs/amazon-vpc-user-guide/pull/65 (the size)
func (l *PrefixList) checkSize(size, entries int) {
	if size < 1 || size > mostEntries {
		refuseInvalid("Value (%d) for parameter maxEntries is invalid. It must be between 1 and %d.", size, mostEntries)
	}
	if entries > size {
		refuse("PrefixListMaxEntriesExceeded", "You have reached the maximum number of entries for the prefix list %s", l.Name)
	}
}

// form leaves out the size and version of AWS's own lists, which nobody is shown.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
func (l *PrefixList) form(*site) any {
	shown := *l
	if l.Owner == "AWS" {
		shown.MaxEntries, shown.Version = 0, 0
	}
	return shown
}

type prefixListInput struct {
	paging
	ID      string `json:"PrefixListId"`
	Version *int   `json:"TargetVersion"`
}

// prefixListEntries gives the entries of a version, the current one if none is asked for.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html
// https://github.com/pulumi/pulumi-aws/issues/1784 (the error)
func (s *site) prefixListEntries(_ *call, in prefixListInput) body {
	l := s.prefixLists.find(in.ID)
	entries, ok := l.versions[*cmp.Or(in.Version, &l.Version)]
	if !ok {
		refuseInvalid("The specified value for version is not valid.")
	}
	byPrefix := newTable[PrefixListEntry](&entryKind)
	for _, e := range entries {
		byPrefix.byID[e.Prefix.String()] = &e
	}
	return byPrefix.page(s, in.paging)
}

// prefixListAssociations gives the owner of a list the security groups that refer to it, whoever they belong to.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListAssociations.html
func (s *site) prefixListAssociations(_ *call, in prefixListInput) body {
	var all []body
	for _, g := range s.server.referringTo(s.ownList(in.ID)) {
		all = append(all, body{{"resourceId", g.ID}, {"resourceOwner", g.Account}})
	}
	return body{{"prefixListAssociationSet", list("item", all)}}
}

// referringTo returns the groups of all accounts that refer to a list, in the order of their IDs.
func (s *Server) referringTo(l *PrefixList) (groups []*Group) {
	for key, at := range s.sites {
		for g := range at.groups.all {
			if key.region == l.Region && g.refersTo(l.ID) {
				groups = append(groups, g)
			}
		}
	}
	slices.SortFunc(groups, func(a, b *Group) int { return strings.Compare(a.ID, b.ID) })
	return groups
}

// alter begins a change of a list, which do makes, or says why it cannot be made. The answer has the list as it was
// before, with the new state: the effect shows when the change is complete, at once unless [Options] say that it takes
// time.
func (s *site) alter(l *PrefixList, verb string, do func() string) body {
	delay := s.server.options.PrefixListDelay
	l.State, l.StateMessage, l.due = verb+"-in-progress", "", s.server.options.Now().Add(delay)
	l.finish = func() {
		l.State, l.StateMessage, l.finish = verb+"-complete", do(), nil
		if l.StateMessage != "" {
			l.State = verb + "-failed"
		}
	}
	out := body{{"prefixList", l.form(s)}}
	if delay == 0 {
		l.finish()
	} else {
		s.server.unsettled = append(s.server.unsettled, l)
	}
	s.touch(l.ID)
	return out
}

// settle ends the changes of prefix lists whose time has come, between two calls, and shows observers.
func (s *Server) settle() {
	s.unsettled = slices.DeleteFunc(s.unsettled, func(l *PrefixList) bool {
		if s.options.Now().Before(l.due) {
			return false
		}
		l.finish()
		s.touched = []string{l.ID}
		s.notify(Call{}, s.site(l.Owner, l.Region))
		return true
	})
}
