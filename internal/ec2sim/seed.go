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
	Groups        []seedGroup      `json:"groups"`
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

type seedGroup struct {
	Group
	Ingress []struct {
		Protocol    string     `json:"protocol"`
		Ports       *portRange `json:"ports"`
		Source      string     `json:"source"`
		Description string     `json:"description"`
	} `json:"ingress"`
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
		err = (&seeder{server: s}).all(doc)
	}
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

type seeder struct {
	server *Server
	err    error // the first
}

func (w *seeder) all(doc seed) error {
	w.server.mu.Lock()
	w.err = w.server.quotas.set(doc.quotas)
	for _, r := range doc.Roles {
		if !roleARN.MatchString(r.ARN) {
			w.err = fmt.Errorf("roles: %q is not the ARN of a role", r.ARN)
		}
		w.server.roles[r.ARN] = r
	}
	w.server.mu.Unlock()
	// Groups come before their rules, so that these may refer to any of them.
	seedEach(w, "quotas", doc.Quotas, (*site).seedQuota)
	seedEach(w, "vpcs", doc.VPCs, (*site).seedVPC)
	seedEach(w, "subnets", doc.Subnets, (*site).seedSubnet)
	seedEach(w, "networkAcls", doc.NetworkACLs, (*site).seedACL)
	seedEach(w, "routeTables", doc.RouteTables, (*site).seedRouteTable)
	seedEach(w, "blockPublicAccess", doc.Blocks, (*site).seedBlock)
	seedEach(w, "prefixLists", doc.PrefixLists, (*site).seedPrefixList)
	seedEach(w, "groups", doc.Groups, (*site).seedGroup)
	seedEach(w, "groups", doc.Groups, (*site).seedRules)
	seedEach(w, "interfaces", doc.Interfaces, func(s *site, i *Interface) error { _, err := s.addInterface(*i); return err })
	seedEach(w, "loadBalancers", doc.LoadBalancers, (*site).seedLoadBalancer)
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
				if err := s.resolve(reflect.ValueOf(&r).Elem()); err != nil {
					return err
				}
				return create(s, &r)
			})
		}
		if err != nil {
			w.err = fmt.Errorf("%s[%d]%s: %w", name, i, called(reflect.ValueOf(r)), err)
		}
	}
}

// called returns the name of a resource, if it has one, for an error.
func called(r reflect.Value) string {
	if name := r.FieldByName("Name"); name.IsValid() && name.String() != "" {
		return fmt.Sprintf(" (%s)", name)
	}
	return ""
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
func (s *site) resolve(r reflect.Value) error {
	field := r.FieldByName("VPC")
	if !field.IsValid() {
		return nil
	}
	id := s.vpcNamed(field.String())
	if id == "" {
		return fmt.Errorf("there is no VPC %q in %s", field, s.region)
	}
	field.SetString(id)
	for _, name := range []string{"Subnet", "Subnets", "Groups"} {
		var names []*string
		switch f := r.FieldByName(name); f.Kind() {
		case reflect.String:
			names = append(names, f.Addr().Interface().(*string))
		case reflect.Slice:
			for i := range f.Len() {
				names = append(names, f.Index(i).Addr().Interface().(*string))
			}
		}
		for _, n := range names {
			if err := s.resolveName(id, strings.ToLower(strings.TrimSuffix(name, "s")), n); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolveName puts an ID in the place of the name of a group or subnet of a VPC, if there is a name.
func (s *site) resolveName(vpc, kind string, name *string) error {
	if *name == "" {
		return nil
	}
	if g := s.groupNamed(vpc, *name); g != nil && kind == "group" {
		*name = g.ID
	} else if n := s.subnets.first(func(n *subnet) bool { return n.VPC == vpc && n.Name == *name }); n != nil && kind == "subnet" {
		*name = n.ID
	} else {
		return fmt.Errorf("there is no %s %q in the VPC", kind, *name)
	}
	return nil
}

// vpcNamed returns the ID of the VPC of a name, empty if there is none.
func (s *site) vpcNamed(name string) string {
	if name == "" || name == "default" || name == "other" {
		return s.vpc(name != "other")
	}
	if v := s.vpcs.first(func(v *vpc) bool { return v.Name == name }); v != nil {
		return v.ID
	}
	return ""
}

// set replaces the quotas that are given: those that are not are zero.
func (q *quotas) set(given quotas) error {
	rules, groups := given.RulesPerGroup, given.GroupsPerInterface
	if rules < 0 || rules > mostRulesPerInterface || groups < 0 || groups > mostGroupsPerInterface {
		return fmt.Errorf("rulesPerGroup is from 1 to %d, groupsPerInterface from 1 to %d: not %d and %d",
			mostRulesPerInterface, mostGroupsPerInterface, rules, groups)
	}
	*q = quotas{cmp.Or(rules, q.RulesPerGroup), cmp.Or(groups, q.GroupsPerInterface)}
	return nil
}

func (s *site) seedQuota(q *seedQuota) error {
	if q.quotas == (quotas{}) {
		return errors.New("neither rulesPerGroup nor groupsPerInterface is given")
	}
	return s.quotas.set(q.quotas)
}

func (s *site) seedVPC(v *vpc) error {
	if s.vpcNamed(v.Name) != "" {
		return fmt.Errorf("name: there already is a VPC %q in %s", v.Name, s.region)
	}
	if !v.CIDR.IsValid() {
		v.CIDR = netip.MustParsePrefix("10.0.0.0/16")
	}
	if err := checkBlock(v.CIDR); err != nil {
		return err
	}
	v.Tags = merged(v.Tags, Tags{"Name": v.Name})
	s.addVPC(*v)
	return nil
}

// seedSubnet creates a subnet with a free range of its VPC, in a zone of its own as far as there are any.
func (s *site) seedSubnet(n *subnet) error {
	v := s.vpcs.byID[n.VPC]
	taken := s.subnets.first(func(o *subnet) bool { return o.VPC == v.ID && o.CIDR.Overlaps(n.CIDR) })
	if checkBlock(n.CIDR) != nil || !v.CIDR.Contains(n.CIDR.Addr()) || n.CIDR.Bits() < v.CIDR.Bits() || taken != nil {
		return fmt.Errorf("cidr: %s is not a free part of %s, the range of the VPC", n.CIDR, v.CIDR)
	}
	n.Tags, n.Zone = Tags{"Name": n.Name}, s.region+string("abc"[len(s.subnets.byID)%3])
	s.addSubnet(v, *n)
	return nil
}

func (s *site) seedACL(a *networkACL) error {
	for i, e := range a.Entries {
		if e.Protocol != "" && protocolNumbers[e.Protocol] == "" || !e.Prefix.IsValid() {
			return fmt.Errorf("entries[%d]: an entry has a cidr, and a protocol: tcp, udp, icmp, icmpv6 or none for all", i)
		}
	}
	s.addACL(*a)
	return nil
}

func (s *site) seedRouteTable(t *routeTable) error {
	v := s.vpcs.byID[t.VPC]
	for i, r := range t.Routes {
		if !r.To.IsValid() {
			return fmt.Errorf("routes[%d]: to: a route has a destination", i)
		}
		if r.Via == "igw" {
			t.Routes[i].Via = v.gateway
		}
	}
	s.addRouteTable(v, *t)
	return nil
}

func (s *site) seedBlock(b *seedBlock) error {
	if !slices.Contains([]string{"off", "block-ingress", "block-bidirectional"}, b.Mode) {
		return fmt.Errorf("mode: %q is not off, block-ingress or block-bidirectional", b.Mode)
	}
	s.blockMode = b.Mode
	for _, e := range b.Exclusions {
		if err := s.resolve(reflect.ValueOf(&e).Elem()); err != nil {
			return err
		}
		e.ID, e.Resource = s.server.newID("vpcbpa-exclude"), s.arn("ec2", "vpc/"+e.VPC)
		if e.Subnet != "" {
			e.Resource = s.arn("ec2", "subnet/"+e.Subnet)
		}
		e.Mode, e.State = cmp.Or(e.Mode, "allow-bidirectional"), cmp.Or(e.State, "create-complete")
		s.exclusions.put(&e)
	}
	return nil
}

// prefixList creates a list, or replaces the entries of the one that has its name already, which may be AWS's.
func (s *site) seedPrefixList(l *seedPrefixList) error {
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
	if err == nil {
		s.share(list, l.SharedWith...)
	}
	return err
}

func (s *site) seedGroup(g *seedGroup) error {
	g.Description = cmp.Or(g.Description, g.Name)
	_, err := s.addGroup(g.Group)
	return err
}

func (s *site) seedRules(g *seedGroup) error {
	var rules []Rule
	for i, in := range g.Ingress {
		source, err := s.seedSource(g.VPC, in.Source)
		if err != nil {
			return fmt.Errorf("ingress[%d]: source: %w", i, err)
		}
		ports := cmp.Or(in.Ports, &portRange{-1, -1})
		rules = append(rules, Rule{Permission: Permission{in.Protocol, ports.From, ports.To, source}, Description: in.Description})
	}
	return s.setRules(s.groupNamed(g.VPC, g.Name), rules)
}

func (s *site) seedSource(vpc, text string) (Source, error) {
	kind, name, _ := strings.Cut(text, ":")
	group, list := s.groupNamed(vpc, name), s.prefixListNamed(name)
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err == nil:
		return Source{Prefix: prefix}, nil
	case kind == "group" && group != nil:
		return Source{Reference: group.ID}, nil
	case kind == "list" && list != nil:
		return Source{Reference: list.ID}, nil
	case kind == "group":
		return Source{}, fmt.Errorf("there is no group %q in the same VPC", name)
	case kind == "list":
		return Source{}, fmt.Errorf("there is no prefix list %q", name)
	}
	return Source{}, fmt.Errorf("%q is neither an IP range nor group:NAME nor list:NAME", text)
}

func (s *site) seedLoadBalancer(lb *loadBalancer) error {
	for i := range lb.Interfaces {
		if err := s.resolveName(lb.VPC, "subnet", &lb.Interfaces[i].Subnet); err != nil {
			return err
		}
	}
	return s.addLoadBalancer(lb)
}
