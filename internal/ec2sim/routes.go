package ec2sim

import (
	"cmp"
	"encoding/xml"
	"net/netip"
	"slices"
	"strings"
)

// A routeTable says where packets of its subnets go. The main one of a VPC serves every subnet without another.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RouteTable.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html
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

func (t *routeTable) key() string { return t.ID }

// A route is a destination and a target. The longest destination that matches decides.
type route struct {
	To  netip.Prefix `json:"to"`
	Via string       `json:"via"` // "local", or the ID of a gateway or interface
}

// routeTargets are the elements that hold the target of a route, by the prefix of its ID. Internet gateways, virtual
// private gateways and Gateway Load Balancer endpoints are gateways.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html
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
	t.Account, t.VPC, t.ID, t.Main = s.account, v.ID, s.pathID("rtb", len(s.routeTables.order)), len(t.Subnets) == 0
	t.Routes = slices.Concat([]route{{To: v.CIDR, Via: "local"}}, t.Routes)
	for other := range s.routeTables.all {
		other.Main = other.Main && !(t.Main && other.VPC == v.ID)
		other.Subnets = without(other.Subnets, t.Subnets)
	}
	s.routeTables.put(&t)
}

type routeTableXML struct {
	*routeTable
	Associations []body `xml:"associationSet>item"`
}

func (*site) routeTableXML(t *routeTable) routeTableXML {
	x := routeTableXML{routeTable: t}
	if t.Main {
		x.Associations = append(x.Associations, body{{"routeTableAssociationId", "rtbassoc-" + t.ID}, {"routeTableId", t.ID}, {"main", true}})
	}
	for _, id := range t.Subnets {
		x.Associations = append(x.Associations, body{
			{"routeTableAssociationId", "rtbassoc-" + id}, {"routeTableId", t.ID}, {"subnetId", id}, {"main", false},
		})
	}
	return x
}
