package ec2sim

import (
	"encoding/xml"
	"net/netip"
	"slices"
	"strings"
)

// A RouteTable says where packets of its subnets go. The main one of a VPC serves every subnet without another.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RouteTable.html
type RouteTable struct {
	ID           string             `xml:"routeTableId"`
	VPC          string             `xml:"vpcId"`
	Owner        string             `xml:"ownerId"`
	Routes       []Route            `xml:"routeSet>item"`
	Associations []routeAssociation `xml:"associationSet>item"`
	Tags         Tags               `xml:"tagSet"`
}

type routeAssociation struct {
	ID     string `xml:"routeTableAssociationId"`
	Table  string `xml:"routeTableId"`
	Subnet string `xml:"subnetId,omitempty"`
	Main   bool   `xml:"main"`
	State  string `xml:"associationState>state"`
}

// A Route is a destination and a target. The longest destination that matches decides.
type Route struct {
	Prefix    netip.Prefix
	List      string // a prefix list instead of a prefix
	Target    string // "local", or the ID of a gateway or interface
	Blackhole bool   // the target is gone
}

// routeTargets are the elements that hold the target of a route, by the prefix of its ID.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html
var routeTargets = map[string]string{
	"eigw": "egressOnlyInternetGatewayId", "eni": "networkInterfaceId", "i": "instanceId", "lgw": "localGatewayId",
	"nat": "natGatewayId", "pcx": "vpcPeeringConnectionId", "tgw": "transitGatewayId", "cagw": "carrierGatewayId",
}

// MarshalXML writes a route as EC2 does. Internet gateways, virtual private gateways and Gateway Load Balancer endpoints
// are gateways.
func (r Route) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	element, origin, state := "gatewayId", "CreateRoute", "active"
	if kind, _, ok := strings.Cut(r.Target, "-"); ok && routeTargets[kind] != "" {
		element = routeTargets[kind]
	}
	if r.Target == "local" {
		origin = "CreateRouteTable"
	}
	if r.Blackhole {
		state = "blackhole"
	}
	x := struct {
		IPv4   string `xml:"destinationCidrBlock,omitempty"`
		IPv6   string `xml:"destinationIpv6CidrBlock,omitempty"`
		List   string `xml:"destinationPrefixListId,omitempty"`
		Target named
		Origin string `xml:"origin"`
		State  string `xml:"state"`
	}{List: r.List, Target: named{element, r.Target}, Origin: origin, State: state}
	if r.Prefix.IsValid() {
		x.IPv4, x.IPv6 = byFamily(r.Prefix)
	}
	return e.EncodeElement(x, start)
}

// routeTableKind has the filters of DescribeRouteTables that apply here.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html
var routeTableKind = kind[*RouteTable]{
	prefix: "rtb-", malformed: "InvalidRouteTableId.Malformed", notFound: "InvalidRouteTableID.NotFound", message: "The routeTable ID '%s' does not exist",
	set: "routeTableSet", ids: "RouteTableId", resourceType: "route-table",
	id:   func(t *RouteTable) string { return t.ID },
	tags: func(t *RouteTable) *Tags { return &t.Tags },
	filters: attributes[*RouteTable]{
		"association.main": func(t *RouteTable) []string {
			return t.associated(func(a routeAssociation) []string { return boolean(a.Main) })
		},
		"association.subnet-id": func(t *RouteTable) []string {
			return t.associated(func(a routeAssociation) []string { return optional(a.Subnet) })
		},
		"owner-id":       func(t *RouteTable) []string { return []string{t.Owner} },
		"route-table-id": func(t *RouteTable) []string { return []string{t.ID} },
		"vpc-id":         func(t *RouteTable) []string { return []string{t.VPC} },
	},
}

func (t *RouteTable) associated(of func(routeAssociation) []string) (values []string) {
	for _, a := range t.Associations {
		values = append(values, of(a)...)
	}
	return values
}

// addRouteTable creates a route table for subnets or, without any, as the main one of the VPC. It has the local route.
func (s *site) addRouteTable(v *VPC, routes []Route, subnets ...string) *RouteTable {
	t := &RouteTable{ID: s.server.newPathID("rtb"), VPC: v.ID, Owner: s.account, Routes: slices.Concat([]Route{{Prefix: v.CIDR, Target: "local"}}, routes)}
	for other := range s.routeTables.all {
		other.Associations = slices.DeleteFunc(slices.Clone(other.Associations), func(a routeAssociation) bool {
			return a.Subnet != "" && slices.Contains(subnets, a.Subnet) || a.Main && len(subnets) == 0 && other.VPC == v.ID
		})
	}
	add := func(subnet string) {
		t.Associations = append(t.Associations, routeAssociation{s.server.newPathID("rtbassoc"), t.ID, subnet, subnet == "", "associated"})
	}
	for _, id := range subnets {
		add(id)
	}
	if len(subnets) == 0 {
		add("")
	}
	s.routeTables.put(t)
	return t
}

// CreateRouteTable creates a route table with a local route and the routes given, for subnets of the VPC or, without
// any, as the VPC's main one.
func (r Region) CreateRouteTable(vpc string, routes []Route, subnets ...string) (created RouteTable, err error) {
	err = r.change(func(s *site) error {
		if err := s.inVPC(vpc, subnets); err != nil {
			return err
		}
		created = *s.addRouteTable(s.vpcs.byID[vpc], routes, subnets...)
		return nil
	})
	return created, err
}

// An internetGateway connects a VPC to the internet.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InternetGateway.html
type internetGateway struct {
	ID          string              `xml:"internetGatewayId"`
	Owner       string              `xml:"ownerId"`
	Attachments []gatewayAttachment `xml:"attachmentSet>item"`
	Tags        Tags                `xml:"tagSet"`
}

type gatewayAttachment struct {
	VPC   string `xml:"vpcId"`
	State string `xml:"state"`
}

func (g *internetGateway) vpcs() (ids []string) {
	for _, a := range g.Attachments {
		ids = append(ids, a.VPC)
	}
	return ids
}

// gatewayKind has the filters of DescribeInternetGateways that apply here.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInternetGateways.html
var gatewayKind = kind[*internetGateway]{
	prefix: "igw-", malformed: "InvalidInternetGatewayId.Malformed", notFound: "InvalidInternetGatewayID.NotFound",
	message: "The internetGateway ID '%s' does not exist",
	set:     "internetGatewaySet", ids: "InternetGatewayId", resourceType: "internet-gateway",
	id:   func(g *internetGateway) string { return g.ID },
	tags: func(g *internetGateway) *Tags { return &g.Tags },
	filters: attributes[*internetGateway]{
		"attachment.vpc-id":   (*internetGateway).vpcs,
		"internet-gateway-id": func(g *internetGateway) []string { return []string{g.ID} },
		"owner-id":            func(g *internetGateway) []string { return []string{g.Owner} },
	},
}

// openToInternet gives a VPC an internet gateway, its main route table a route to it for each family, and its network ACL
// the entries for IPv6.
func (s *site) openToInternet(v *VPC) {
	g := &internetGateway{ID: s.server.newPathID("igw"), Owner: s.account, Attachments: []gatewayAttachment{{v.ID, "available"}}}
	s.gateways.put(g)
	for a := range s.acls.all {
		if a.VPC == v.ID && a.Default {
			a.Entries = slices.Concat(a.Entries, allowAll(anyIPv6))
		}
	}
	s.addRouteTable(v, []Route{{Prefix: anyIPv4, Target: g.ID}, {Prefix: anyIPv6, Target: g.ID}})
}

// InternetGateway returns the ID of a VPC's internet gateway, empty for none.
func (r Region) InternetGateway(vpc string) (id string) {
	r.look(func(s *site) {
		for g := range s.gateways.all {
			if slices.Contains(g.vpcs(), vpc) {
				id = g.ID
			}
		}
	})
	return id
}
