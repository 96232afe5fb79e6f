package ec2sim

import (
	"maps"
	"net/netip"
	"slices"
)

// A VPC is a virtual private cloud. Whether it is an account's default decides what revoking a rule that does not exist
// does.
type VPC struct {
	Account, Region string
	ID              string // vpc-…
	CIDR            netip.Prefix
	Default         bool
	Tags            Tags
}

type subnet struct {
	id, vpc, zone string
	cidr          netip.Prefix
	next          netip.Addr // the next free address
	tags          Tags
}

// addVPC creates a VPC with a subnet, the network ACL and route table that subnets have without another, and the group
// "default", whose members may reach each other.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
func (s *site) addVPC(cidr netip.Prefix, isDefault bool) *VPC {
	v := &VPC{Account: s.account, Region: s.region, ID: s.server.newID("vpc"), CIDR: cidr, Default: isDefault}
	s.vpcs.put(v)
	s.addACL(NetworkACL{VPC: v.ID, Default: true, Entries: allowAll(anyIPv4)})
	s.addRouteTable(v, nil)
	s.addSubnet(v, netip.PrefixFrom(cidr.Addr(), max(cidr.Bits(), 20)), s.region+"a")
	g, err := s.addGroup(Group{Name: "default", Description: "default VPC security group", VPC: v.ID})
	if err != nil {
		panic(err) // a new VPC takes a group
	}
	s.update(g, func(g *Group) {
		itself := Permission{Protocol: "-1", From: -1, To: -1, Source: Source{Reference: g.ID}}
		g.Ingress = []Rule{{ID: s.server.newID("sgr"), Permission: itself}}
	})
	return v
}

func (s *site) addSubnet(v *VPC, cidr netip.Prefix, zone string) *subnet {
	n := &subnet{id: s.server.newID("subnet"), vpc: v.ID, cidr: cidr, zone: zone}
	// The first four addresses of a subnet are AWS's own.
	// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
	n.next = cidr.Addr().Next().Next().Next().Next()
	s.subnets.put(n)
	for a := range s.acls.all {
		if a.VPC == v.ID && a.Default {
			s.associateACL(a, n.id)
		}
	}
	return n
}

func (s *site) defaultVPC() *VPC {
	for v := range s.vpcs.all {
		if v.Default {
			return v
		}
	}
	return nil
}

type createVPCInput struct {
	dryRun
	CIDR     string   `query:"CidrBlock"`
	Tenancy  string   `query:"InstanceTenancy"`
	TagSpecs tagSpecs `query:"TagSpecification"`
}

type createVPCOutput struct {
	reply
	VPC vpcXML `xml:"vpc"`
}

type vpcXML struct {
	ID      string `xml:"vpcId"`
	Owner   string `xml:"ownerId"`
	State   string `xml:"state"`
	CIDR    string `xml:"cidrBlock"`
	Default bool   `xml:"isDefault"`
	Tenancy string `xml:"instanceTenancy"`
	Tags    Tags   `xml:"tagSet"`
}

func (*site) vpcXML(v *VPC) vpcXML {
	return vpcXML{v.ID, v.Account, "available", v.CIDR.String(), v.Default, "default", v.Tags}
}

func (s *site) createVPC(_ *call, in createVPCInput) (*createVPCOutput, error) {
	tags, err := in.TagSpecs.tagsFor(vpcKind.resourceType)
	if err != nil {
		return nil, err
	}
	cidr, err := parseBlock(in.CIDR)
	if err != nil {
		return nil, err
	}
	v := s.addVPC(cidr, false)
	v.Tags = tags
	return &createVPCOutput{VPC: s.vpcXML(v)}, nil
}

// parseBlock reads the IPv4 range of a VPC or subnet, between /16 and /28.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
func parseBlock(cidr string) (netip.Prefix, error) {
	src, err := parseCIDR(cidr, true)
	if err != nil {
		return netip.Prefix{}, err
	}
	if bits := src.Prefix.Bits(); bits < 16 || bits > 28 {
		return netip.Prefix{}, errorf("InvalidVpc.Range", "The CIDR '%s' is invalid.", cidr)
	}
	return src.Prefix, nil
}

// vpcKind has the filters of DescribeVpcs that apply here.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcs.html
var vpcKind = kind[*VPC]{
	prefix: "vpc-", malformed: "InvalidVpcID.Malformed", notFound: "InvalidVpcID.NotFound", message: "The vpc ID '%s' does not exist",
	set: "vpcSet", ids: "VpcId", resourceType: "vpc",
	id:   func(v *VPC) string { return v.ID },
	tags: func(v *VPC) *Tags { return &v.Tags },
	filters: attributes[*VPC]{
		"cidr":       func(v *VPC) []string { return []string{v.CIDR.String()} },
		"is-default": func(v *VPC) []string { return boolean(v.Default) },
		"isDefault":  func(v *VPC) []string { return boolean(v.Default) },
		"owner-id":   func(v *VPC) []string { return []string{v.Account} },
		"state":      func(*VPC) []string { return []string{"available"} },
		"vpc-id":     func(v *VPC) []string { return []string{v.ID} },
	},
}

func boolean(b bool) []string {
	if b {
		return []string{"true"}
	}
	return []string{"false"}
}

type createSubnetInput struct {
	dryRun
	VPC      string   `query:"VpcId"`
	CIDR     string   `query:"CidrBlock"`
	Zone     string   `query:"AvailabilityZone"`
	TagSpecs tagSpecs `query:"TagSpecification"`
}

type createSubnetOutput struct {
	reply
	Subnet subnetXML `xml:"subnet"`
}

type subnetXML struct {
	ID      string `xml:"subnetId"`
	ARN     string `xml:"subnetArn"`
	VPC     string `xml:"vpcId"`
	Owner   string `xml:"ownerId"`
	State   string `xml:"state"`
	CIDR    string `xml:"cidrBlock"`
	Zone    string `xml:"availabilityZone"`
	Default bool   `xml:"defaultForAz"`
	Tags    Tags   `xml:"tagSet"`
}

func (s *site) subnetXML(n *subnet) subnetXML {
	return subnetXML{
		ID: n.id, ARN: arn(s.region, s.account, "subnet/"+n.id), VPC: n.vpc, Owner: s.account, State: "available",
		CIDR: n.cidr.String(), Zone: n.zone, Default: s.vpcs.byID[n.vpc].Default, Tags: n.tags,
	}
}

func (s *site) createSubnet(_ *call, in createSubnetInput) (*createSubnetOutput, error) {
	tags, err := in.TagSpecs.tagsFor(subnetKind.resourceType)
	if err != nil {
		return nil, err
	}
	if in.Zone == "" {
		in.Zone = s.region + "a"
	}
	if !slices.Contains(s.zones(), in.Zone) {
		return nil, errorf("InvalidParameterValue", "Value (%s) for parameter availabilityZone is invalid.", in.Zone)
	}
	n, err := s.newSubnet(in.VPC, in.CIDR, in.Zone, tags)
	if err != nil {
		return nil, err
	}
	return &createSubnetOutput{Subnet: s.subnetXML(n)}, nil
}

// newSubnet creates a subnet with a free range of its VPC.
func (s *site) newSubnet(vpc, block, zone string, tags Tags) (*subnet, error) {
	v, err := s.vpcs.find(vpc)
	if err != nil {
		return nil, err
	}
	cidr, err := parseBlock(block)
	if err != nil {
		return nil, err
	}
	if !v.CIDR.Contains(cidr.Addr()) || cidr.Bits() < v.CIDR.Bits() {
		return nil, errorf("InvalidSubnet.Range", "The CIDR '%s' is invalid.", cidr)
	}
	for _, other := range s.subnets.byID {
		if other.vpc == v.ID && other.cidr.Overlaps(cidr) {
			return nil, errorf("InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet", cidr)
		}
	}
	n := s.addSubnet(v, cidr, zone)
	n.tags = tags
	return n, nil
}

// CreateSubnet creates a subnet of a VPC, in a zone of its own as far as there are any.
func (r Region) CreateSubnet(vpc string, cidr netip.Prefix, tags Tags) (id string, err error) {
	err = r.change(func(s *site) error {
		zones := s.zones()
		n, err := s.newSubnet(vpc, cidr.String(), zones[len(s.subnets.order)%len(zones)], maps.Clone(tags))
		if err == nil {
			id = n.id
		}
		return err
	})
	return id, err
}

// subnetKind has the filters of DescribeSubnets that apply here.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html
var subnetKind = kind[*subnet]{
	prefix: "subnet-", malformed: "InvalidSubnetID.Malformed", notFound: "InvalidSubnetID.NotFound", message: "The subnet ID '%s' does not exist",
	set: "subnetSet", ids: "SubnetId", resourceType: "subnet",
	id:   func(n *subnet) string { return n.id },
	tags: func(n *subnet) *Tags { return &n.tags },
	filters: attributes[*subnet]{
		"availability-zone": func(n *subnet) []string { return []string{n.zone} },
		"cidr-block":        func(n *subnet) []string { return []string{n.cidr.String()} },
		"state":             func(*subnet) []string { return []string{"available"} },
		"subnet-id":         func(n *subnet) []string { return []string{n.id} },
		"vpc-id":            func(n *subnet) []string { return []string{n.vpc} },
	},
}
