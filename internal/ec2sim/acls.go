package ec2sim

import (
	"cmp"
	"encoding/xml"
	"errors"
	"net/netip"
	"slices"
)

// A networkACL decides which packets may enter and leave its subnets.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAcl.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkAcls.html
type networkACL struct {
	Account      string           `json:"account" xml:"ownerId" filter:"owner-id"`
	Region       string           `json:"region" xml:"-"`
	VPC          string           `json:"vpc" xml:"vpcId" filter:"vpc-id"`
	ID           string           `json:"-" xml:"networkAclId" filter:"network-acl-id"`
	Default      bool             `json:"-" xml:"default" filter:"default"`
	Subnets      []string         `json:"subnets" xml:"-"` // in a seed
	Entries      []aclEntry       `json:"entries" xml:"entrySet>item"`
	Associations []aclAssociation `json:"-" xml:"associationSet>item" filter:"association"`
	Tags         Tags             `json:"-" xml:"tagSet"`
}

func (a *networkACL) key() string { return a.ID }

type aclAssociation struct {
	ID     string `xml:"networkAclAssociationId"`
	ACL    string `xml:"networkAclId"`
	Subnet string `xml:"subnetId" filter:"subnet-id"`
}

// An aclEntry is an entry of a network ACL. Entries are evaluated in the order of their numbers, inbound and outbound
// apart; the first that matches decides.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
type aclEntry struct {
	Number   int          `json:"number"`
	Egress   bool         `json:"egress"`
	Protocol string       `json:"protocol"` // a name, or empty for all
	Ports    *portRange   `json:"ports"`    // of TCP and UDP, nil for all
	Prefix   netip.Prefix `json:"cidr"`
	Deny     bool         `json:"deny"`
}

// protocolNumbers are how network ACLs name protocols.
var protocolNumbers = map[string]string{"tcp": "6", "udp": "17", "icmp": "1", "icmpv6": "58", "": "-1"}

func (e aclEntry) check() error {
	if protocolNumbers[e.Protocol] == "" || !e.Prefix.IsValid() {
		return errors.New("an entry has a cidr, and a protocol: tcp, udp, icmp, icmpv6 or none for all")
	}
	return nil
}

// MarshalXML writes an entry as EC2 does.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAclEntry.html
func (e aclEntry) MarshalXML(enc *xml.Encoder, start xml.StartElement) error {
	action, block := "allow", "ipv6CidrBlock"
	if e.Deny {
		action = "deny"
	}
	if e.Prefix.Addr().Is4() {
		block = "cidrBlock"
	}
	form := body{
		{"ruleNumber", e.Number}, {"protocol", protocolNumbers[e.Protocol]}, {"ruleAction", action}, {"egress", e.Egress}, {block, e.Prefix},
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

// aclEnd ends every network ACL: what no entry before it matches is denied.
var aclEnd = slices.Concat(bothWays(32767, anyIPv4, true), bothWays(32768, anyIPv6, true))

// aclStart begins a default network ACL: everything is allowed.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html
var aclStart = slices.Concat(bothWays(100, anyIPv4, false), bothWays(101, anyIPv6, false))

func bothWays(number int, prefix netip.Prefix, deny bool) []aclEntry {
	in := aclEntry{Number: number, Prefix: prefix, Deny: deny}
	out := in
	out.Egress = true
	return []aclEntry{out, in}
}

// addACL creates a network ACL. Subnets leave the one they had: each has exactly one.
func (s *site) addACL(a networkACL, subnets ...string) {
	a.ID, a.Account = s.server.newPathID("acl"), s.account
	a.Entries = slices.Concat(a.Entries, aclEnd)
	for _, id := range subnets {
		for other := range s.acls.all {
			other.Associations = slices.DeleteFunc(other.Associations, func(assoc aclAssociation) bool { return assoc.Subnet == id })
		}
		a.associate(s.server, id)
	}
	s.acls.put(&a)
}

func (a *networkACL) associate(s *Server, subnet string) {
	a.Associations = append(a.Associations, aclAssociation{s.newPathID("aclassoc"), a.ID, subnet})
}
