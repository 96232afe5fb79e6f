package ec2sim

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The prefix lists AWS maintains for CloudFront: the addresses of the servers that connect to origins.
// See https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
const (
	CloudFrontIPv4 = "com.amazonaws.global.cloudfront.origin-facing"
	CloudFrontIPv6 = "com.amazonaws.global.ipv6.cloudfront.origin-facing"
)

// A PrefixList is a managed prefix list as it is at one moment. In a rule it counts as often as it may have entries,
// however many it has. Like a [Group] it must only be read.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ManagedPrefixList.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html. The page names no
// filters for tags; it takes them all the same, and aws_ec2_managed_prefix_lists of Terraform relies on that:
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
	Prefix      netip.Prefix `json:"Cidr" xml:"cidr"`
	Description string       `json:"Description" xml:"description,omitempty"`
}

// UnmarshalText reads an entry of a seed.
func (e *PrefixListEntry) UnmarshalText(text []byte) error { return e.Prefix.UnmarshalText(text) }

// Limits of prefix lists: how many entries one may have, and how many a call may add and may remove.
// See https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-quotas-managed-prefix-lists
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
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
// See https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
func (s *site) addPrefixList(l PrefixList) *PrefixList {
	family := "IPv4"
	if len(l.Entries) > 0 && l.Entries[0].Prefix.Addr().Is6() {
		family = "IPv6"
	}
	l.Owner, l.Family, l.MaxEntries = s.account, cmp.Or(l.Family, family), cmp.Or(l.MaxEntries, len(l.Entries))
	l.checkEntries(l.Entries)
	l.checkSize(l.MaxEntries, len(l.Entries))
	return s.enterPrefixList(l)
}

// checkEntries refuses entries that no list of the family can have.
func (l *PrefixList) checkEntries(entries []PrefixListEntry) {
	for i, e := range entries {
		switch p := e.Prefix; {
		case !p.IsValid() || p != p.Masked() || p.Addr().Is4() != (l.Family == "IPv4"):
			refuseInvalid("entry %s is not a range of %s", p, l.Family)
		case entryOf(entries, p) < i:
			refuseInvalid("Request cannot contain Cidr %s twice", p)
		case len(e.Description) > 255:
			refuseInvalid("The description of %s has more than 255 characters", p)
		}
	}
}

func entryOf(entries []PrefixListEntry, p netip.Prefix) int {
	return slices.IndexFunc(entries, func(e PrefixListEntry) bool { return e.Prefix == p })
}

// checkSize refuses a size that no list may have, and more entries than fit.
// See https://github.com/awsdocs/amazon-vpc-user-guide/pull/65 (the size)
func (l *PrefixList) checkSize(size, entries int) {
	if size < 1 || size > mostEntries {
		refuseInvalid("Value (%d) for parameter maxEntries is invalid. It must be between 1 and %d.", size, mostEntries)
	}
	if entries > size {
		refuse("PrefixListMaxEntriesExceeded", "You have reached the maximum number of entries for the prefix list %s", l.Name)
	}
}

// form leaves out the size and version of AWS's own lists, which nobody is shown.
// See https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
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
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html
// and https://github.com/pulumi/pulumi-aws/issues/1784 (the error)
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
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListAssociations.html
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

// ownList returns a list that the account may change: its own. Others, to whom it is shared, may describe it and refer
// to it; nobody changes AWS's.
// See https://docs.aws.amazon.com/vpc/latest/userguide/sharing-managed-prefix-lists.html#sharing-perms
// and https://docs.aws.amazon.com/ram/latest/userguide/security-ram-permissions.html (the refusal)
func (s *site) ownList(id string) *PrefixList {
	l := s.prefixLists.find(id)
	if l.Owner != s.account {
		refuse("UnauthorizedOperation", "You are not authorized to perform this operation.")
	}
	return l
}

// changeable returns a list of the account's own that no change is under way to.
// See https://github.com/hashicorp/terraform-provider-aws/issues/21835 (the error)
func (s *site) changeable(id string) *PrefixList {
	l := s.ownList(id)
	if l.finish != nil {
		refuse("IncorrectState", "The request cannot be completed while the prefix list (%s) is in the current state (%s).", l.ID, l.State)
	}
	return l
}

// createPrefixList creates a list, or finds the one that the same request has created before.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
// and https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
func (s *site) createPrefixList(_ *call, in struct {
	Name        string            `json:"PrefixListName"`
	Family      string            `json:"AddressFamily"`
	MaxEntries  int               `json:"MaxEntries"`
	Entries     []PrefixListEntry `json:"Entry"`
	ClientToken string            `json:"ClientToken"`
	tagSpec
},
) body {
	made := func(l *PrefixList) bool { return l.token == in.ClientToken && in.ClientToken != "" }
	if l := s.prefixLists.first(made); l != nil {
		return body{{"prefixList", l.form(s)}}
	}
	l := PrefixList{
		Name: in.Name, Family: in.Family, MaxEntries: in.MaxEntries, Entries: in.Entries, Tags: in.Tags.tags(), token: in.ClientToken,
	}
	return s.alter(s.addPrefixList(l), "create", func() string { return "" })
}

// modifyPrefixList changes the entries of a list or its size. It adds and removes all entries of the request at once,
// or none.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
func (s *site) modifyPrefixList(c *call, in struct {
	ID         string            `json:"PrefixListId"`
	Version    *int              `json:"CurrentVersion"`
	Add        []PrefixListEntry `json:"AddEntry"`
	Remove     []PrefixListEntry `json:"RemoveEntry"`
	MaxEntries *int              `json:"MaxEntries"`
},
) body {
	l := s.changeable(in.ID)
	c.Rules = len(in.Add) + len(in.Remove)
	switch {
	case in.Version != nil && *in.Version != l.Version:
		// https://github.com/hashicorp/terraform-provider-aws/issues/43528
		refuse("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")
	case c.Rules == 0 && in.MaxEntries == nil || max(len(in.Add), len(in.Remove)) > mostChanges:
		refuse("InvalidRequest", "The request received was invalid.")
	case c.Rules == 0:
		l.checkSize(*in.MaxEntries, len(l.Entries))
		return s.alter(l, "modify", func() string { return s.server.resize(l, *in.MaxEntries) })
	case in.MaxEntries != nil:
		// https://github.com/hashicorp/terraform-provider-aws/issues/26034
		refuse("InvalidParameterCombination", "You cannot modify the entries and the maximum entries for the prefix list in the same request.")
	case l.Synced:
		// The page of ManagedPrefixList says that direct modifications are restricted, but not by which error.
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ManagedPrefixList.html
		refuse("OperationNotPermitted", "An IPAM prefix list resolver manages the entries of the prefix list (%s).", l.ID)
	case in.Version == nil:
		refuse("MissingParameter", "The request must contain the parameter CurrentVersion")
	}
	l.checkEntries(in.Add)
	next := l.modified(in.Add, in.Remove)
	return s.alter(l, "modify", func() string { l.enter(next); return "" })
}

// modified returns the entries of a list after a change. One that is there already cannot be added, not with another
// description either; that takes two changes, since one cannot both remove and add a range.
// See https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_managed_prefix_list.go
// and https://github.com/hashicorp/terraform-provider-aws/issues/29204 (an entry that is there already)
func (l *PrefixList) modified(added, removed []PrefixListEntry) []PrefixListEntry {
	next := slices.Clone(l.Entries)
	for _, e := range removed {
		if entryOf(added, e.Prefix) >= 0 {
			refuseInvalid("Request cannot contain Cidr %s in both AddPrefixListEntries and RemovePrefixListEntries", e.Prefix)
		}
		i := entryOf(next, e.Prefix)
		if i < 0 {
			refuse("InvalidPrefixListModification", "An entry with the CIDR (%s) does not exist.", e.Prefix)
		}
		next = slices.Delete(next, i, i+1)
	}
	for _, e := range added {
		if entryOf(next, e.Prefix) >= 0 {
			refuse("InvalidPrefixListModification", "An entry with the CIDR (%s) already exists.", e.Prefix)
		}
		next = append(next, e)
	}
	l.checkSize(l.MaxEntries, len(next))
	return next
}

// resize gives a list another size, if the groups that refer to it have room for it, and otherwise names one that has
// not.
// See https://docs.aws.amazon.com/vpc/latest/userguide/work-with-cust-managed-prefix-lists.html
func (s *Server) resize(l *PrefixList, size int) (refused string) {
	before := l.MaxEntries
	l.MaxEntries = size
	for _, g := range s.referringTo(l) {
		at := s.site(g.Account, g.Region)
		if size > before && (!at.fit(nil, g.Ingress) || !at.fit(nil, g.Egress)) {
			l.MaxEntries = before
			return "The following resources do not support the new maximum size: " + g.ID
		}
	}
	return ""
}

// deletePrefixList deletes a list, for those too to whom it is shared, unless a group refers to it.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteManagedPrefixList.html
// and https://github.com/hashicorp/terraform-provider-aws/issues/20991 (the call succeeds, the state is delete-failed)
func (s *site) deletePrefixList(_ *call, in struct {
	ID string `json:"PrefixListId"`
},
) body {
	l := s.changeable(in.ID)
	return s.alter(l, "delete", func() string {
		if groups := s.server.referringTo(l); len(groups) > 0 {
			return "The prefix list is referenced by " + groups[0].ID
		}
		for _, at := range s.server.sites {
			delete(at.prefixLists.byID, l.ID)
		}
		return ""
	})
}
