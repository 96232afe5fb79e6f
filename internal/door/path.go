package door

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/secgroup"
)

// A Network is the way from the Internet to interfaces, before their groups. An unread part may shut anyone out.
type Network struct {
	Block   BlockPublicAccess
	Subnets map[string]Subnet // by ID
}

// BlockPublicAccess is VPC Block Public Access of an account and region. It blocks VPC origins as well. See
// https://docs.aws.amazon.com/vpc/latest/userguide/security-vpc-bpa.html
type BlockPublicAccess struct {
	Account  string
	On       bool // block-ingress or block-bidirectional
	Changing bool // from or to off
	// Exclusions are the VPCs and subnets for which allow-bidirectional is in force, and Pending those for which it is
	// being made or changed. (Exclusions of the mode allow-egress let nobody in.)
	Exclusions, Pending []string
	Err                 error
}

// A Subnet has a network ACL and a route table: that of its VPC where it has none of its own.
type Subnet struct {
	ID, VPC  string
	Owner    string // the account that the VPC belongs to, or nothing
	ACL      string // acl-…
	ACLRules []ACLRule
	ACLErr   error
	Table    string // rtb-…
	Routes   []Route
	RouteErr error
	Edge     []Route // of the internet gateway: requests come in by these
}

// An ACLRule is a rule of a network ACL. Rules are read in the order of their numbers, and the first that matches
// decides. See https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
type ACLRule struct {
	Number   int32
	Egress   bool
	Allow    bool
	Protocol string // -1 for all, 6 for TCP
	From, To uint16 // 0 to 65535 for all ports
	Prefix   netip.Prefix
}

// A Route says where packets to its destinations go: the longest prefix decides, and among equal ones a static route
// before a prefix list's before one that was propagated. See
// https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html
type Route struct {
	To         []netip.Prefix // several for a prefix list
	List       string         // pl-…
	Propagated bool
	Target     string // igw-…, nat-…, local, …
	Blackhole  bool
	Err        error // why the entries of the list are unknown
}

// verdict says what becomes of packets to the Internet by a route's target. CloudFront's requests, and the answers to
// them, come through an internet gateway and not through one for connections from the inside. Behind a firewall's
// endpoint, an appliance or a transit gateway nobody sees from here what lets them through.
func (r Route) verdict() Verdict {
	if r.Blackhole {
		return Blocked
	}
	for prefix, v := range map[string]Verdict{"igw-": Open, "nat-": Blocked, "eigw-": Blocked, "local": Blocked} {
		if strings.HasPrefix(r.Target, prefix) {
			return v
		}
	}
	return Unknown
}

func (r Route) String() string {
	if r.Blackhole {
		return "a black hole (" + r.Target + ")"
	}
	return r.Target
}

// A Finding is a place on the way in where packets are lost, or may be.
type Finding struct {
	// Verdict is [Blocked] if they are lost, [Unknown] if that could not be seen, and [Open] if only some are.
	Verdict Verdict    `json:"verdict"`
	Cause   string     `json:"cause"`
	Ranges  Ranges     `json:"ranges"`  // the wanted ranges that are concerned
	Witness netip.Addr `json:"witness"` // one of their addresses

	set *ipspace.Set
}

// find returns a finding on a set of addresses, or none if there are no such addresses.
func find(v Verdict, set *ipspace.Set, cause string, args ...any) []Finding {
	if isEmpty(set) {
		return nil
	}
	return []Finding{{v, fmt.Sprintf(cause, args...), rangesOf(set), witness(set), set}}
}

// witness returns an address of a set, if it has one.
func witness(set *ipspace.Set) (addr netip.Addr) {
	if !isEmpty(set) {
		addr = rangesOf(set).Prefixes[0].Addr()
	}
	return addr
}

// path returns what the way from the Internet to a port of an interface does to addresses that are wanted.
func (n *Network) path(i *Interface, f family, port secgroup.PortRange) (found []Finding) {
	wanted := f.wanted
	subnet, known := n.Subnets[i.Subnet]
	if v, why := n.Block.at(i, subnet.Owner); v != Open {
		found = append(found, find(v, wanted, "%s", why)...)
	}
	if !i.PublicOver(f.Family) {
		return found // a VPC origin is reached within the VPC
	}
	if !known {
		subnet.ACLErr = fmt.Errorf("subnet %s is not visible", cmp.Or(i.Subnet, "of "+i.ID))
		subnet.RouteErr = subnet.ACLErr
	}
	if subnet.RouteErr != nil {
		found = append(found, find(Unknown, wanted, "cannot see routes: %v", subnet.RouteErr)...)
	} else {
		found = append(found, subnet.routed(f.Family, wanted)...)
		for _, a := range slices.Concat(i.PrivateIPv4, i.IPv6) {
			if r, ok := routing(subnet.Edge, f.Family).first(a); ok && r.Target != "local" {
				found = append(found, find(Unknown, wanted, "requests to %s come in through %s, by the route table of the internet gateway", a, r)...)
			}
		}
	}
	if subnet.ACLErr != nil {
		return append(found, find(Unknown, wanted, "cannot see network ACLs: %v", subnet.ACLErr)...)
	}
	return append(found, subnet.filtered(port, wanted)...)
}

// at says whether anyone from the Internet reaches an interface.
func (b BlockPublicAccess) at(i *Interface, owner string) (v Verdict, why string) {
	exempt := func(exclusions []string) bool {
		return slices.Contains(exclusions, i.VPC) || slices.Contains(exclusions, i.Subnet)
	}
	switch {
	case b.Err != nil:
		return Unknown, fmt.Sprintf("cannot see VPC Block Public Access: %v", b.Err)
	case owner != "" && b.Account != "" && owner != b.Account:
		return Unknown, fmt.Sprintf("cannot see VPC Block Public Access of account %s, which shares %s", owner, i.VPC)
	case exempt(b.Exclusions), !b.On && !b.Changing:
		return Open, ""
	case b.Changing, exempt(b.Pending):
		return Unknown, fmt.Sprintf("VPC Block Public Access is changing at %s", i.VPC)
	}
	return Blocked, fmt.Sprintf("VPC Block Public Access is on, and no exclusion that lets in is in force for %s or %s", i.VPC, i.Subnet)
}

// A table decides about packets by an address: the first entry that holds it.
type table[T any] []entry[T]

type entry[T any] struct {
	prefix netip.Prefix
	then   T
}

// first returns what the table decides about an address, if it does.
func (t table[T]) first(addr netip.Addr) (then T, ok bool) {
	i := slices.IndexFunc(t, func(e entry[T]) bool { return e.prefix.Contains(addr) })
	if i < 0 {
		return then, false
	}
	return t[i].then, true
}

// split passes on each part of a set, which is of one family, with what the table decides about it. It returns the rest.
func (t table[T]) split(set *ipspace.Set, found func(then T, part *ipspace.Set)) (rest *ipspace.Set) {
	rest = set
	for _, e := range t {
		if !rest.OverlapsPrefix(e.prefix) {
			continue
		}
		part := rest
		if e.prefix.Bits() > 0 {
			part = ipspace.Common(rest, ipspace.Of([]netip.Prefix{e.prefix}))
		}
		rest = ipspace.Minus(rest, part)
		found(e.then, part)
	}
	return rest
}

// routing returns the routes of an address family, the one that decides first.
func routing(routes []Route, f secgroup.Family) table[Route] {
	var t table[Route]
	for _, r := range routes {
		for _, p := range r.To {
			if secgroup.FamilyOf(p) == f {
				t = append(t, entry[Route]{p, r})
			}
		}
	}
	rank := func(r Route) int {
		switch {
		case r.Propagated:
			return 2
		case r.List != "":
			return 1
		}
		return 0
	}
	slices.SortStableFunc(t, func(a, b entry[Route]) int {
		return cmp.Or(cmp.Compare(b.prefix.Bits(), a.prefix.Bits()), cmp.Compare(rank(a.then), rank(b.then)))
	})
	return t
}

// routed sorts addresses by where the answers to them go.
func (s Subnet) routed(f secgroup.Family, wanted *ipspace.Set) []Finding {
	routes := routing(s.Routes, f)
	by := map[Verdict]*ipspace.Set{Open: ipspace.Of(nil), Unknown: ipspace.Of(nil), Blocked: ipspace.Of(nil)}
	rest := routes.split(wanted, func(r Route, part *ipspace.Set) { by[r.verdict()] = ipspace.Union(by[r.verdict()], part) })
	by[Blocked] = ipspace.Union(by[Blocked], rest)
	lost := func(v Verdict) []Finding {
		addr := witness(by[v])
		if r, ok := routes.first(addr); ok {
			return find(v, by[v], "answers to %s go to %s by route table %s, not to an internet gateway", addr, r, s.Table)
		}
		return find(v, by[v], "no route to an internet gateway over %s in route table %s", f, s.Table)
	}
	var perhaps []Finding
	for _, r := range s.Routes {
		if r.Err == nil {
			continue
		}
		for _, v := range []Verdict{Open, Blocked} { // what may go another way than it seems
			if v != r.verdict() {
				perhaps = append(perhaps, find(Unknown, by[v], "cannot see which addresses %s in route table %s takes to %s: %v", r.List, s.Table, r, r.Err)...)
				by[v] = ipspace.Of(nil)
			}
		}
	}
	return slices.Concat(lost(Blocked), lost(Unknown), perhaps)
}

// answers are the ports that clients connect from, and that answers go to. See
// https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
var answers = secgroup.PortRange{From: 1024, To: 65535}

// filtered returns what the network ACL denies: requests to a port, and answers to the ports that they came from.
func (s Subnet) filtered(port secgroup.PortRange, wanted *ipspace.Set) (found []Finding) {
	for _, way := range []struct {
		egress bool
		ports  secgroup.PortRange
		what   string
	}{{false, port, "requests from %s to port " + port.String()}, {true, answers, "answers to %s on all ports from 1024 to 65535"}} {
		all, some := wanted, ipspace.Of(nil) // by whether all ports get through, or some
		for _, p := range cut(way.ports, aclPorts(s.ACLRules, way.egress)) {
			let := ipspace.Of(nil)
			s.filter(way.egress, p).split(wanted, func(r ACLRule, part *ipspace.Set) { // the rest is denied
				if r.Allow {
					let = ipspace.Union(let, part)
				}
			})
			all, some = ipspace.Common(all, let), ipspace.Union(some, let)
		}
		none, why := ipspace.Minus(wanted, some), "no rule allows them"
		if r, ok := s.filter(way.egress, way.ports).first(witness(none)); ok {
			why = fmt.Sprintf("rule %d", r.Number)
		}
		part := ipspace.Minus(some, all)
		found = append(found, find(Blocked, none, "network ACL %s denies "+way.what+" (%s)", s.ACL, witness(none), why)...)
		found = append(found, find(Open, part, "network ACL %s denies answers to %s on some of the ports from 1024 to 65535", s.ACL, witness(part))...)
	}
	return found
}

// filter returns the rules of the network ACL that match all of some ports, the one that decides first.
func (s Subnet) filter(egress bool, ports secgroup.PortRange) table[ACLRule] {
	var t table[ACLRule]
	for _, r := range s.ACLRules {
		if r.Egress == egress && (r.Protocol == "-1" || r.Protocol == "6") && r.From <= ports.From && ports.To <= r.To {
			t = append(t, entry[ACLRule]{r.Prefix, r})
		}
	}
	slices.SortStableFunc(t, func(a, b entry[ACLRule]) int { return cmp.Compare(a.then.Number, b.then.Number) })
	return t
}

// aclPorts returns the ports of rules for TCP in one direction.
func aclPorts(rules []ACLRule, egress bool) (ports []secgroup.PortRange) {
	for _, r := range rules {
		if r.Egress == egress && r.Protocol == "6" {
			ports = append(ports, secgroup.PortRange{From: r.From, To: r.To})
		}
	}
	return ports
}

func isEmpty(set *ipspace.Set) bool { return len(set.Ranges()) == 0 }

// rangesOf returns the ranges of a set, the widest first.
func rangesOf(set *ipspace.Set) Ranges {
	prefixes := append([]netip.Prefix{}, set.Prefixes()...)
	size := ipspace.Size(prefixes)
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Compare(b))
	})
	return Ranges{size, prefixes}
}
