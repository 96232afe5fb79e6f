package ec2sim

import (
	"cmp"
	"encoding/xml"
	"net/netip"
	"slices"
	"strings"
)

// A vpc is a virtual private cloud. Whether it is an account's default decides what revoking a rule that does not exist
// does.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcs.html
type vpc struct {
	Account string       `json:"account" xml:"ownerId" filter:"owner-id"`
	Region  string       `json:"region" xml:"-"`
	ID      string       `json:"-" xml:"vpcId" filter:"vpc-id"` // vpc-…
	Name    string       `json:"name" xml:"-"`                  // in a seed
	CIDR    netip.Prefix `json:"cidr" xml:"cidrBlock" filter:"cidr"`
	Default bool         `json:"-" xml:"isDefault" filter:"is-default"`
	Tags    Tags         `json:"tags" xml:"tagSet"`
}

// gateway returns the ID of the VPC's internet gateway.
func (v *vpc) gateway() string { return strings.Replace(v.ID, "vpc", "igw", 1) }

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html
type subnet struct {
	Account string       `json:"account" xml:"ownerId" filter:"owner-id"`
	Region  string       `json:"region" xml:"-"`
	VPC     string       `json:"vpc" xml:"vpcId" filter:"vpc-id"`
	ID      string       `json:"-" xml:"subnetId" filter:"subnet-id"`
	Name    string       `json:"name" xml:"-"` // in a seed
	CIDR    netip.Prefix `json:"cidr" xml:"cidrBlock" filter:"cidr-block"`
	Tags    Tags         `json:"-" xml:"tagSet"`

	next netip.Addr // the next free address
}

// addVPC creates a VPC with a subnet, the network ACL and route table that subnets have without another, and the group
// "default", whose members may reach each other. It has an internet gateway, a route to it for each family in its main
// route table, and entries for both in its network ACL.
// See https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
func (s *site) addVPC(v vpc) {
	v.Account, v.ID = s.account, s.server.newID("vpc")
	s.vpcs.byID[v.ID] = &v
	s.addACL(networkACL{VPC: v.ID, Default: true, Entries: aclStart})
	s.addRouteTable(&v, routeTable{Routes: []route{{To: anyIPv4, Via: v.gateway()}, {To: anyIPv6, Via: v.gateway()}}})
	s.addSubnet(&v, subnet{CIDR: netip.PrefixFrom(v.CIDR.Addr(), max(v.CIDR.Bits(), 20))})
	g := s.addGroup(Group{Name: "default", Description: "default VPC security group", VPC: v.ID})
	s.setRules(g, []Rule{{Permission: Permission{"-1", -1, -1, Source{Reference: g.ID}}}})
}

func (s *site) addSubnet(v *vpc, n subnet) {
	n.Account, n.ID, n.VPC = s.account, s.server.newID("subnet"), v.ID
	// The first four addresses of a subnet are AWS's own.
	// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
	n.next = n.CIDR.Addr().Next().Next().Next().Next()
	s.subnets.byID[n.ID] = &n
	acl := s.acls.first(func(a *networkACL) bool { return a.VPC == v.ID && a.Default })
	acl.Subnets = append(acl.Subnets, n.ID)
}

// An exclusion exempts a VPC or subnet from VPC Block Public Access.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessExclusion.html
type exclusion struct {
	ID       string `json:"-" xml:"exclusionId"`
	VPC      string `json:"vpc" xml:"-"`    // in a seed
	Subnet   string `json:"subnet" xml:"-"` // in a seed
	Resource string `json:"-" xml:"resourceArn" filter:"resource-arn"`
	Mode     string `json:"mode" xml:"internetGatewayExclusionMode" filter:"internet-gateway-exclusion-mode"`
	State    string `json:"state" xml:"state" filter:"state"`
	Tags     Tags   `json:"-" xml:"tagSet"`
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessOptions.html
func (s *site) publicAccess(*call, struct{}) body {
	state := "update-complete"
	if s.blockMode == "" {
		state = "default-state"
	}
	return body{{"vpcBlockPublicAccessOptions", body{
		{"awsAccountId", s.account},
		{"internetGatewayBlockMode", cmp.Or(s.blockMode, "off")},
		{"state", state},
		{"exclusionsAllowed", "allowed"},
	}}}
}

// A networkACL decides which packets may enter and leave its subnets.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAcl.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkAcls.html
type networkACL struct {
	Account string     `json:"account" xml:"ownerId" filter:"owner-id"`
	Region  string     `json:"region" xml:"-"`
	VPC     string     `json:"vpc" xml:"vpcId" filter:"vpc-id"`
	ID      string     `json:"-" xml:"networkAclId" filter:"network-acl-id"`
	Default bool       `json:"-" xml:"default" filter:"default"`
	Subnets []string   `json:"subnets" xml:"-" filter:"association.subnet-id"`
	Entries []aclEntry `json:"entries" xml:"entrySet>item"`
	Tags    Tags       `json:"-" xml:"tagSet"`
}

// An aclEntry is an entry of a network ACL. Entries are evaluated in the order of their numbers, inbound and outbound
// apart; the first that matches decides.
// See https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
type aclEntry struct {
	Number   int          `json:"number"`
	Egress   bool         `json:"egress"`
	Protocol string       `json:"protocol"` // a name, or empty for all
	Ports    *portRange   `json:"ports"`    // of TCP and UDP, nil for all
	Prefix   netip.Prefix `json:"cidr"`
	Deny     bool         `json:"deny"`
}

// MarshalXML writes an entry as EC2 does.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAclEntry.html
func (e aclEntry) MarshalXML(enc *xml.Encoder, start xml.StartElement) error {
	action, block := "allow", "ipv6CidrBlock"
	if e.Deny {
		action = "deny"
	}
	if e.Prefix.Addr().Is4() {
		block = "cidrBlock"
	}
	form := body{
		{"ruleNumber", e.Number},
		{"protocol", cmp.Or(protocolNumbers[e.Protocol], "-1")},
		{"ruleAction", action},
		{"egress", e.Egress},
		{block, e.Prefix},
	}
	if e.Protocol == "tcp" || e.Protocol == "udp" {
		form = append(form, element{"portRange", cmp.Or(e.Ports, &portRange{0, 65535})})
	}
	return enc.EncodeElement(form, start)
}

var (
	anyIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	anyIPv6 = netip.MustParsePrefix("::/0")
)

// aclStart begins a default network ACL: everything is allowed. aclEnd ends every one: what no entry before it matches
// is denied.
// See https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html
var (
	aclStart = slices.Concat(bothWays(100, anyIPv4, false), bothWays(101, anyIPv6, false))
	aclEnd   = slices.Concat(bothWays(32767, anyIPv4, true), bothWays(32768, anyIPv6, true))
)

func bothWays(number int, prefix netip.Prefix, deny bool) []aclEntry {
	in := aclEntry{Number: number, Prefix: prefix, Deny: deny}
	out := in
	out.Egress = true
	return []aclEntry{out, in}
}

// addACL creates a network ACL. Its subnets leave the one they had: each has exactly one.
func (s *site) addACL(a networkACL) {
	for other := range s.acls.all {
		other.Subnets = without(other.Subnets, a.Subnets)
	}
	a.ID, a.Account, a.Entries = formatID("acl", len(s.acls.byID)+1), s.account, slices.Concat(a.Entries, aclEnd)
	s.acls.byID[a.ID] = &a
}

func without(values, gone []string) []string {
	return slices.DeleteFunc(values, func(v string) bool { return slices.Contains(gone, v) })
}

func (a *networkACL) form(*site) any {
	return struct {
		*networkACL
		Associations []body `xml:"associationSet>item"`
	}{a, associations("networkAcl", "aclassoc-", a.ID, a.Subnets)}
}

// associations lists the subnets of a network ACL or a route table.
func associations(kind, prefix, id string, subnets []string) (all []body) {
	for _, subnet := range subnets {
		all = append(all, body{{kind + "AssociationId", prefix + subnet}, {kind + "Id", id}, {"subnetId", subnet}})
	}
	return all
}

// A routeTable says where packets of its subnets go. The main one of a VPC serves every subnet without another.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RouteTable.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html
type routeTable struct {
	Account string   `json:"account" xml:"ownerId" filter:"owner-id"`
	Region  string   `json:"region" xml:"-"`
	VPC     string   `json:"vpc" xml:"vpcId" filter:"vpc-id"`
	ID      string   `json:"-" xml:"routeTableId" filter:"route-table-id"`
	Main    bool     `json:"-" xml:"-" filter:"association.main"`
	Subnets []string `json:"subnets" xml:"-" filter:"association.subnet-id"`
	Routes  []route  `json:"routes" xml:"routeSet>item"`
	Tags    Tags     `json:"-" xml:"tagSet"`
}

// A route is a destination and a target. The longest destination that matches decides.
type route struct {
	To  netip.Prefix `json:"to"`
	Via string       `json:"via"` // "local", or the ID of a gateway or interface
}

// routeTargets are the elements that hold the target of a route, by the prefix of its ID. Internet gateways, virtual
// private gateways and Gateway Load Balancer endpoints are gateways.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html
var routeTargets = map[string]string{
	"eigw": "egressOnlyInternetGatewayId", "eni": "networkInterfaceId", "i": "instanceId", "lgw": "localGatewayId",
	"nat": "natGatewayId", "pcx": "vpcPeeringConnectionId", "tgw": "transitGatewayId", "cagw": "carrierGatewayId",
}

// MarshalXML writes a route as EC2 does.
func (r route) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	destination, origin := "destinationIpv6CidrBlock", "CreateRoute"
	if r.To.Addr().Is4() {
		destination = "destinationCidrBlock"
	}
	if r.Via == "local" {
		origin = "CreateRouteTable"
	}
	kind, _, _ := strings.Cut(r.Via, "-")
	target := cmp.Or(routeTargets[kind], "gatewayId")
	return e.EncodeElement(body{{destination, r.To}, {target, r.Via}, {"origin", origin}, {"state", "active"}}, start)
}

// addRouteTable creates a route table for its subnets or, without any, as the main one of the VPC. It has the local
// route.
func (s *site) addRouteTable(v *vpc, t routeTable) {
	t.Account, t.VPC, t.ID, t.Main = s.account, v.ID, formatID("rtb", len(s.routeTables.byID)+1), len(t.Subnets) == 0
	t.Routes = slices.Concat([]route{{To: v.CIDR, Via: "local"}}, t.Routes)
	for other := range s.routeTables.all {
		other.Main = other.Main && !(t.Main && other.VPC == v.ID)
		other.Subnets = without(other.Subnets, t.Subnets)
	}
	s.routeTables.byID[t.ID] = &t
}

func (t *routeTable) form(*site) any {
	all := associations("routeTable", "rtbassoc-", t.ID, t.Subnets)
	for i, a := range all {
		all[i] = append(a, element{"main", false})
	}
	if t.Main {
		main := body{{"routeTableAssociationId", "rtbassoc-" + t.ID}, {"routeTableId", t.ID}, {"main", true}}
		all = slices.Insert(all, 0, main)
	}
	return struct {
		*routeTable
		Associations []body `xml:"associationSet>item"`
	}{t, all}
}
