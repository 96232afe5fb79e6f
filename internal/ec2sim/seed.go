package ec2sim

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// The document [Server.Seed] reads; the package comment explains it.
type (
	seed struct {
		quotas
		Quotas        []seedQuota       `json:"quotas"`
		Roles         []seedRole        `json:"roles"`
		VPCs          []seedVPC         `json:"vpcs"`
		Subnets       []seedSubnet      `json:"subnets"`
		NetworkACLs   []seedACL         `json:"networkAcls"`
		RouteTables   []seedRouteTable  `json:"routeTables"`
		Blocks        []seedBlock       `json:"blockPublicAccess"`
		PrefixLists   []seedPrefixList  `json:"prefixLists"`
		Groups        []seedGroup       `json:"groups"`
		Interfaces    []seedInterface   `json:"interfaces"`
		LoadBalancers []seedBalancer    `json:"loadBalancers"`
		TargetGroups  []seedTargetGroup `json:"targetGroups"`
	}
	// seedPlace is where a resource is.
	seedPlace struct {
		Account string `json:"account"`
		Region  string `json:"region"`
	}
	quotas struct {
		RulesPerGroup      int `json:"rulesPerGroup"`
		GroupsPerInterface int `json:"groupsPerInterface"`
	}
	seedQuota struct {
		seedPlace
		quotas
	}
	seedRole struct {
		ARN        string `json:"arn"`
		ExternalID string `json:"externalId"`
	}
	seedVPC struct {
		seedPlace
		Name string       `json:"name"`
		CIDR netip.Prefix `json:"cidr"`
		Tags Tags         `json:"tags"`
	}
	seedSubnet struct {
		seedPlace
		VPC  string       `json:"vpc"`
		Name string       `json:"name"`
		CIDR netip.Prefix `json:"cidr"`
	}
	seedACL struct {
		seedPlace
		VPC     string         `json:"vpc"`
		Subnets []string       `json:"subnets"`
		Entries []seedACLEntry `json:"entries"`
	}
	seedACLEntry struct {
		Number   int          `json:"number"`
		Egress   bool         `json:"egress"`
		Protocol string       `json:"protocol"`
		Ports    string       `json:"ports"`
		Prefix   netip.Prefix `json:"cidr"`
		Deny     bool         `json:"deny"`
	}
	seedRouteTable struct {
		seedPlace
		VPC     string      `json:"vpc"`
		Subnets []string    `json:"subnets"`
		Routes  []seedRoute `json:"routes"`
	}
	seedRoute struct {
		To        string `json:"to"`
		Via       string `json:"via"`
		Blackhole bool   `json:"blackhole"`
	}
	seedBlock struct {
		seedPlace
		Mode       string          `json:"mode"`
		Exclusions []seedExclusion `json:"exclusions"`
	}
	seedExclusion struct {
		VPC    string `json:"vpc"`
		Subnet string `json:"subnet"`
		Mode   string `json:"mode"`
		State  string `json:"state"`
	}
	seedPrefixList struct {
		seedPlace
		Name       string         `json:"name"`
		Family     string         `json:"family"`
		MaxEntries int            `json:"maxEntries"`
		Entries    []netip.Prefix `json:"entries"`
		Tags       Tags           `json:"tags"`
		SharedWith []string       `json:"sharedWith"`
	}
	seedGroup struct {
		seedPlace
		VPC         string     `json:"vpc"`
		Name        string     `json:"name"`
		Description string     `json:"description"`
		Tags        Tags       `json:"tags"`
		Ingress     []seedRule `json:"ingress"`
	}
	seedRule struct {
		Protocol    string `json:"protocol"`
		Ports       string `json:"ports"`
		Source      string `json:"source"`
		Description string `json:"description"`
	}
	seedInterface struct {
		seedPlace
		VPC         string     `json:"vpc"`
		Subnet      string     `json:"subnet"`
		Groups      []string   `json:"groups"`
		Description string     `json:"description"`
		Instance    string     `json:"instance"`
		Requester   string     `json:"requester"`
		Type        string     `json:"type"`
		PrivateIP   netip.Addr `json:"privateIp"`
		PublicIP    netip.Addr `json:"publicIp"`
		IPv6        netip.Addr `json:"ipv6"`
		Tags        Tags       `json:"tags"`
	}
	seedBalancer struct {
		seedPlace
		Name       string            `json:"name"`
		Type       string            `json:"type"`
		Scheme     string            `json:"scheme"`
		State      string            `json:"state"`
		VPC        string            `json:"vpc"`
		Groups     []string          `json:"groups"`
		Listeners  []string          `json:"listeners"`
		Interfaces []Addresses       `json:"interfaces"`
		Attributes map[string]string `json:"attributes"`
		Tags       Tags              `json:"tags"`
	}
	seedTargetGroup struct {
		seedPlace
		VPC         string            `json:"vpc"`
		Name        string            `json:"name"`
		Protocol    string            `json:"protocol"`
		Port        int32             `json:"port"`
		Type        string            `json:"type"`
		AddressType string            `json:"addressType"`
		Listeners   []string          `json:"listeners"`
		Targets     []seedTarget      `json:"targets"`
		Attributes  map[string]string `json:"attributes"`
		Tags        Tags              `json:"tags"`
	}
	seedTarget struct {
		ID    string `json:"id"`
		Port  int32  `json:"port"`
		State string `json:"state"`
	}
)

// Seed creates what a JSON document lists; the package comment describes it. It stops at the first thing that is wrong
// with the document, and says what and where. Use it on a fresh Server, before the first call.
func (s *Server) Seed(r io.Reader) error {
	var doc seed
	if err := json.UnmarshalRead(r, &doc, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	sow := sower{server: s, vpcs: map[string]string{}, names: map[string]string{}}
	if err := sow.all(doc); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

// A sower creates what a seed lists, and remembers what the names in it stand for.
type sower struct {
	server *Server
	vpcs   map[string]string // place and name to ID
	names  map[string]string // VPC's ID and name of a group or "subnet:" and name to ID
}

func (w sower) all(doc seed) error {
	if err := doc.quotas.check(); err != nil {
		return err
	}
	w.server.mu.Lock()
	w.server.rulesPerGroup = cmp.Or(doc.RulesPerGroup, w.server.rulesPerGroup)
	w.server.groupQuota = cmp.Or(doc.GroupsPerInterface, w.server.groupQuota)
	w.server.mu.Unlock()
	for _, r := range doc.Roles {
		if !roleARN.MatchString(r.ARN) {
			return fmt.Errorf("roles: %q is not the ARN of a role", r.ARN)
		}
		w.server.mu.Lock()
		w.server.roles[r.ARN] = Role(r)
		w.server.mu.Unlock()
	}
	// Groups come before their rules, so that these may refer to any of them.
	for _, step := range []func() error{
		func() error { return each("quotas", doc.Quotas, w.quota) },
		func() error { return each("vpcs", doc.VPCs, w.vpc) },
		func() error { return each("subnets", doc.Subnets, w.subnet) },
		func() error { return each("networkAcls", doc.NetworkACLs, w.networkACL) },
		func() error { return each("routeTables", doc.RouteTables, w.routeTable) },
		func() error { return each("blockPublicAccess", doc.Blocks, w.block) },
		func() error { return each("prefixLists", doc.PrefixLists, w.prefixList) },
		func() error { return each("groups", doc.Groups, w.group) },
		func() error { return each("groups", doc.Groups, w.rules) },
		func() error { return each("interfaces", doc.Interfaces, w.networkInterface) },
		func() error { return each("loadBalancers", doc.LoadBalancers, w.loadBalancer) },
		func() error { return each("targetGroups", doc.TargetGroups, w.targetGroup) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// each calls f with every element of a list, and says of which one it failed.
func each[T any](name string, list []T, f func(T) error) error {
	for i, v := range list {
		if err := f(v); err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, err)
		}
	}
	return nil
}

// at returns the region of a place.
func (w sower) at(p seedPlace) (Region, error) {
	region := cmp.Or(p.Region, "us-east-1")
	if !regionExists(region) {
		return Region{}, fmt.Errorf("there is no region %q", region)
	}
	if p.Account != "" && !isAccount(p.Account) {
		return Region{}, fmt.Errorf("account %q does not have 12 digits", p.Account)
	}
	return w.server.Region(p.Account, region), nil
}

func isAccount(id string) bool {
	return len(id) == 12 && strings.Trim(id, "0123456789") == ""
}

func (w sower) quota(q seedQuota) error {
	at, err := w.at(q.seedPlace)
	if err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	if q.quotas == (quotas{}) {
		return errors.New("neither rulesPerGroup nor groupsPerInterface is given")
	}
	if q.RulesPerGroup > 0 {
		at.SetQuota(q.RulesPerGroup)
	}
	if q.GroupsPerInterface > 0 {
		at.SetGroupsPerInterface(q.GroupsPerInterface)
	}
	return nil
}

// check refuses what is no quota. One that is not given is zero.
func (q quotas) check() error {
	if q.RulesPerGroup < 0 || q.RulesPerGroup > mostRulesPerInterface {
		return fmt.Errorf("rulesPerGroup: %d is not a quota from 1 to %d", q.RulesPerGroup, mostRulesPerInterface)
	}
	if q.GroupsPerInterface < 0 || q.GroupsPerInterface > mostGroupsPerInterface {
		return fmt.Errorf("groupsPerInterface: %d is not a quota from 1 to %d", q.GroupsPerInterface, mostGroupsPerInterface)
	}
	return nil
}

func (w sower) vpc(v seedVPC) error {
	at, err := w.at(v.seedPlace)
	if err != nil {
		return err
	}
	if v.Name == "" || v.Name == "default" || v.Name == "other" {
		return fmt.Errorf("name: a VPC cannot have the name %q", v.Name)
	}
	key := placeKey(at, v.Name)
	if w.vpcs[key] != "" {
		return fmt.Errorf("name: there already is a VPC %q in %s", v.Name, at.region)
	}
	cidr := v.CIDR
	if !cidr.IsValid() {
		cidr = netip.MustParsePrefix("10.0.0.0/16")
	}
	created, err := at.CreateVPC(cidr, merged(v.Tags, Tags{"Name": v.Name}))
	if err != nil {
		return fmt.Errorf("vpc %q: %w", v.Name, err)
	}
	w.vpcs[key] = created.ID
	return nil
}

func placeKey(at Region, name string) string { return at.account + "/" + at.region + "/" + name }

// inVPC returns the region of a resource and the VPC it names.
func (w sower) inVPC(p seedPlace, name string) (at Region, vpc string, err error) {
	if at, err = w.at(p); err == nil {
		vpc, err = w.vpcID(at, name)
	}
	return at, vpc, err
}

func (w sower) vpcID(at Region, name string) (string, error) {
	switch name {
	case "", "default":
		return at.DefaultVPC(), nil
	case "other":
		return at.OtherVPC(), nil
	}
	if id := w.vpcs[placeKey(at, name)]; id != "" {
		return id, nil
	}
	return "", fmt.Errorf("there is no VPC %q in %s", name, at.region)
}

func (w sower) prefixList(l seedPrefixList) error {
	at, err := w.at(l.seedPlace)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(l.SharedWith, func(account string) bool { return !isAccount(account) }); i >= 0 {
		return fmt.Errorf("sharedWith: account %q does not have 12 digits", l.SharedWith[i])
	}
	created, err := at.putPrefixList(PrefixList{Name: l.Name, Family: l.Family, MaxEntries: l.MaxEntries, Tags: l.Tags}, l.Entries)
	if err == nil && len(l.SharedWith) > 0 {
		err = at.SharePrefixList(created.ID, l.SharedWith...)
	}
	if err != nil {
		return fmt.Errorf("prefix list %q: %w", l.Name, err)
	}
	return nil
}

func (w sower) group(g seedGroup) error {
	at, vpc, err := w.inVPC(g.seedPlace, g.VPC)
	if err != nil {
		return err
	}
	created, err := at.CreateGroup(Group{Name: g.Name, Description: g.Description, VPC: vpc, Tags: g.Tags})
	if err != nil {
		return fmt.Errorf("group %q: %w", g.Name, err)
	}
	w.names[vpc+"/"+g.Name] = created.ID
	return nil
}

func (w sower) rules(g seedGroup) error {
	at, vpc, err := w.inVPC(g.seedPlace, g.VPC)
	if err != nil {
		return err
	}
	var rules []Rule
	for i, r := range g.Ingress {
		perm, err := w.permission(at, vpc, r)
		if err != nil {
			return fmt.Errorf("group %q: ingress[%d]: %w", g.Name, i, err)
		}
		rules = append(rules, Rule{Permission: perm, Description: r.Description})
	}
	if err := at.AddRules(w.names[vpc+"/"+g.Name], rules...); err != nil {
		return fmt.Errorf("group %q: %w", g.Name, err)
	}
	return nil
}

func (w sower) permission(at Region, vpc string, r seedRule) (Permission, error) {
	from, to, err := parseSeedPorts(r.Ports)
	p := Permission{Protocol: r.Protocol, From: from, To: to}
	if err != nil {
		return p, err
	}
	kind, name, _ := strings.Cut(r.Source, ":")
	switch kind {
	case "group":
		if p.Source.Reference = w.names[vpc+"/"+name]; p.Source.Reference == "" {
			return p, fmt.Errorf("source: there is no group %q in the same VPC", name)
		}
		return p, nil
	case "list":
		l, ok := at.prefixList(name)
		if !ok {
			return p, fmt.Errorf("source: there is no prefix list %q", name)
		}
		p.Source.Reference = l.ID
		return p, nil
	}
	prefix, err := netip.ParsePrefix(r.Source)
	if err != nil {
		return p, fmt.Errorf("source: %q is neither an IP range nor group:NAME nor list:NAME", r.Source)
	}
	p.Source.Prefix = prefix
	return p, nil
}

// parseSeedPorts reads a port or a range of ports, both -1 if there is none.
func parseSeedPorts(ports string) (from, to int32, err error) {
	if ports == "" {
		return -1, -1, nil
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	if errors.Join(err1, err2) != nil {
		return 0, 0, fmt.Errorf("ports: %q is not a port or a range of ports", ports)
	}
	return int32(low), int32(high), nil
}

func (w sower) networkInterface(i seedInterface) error {
	at, vpc, err := w.inVPC(i.seedPlace, i.VPC)
	if err != nil {
		return err
	}
	ids, err := w.ids(vpc, "", "group", i.Groups)
	if err != nil {
		return err
	}
	subnet, err := w.subnetID(vpc, i.Subnet)
	if err != nil {
		return err
	}
	_, err = at.CreateInterface(Interface{
		VPC: vpc, Subnet: subnet, Groups: ids, Description: i.Description, Instance: i.Instance, Requester: i.Requester,
		Type: i.Type, PrivateIP: i.PrivateIP, PublicIP: i.PublicIP, IPv6: i.IPv6, Tags: i.Tags,
	})
	return err
}

// ids returns the IDs of groups or, with the key "subnet:", of subnets of a VPC.
func (w sower) ids(vpc, key, noun string, names []string) (ids []string, err error) {
	for _, name := range names {
		id := w.names[vpc+"/"+key+name]
		if id == "" {
			return nil, fmt.Errorf("%ss: there is no %s %q in the VPC", noun, noun, name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// subnetID returns the ID of a subnet, empty for none.
func (w sower) subnetID(vpc, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	ids, err := w.ids(vpc, "subnet:", "subnet", []string{name})
	return strings.Join(ids, ""), err
}

func (w sower) subnet(n seedSubnet) error {
	at, vpc, err := w.inVPC(n.seedPlace, n.VPC)
	if err != nil {
		return err
	}
	id, err := at.CreateSubnet(vpc, n.CIDR, Tags{"Name": n.Name})
	if err != nil {
		return fmt.Errorf("subnet %q: %w", n.Name, err)
	}
	w.names[vpc+"/subnet:"+n.Name] = id
	return nil
}

func (w sower) networkACL(a seedACL) error {
	at, vpc, err := w.inVPC(a.seedPlace, a.VPC)
	if err != nil {
		return err
	}
	subnets, err := w.ids(vpc, "subnet:", "subnet", a.Subnets)
	if err != nil {
		return err
	}
	var entries []ACLEntry
	for i, e := range a.Entries {
		from, to, err := parseSeedPorts(e.Ports)
		protocol, ok := map[string]string{"tcp": "6", "udp": "17", "icmp": "1", "icmpv6": "58", "": "-1"}[e.Protocol]
		if err != nil || !ok || !e.Prefix.IsValid() {
			return fmt.Errorf("entries[%d]: %w", i, cmp.Or(err, errors.New("an entry has a cidr, and a protocol: tcp, udp, icmp, icmpv6 or none for all")))
		}
		if from < 0 {
			from, to = 0, 65535
		}
		entries = append(entries, ACLEntry{e.Number, e.Egress, protocol, from, to, e.Prefix, e.Deny})
	}
	_, err = at.CreateNetworkACL(vpc, entries, subnets...)
	return err
}

func (w sower) routeTable(t seedRouteTable) error {
	at, vpc, err := w.inVPC(t.seedPlace, t.VPC)
	if err != nil {
		return err
	}
	subnets, err := w.ids(vpc, "subnet:", "subnet", t.Subnets)
	if err != nil {
		return err
	}
	var routes []Route
	for _, r := range t.Routes {
		route := Route{Target: r.Via, Blackhole: r.Blackhole}
		if r.Via == "igw" {
			route.Target = at.InternetGateway(vpc)
		}
		if route.Prefix, err = netip.ParsePrefix(r.To); err != nil {
			return fmt.Errorf("routes: to: %q is not an IP range", r.To)
		}
		routes = append(routes, route)
	}
	_, err = at.CreateRouteTable(vpc, routes, subnets...)
	return err
}

func (w sower) block(b seedBlock) error {
	at, err := w.at(b.seedPlace)
	if err != nil {
		return err
	}
	if err := at.BlockPublicAccess(b.Mode); err != nil {
		return err
	}
	for _, e := range b.Exclusions {
		vpc, err := w.vpcID(at, e.VPC)
		if err != nil {
			return err
		}
		subnet, err := w.subnetID(vpc, e.Subnet)
		if err != nil {
			return err
		}
		if _, err := at.ExcludeFromBlock(Exclusion{Resource: cmp.Or(subnet, vpc), Mode: e.Mode, State: e.State}); err != nil {
			return err
		}
	}
	return nil
}

func (w sower) loadBalancer(b seedBalancer) error {
	at, vpc, err := w.inVPC(b.seedPlace, b.VPC)
	if err != nil {
		return err
	}
	ids, err := w.ids(vpc, "", "group", b.Groups)
	if err != nil {
		return err
	}
	for i := range b.Interfaces {
		if b.Interfaces[i].Subnet, err = w.subnetID(vpc, b.Interfaces[i].Subnet); err != nil {
			return err
		}
	}
	lb := LoadBalancer{
		Name: b.Name, Type: b.Type, Scheme: b.Scheme, State: b.State, VPC: vpc, Groups: ids, Attributes: b.Attributes, Tags: b.Tags,
	}
	for i, listener := range b.Listeners {
		protocol, number, _ := strings.Cut(listener, ":")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || protocol == "" {
			return fmt.Errorf("listeners[%d]: %q is not a protocol and a port, such as HTTPS:443", i, listener)
		}
		lb.Listeners = append(lb.Listeners, Listener{Protocol: protocol, Port: int32(port)})
	}
	if _, err := at.CreateLoadBalancer(lb, b.Interfaces...); err != nil {
		return fmt.Errorf("load balancer %q: %w", b.Name, err)
	}
	return nil
}

func (w sower) targetGroup(g seedTargetGroup) error {
	at, vpc, err := w.inVPC(g.seedPlace, g.VPC)
	if err != nil {
		return err
	}
	group := TargetGroup{
		Name: g.Name, Protocol: g.Protocol, Port: g.Port, VPC: vpc, Type: g.Type, AddressType: g.AddressType,
		Attributes: g.Attributes, Tags: g.Tags,
	}
	for _, t := range g.Targets {
		group.Targets = append(group.Targets, Target(t))
	}
	for _, name := range g.Listeners {
		arn, ok := at.listener(name)
		if !ok {
			return fmt.Errorf("target group %q: listeners: there is no listener %q, such as shop:443", g.Name, name)
		}
		group.Listeners = append(group.Listeners, arn)
	}
	_, err = at.CreateTargetGroup(group)
	return err
}

// listener finds a listener by the name of its load balancer and its port, such as shop:443.
func (r Region) listener(name string) (arn string, ok bool) {
	for _, lb := range r.LoadBalancers() {
		for _, l := range lb.Listeners {
			if name == lb.Name+":"+strconv.Itoa(int(l.Port)) {
				return l.ARN, true
			}
		}
	}
	return "", false
}
