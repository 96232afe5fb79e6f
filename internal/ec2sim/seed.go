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

// A seed is the document that [Server.Seed] reads. Its resources refer to each other by name where EC2 has IDs.
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

// Seed creates the resources that a JSON document lists: see docs/sim.md. It stops at the first mistake that it notices,
// and says where it is. Use it on a fresh Server, before the first call.
func (s *Server) Seed(r io.Reader) error {
	var doc seed
	err := json.UnmarshalRead(r, &doc, json.RejectUnknownMembers(true))
	if e, ok := errors.AsType[*json.SemanticError](err); ok && e.Err != nil && !errors.Is(err, json.ErrUnknownName) {
		err = fmt.Errorf("%s: %w", e.JSONPointer, e.Err) // without the types of Go
	}
	if err == nil {
		err = attempt(func() { s.seed(doc) })
	}
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

func (s *Server) seed(doc seed) {
	s.mu.Lock()
	s.quotas.set(doc.quotas)
	s.options.Roles = slices.Concat(s.options.Roles, doc.Roles)
	s.mu.Unlock()
	// Groups come before their rules, so that these may refer to any of them.
	seedEach(s, "quotas", doc.Quotas, func(s *site, q *seedQuota) { s.quotas.set(q.quotas) })
	seedEach(s, "vpcs", doc.VPCs, (*site).seedVPC)
	seedEach(s, "subnets", doc.Subnets, (*site).seedSubnet)
	seedEach(s, "networkAcls", doc.NetworkACLs, (*site).seedACL)
	seedEach(s, "routeTables", doc.RouteTables, (*site).seedRouteTable)
	seedEach(s, "blockPublicAccess", doc.Blocks, (*site).seedBlock)
	seedEach(s, "prefixLists", doc.PrefixLists, (*site).seedPrefixList)
	seedEach(s, "groups", doc.Groups, (*site).seedGroup)
	seedEach(s, "groups", doc.Groups, (*site).seedRules)
	seedEach(s, "interfaces", doc.Interfaces, func(s *site, i *Interface) { s.addInterface(*i) })
	seedEach(s, "loadBalancers", doc.LoadBalancers, (*site).seedLoadBalancer)
	seedEach(s, "targetGroups", doc.TargetGroups, (*site).addTargetGroup)
}

// seedEach creates the resources of a list, and says which one cannot be.
func seedEach[T any](s *Server, name string, resources []T, create func(*site, *T)) {
	for i, r := range resources { // a copy, as groups come twice
		v := reflect.ValueOf(&r).Elem()
		where := fmt.Sprintf("%s[%d]", name, i)
		if called := v.FieldByName("Name"); called.IsValid() && called.String() != "" {
			where += " (" + called.String() + ")"
		}
		within(where, func() {
			must(s.place(v).change(func(s *site) {
				s.resolve(v)
				create(s, &r)
			}))
		})
	}
}

// place returns the region that the fields Account and Region of a resource name.
func (s *Server) place(r reflect.Value) Region {
	owner := r.FieldByName("Account")
	if !owner.IsValid() {
		owner = r.FieldByName("Owner") // of a prefix list
	}
	account, region := cmp.Or(owner.String(), DefaultAccount), cmp.Or(r.FieldByName("Region").String(), "us-east-1")
	if !slices.Contains(regions, region) {
		must(fmt.Errorf("there is no region %q", region))
	}
	if len(account) != 12 || strings.Trim(account, "0123456789") != "" {
		must(fmt.Errorf("account %q does not have 12 digits", account))
	}
	return s.Region(account, region)
}

// resolve puts IDs in the place of the names in those fields of a resource that refer to others.
func (s *site) resolve(r reflect.Value) {
	vpc := r.FieldByName("VPC")
	if !vpc.IsValid() {
		return
	}
	in := s.vpcNamed(vpc.String())
	if in == nil {
		must(fmt.Errorf("there is no VPC %q in %s", vpc, s.region))
	}
	vpc.SetString(in.ID)
	for _, name := range []string{"Subnet", "Subnets", "Groups"} {
		kind := strings.ToLower(strings.TrimSuffix(name, "s"))
		switch f := r.FieldByName(name); f.Kind() {
		case reflect.String:
			f.SetString(s.idOf(kind, in.ID, f.String()))
		case reflect.Slice:
			for i := range f.Len() {
				f.Index(i).SetString(s.idOf(kind, in.ID, f.Index(i).String()))
			}
		}
	}
}

// idOf returns the ID of the group or subnet of a VPC that has a name, if there is a name.
func (s *site) idOf(kind, vpc, name string) string {
	if name == "" {
		return ""
	}
	if g := s.groupNamed(vpc, name); g != nil && kind == "group" {
		return g.ID
	}
	if n := s.subnets.first(func(n *subnet) bool { return n.VPC == vpc && n.Name == name }); n != nil && kind == "subnet" {
		return n.ID
	}
	must(fmt.Errorf("there is no %s %q in the VPC", kind, name))
	return ""
}

// vpcNamed returns the VPC of a name, the default one for none, or nil.
func (s *site) vpcNamed(name string) *vpc {
	return s.vpcs.first(func(v *vpc) bool { return v.Name == cmp.Or(name, "default") })
}

// set replaces the quotas that are given: those that are not are zero.
func (q *quotas) set(given quotas) {
	if rules, groups := given.RulesPerGroup, given.GroupsPerInterface; rules < 0 || rules > mostRulesPerInterface || groups < 0 || groups > mostGroupsPerInterface {
		must(fmt.Errorf("rulesPerGroup is from 1 to %d, groupsPerInterface from 1 to %d: not %d and %d",
			mostRulesPerInterface, mostGroupsPerInterface, rules, groups))
	}
	*q = quotas{cmp.Or(given.RulesPerGroup, q.RulesPerGroup), cmp.Or(given.GroupsPerInterface, q.GroupsPerInterface)}
}

func (s *site) seedVPC(v *vpc) {
	if s.vpcNamed(v.Name) != nil {
		must(fmt.Errorf("name: there already is a VPC %q in %s", v.Name, s.region))
	}
	if !v.CIDR.IsValid() {
		v.CIDR = netip.MustParsePrefix("10.0.0.0/16")
	}
	v.Tags = merged(v.Tags, Tags{"Name": v.Name})
	s.addVPC(*v)
}

func (s *site) seedSubnet(n *subnet) {
	v := s.vpcs.byID[n.VPC]
	if !v.CIDR.Contains(n.CIDR.Addr()) {
		must(fmt.Errorf("cidr: %s is not a part of %s, the range of the VPC", n.CIDR, v.CIDR))
	}
	n.Tags = Tags{"Name": n.Name}
	s.addSubnet(v, *n)
}

func (s *site) seedACL(a *networkACL) {
	for i, e := range a.Entries {
		if e.Protocol != "" && protocolNumbers[e.Protocol] == "" || !e.Prefix.IsValid() {
			must(fmt.Errorf("entries[%d]: an entry has a cidr, and a protocol: tcp, udp, icmp, icmpv6 or none for all", i))
		}
	}
	s.addACL(*a)
}

func (s *site) seedRouteTable(t *routeTable) {
	v := s.vpcs.byID[t.VPC]
	for i, r := range t.Routes {
		if r.Via == "igw" {
			t.Routes[i].Via = v.gateway()
		}
	}
	s.addRouteTable(v, *t)
}

func (s *site) seedBlock(b *seedBlock) {
	if !slices.Contains([]string{"off", "block-ingress", "block-bidirectional"}, b.Mode) {
		must(fmt.Errorf("mode: %q is not off, block-ingress or block-bidirectional", b.Mode))
	}
	s.blockMode = b.Mode
	for _, e := range b.Exclusions {
		s.resolve(reflect.ValueOf(&e).Elem())
		e.ID, e.Resource = s.server.newID("vpcbpa-exclude"), s.arn("ec2", "vpc/"+e.VPC)
		if e.Subnet != "" {
			e.Resource = s.arn("ec2", "subnet/"+e.Subnet)
		}
		e.Mode, e.State = cmp.Or(e.Mode, "allow-bidirectional"), cmp.Or(e.State, "create-complete")
		s.exclusions.byID[e.ID] = &e
	}
}

// seedPrefixList creates a list, or replaces the entries of the one that has its name already, which may be AWS's.
func (s *site) seedPrefixList(l *seedPrefixList) {
	list := s.prefixListNamed(l.Name)
	if list == nil {
		list = s.addPrefixList(l.PrefixList)
	} else {
		s.setEntries(list, l.Entries)
	}
	s.share(list, l.SharedWith...)
}

func (s *site) seedGroup(g *seedGroup) {
	g.Description = cmp.Or(g.Description, g.Name)
	s.addGroup(g.Group)
}

func (s *site) seedRules(g *seedGroup) {
	var rules []Rule
	for i, in := range g.Ingress {
		ports := cmp.Or(in.Ports, &portRange{-1, -1})
		r := Rule{Permission: Permission{Protocol: in.Protocol, From: ports.From, To: ports.To}, Description: in.Description}
		within(fmt.Sprintf("ingress[%d]: source", i), func() { r.Source = s.seedSource(g.VPC, in.Source) })
		rules = append(rules, r)
	}
	s.setRules(s.groupNamed(g.VPC, g.Name), rules)
}

func (s *site) seedSource(vpc, text string) Source {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return Source{Prefix: prefix}
	}
	switch kind, name, _ := strings.Cut(text, ":"); kind {
	case "group":
		return Source{Reference: s.idOf(kind, vpc, name)}
	case "list":
		if l := s.prefixListNamed(name); l != nil {
			return Source{Reference: l.ID}
		}
		must(fmt.Errorf("there is no prefix list %q", name))
	}
	must(fmt.Errorf("%q is neither an IP range nor group:NAME nor list:NAME", text))
	return Source{}
}

func (s *site) seedLoadBalancer(lb *loadBalancer) {
	for i := range lb.Interfaces {
		lb.Interfaces[i].Subnet = s.idOf("subnet", lb.VPC, lb.Interfaces[i].Subnet)
	}
	s.addLoadBalancer(lb)
}
