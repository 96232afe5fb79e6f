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
		err = (&seeder{server: s, ids: map[string]string{}}).all(doc)
	}
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

// A seeder creates what a seed lists, and remembers the IDs of what it has created by kind, place and name.
type seeder struct {
	server *Server
	ids    map[string]string
	err    error // the first
}

func (w *seeder) all(doc seed) error {
	if err := w.limits(doc.quotas, doc.Roles); err != nil {
		return err
	}
	// Groups come before their rules, so that these may refer to any of them.
	seedEach(w, "quotas", doc.Quotas, w.quota)
	seedEach(w, "vpcs", doc.VPCs, w.vpc)
	seedEach(w, "subnets", doc.Subnets, w.subnet)
	seedEach(w, "networkAcls", doc.NetworkACLs, w.networkACL)
	seedEach(w, "routeTables", doc.RouteTables, w.routeTable)
	seedEach(w, "blockPublicAccess", doc.Blocks, w.block)
	seedEach(w, "prefixLists", doc.PrefixLists, w.prefixList)
	seedEach(w, "groups", doc.Groups, w.group)
	seedEach(w, "groups", doc.Groups, w.rules)
	seedEach(w, "interfaces", doc.Interfaces, func(s *site, i *Interface) error { _, err := s.addInterface(*i); return err })
	seedEach(w, "loadBalancers", doc.LoadBalancers, w.loadBalancer)
	seedEach(w, "targetGroups", doc.TargetGroups, (*site).addTargetGroup)
	return w.err
}

// seedEach creates the resources of a list, as long as nothing has failed, and says of which one that did.
func seedEach[T any](w *seeder, name string, resources []T, create func(*site, *T) error) {
	for i := range resources {
		if w.err != nil {
			return
		}
		r := resources[i] // a copy, as groups come twice
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
func (w *seeder) place(r reflect.Value) (Region, error) {
	owner := r.FieldByName("Account")
	if !owner.IsValid() {
		owner = r.FieldByName("Owner") // of a prefix list
	}
	account, region := owner.String(), cmp.Or(r.FieldByName("Region").String(), "us-east-1")
	if !regionExists(region) {
		return Region{}, fmt.Errorf("there is no region %q", region)
	}
	return w.server.Region(account, region), checkAccount(cmp.Or(account, DefaultAccount))
}

func checkAccount(id string) error {
	if len(id) != 12 || strings.Trim(id, "0123456789") != "" {
		return fmt.Errorf("account %q does not have 12 digits", id)
	}
	return nil
}

// resolve puts IDs in the place of the names in those fields of a resource that refer to others.
func (w *seeder) resolve(s *site, r reflect.Value) error {
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
func (w *seeder) resolveName(vpc, kind string, name reflect.Value) error {
	id := w.ids[kind+" "+vpc+"/"+name.String()]
	if id == "" && name.String() != "" {
		return fmt.Errorf("there is no %s %q in the VPC", kind, name)
	}
	name.SetString(id)
	return nil
}

func vpcName(s *site, name string) string { return "vpc " + s.account + "/" + s.region + "/" + name }

// set replaces the quotas that are given: those that are not are zero.
func (q *quotas) set(given quotas) error {
	if given.RulesPerGroup < 0 || given.RulesPerGroup > mostRulesPerInterface {
		return fmt.Errorf("rulesPerGroup: %d is not a quota from 1 to %d", given.RulesPerGroup, mostRulesPerInterface)
	}
	if given.GroupsPerInterface < 0 || given.GroupsPerInterface > mostGroupsPerInterface {
		return fmt.Errorf("groupsPerInterface: %d is not a quota from 1 to %d", given.GroupsPerInterface, mostGroupsPerInterface)
	}
	*q = quotas{cmp.Or(given.RulesPerGroup, q.RulesPerGroup), cmp.Or(given.GroupsPerInterface, q.GroupsPerInterface)}
	return nil
}

// limits sets the quotas of regions that have no others, and the roles.
func (w *seeder) limits(q quotas, roles []Role) error {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	for _, r := range roles {
		if !roleARN.MatchString(r.ARN) {
			return fmt.Errorf("roles: %q is not the ARN of a role", r.ARN)
		}
		w.server.roles[r.ARN] = r
	}
	return w.server.quotas.set(q)
}

func (w *seeder) quota(s *site, q *seedQuota) error {
	if q.quotas == (quotas{}) {
		return errors.New("neither rulesPerGroup nor groupsPerInterface is given")
	}
	return s.quotas.set(q.quotas)
}

func (w *seeder) vpc(s *site, v *vpc) error {
	name := vpcName(s, v.Name)
	switch {
	case v.Name == "" || v.Name == "default" || v.Name == "other":
		return fmt.Errorf("name: a VPC cannot have the name %q", v.Name)
	case w.ids[name] != "":
		return fmt.Errorf("name: there already is a VPC %q in %s", v.Name, s.region)
	case !v.CIDR.IsValid():
		v.CIDR = netip.MustParsePrefix("10.0.0.0/16")
	}
	if err := checkBlock(v.CIDR); err != nil {
		return fmt.Errorf("vpc %q: %w", v.Name, err)
	}
	w.ids[name] = s.addVPC(v.CIDR, false, merged(v.Tags, Tags{"Name": v.Name})).ID
	return nil
}

func (w *seeder) subnet(s *site, n *subnet) error {
	n.Tags = Tags{"Name": n.Name}
	created, err := s.newSubnet(*n)
	if err != nil {
		return fmt.Errorf("subnet %q: %w", n.Name, err)
	}
	w.ids["subnet "+n.VPC+"/"+n.Name] = created.ID
	return nil
}

func (w *seeder) networkACL(s *site, a *networkACL) error {
	for i, e := range a.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("entries[%d]: %w", i, err)
		}
	}
	s.addACL(*a, a.Subnets...)
	return nil
}

func (w *seeder) routeTable(s *site, t *routeTable) error {
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

func (w *seeder) block(s *site, b *seedBlock) error {
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

// prefixList creates a list, or replaces the entries of the one that has its name already, which may be AWS's.
func (w *seeder) prefixList(s *site, l *seedPrefixList) error {
	for _, account := range l.SharedWith {
		if err := checkAccount(account); err != nil {
			return fmt.Errorf("sharedWith: %w", err)
		}
	}
	var err error
	list := s.prefixListNamed(l.Name)
	if list != nil {
		err = s.setEntries(list, l.Entries)
	} else {
		list, err = s.addPrefixList(l.PrefixList)
	}
	if err != nil {
		return fmt.Errorf("prefix list %q: %w", l.Name, err)
	}
	s.share(list, l.SharedWith...)
	return nil
}

func (w *seeder) group(s *site, g *Group) error {
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

func (w *seeder) rules(s *site, g *Group) error {
	rules := slices.Clone(g.Ingress)
	for i, r := range rules {
		kind, name, _ := strings.Cut(r.Source.Reference, ":")
		id := w.ids["group "+g.VPC+"/"+name]
		switch l := s.prefixListNamed(name); {
		case r.Source.Prefix.IsValid():
		case kind == "list" && l == nil:
			return fmt.Errorf("group %q: ingress[%d]: source: there is no prefix list %q", g.Name, i, name)
		case kind == "list":
			rules[i].Source.Reference = l.ID
		case kind != "group":
			return fmt.Errorf("group %q: ingress[%d]: source: %q is neither an IP range nor group:NAME nor list:NAME", g.Name, i, r.Source)
		case id == "":
			return fmt.Errorf("group %q: ingress[%d]: source: there is no group %q in the same VPC", g.Name, i, name)
		default:
			rules[i].Source.Reference = id
		}
	}
	if err := s.setRules(s.groups.byID[w.ids["group "+g.VPC+"/"+g.Name]], rules); err != nil {
		return fmt.Errorf("group %q: %w", g.Name, err)
	}
	return nil
}

func (w *seeder) loadBalancer(s *site, lb *loadBalancer) error {
	for i := range lb.Interfaces {
		if err := w.resolveName(lb.VPC, "subnet", reflect.ValueOf(&lb.Interfaces[i].Subnet).Elem()); err != nil {
			return err
		}
	}
	if err := s.addLoadBalancer(lb); err != nil {
		return fmt.Errorf("load balancer %q: %w", lb.Name, err)
	}
	return nil
}
