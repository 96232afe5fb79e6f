package ec2sim

import (
	"encoding/xml"
	"net/netip"
	"slices"
)

// A NetworkACL decides which packets may enter and leave its subnets.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAcl.html
type NetworkACL struct {
	ID           string           `xml:"networkAclId"`
	VPC          string           `xml:"vpcId"`
	Owner        string           `xml:"ownerId"`
	Default      bool             `xml:"default"`
	Entries      []ACLEntry       `xml:"entrySet>item"`
	Associations []aclAssociation `xml:"associationSet>item"`
	Tags         Tags             `xml:"tagSet"`
}

type aclAssociation struct {
	ID     string `xml:"networkAclAssociationId"`
	ACL    string `xml:"networkAclId"`
	Subnet string `xml:"subnetId"`
}

// An ACLEntry is an entry of a network ACL. Entries are evaluated in the order of their numbers, inbound and outbound
// apart; the first that matches decides.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
type ACLEntry struct {
	Number   int
	Egress   bool
	Protocol string // a number, or "-1" for all
	From, To int32  // ports of TCP and UDP
	Prefix   netip.Prefix
	Deny     bool
}

// MarshalXML writes an entry as EC2 does.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAclEntry.html
func (e ACLEntry) MarshalXML(enc *xml.Encoder, start xml.StartElement) error {
	type portRange struct {
		From int32 `xml:"from"`
		To   int32 `xml:"to"`
	}
	x := struct {
		Number   int        `xml:"ruleNumber"`
		Protocol string     `xml:"protocol"`
		Action   string     `xml:"ruleAction"`
		Egress   bool       `xml:"egress"`
		IPv4     string     `xml:"cidrBlock,omitempty"`
		IPv6     string     `xml:"ipv6CidrBlock,omitempty"`
		Ports    *portRange `xml:"portRange"`
	}{Number: e.Number, Protocol: e.Protocol, Action: "allow", Egress: e.Egress}
	if e.Deny {
		x.Action = "deny"
	}
	x.IPv4, x.IPv6 = byFamily(e.Prefix)
	if e.Protocol == "6" || e.Protocol == "17" {
		x.Ports = &portRange{e.From, e.To}
	}
	return enc.EncodeElement(x, start)
}

// byFamily returns a prefix in the place of its family.
func byFamily(p netip.Prefix) (v4, v6 string) {
	if p.Addr().Is4() {
		return p.String(), ""
	}
	return "", p.String()
}

var (
	anyIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	anyIPv6 = netip.MustParsePrefix("::/0")
)

// aclEnd ends every network ACL: what no entry before it matches is denied.
var aclEnd = slices.Concat(bothWays(32767, anyIPv4, true), bothWays(32768, anyIPv6, true))

// allowAll are the entries of a default network ACL for a family, with the end.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html
func allowAll(family netip.Prefix) []ACLEntry {
	if family == anyIPv4 {
		return slices.Concat(bothWays(100, family, false), bothWays(32767, family, true))
	}
	return slices.Concat(bothWays(101, family, false), bothWays(32768, family, true))
}

func bothWays(number int, prefix netip.Prefix, deny bool) []ACLEntry {
	entry := ACLEntry{Number: number, Protocol: "-1", Prefix: prefix, Deny: deny}
	out := entry
	out.Egress = true
	return []ACLEntry{out, entry}
}

// aclKind has the filters of DescribeNetworkAcls that apply here.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkAcls.html
var aclKind = kind[*NetworkACL]{
	prefix: "acl-", malformed: "InvalidNetworkAclId.Malformed", notFound: "InvalidNetworkAclID.NotFound", message: "The networkAcl ID '%s' does not exist",
	set: "networkAclSet", ids: "NetworkAclId", resourceType: "network-acl",
	id:   func(a *NetworkACL) string { return a.ID },
	tags: func(a *NetworkACL) *Tags { return &a.Tags },
	filters: attributes[*NetworkACL]{
		"association.subnet-id": func(a *NetworkACL) (subnets []string) {
			for _, assoc := range a.Associations {
				subnets = append(subnets, assoc.Subnet)
			}
			return subnets
		},
		"default":        func(a *NetworkACL) []string { return boolean(a.Default) },
		"network-acl-id": func(a *NetworkACL) []string { return []string{a.ID} },
		"owner-id":       func(a *NetworkACL) []string { return []string{a.Owner} },
		"vpc-id":         func(a *NetworkACL) []string { return []string{a.VPC} },
	},
}

// addACL creates a network ACL. Subnets leave the one they had.
func (s *site) addACL(a NetworkACL, subnets ...string) *NetworkACL {
	a.ID, a.Owner = s.server.newPathID("acl"), s.account
	for _, id := range subnets {
		s.associateACL(&a, id)
	}
	s.acls.put(&a)
	return &a
}

// associateACL puts a subnet under a network ACL: it has exactly one.
func (s *site) associateACL(a *NetworkACL, subnet string) {
	for other := range s.acls.all {
		other.Associations = slices.DeleteFunc(slices.Clone(other.Associations), func(assoc aclAssociation) bool { return assoc.Subnet == subnet })
	}
	a.Associations = append(slices.Clone(a.Associations), aclAssociation{s.server.newPathID("aclassoc"), a.ID, subnet})
}

// CreateNetworkACL creates a network ACL with entries and the one that denies the rest, and puts subnets of the VPC
// under it.
func (r Region) CreateNetworkACL(vpc string, entries []ACLEntry, subnets ...string) (created NetworkACL, err error) {
	err = r.change(func(s *site) error {
		if err := s.inVPC(vpc, subnets); err != nil {
			return err
		}
		created = *s.addACL(NetworkACL{VPC: vpc, Entries: slices.Concat(entries, aclEnd)}, subnets...)
		return nil
	})
	return created, err
}

// inVPC refuses subnets of other VPCs.
func (s *site) inVPC(vpc string, subnets []string) error {
	if _, err := s.vpcs.find(vpc); err != nil {
		return err
	}
	for _, id := range subnets {
		if n, err := s.subnets.find(id); err != nil {
			return err
		} else if n.vpc != vpc {
			return errorf("InvalidParameterValue", "The subnet %s is not in the VPC %s", id, vpc)
		}
	}
	return nil
}
