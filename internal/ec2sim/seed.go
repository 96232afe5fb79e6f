package ec2sim

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// A seed is the document [Server.Seed] reads; the package comment explains it. Its resources refer to each other by
// name where EC2 has IDs.
type seed struct {
	quotas
	Quotas        []seedQuota      `json:"quotas"`
	Roles         []Role           `json:"roles"`
	VPCs          []vpc            `json:"vpcs"`
	Subnets       []subnet         `json:"subnets"`
	NetworkACLs   []networkACL     `json:"networkAcls"`
	RouteTables   []routeTable     `json:"routeTables"`
	Blocks        []seedBlock      `json:"blockPublicAccess"`
	PrefixLists   []seedPrefixList `json:"prefixLists"`
	Groups        []Group          `json:"groups"`
	Interfaces    []Interface      `json:"interfaces"`
	LoadBalancers []loadBalancer   `json:"loadBalancers"`
	TargetGroups  []targetGroup    `json:"targetGroups"`
}

type quotas struct {
	RulesPerGroup      int `json:"rulesPerGroup"`
	GroupsPerInterface int `json:"groupsPerInterface"`
}

type seedQuota struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	quotas
}

type seedBlock struct {
	Account    string      `json:"account"`
	Region     string      `json:"region"`
	Mode       string      `json:"mode"`
	Exclusions []exclusion `json:"exclusions"`
}

type seedPrefixList struct {
	PrefixList
	SharedWith []string `json:"sharedWith"`
}

// Seed creates what a JSON document lists; the package comment describes it. It stops at the first thing that is wrong
// with the document, and says what and where. Use it on a fresh Server, before the first call.
func (s *Server) Seed(r io.Reader) error {
	var doc seed
	err := json.UnmarshalRead(r, &doc, json.RejectUnknownMembers(true))
	if e, ok := errors.AsType[*json.SemanticError](err); ok && e.Err != nil && !errors.Is(err, json.ErrUnknownName) {
		err = fmt.Errorf("%s: %w", e.JSONPointer, e.Err) // without the types of Go
	}
	if err == nil {
		err = (&sower{server: s, ids: map[string]string{}}).all(doc)
	}
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

// A sower creates what a seed lists, and remembers the IDs of what it has created by kind, place and name.
type sower struct {
	server *Server
	ids    map[string]string
	err    error // the first
}

func (w *sower) all(doc seed) error {
	if err := w.server.limit(doc.quotas, doc.Roles); err != nil {
		return err
	}
	// Groups come before their rules, so that these may refer to any of them.
	sow(w, "quotas", doc.Quotas, w.quota)
	sow(w, "vpcs", doc.VPCs, w.vpc)
	sow(w, "subnets", doc.Subnets, w.subnet)
	sow(w, "networkAcls", doc.NetworkACLs, w.networkACL)
	sow(w, "routeTables", doc.RouteTables, w.routeTable)
	sow(w, "blockPublicAccess", doc.Blocks, w.block)
	sow(w, "prefixLists", doc.PrefixLists, w.prefixList)
	sow(w, "groups", doc.Groups, w.group)
	sow(w, "groups", doc.Groups, w.rules)
	sow(w, "interfaces", doc.Interfaces, func(s *site, i *Interface) error { _, err := s.addInterface(*i); return err })
	sow(w, "loadBalancers", doc.LoadBalancers, w.loadBalancer)
	sow(w, "targetGroups", doc.TargetGroups, func(s *site, g *targetGroup) error { return s.addTargetGroup(*g) })
	return w.err
}

// sow creates the resources of a list, as long as nothing has failed, and says of which one that did.
func sow[T any](w *sower, name string, resources []T, create func(*site, *T) error) {
	for i, r := range resources {
		if w.err != nil {
			return
		}
		at, err := w.place(reflect.ValueOf(r))
		if err == nil {
			err = at.change(func(s *site) error {
				if err := w.resolve(s, reflect.ValueOf(&r).Elem()); err != nil {
					return err
				}
				return create(s, &r)
			})
		}
		if err != nil {
			w.err = fmt.Errorf("%s[%d]: %w", name, i, err)
		}
	}
}

// place returns the region that the fields Account and Region of a resource name.
func (w *sower) place(r reflect.Value) (Region, error) {
	owner := r.FieldByName("Account")
	if !owner.IsValid() {
		owner = r.FieldByName("Owner") // of a prefix list
	}
	account, region := owner.String(), cmp.Or(r.FieldByName("Region").String(), "us-east-1")
	if !regionExists(region) {
		return Region{}, fmt.Errorf("there is no region %q", region)
	}
	if account != "" && !isAccount(account) {
		return Region{}, fmt.Errorf("account %q does not have 12 digits", account)
	}
	return w.server.Region(account, region), nil
}

func isAccount(id string) bool {
	return len(id) == 12 && strings.Trim(id, "0123456789") == ""
}

// resolve puts IDs in the place of the names in those fields of a resource that refer to others.
func (w *sower) resolve(s *site, r reflect.Value) error {
	field := r.FieldByName("VPC")
	if !field.IsValid() {
		return nil
	}
	switch name := field.String(); name {
	case "", "default":
		field.SetString(s.vpc(true))
	case "other":
		field.SetString(s.vpc(false))
	default:
		id := w.ids[vpcName(s, name)]
		if id == "" {
			return fmt.Errorf("there is no VPC %q in %s", name, s.region)
		}
		field.SetString(id)
	}
	vpc := field.String()
	for name, kind := range map[string]string{"Subnet": "subnet", "Subnets": "subnet", "Groups": "group"} {
		switch field := r.FieldByName(name); field.Kind() {
		case reflect.String:
			if err := w.resolveName(vpc, kind, field); err != nil {
				return err
			}
		case reflect.Slice:
			for i := range field.Len() {
				if err := w.resolveName(vpc, kind, field.Index(i)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// resolveName puts an ID in the place of the name of a group or subnet of a VPC, if there is a name.
func (w *sower) resolveName(vpc, kind string, name reflect.Value) error {
	id := w.ids[kind+" "+vpc+"/"+name.String()]
	if id == "" && name.String() != "" {
		return fmt.Errorf("there is no %s %q in the VPC", kind, name)
	}
	name.SetString(id)
	return nil
}

func vpcName(s *site, name string) string { return "vpc " + s.account + "/" + s.region + "/" + name }

// check refuses a value that is no quota. A quota that is not given is zero.
func (q quotas) check() error {
	if q.RulesPerGroup < 0 || q.RulesPerGroup > mostRulesPerInterface {
		return fmt.Errorf("rulesPerGroup: %d is not a quota from 1 to %d", q.RulesPerGroup, mostRulesPerInterface)
	}
	if q.GroupsPerInterface < 0 || q.GroupsPerInterface > mostGroupsPerInterface {
		return fmt.Errorf("groupsPerInterface: %d is not a quota from 1 to %d", q.GroupsPerInterface, mostGroupsPerInterface)
	}
	return nil
}

// limit sets the quotas of regions that have no others, and the roles.
func (s *Server) limit(q quotas, roles []Role) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rulesPerGroup = cmp.Or(q.RulesPerGroup, s.rulesPerGroup)
	s.groupQuota = cmp.Or(q.GroupsPerInterface, s.groupQuota)
	for _, r := range roles {
		if !roleARN.MatchString(r.ARN) {
			return fmt.Errorf("roles: %q is not the ARN of a role", r.ARN)
		}
		s.roles[r.ARN] = r
	}
	return q.check()
}

func (w *sower) quota(s *site, q *seedQuota) error {
	if q.quotas == (quotas{}) {
		return errors.New("neither rulesPerGroup nor groupsPerInterface is given")
	}
	s.quota, s.groupQuota = cmp.Or(q.RulesPerGroup, s.quota), cmp.Or(q.GroupsPerInterface, s.groupQuota)
	return q.check()
}

func (w *sower) vpc(s *site, v *vpc) error {
	if v.Name == "" || v.Name == "default" || v.Name == "other" {
		return fmt.Errorf("name: a VPC cannot have the name %q", v.Name)
	}
	name := vpcName(s, v.Name)
	if w.ids[name] != "" {
		return fmt.Errorf("name: there already is a VPC %q in %s", v.Name, s.region)
	}
	if !v.CIDR.IsValid() {
		v.CIDR = netip.MustParsePrefix("10.0.0.0/16")
	}
	if err := checkBlock(v.CIDR); err != nil {
		return fmt.Errorf("vpc %q: %w", v.Name, err)
	}
	w.ids[name] = s.addVPC(v.CIDR, false, merged(v.Tags, Tags{"Name": v.Name})).ID
	return nil
}

func (w *sower) subnet(s *site, n *subnet) error {
	n.Tags = Tags{"Name": n.Name}
	created, err := s.newSubnet(*n)
	if err != nil {
		return fmt.Errorf("subnet %q: %w", n.Name, err)
	}
	w.ids["subnet "+n.VPC+"/"+n.Name] = created.ID
	return nil
}

func (w *sower) networkACL(s *site, a *networkACL) error {
	for i, e := range a.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("entries[%d]: %w", i, err)
		}
	}
	a.Entries = slices.Concat(a.Entries, aclEnd)
	s.addACL(*a, a.Subnets...)
	return nil
}

func (w *sower) routeTable(s *site, t *routeTable) error {
	v := s.vpcs.byID[t.VPC]
	for i, r := range t.Routes {
		if !r.To.IsValid() {
			return fmt.Errorf("routes[%d]: to: a route has a destination", i)
		}
		if r.Via == "igw" {
			t.Routes[i].Via = v.gateway
		}
	}
	s.addRouteTable(v, t.Routes, t.Subnets...)
	return nil
}

func (w *sower) block(s *site, b *seedBlock) error {
	if !slices.Contains([]string{"off", "block-ingress", "block-bidirectional"}, b.Mode) {
		return fmt.Errorf("mode: %q is not off, block-ingress or block-bidirectional", b.Mode)
	}
	s.blockMode = b.Mode
	for _, e := range b.Exclusions {
		if err := w.resolve(s, reflect.ValueOf(&e).Elem()); err != nil {
			return err
		}
		s.exclude(e, cmp.Or(e.Subnet, e.VPC))
	}
	return nil
}

func (w *sower) prefixList(s *site, l *seedPrefixList) error {
	if i := slices.IndexFunc(l.SharedWith, func(account string) bool { return !isAccount(account) }); i >= 0 {
		return fmt.Errorf("sharedWith: account %q does not have 12 digits", l.SharedWith[i])
	}
	created, err := s.putPrefixList(l.PrefixList)
	if err != nil {
		return fmt.Errorf("prefix list %q: %w", l.Name, err)
	}
	s.share(created, l.SharedWith...)
	return nil
}

func (w *sower) group(s *site, g *Group) error {
	g.Ingress, g.Description = nil, cmp.Or(g.Description, g.Name)
	err := g.Tags.check()
	var created *Group
	if err == nil {
		created, err = s.addGroup(*g)
	}
	if err != nil {
		return fmt.Errorf("group %q: %w", g.Name, err)
	}
	w.ids["group "+g.VPC+"/"+g.Name] = created.ID
	return nil
}

func (w *sower) rules(s *site, g *Group) error {
	rules := slices.Clone(g.Ingress)
	for i, r := range rules {
		kind, name, _ := strings.Cut(r.Source.Reference, ":")
		switch rules[i].Source.Reference = w.ids["group "+g.VPC+"/"+name]; {
		case r.Source.Prefix.IsValid():
			rules[i].Source = r.Source
		case kind == "list":
			l := s.prefixListNamed(name)
			if l == nil {
				return fmt.Errorf("group %q: ingress[%d]: source: there is no prefix list %q", g.Name, i, name)
			}
			rules[i].Source.Reference = l.ID
		case kind != "group":
			return fmt.Errorf("group %q: ingress[%d]: source: %q is neither an IP range nor group:NAME nor list:NAME", g.Name, i, r.Source)
		case rules[i].Source.Reference == "":
			return fmt.Errorf("group %q: ingress[%d]: source: there is no group %q in the same VPC", g.Name, i, name)
		}
	}
	if err := s.setRules(s.groups.byID[w.ids["group "+g.VPC+"/"+g.Name]], rules); err != nil {
		return fmt.Errorf("group %q: %w", g.Name, err)
	}
	return nil
}

func (w *sower) loadBalancer(s *site, lb *loadBalancer) error {
	for i := range lb.Interfaces {
		if err := w.resolveName(lb.VPC, "subnet", reflect.ValueOf(&lb.Interfaces[i].Subnet).Elem()); err != nil {
			return err
		}
	}
	if err := s.addLoadBalancer(*lb); err != nil {
		return fmt.Errorf("load balancer %q: %w", lb.Name, err)
	}
	return nil
}
