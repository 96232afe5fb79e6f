package ec2sim

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// A Region is one account's resources in one region, seen and changed without a call: nothing is recorded, no fault
// strikes and no quota holds. What would make no sense on EC2 either is an error.
type Region struct {
	server          *Server
	account, region string
}

// Region returns an account's resources in a region. The empty account is the one that callers have by default.
func (s *Server) Region(account, region string) Region {
	return Region{s, cmp.Or(account, s.home), region}
}

// look calls f with what is there.
func (r Region) look(f func(*site)) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.settle()
	f(r.server.site(r.account, r.region))
}

// change calls f to change what is there, and tells observers.
func (r Region) change(f func(*site) error) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.settle()
	st := r.server.site(r.account, r.region)
	if err := f(st); err != nil {
		r.server.touched = nil
		return err
	}
	r.server.notify(Call{}, st)
	return nil
}

// SetQuota sets the quota of rules per security group.
func (r Region) SetQuota(rulesPerGroup int) {
	r.look(func(s *site) { s.quota = rulesPerGroup })
}

// SetGroupsPerInterface sets the quota of security groups per network interface.
func (r Region) SetGroupsPerInterface(groups int) {
	r.look(func(s *site) { s.groupQuota = groups })
}

// VPCs returns the VPCs.
func (r Region) VPCs() (vpcs []VPC) {
	r.look(func(s *site) {
		for v := range s.vpcs.all {
			vpcs = append(vpcs, *v)
		}
	})
	return vpcs
}

// DefaultVPC returns the id of the default VPC.
func (r Region) DefaultVPC() (id string) {
	r.look(func(s *site) { id = s.defaultVPC().ID })
	return id
}

// OtherVPC returns the id of the VPC that is not the default and was there first.
func (r Region) OtherVPC() (id string) {
	r.look(func(s *site) {
		for v := range s.vpcs.all {
			if !v.Default {
				id = v.ID
				return
			}
		}
	})
	return id
}

// CreateVPC creates a VPC that is not the default, with a route to the internet.
func (r Region) CreateVPC(cidr netip.Prefix, tags map[string]string) (v VPC, err error) {
	err = r.change(func(s *site) error {
		block, err := parseBlock(cidr.String())
		if err != nil {
			return err
		}
		added := s.addVPC(block, false)
		s.openToInternet(added)
		added.Tags = maps.Clone(tags)
		v = *added
		return nil
	})
	return v, err
}

// Group returns a security group as it is now.
func (r Region) Group(id string) (g Group, ok bool) {
	r.look(func(s *site) {
		if found := s.groups.byID[id]; found != nil {
			g, ok = *found, true
		}
	})
	return g, ok
}

// Groups returns all security groups as they are now, in the order of their creation.
func (r Region) Groups() (groups []Group) {
	r.look(func(s *site) {
		for g := range s.groups.all {
			groups = append(groups, *g)
		}
	})
	return groups
}

// CreateGroup creates a security group with the name, description, VPC, tags and ingress rules of g. Without a VPC it
// is put into the default one.
func (r Region) CreateGroup(g Group) (created Group, err error) {
	err = r.change(func(s *site) error {
		rules, err := s.checkRules(g.Ingress)
		if err != nil {
			return err
		}
		g.Description, g.Ingress = cmp.Or(g.Description, g.Name), rules
		if err := g.Tags.check(); err != nil {
			return err
		}
		g.Tags = maps.Clone(g.Tags)
		added, err := s.addGroup(g)
		if err != nil {
			return err
		}
		created = *added
		return nil
	})
	return created, err
}

// DeleteGroup deletes a security group, if nothing depends on it.
func (r Region) DeleteGroup(id string) error {
	return r.change(func(s *site) error {
		g, err := s.groups.find(id)
		if err != nil {
			return err
		}
		return s.dropGroup(g)
	})
}

// SetTags replaces all tags of a resource.
func (r Region) SetTags(id string, tags map[string]string) error {
	return r.change(func(s *site) error {
		old, err := s.tagsOf(id)
		if err != nil {
			return err
		}
		if err := Tags(tags).check(); err != nil {
			return err
		}
		*old = maps.Clone(tags)
		s.touch(id)
		return nil
	})
}

// AddRules adds ingress rules to a group. Their ids are chosen here.
func (r Region) AddRules(groupID string, rules ...Rule) error {
	return r.editRules(groupID, func(have []Rule) []Rule { return slices.Concat(have, rules) })
}

// RemoveRules removes those of a group's ingress rules that have one of the permissions.
func (r Region) RemoveRules(groupID string, permissions ...Permission) error {
	doomed := make(map[Permission]bool, len(permissions))
	for _, p := range permissions {
		doomed[p] = true
	}
	return r.editRules(groupID, func(have []Rule) []Rule {
		return slices.DeleteFunc(slices.Clone(have), func(r Rule) bool { return doomed[r.Permission] })
	})
}

// SetRules replaces all ingress rules of a group. A rule that has the id of one before it stays that one, whatever else
// of it changes.
func (r Region) SetRules(groupID string, rules ...Rule) error {
	return r.editRules(groupID, func([]Rule) []Rule { return rules })
}

func (r Region) editRules(groupID string, edit func([]Rule) []Rule) error {
	return r.change(func(s *site) error {
		g, err := s.groups.find(groupID)
		if err != nil {
			return err
		}
		rules, err := s.checkRules(edit(g.Ingress))
		if err != nil {
			return fmt.Errorf("rules of %s: %w", groupID, err)
		}
		s.update(g, func(g *Group) { g.Ingress = rules })
		return nil
	})
}

// checkRules returns a copy of rules with an id each, if a group may have them.
func (s *site) checkRules(rules []Rule) ([]Rule, error) {
	rules = slices.Clone(rules)
	if err := distinct(rules); err != nil {
		return nil, err
	}
	for i, r := range rules {
		canonical, err := parsePorts(r.Protocol, &r.From, &r.To)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Permission, err)
		}
		canonical.Source = r.Source
		p := r.Source.Prefix
		switch {
		case !p.IsValid() && r.Source.Reference == "":
			return nil, fmt.Errorf("rule %q: no source", r.Permission)
		case p.IsValid() && p != p.Masked():
			return nil, fmt.Errorf("rule %q: %s has host bits", r.Permission, p)
		case !allowedText(r.Description):
			return nil, fmt.Errorf("rule %q: %w", r.Permission, invalidDescription())
		}
		if strings.HasPrefix(r.Source.Reference, "pl-") {
			if _, err := s.prefixLists.find(r.Source.Reference); err != nil {
				return nil, err
			}
		}
		if strings.HasPrefix(r.Source.Reference, "sg-") {
			if _, err := s.groups.find(r.Source.Reference); err != nil {
				return nil, err
			}
		}
		rules[i].ID, rules[i].Permission = cmp.Or(r.ID, s.server.newID("sgr")), canonical
	}
	return rules, nil
}

// distinct refuses rules two of which have the same permission. Their descriptions do not make them different.
func distinct(rules []Rule) error {
	seen := make(map[Permission]bool, len(rules))
	for _, r := range rules {
		if seen[r.Permission] {
			return errorf("InvalidPermission.Duplicate", "the specified rule %q already exists", r.Permission.String())
		}
		seen[r.Permission] = true
	}
	return nil
}

// CreateInterface creates a network interface. Without a subnet it is put into the VPC it names, or its first group's,
// or the default one.
func (r Region) CreateInterface(i Interface) (created Interface, err error) {
	err = r.change(func(s *site) error {
		i.Groups, i.Tags = slices.Clone(i.Groups), maps.Clone(i.Tags)
		added, err := s.addInterface(i)
		if err != nil {
			return err
		}
		created = *added
		return nil
	})
	return created, err
}

// Interfaces returns all network interfaces as they are now, in the order of their creation.
func (r Region) Interfaces() (interfaces []Interface) {
	r.look(func(s *site) {
		for i := range s.interfaces.all {
			interfaces = append(interfaces, *i)
		}
	})
	return interfaces
}

// Attach replaces the security groups of a network interface, even of one that belongs to a service.
func (r Region) Attach(interfaceID string, groups ...string) error {
	return r.change(func(s *site) error {
		i, err := s.interfaces.find(interfaceID)
		if err != nil {
			return err
		}
		if err := s.checkGroups(i.VPC, groups, knownInterface); err != nil {
			return err
		}
		s.setGroups(i, slices.Clone(groups))
		return nil
	})
}

// PrefixLists returns the managed prefix lists, those of AWS included.
func (r Region) PrefixLists() (lists []PrefixList) {
	r.look(func(s *site) {
		for l := range s.prefixLists.all {
			lists = append(lists, *l)
		}
	})
	return lists
}

// prefixList returns the first prefix list of a name.
func (r Region) prefixList(name string) (PrefixList, bool) {
	for _, l := range r.PrefixLists() {
		if l.Name == name {
			return l, true
		}
	}
	return PrefixList{}, false
}

// CreatePrefixList creates a prefix list of the account with the name, family, size, entries and tags of l. Without a
// size it has room for its entries.
func (r Region) CreatePrefixList(l PrefixList) (created PrefixList, err error) {
	err = r.change(func(s *site) error {
		l.Owner, l.MaxEntries = s.account, cmp.Or(l.MaxEntries, len(l.Entries))
		l.Entries, l.Tags = slices.Clone(l.Entries), maps.Clone(l.Tags)
		if err := l.checkEntries(); err != nil {
			return err
		}
		added, err := s.addPrefixList(l)
		if err != nil {
			return err
		}
		created = *added
		return nil
	})
	return created, err
}

// SetEntries replaces the entries of a prefix list, which may be AWS's, by a new version.
func (r Region) SetEntries(prefixListID string, entries ...PrefixListEntry) error {
	return r.change(func(s *site) error {
		l, err := s.prefixLists.find(prefixListID)
		if err != nil {
			return err
		}
		next := *l
		next.Entries = slices.Clone(entries)
		if err := next.checkEntries(); err != nil {
			return err
		}
		l.enter(next.Entries)
		s.touch(l.ID)
		return nil
	})
}

// checkEntries refuses entries that no list of the family can have.
func (l *PrefixList) checkEntries() error {
	for i, e := range l.Entries {
		switch {
		case !e.Prefix.IsValid() || e.Prefix.Addr().Is4() != (l.Family == "IPv4"):
			return fmt.Errorf("entry %s is not %s", e.Prefix, l.Family)
		case e.Prefix != e.Prefix.Masked():
			return fmt.Errorf("entry %s has host bits", e.Prefix)
		case entryOf(l.Entries, e.Prefix) < i:
			return fmt.Errorf("entry %s is there twice", e.Prefix)
		}
	}
	return nil
}

// SharePrefixList lets other accounts see a prefix list and refer to it.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/sharing-managed-prefix-lists.html
func (r Region) SharePrefixList(prefixListID string, accounts ...string) error {
	return r.change(func(s *site) error {
		l, err := s.ownList(prefixListID)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			s.server.site(account, s.region).prefixLists.put(l)
		}
		return nil
	})
}

// PutPrefixList creates a prefix list of the account with entries that have no description, or replaces those of the
// list that has the name already, which may be AWS's.
func (r Region) PutPrefixList(name string, maxEntries int, prefixes ...netip.Prefix) (PrefixList, error) {
	return r.putPrefixList(PrefixList{Name: name, MaxEntries: maxEntries}, prefixes)
}

func (r Region) putPrefixList(l PrefixList, prefixes []netip.Prefix) (PrefixList, error) {
	if l.Family == "" {
		l.Family = "IPv4"
		if len(prefixes) > 0 && prefixes[0].Addr().Is6() {
			l.Family = "IPv6"
		}
	}
	for _, p := range prefixes {
		l.Entries = append(l.Entries, PrefixListEntry{Prefix: p})
	}
	known, ok := r.prefixList(l.Name)
	if !ok {
		return r.CreatePrefixList(l)
	}
	err := r.SetEntries(known.ID, l.Entries...)
	known.Entries = l.Entries
	return known, err
}
