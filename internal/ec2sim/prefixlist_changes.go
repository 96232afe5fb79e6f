package ec2sim

import (
	"slices"
	"strings"
)

// ownList returns a list that the account may change: its own. Others, to whom it is shared, may describe it and refer
// to it; nobody changes AWS's.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/sharing-managed-prefix-lists.html#sharing-perms
// https://docs.aws.amazon.com/ram/latest/userguide/security-ram-permissions.html (what sharing permits is IAM's to refuse)
func (s *site) ownList(id string) *PrefixList {
	l := s.prefixLists.find(id)
	if l.Owner != s.account {
		refuse("UnauthorizedOperation", "You are not authorized to perform this operation.")
	}
	return l
}

// changeable returns a list of the account's own that no change is under way to.
//
// https://github.com/hashicorp/terraform-provider-aws/issues/21835 (the error)
func (s *site) changeable(id string) *PrefixList {
	l := s.ownList(id)
	if l.finish != nil {
		refuse("IncorrectState", "The request cannot be completed while the prefix list (%s) is in the current state (%s).", l.ID, l.State)
	}
	return l
}

type entryForm struct {
	CIDR        string `json:"Cidr"`
	Description string `json:"Description"`
}

// parseEntries reads the entries of a request, and refuses duplicates and too many.
func (l *PrefixList) parseEntries(request []entryForm) (entries []PrefixListEntry) {
	if len(request) > mostChanges {
		refuseInvalid("Request cannot contain more than %d entry additions or removals.", mostChanges)
	}
	for _, e := range request {
		entries = append(entries, PrefixListEntry{parseCIDR(e.CIDR, l.Family == "IPv4"), e.Description})
	}
	l.checkEntries(entries)
	return entries
}

// createPrefixList creates a list, or finds the one that the same request has created before.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
func (s *site) createPrefixList(_ *call, in struct {
	Name        string      `json:"PrefixListName"`
	Family      string      `json:"AddressFamily"`
	MaxEntries  *int        `json:"MaxEntries"`
	Entries     []entryForm `json:"Entry"`
	TagSpecs    tagSpecs    `json:"TagSpecification"`
	ClientToken string      `json:"ClientToken"`
},
) body {
	made := func(l *PrefixList) bool { return l.token == in.ClientToken && in.ClientToken != "" }
	if l := s.prefixLists.first(made); l != nil {
		return body{{"prefixList", l.form(s)}}
	}
	if in.Family == "" || in.MaxEntries == nil {
		refuseMissing("AddressFamily or MaxEntries")
	}
	tags := in.TagSpecs.tagsFor("prefix-list")
	l := PrefixList{Name: in.Name, Family: in.Family, MaxEntries: *in.MaxEntries, Tags: tags, token: in.ClientToken}
	l.Entries = l.parseEntries(in.Entries)
	return s.alter(s.addPrefixList(l), "create", func() string { return "" })
}

// modifyPrefixList changes the entries of a list or its size. It adds and removes all entries of the request at once,
// or none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
func (s *site) modifyPrefixList(c *call, in struct {
	ID         string      `json:"PrefixListId"`
	Version    *int        `json:"CurrentVersion"`
	Add        []entryForm `json:"AddEntry"`
	Remove     []entryForm `json:"RemoveEntry"`
	MaxEntries *int        `json:"MaxEntries"`
},
) body {
	l := s.changeable(in.ID)
	c.Rules = len(in.Add) + len(in.Remove)
	switch {
	case in.Version != nil && *in.Version != l.Version:
		// https://github.com/hashicorp/terraform-provider-aws/issues/43528
		refuse("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")
	case c.Rules == 0 && in.MaxEntries == nil:
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
		refuseMissing("CurrentVersion")
	}
	next := l.modified(l.parseEntries(in.Add), l.parseEntries(in.Remove))
	return s.alter(l, "modify", func() string { l.enter(next); return "" })
}

// modified returns the entries of a list after a change. One that is there already cannot be added, not with another
// description either; that takes two changes, since one cannot both remove and add a range.
//
// https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_managed_prefix_list.go
// https://github.com/hashicorp/terraform-provider-aws/issues/29204 (an entry that is there already)
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
		if slices.Contains(next, e) {
			refuse("InvalidPrefixListModification", "An entry with the CIDR (%s) and description (%s) already exists.", e.Prefix, e.Description)
		}
		if entryOf(next, e.Prefix) >= 0 {
			refuse("InvalidRequest", "The request received was invalid.")
		}
		next = append(next, e)
	}
	l.checkSize(l.MaxEntries, len(next))
	return next
}

// resize gives a list another size, if the groups that refer to it have room for it, and otherwise names those that
// have not, up to ten.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/work-with-cust-managed-prefix-lists.html#modify-managed-prefix-list
func (s *Server) resize(l *PrefixList, size int) (refused string) {
	before := l.MaxEntries
	l.MaxEntries = size
	var full []string
	for _, g := range s.referringTo(l) {
		at := s.site(g.Account, g.Region)
		if size > before && (!at.fit(nil, g.Ingress) || !at.fit(nil, g.Egress)) {
			full = append(full, g.ID)
		}
	}
	if len(full) == 0 {
		return ""
	}
	l.MaxEntries = before
	return "The following resources do not support the new maximum size: " + strings.Join(full[:min(len(full), 10)], ", ")
}

// deletePrefixList deletes a list, for those too to whom it is shared, unless a group refers to it.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteManagedPrefixList.html
// https://github.com/hashicorp/terraform-provider-aws/issues/20991 (the call succeeds, the state is delete-failed)
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
