package ec2sim

import (
	"cmp"
	"encoding/xml"
	"net/netip"
	"slices"
)

// A networkACL decides which packets may enter and leave its subnets.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAcl.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkAcls.html
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

func (a *networkACL) key() string { return a.ID }

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
//
// https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html
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
	a.ID, a.Account, a.Entries = s.pathID("acl", len(s.acls.order)), s.account, slices.Concat(a.Entries, aclEnd)
	s.acls.put(&a)
}

func without(values, gone []string) []string {
	return slices.DeleteFunc(values, func(v string) bool { return slices.Contains(gone, v) })
}

type aclXML struct {
	*networkACL
	Associations []body `xml:"associationSet>item"`
}

func (*site) aclXML(a *networkACL) aclXML {
	x := aclXML{networkACL: a}
	for _, id := range a.Subnets {
		x.Associations = append(x.Associations, body{{"networkAclAssociationId", "aclassoc-" + id}, {"networkAclId", a.ID}, {"subnetId", id}})
	}
	return x
}
