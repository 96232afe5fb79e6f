package ec2sim

import (
	"cmp"
	"net/netip"
	"strings"
)

// A vpc is a virtual private cloud. Whether it is an account's default decides what revoking a rule that does not exist
// does.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcs.html
type vpc struct {
	Account string       `json:"account" xml:"ownerId" filter:"owner-id"`
	Region  string       `json:"region" xml:"-"`
	ID      string       `json:"-" xml:"vpcId" filter:"vpc-id"` // vpc-…
	Name    string       `json:"name" xml:"-"`                  // in a seed
	CIDR    netip.Prefix `json:"cidr" xml:"cidrBlock" filter:"cidr"`
	Default bool         `json:"-" xml:"isDefault" filter:"is-default,isDefault"`
	Tags    Tags         `json:"tags" xml:"tagSet"`

	gateway string // ID of its internet gateway, empty for none
}

func (v *vpc) key() string { return v.ID }

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html
type subnet struct {
	Account string       `json:"account" xml:"ownerId" filter:"owner-id"`
	Region  string       `json:"region" xml:"-"`
	VPC     string       `json:"vpc" xml:"vpcId" filter:"vpc-id"`
	ID      string       `json:"-" xml:"subnetId" filter:"subnet-id"`
	Name    string       `json:"name" xml:"-"` // in a seed
	CIDR    netip.Prefix `json:"cidr" xml:"cidrBlock" filter:"cidr-block"`
	Zone    string       `json:"-" xml:"availabilityZone" filter:"availability-zone"`
	Tags    Tags         `json:"-" xml:"tagSet"`

	next netip.Addr // the next free address
}

func (n *subnet) key() string { return n.ID }

// addVPC creates a VPC with a subnet, the network ACL and route table that subnets have without another, and the group
// "default", whose members may reach each other. It has an internet gateway, a route to it for each family in its main
// route table, and entries for both in its network ACL.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
func (s *site) addVPC(v vpc) {
	v.Account, v.ID = s.account, s.server.newID("vpc")
	v.gateway = strings.Replace(v.ID, "vpc", "igw", 1)
	s.vpcs.put(&v)
	s.addACL(networkACL{VPC: v.ID, Default: true, Entries: aclStart})
	s.addRouteTable(&v, routeTable{Routes: []route{{To: anyIPv4, Via: v.gateway}, {To: anyIPv6, Via: v.gateway}}})
	s.addSubnet(&v, subnet{CIDR: netip.PrefixFrom(v.CIDR.Addr(), max(v.CIDR.Bits(), 20)), Zone: s.region + "a"})
	g, err := s.addGroup(Group{Name: "default", Description: "default VPC security group", VPC: v.ID})
	if err != nil {
		panic(err) // a new VPC takes a group
	}
	s.update(g, func(g *Group) {
		g.Ingress = []Rule{{ID: s.server.newID("sgr"), Permission: Permission{"-1", -1, -1, Source{Reference: g.ID}}}}
	})
}

func (s *site) addSubnet(v *vpc, n subnet) {
	n.Account, n.ID, n.VPC = s.account, s.server.newID("subnet"), v.ID
	// The first four addresses of a subnet are AWS's own.
	// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
	n.next = n.CIDR.Addr().Next().Next().Next().Next()
	s.subnets.put(&n)
	acl := s.acls.first(func(a *networkACL) bool { return a.VPC == v.ID && a.Default })
	acl.Subnets = append(acl.Subnets, n.ID)
}

// vpc returns the ID of the default VPC, or of the one that is not the default and was there first.
func (s *site) vpc(isDefault bool) string {
	return s.vpcs.first(func(v *vpc) bool { return v.Default == isDefault }).ID
}

// checkBlock refuses an IPv4 range that no VPC and no subnet may have: they are from /16 to /28.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
func checkBlock(cidr netip.Prefix) error {
	if !cidr.IsValid() || !cidr.Addr().Is4() || cidr != cidr.Masked() || cidr.Bits() < 16 || cidr.Bits() > 28 {
		return errorf("InvalidVpc.Range", "The CIDR '%s' is invalid.", cidr)
	}
	return nil
}

// An exclusion exempts a VPC or subnet from VPC Block Public Access.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessExclusion.html
type exclusion struct {
	ID       string `json:"-" xml:"exclusionId"`
	VPC      string `json:"vpc" xml:"-"`    // in a seed
	Subnet   string `json:"subnet" xml:"-"` // in a seed
	Resource string `json:"-" xml:"resourceArn" filter:"resource-arn"`
	Mode     string `json:"mode" xml:"internetGatewayExclusionMode" filter:"internet-gateway-exclusion-mode"`
	State    string `json:"state" xml:"state" filter:"state"`
	Tags     Tags   `json:"-" xml:"tagSet"`
}

func (e *exclusion) key() string { return e.ID }

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessOptions.html
func (s *site) publicAccess(*call, struct{}) (body, error) {
	state := "update-complete"
	if s.blockMode == "" {
		state = "default-state"
	}
	return body{{"vpcBlockPublicAccessOptions", body{
		{"awsAccountId", s.account},
		{"internetGatewayBlockMode", cmp.Or(s.blockMode, "off")},
		{"state", state},
		{"exclusionsAllowed", "allowed"},
	}}}, nil
}
