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
func (s *site) ownList(id string) (*PrefixList, error) {
	l, err := s.prefixLists.find(id)
	if err != nil {
		return nil, err
	}
	if l.Owner != s.account {
		return nil, errorf("UnauthorizedOperation", "You are not authorized to perform this operation.")
	}
	return l, nil
}

// changeable returns a list of the account's own that no change is under way to.
//
// https://github.com/hashicorp/terraform-provider-aws/issues/21835 (the error)
func (s *site) changeable(id string) (*PrefixList, error) {
	l, err := s.ownList(id)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(l.State, "-in-progress") {
		return nil, errorf("IncorrectState", "The request cannot be completed while the prefix list (%s) is in the current state (%s).", l.ID, l.State)
	}
	return l, nil
}

// alter begins a change of a list. The answer has the list as it was before, with the new state: the effect shows when
// the change is complete, at once unless [Options] say that it takes time.
func (s *site) alter(l *PrefixList, verb string, finish func() string) body {
	l.State, l.StateMessage = verb+"-in-progress", ""
	l.under = change{verb: verb, due: s.server.now().Add(s.server.listDelay), finish: finish}
	out := body{{"prefixList", s.prefixListXML(l)}}
	if s.server.listDelay == 0 {
		l.settle()
	} else {
		s.server.unsettled = append(s.server.unsettled, l)
	}
	s.touch(l.ID)
	return out
}

// settle ends the change under way.
func (l *PrefixList) settle() {
	l.StateMessage = l.under.finish()
	l.State = l.under.verb + "-complete"
	if l.StateMessage != "" {
		l.State = l.under.verb + "-failed"
	}
	l.under = change{}
}

// settle ends the changes of prefix lists whose time has come, between two calls, and shows observers.
func (s *Server) settle() {
	s.unsettled = slices.DeleteFunc(s.unsettled, func(l *PrefixList) bool {
		if s.now().Before(l.under.due) {
			return false
		}
		l.settle()
		s.touched = []string{l.ID}
		s.notify(Call{}, s.site(l.Owner, l.Region))
		return true
	})
}

type modifyPrefixListInput struct {
	ID         string            `query:"PrefixListId"`
	Version    *int              `query:"CurrentVersion"`
	Name       string            `query:"PrefixListName"`
	Add        []prefixListEntry `query:"AddEntry"`
	Remove     []prefixListEntry `query:"RemoveEntry"`
	MaxEntries *int              `query:"MaxEntries"`
}

// modifyPrefixList renames a list, and changes its entries or its size. It adds and removes all entries of the request
// at once, or none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
func (s *site) modifyPrefixList(c *call, in modifyPrefixListInput) (body, error) {
	l, err := s.changeable(in.ID)
	if err != nil {
		return nil, err
	}
	c.rules = len(in.Add) + len(in.Remove)
	if err := l.checkVersion(in.Version); err != nil {
		return nil, err
	}
	if in.Name != "" {
		if err := checkListName(in.Name); err != nil {
			return nil, err
		}
	}
	finish := func() string { return "" }
	switch {
	case c.rules > 0 && in.MaxEntries != nil:
		// https://github.com/hashicorp/terraform-provider-aws/issues/26034
		return nil, errorf("InvalidParameterCombination", "You cannot modify the entries and the maximum entries for the prefix list in the same request.")
	case c.rules > 0 && l.Synced:
		// The page of ManagedPrefixList says that direct modifications are restricted, but not by which error.
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ManagedPrefixList.html
		return nil, errorf("OperationNotPermitted", "An IPAM prefix list resolver manages the entries of the prefix list (%s).", l.ID)
	case c.rules > 0:
		if in.Version == nil {
			return nil, missing("CurrentVersion")
		}
		next, err := l.modified(in.Add, in.Remove)
		if err != nil {
			return nil, err
		}
		finish = func() string { l.enter(next); return "" }
	case in.MaxEntries != nil:
		if err := l.checkSize(*in.MaxEntries, len(l.Entries)); err != nil {
			return nil, err
		}
		finish = func() string { return s.server.resize(l, *in.MaxEntries) }
	case in.Name == "":
		return nil, invalidRequest()
	}
	if in.Name != "" {
		l.Name = in.Name
	}
	return s.alter(l, "modify", finish), nil
}

// checkVersion refuses a version that is not the current one. Nil is not given.
//
// https://github.com/hashicorp/terraform-provider-aws/issues/43528 (the error)
func (l *PrefixList) checkVersion(version *int) error {
	if version != nil && *version != l.Version {
		return errorf("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")
	}
	return nil
}

// invalidRequest is what EC2 says of a change that changes nothing.
func invalidRequest() error { return errorf("InvalidRequest", "The request received was invalid.") }

func tooManyChanges() error {
	return errorf("InvalidParameterValue", "Request cannot contain more than %d entry additions or removals.", mostChanges)
}

// modified returns the entries of a list after a change. One that is there already cannot be added, not with another
// description either; that takes two changes, since one cannot both remove and add a range.
//
// https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_managed_prefix_list.go
// https://github.com/hashicorp/terraform-provider-aws/issues/29204 (an entry that is there already)
func (l *PrefixList) modified(add, remove []prefixListEntry) ([]PrefixListEntry, error) {
	if len(add) > mostChanges || len(remove) > mostChanges {
		return nil, tooManyChanges()
	}
	added, err := l.parseEntries(add)
	if err != nil {
		return nil, err
	}
	removed, err := l.parseEntries(remove)
	if err != nil {
		return nil, err
	}
	next := slices.Clone(l.Entries)
	for _, e := range removed {
		if entryOf(added, e.Prefix) >= 0 {
			return nil, errorf("InvalidParameterValue", "Request cannot contain Cidr %s in both AddPrefixListEntries and RemovePrefixListEntries", e.Prefix)
		}
		i := entryOf(next, e.Prefix)
		if i < 0 {
			return nil, errorf("InvalidPrefixListModification", "An entry with the CIDR (%s) does not exist.", e.Prefix)
		}
		next = slices.Delete(next, i, i+1)
	}
	for _, e := range added {
		switch i := entryOf(next, e.Prefix); {
		case i >= 0 && next[i] == e:
			return nil, errorf("InvalidPrefixListModification", "An entry with the CIDR (%s) and description (%s) already exists.", e.Prefix, e.Description)
		case i >= 0:
			return nil, invalidRequest()
		}
		next = append(next, e)
	}
	return next, l.checkSize(l.MaxEntries, len(next))
}

// resize gives a list another size, if the groups that refer to it have room for it, and otherwise names those that
// have not, up to ten.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/work-with-cust-managed-prefix-lists.html#modify-managed-prefix-list
func (s *Server) resize(l *PrefixList, size int) (refused string) {
	before := l.MaxEntries
	l.MaxEntries = size
	if size <= before {
		return ""
	}
	var full []string
	for _, g := range s.referringTo(l) {
		at := s.site(g.Account, g.Region)
		if at.checkQuota(nil, g.Ingress) != nil || at.checkQuota(nil, g.Egress) != nil {
			full = append(full, g.ID)
		}
	}
	if len(full) == 0 {
		return ""
	}
	l.MaxEntries = before
	return "The following resources do not support the new maximum size: " + strings.Join(full[:min(len(full), 10)], ", ")
}

type restorePrefixListInput struct {
	ID       string `query:"PrefixListId"`
	Previous *int   `query:"PreviousVersion"`
	Current  *int   `query:"CurrentVersion"`
}

// restorePrefixList makes the entries of a version before the next version.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RestoreManagedPrefixListVersion.html
func (s *site) restorePrefixList(_ *call, in restorePrefixListInput) (body, error) {
	l, err := s.changeable(in.ID)
	if err != nil {
		return nil, err
	}
	if in.Previous == nil || in.Current == nil {
		return nil, missing("PreviousVersion or CurrentVersion")
	}
	if err := l.checkVersion(in.Current); err != nil {
		return nil, err
	}
	entries, err := l.stored(*in.Previous)
	if err != nil {
		return nil, err
	}
	if err := l.checkSize(l.MaxEntries, len(entries)); err != nil {
		return nil, err
	}
	return s.alter(l, "restore", func() string { l.enter(entries); return "" }), nil
}

type deletePrefixListInput struct {
	ID string `query:"PrefixListId"`
}

// deletePrefixList deletes a list, for those too to whom it is shared, unless a group refers to it.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteManagedPrefixList.html
// https://github.com/hashicorp/terraform-provider-aws/issues/20991 (the call succeeds, the state is delete-failed)
func (s *site) deletePrefixList(_ *call, in deletePrefixListInput) (body, error) {
	l, err := s.changeable(in.ID)
	if err != nil {
		return nil, err
	}
	return s.alter(l, "delete", func() string {
		if groups := s.server.referringTo(l); len(groups) > 0 {
			return "The prefix list is referenced by " + groups[0].ID
		}
		for _, at := range s.server.sites {
			at.prefixLists.drop(l.ID)
		}
		return ""
	}), nil
}
