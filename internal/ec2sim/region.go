package ec2sim

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

type siteKey struct{ account, region string }

// A site is what one account has in one region. Its methods expect the server's lock to be held.
type site struct {
	server *Server
	siteKey

	quotas      quotas
	vpcs        table[vpc]
	subnets     table[subnet]
	acls        table[networkACL]
	routeTables table[routeTable]
	exclusions  table[exclusion]
	blockMode   string // of VPC Block Public Access, empty if never set

	state         // of what stale answers are about
	past  []state // what there was after each of the last changes, the last one is now

	loadBalancers []*loadBalancer
	listeners     []*listener
	targetGroups  []*targetGroup
}

// site returns an account's resources in a region, opened at the first use with a default and one other VPC.
func (s *Server) site(account, region string) *site {
	key := siteKey{account, region}
	if st := s.sites[key]; st != nil {
		return st
	}
	st := &site{
		server: s, siteKey: key, quotas: s.quotas,
		vpcs: newTable[vpc](&vpcKind), subnets: newTable[subnet](&subnetKind), acls: newTable[networkACL](&aclKind),
		routeTables: newTable[routeTable](&routeTableKind), exclusions: newTable[exclusion](&exclusionKind),
		state: state{newTable[Group](&groupKind), newTable[Interface](&interfaceKind), newTable[PrefixList](&prefixListKind)},
	}
	s.sites[key] = st
	defer func(before []string) { s.touched = before }(s.touched) // no call made these
	st.addVPC(vpc{Name: "default", CIDR: netip.MustParsePrefix("172.31.0.0/16"), Default: true})
	st.addVPC(vpc{Name: "other", CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	// A reference to either of AWS's lists counts 55 times against a quota.
	st.enterPrefixList(PrefixList{Name: CloudFrontIPv4, Family: "IPv4", Owner: "AWS", MaxEntries: 55})
	st.enterPrefixList(PrefixList{Name: CloudFrontIPv6, Family: "IPv6", Owner: "AWS", MaxEntries: 55})
	st.remember()
	return st
}

func (s *site) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + s.region + ":" + s.account + ":" + resource
}

// merged returns a map that holds both; where they differ, over wins.
func merged[M ~map[string]string](base, over M) M {
	m := make(M, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}

// regions lists the regions that exist.
// See https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
var regions = strings.Fields(`
	af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
	ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
	ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
	il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2`)

// A Region is one account's resources in one region, seen and changed without a call: nothing is recorded, no fault
// strikes and no quota holds. States that EC2 cannot have are an error.
type Region struct {
	server          *Server
	account, region string
}

// Region returns an account's resources in a region. The empty account is the one that callers have by default.
func (s *Server) Region(account, region string) Region {
	return Region{s, cmp.Or(account, DefaultAccount), region}
}

func (r Region) read(f func(*site)) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.settle()
	f(r.server.site(r.account, r.region))
}

// change calls f to change the resources of the region, and notifies observers unless f refuses.
func (r Region) change(f func(*site)) error {
	var err error
	r.read(func(s *site) {
		r.server.touched = nil
		err = attempt(func() {
			f(s)
			r.server.notify(Call{}, s)
		})
	})
	return err
}

func create[T any](r Region, add func(*site) *T) (created T, err error) {
	err = r.change(func(s *site) { created = *add(s) })
	return created, err
}

// SetQuota sets the quota of rules per security group.
func (r Region) SetQuota(rulesPerGroup int) {
	r.read(func(s *site) { s.quotas.RulesPerGroup = rulesPerGroup })
}

// SetGroupsPerInterface sets the quota of security groups per network interface.
func (r Region) SetGroupsPerInterface(groups int) {
	r.read(func(s *site) { s.quotas.GroupsPerInterface = groups })
}

// OtherVPC returns the ID of the VPC that is there from the start and is not the default.
func (r Region) OtherVPC() (id string) {
	r.read(func(s *site) { id = s.vpcNamed("other").ID })
	return id
}

// Group returns a security group as it is now.
func (r Region) Group(id string) (g Group, ok bool) {
	r.read(func(s *site) {
		if found := s.groups.byID[id]; found != nil {
			g, ok = *found, true
		}
	})
	return g, ok
}

// Groups returns all security groups as they are now, in the order of their creation.
func (r Region) Groups() (groups []Group) {
	r.read(func(s *site) { groups = s.groups.copies() })
	return groups
}

// CreateGroup creates a security group with the name, description, VPC, tags and ingress rules of g. Without a VPC it
// is put into the default one.
func (r Region) CreateGroup(g Group) (Group, error) {
	return create(r, func(s *site) *Group {
		g.Description, g.Ingress, g.Tags = cmp.Or(g.Description, g.Name), s.withIDs(s.checkRules(g.Ingress)), maps.Clone(g.Tags)
		return s.addGroup(g)
	})
}

// DeleteGroup deletes a security group, if nothing depends on it.
func (r Region) DeleteGroup(id string) error {
	return r.change(func(s *site) { s.dropGroup(id) })
}

// SetTags replaces all tags of a resource.
func (r Region) SetTags(id string, tags map[string]string) error {
	return r.change(func(s *site) { s.retag([]string{id}, func(t Tags) { clear(t); maps.Copy(t, tags) }) })
}

// AddRules adds ingress rules to a group. Their ids are chosen here.
func (r Region) AddRules(groupID string, rules ...Rule) error {
	return r.editRules(groupID, func(have []Rule) []Rule { return slices.Concat(have, rules) })
}

// RemoveRules removes those of a group's ingress rules that have one of the permissions.
func (r Region) RemoveRules(groupID string, permissions ...Permission) error {
	return r.editRules(groupID, func(have []Rule) []Rule {
		return slices.DeleteFunc(slices.Clone(have), func(r Rule) bool { return slices.Contains(permissions, r.Permission) })
	})
}

// SetRules replaces all ingress rules of a group. A rule that has the id of one before it stays that one, whatever else
// of it changes.
func (r Region) SetRules(groupID string, rules ...Rule) error {
	return r.editRules(groupID, func([]Rule) []Rule { return rules })
}

func (r Region) editRules(groupID string, change func([]Rule) []Rule) error {
	return r.change(func(s *site) { g := s.groups.find(groupID); s.setRules(g, change(g.Ingress)) })
}

// setRules replaces the ingress rules of a group, without regard to its quota.
func (s *site) setRules(g *Group, rules []Rule) {
	within("rules of "+g.ID, func() { rules = s.withIDs(s.checkRules(rules)) })
	s.update(g, func(g *Group) { g.Ingress = rules })
}

// CreateInterface creates a network interface. Without a subnet it is put into the VPC it names, or its first group's,
// or the default one.
func (r Region) CreateInterface(i Interface) (Interface, error) {
	return create(r, func(s *site) *Interface {
		i.Groups, i.Tags = slices.Clone(i.Groups), maps.Clone(i.Tags)
		return s.addInterface(i)
	})
}

// Interfaces returns all network interfaces as they are now, in the order of their creation.
func (r Region) Interfaces() (interfaces []Interface) {
	r.read(func(s *site) { interfaces = s.interfaces.copies() })
	return interfaces
}

// DeleteInterface deletes a network interface, even one that belongs to a service.
func (r Region) DeleteInterface(id string) error {
	return r.change(func(s *site) {
		s.setGroups(s.interfaces.find(id), nil)
		delete(s.interfaces.byID, id)
	})
}

// Attach replaces the security groups of a network interface, even of one that belongs to a service.
func (r Region) Attach(interfaceID string, groups ...string) error {
	return r.change(func(s *site) { s.setGroups(s.interfaces.find(interfaceID), slices.Clone(groups)) })
}

// PrefixLists returns the managed prefix lists, those of AWS included.
func (r Region) PrefixLists() (lists []PrefixList) {
	r.read(func(s *site) { lists = s.prefixLists.copies() })
	return lists
}

// CreatePrefixList creates a prefix list of the account with the name, family, size, entries and tags of l. Without a
// size it has room for its entries.
func (r Region) CreatePrefixList(l PrefixList) (PrefixList, error) {
	return create(r, func(s *site) *PrefixList {
		l.Entries, l.Tags = slices.Clone(l.Entries), maps.Clone(l.Tags)
		return s.addPrefixList(l)
	})
}

// SetEntries replaces the entries of a prefix list, which may be AWS's, by a new version.
func (r Region) SetEntries(prefixListID string, entries ...PrefixListEntry) error {
	return r.change(func(s *site) { s.setEntries(s.prefixLists.find(prefixListID), slices.Clone(entries)) })
}

func (s *site) setEntries(l *PrefixList, entries []PrefixListEntry) {
	l.checkEntries(entries)
	l.enter(entries)
	s.touch(l.ID)
}

// SharePrefixList lets other accounts see a prefix list and refer to it.
func (r Region) SharePrefixList(prefixListID string, accounts ...string) error {
	return r.change(func(s *site) { s.share(s.prefixLists.find(prefixListID), accounts...) })
}

// share has the list in the regions of other accounts as well.
// See https://docs.aws.amazon.com/vpc/latest/userguide/sharing-managed-prefix-lists.html
func (s *site) share(l *PrefixList, accounts ...string) {
	for _, account := range accounts {
		s.server.site(account, s.region).prefixLists.byID[l.ID] = l
	}
}

func (s *site) prefixListNamed(name string) *PrefixList {
	return s.prefixLists.first(func(l *PrefixList) bool { return l.Name == name })
}
