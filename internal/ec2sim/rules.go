package ec2sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Rule is one rule of a security group.
type Rule struct {
	ID string // sgr-…
	Permission
	Description string
}

// A Permission is what identifies a rule within its group: the description does not count.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
type Permission struct {
	Protocol string // "tcp", "udp", "icmp", "icmpv6", a protocol number, or "-1" for all
	// From and To are the first and the last port, or for ICMP the type and code; both are -1 for all of them and where
	// a protocol has none.
	From, To int32
	Source   Source
}

// A Source is where traffic comes from (or, for an egress rule, goes to): an IP range, or a security group or prefix
// list.
type Source struct {
	Prefix    netip.Prefix // valid for an IP range
	Reference string       // "sg-…" or "pl-…", empty for an IP range
}

func (s Source) String() string {
	if s.Prefix.IsValid() {
		return s.Prefix.String()
	}
	return s.Reference
}

// String returns the permission as EC2's messages spell it.
func (p Permission) String() string {
	switch {
	case p.Protocol == "-1":
		return fmt.Sprintf("peer: %s, ALL, ALLOW", p.Source)
	case p.From == -1 && p.To == -1:
		return fmt.Sprintf("peer: %s, %s, ALLOW", p.Source, strings.ToUpper(p.Protocol))
	}
	return fmt.Sprintf("peer: %s, %s, from port: %d, to port: %d, ALLOW", p.Source, strings.ToUpper(p.Protocol), p.From, p.To)
}

// TCP returns the permission of a TCP port range from an IP range.
func TCP(from, to int32, prefix netip.Prefix) Permission {
	return Permission{Protocol: "tcp", From: from, To: to, Source: Source{Prefix: prefix}}
}

// everythingOut is the egress rule every group starts with.
var everythingOut = Permission{Protocol: "-1", From: -1, To: -1, Source: Source{Prefix: netip.MustParsePrefix("0.0.0.0/0")}}

// A load counts rules for IPv4 and IPv6 apart, as the quota does.
type load [2]int

func (l *load) add(o load) {
	l[0] += o[0]
	l[1] += o[1]
}

// weight returns what a source counts against the quota of rules per group.
//
// An IP range counts once in its own family, a security group once in both
// (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html), a prefix list as often as it may have
// entries, or what AWS has fixed for its own
// (https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html#security-group-size). That a prefix list
// counts in both families whatever its own has been measured: https://github.com/jantman/awslimitchecker/pull/447.
func (s *site) weight(src Source) load {
	switch {
	case src.Prefix.IsValid() && src.Prefix.Addr().Is4():
		return load{1, 0}
	case src.Prefix.IsValid():
		return load{0, 1}
	}
	if l := s.prefixLists.byID[src.Reference]; l != nil {
		return load{l.MaxEntries, l.MaxEntries}
	}
	return load{1, 1}
}

// ruleFilters are the filters on a group's rules, without their prefix.
var ruleFilters = map[string]func(Rule) string{
	"cidr":           func(r Rule) string { return familyCIDR(r, true) },
	"ipv6-cidr":      func(r Rule) string { return familyCIDR(r, false) },
	"from-port":      func(r Rule) string { return strconv.Itoa(int(r.From)) },
	"to-port":        func(r Rule) string { return strconv.Itoa(int(r.To)) },
	"protocol":       func(r Rule) string { return r.Protocol },
	"group-id":       func(r Rule) string { return reference(r, "sg-") },
	"prefix-list-id": func(r Rule) string { return reference(r, "pl-") },
}

func familyCIDR(r Rule, v4 bool) string {
	if p := r.Source.Prefix; p.IsValid() && p.Addr().Is4() == v4 {
		return p.String()
	}
	return ""
}

func reference(r Rule, prefix string) string {
	if strings.HasPrefix(r.Source.Reference, prefix) {
		return r.Source.Reference
	}
	return ""
}

// An ipPermission is how requests and answers write rules: all sources that share a protocol and ports together.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
type ipPermission struct {
	Protocol    string          `query:"IpProtocol" xml:"ipProtocol"`
	From        *int32          `query:"FromPort" xml:"fromPort"`
	To          *int32          `query:"ToPort" xml:"toPort"`
	Groups      []groupPair     `query:"Groups" xml:"groups>item"`
	IPv4        []ipv4Range     `query:"IpRanges" xml:"ipRanges>item"`
	IPv6        []ipv6Range     `query:"Ipv6Ranges" xml:"ipv6Ranges>item"`
	PrefixLists []prefixListRef `query:"PrefixListIds" xml:"prefixListIds>item"`
}

type groupPair struct {
	User        string `query:"UserId" xml:"userId"`
	Name        string `query:"GroupName" xml:"-"`
	ID          string `query:"GroupId" xml:"groupId"`
	VPC         string `query:"VpcId" xml:"-"`
	Description string `query:"Description" xml:"description,omitempty"`
}

type ipv4Range struct {
	CIDR        string `query:"CidrIp" xml:"cidrIp"`
	Description string `query:"Description" xml:"description,omitempty"`
}

type ipv6Range struct {
	CIDR        string `query:"CidrIpv6" xml:"cidrIpv6"`
	Description string `query:"Description" xml:"description,omitempty"`
}

type prefixListRef struct {
	ID          string `query:"PrefixListId" xml:"prefixListId"`
	Description string `query:"Description" xml:"description,omitempty"`
}

// permissions groups rules by protocol and ports.
func (s *site) permissions(rules []Rule) []ipPermission {
	type ports struct {
		protocol string
		from, to int32
	}
	index := map[ports]int{}
	var list []ipPermission
	for _, r := range rules {
		key := ports{r.Protocol, r.From, r.To}
		i, ok := index[key]
		if !ok {
			i = len(list)
			index[key] = i
			p := ipPermission{Protocol: r.Protocol}
			if hasPorts(r.Protocol) {
				p.From, p.To = &key.from, &key.to
			}
			list = append(list, p)
		}
		s.addSource(&list[i], r)
	}
	return list
}

// addSource adds a rule's source to the permission it belongs to.
func (s *site) addSource(p *ipPermission, r Rule) {
	switch src := r.Source; {
	case src.Prefix.IsValid() && src.Prefix.Addr().Is4():
		p.IPv4 = append(p.IPv4, ipv4Range{src.Prefix.String(), r.Description})
	case src.Prefix.IsValid():
		p.IPv6 = append(p.IPv6, ipv6Range{src.Prefix.String(), r.Description})
	case strings.HasPrefix(src.Reference, "pl-"):
		p.PrefixLists = append(p.PrefixLists, prefixListRef{src.Reference, r.Description})
	default:
		p.Groups = append(p.Groups, groupPair{User: s.account, ID: src.Reference, Description: r.Description})
	}
}

// hasPorts reports whether rules of a protocol have ports, or types and codes.
func hasPorts(protocol string) bool {
	return slices.Contains([]string{"tcp", "udp", "icmp", "icmpv6"}, protocol)
}

// parseRules returns the rules a request lists, for a group of the given VPC. A rule that is listed twice is refused:
// https://github.com/hashicorp/terraform-provider-aws/issues/29492.
func (s *site) parseRules(vpc string, perms []ipPermission) ([]Rule, error) {
	var rules []Rule
	for _, p := range perms {
		parsed, err := s.parsePermission(vpc, p)
		if err != nil {
			return nil, err
		}
		rules = append(rules, parsed...)
	}
	seen := make(map[Permission]bool, len(rules))
	for _, r := range rules {
		if seen[r.Permission] {
			return nil, errorf("InvalidParameterValue", "The same permission must not appear multiple times")
		}
		seen[r.Permission] = true
	}
	return rules, nil
}

func (s *site) parsePermission(vpc string, p ipPermission) ([]Rule, error) {
	base, err := parsePorts(p.Protocol, p.From, p.To)
	if err != nil {
		return nil, err
	}
	var rules []Rule
	add := func(src Source, err error, description string) error {
		if err != nil {
			return err
		}
		if !allowedText(description) {
			return invalidDescription()
		}
		perm := base
		perm.Source = src
		rules = append(rules, Rule{Permission: perm, Description: description})
		return nil
	}
	for _, r := range p.IPv4 {
		src, err := parseCIDR(r.CIDR, true)
		if err := add(src, err, r.Description); err != nil {
			return nil, err
		}
	}
	for _, r := range p.IPv6 {
		src, err := parseCIDR(r.CIDR, false)
		if err := add(src, err, r.Description); err != nil {
			return nil, err
		}
	}
	for _, l := range p.PrefixLists {
		_, err := s.prefixLists.find(l.ID)
		if err := add(Source{Reference: l.ID}, err, l.Description); err != nil {
			return nil, err
		}
	}
	for _, g := range p.Groups {
		src, err := s.parseGroupPair(vpc, g)
		if err := add(src, err, g.Description); err != nil {
			return nil, err
		}
	}
	if len(rules) == 0 {
		// https://github.com/boto/boto3/issues/1078
		return nil, errorf("MissingParameter", "Missing source specification: include source security group or CIDR information")
	}
	return rules, nil
}

func invalidDescription() error {
	return errorf("InvalidParameterValue", "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*")
}

// protocolNames are the protocols that have a name, by their numbers.
//
// https://www.iana.org/assignments/protocol-numbers/protocol-numbers.xhtml
var protocolNames = map[string]string{"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}

// parsePorts reads protocol and ports. All protocols but TCP, UDP and ICMP are allowed on all ports, whatever ports are
// given.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
func parsePorts(protocol string, from, to *int32) (Permission, error) {
	protocol = strings.ToLower(protocol)
	protocol = cmp.Or(protocolNames[protocol], protocol)
	p := Permission{Protocol: protocol, From: -1, To: -1}
	switch protocol {
	case "tcp", "udp":
		if from == nil || to == nil {
			return p, errorf("InvalidParameterValue", "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
		}
		for _, port := range []int32{*from, *to} {
			if port < 0 || port > 65535 {
				return p, errorf("InvalidParameterValue", "TCP/UDP port (%d) out of range", port)
			}
		}
		if *from > *to {
			return p, errorf("InvalidParameterValue", "Invalid TCP/UDP port range (%d:%d)", *from, *to)
		}
		p.From, p.To = *from, *to
	case "icmp", "icmpv6":
		if from == nil && to == nil && protocol == "icmpv6" {
			return p, nil
		}
		if from == nil || to == nil || !validICMP(*from, *to) {
			return p, errorf("InvalidParameterValue", "Invalid ICMP type or code")
		}
		p.From, p.To = *from, *to
	case "":
		return p, missing("ipProtocol")
	default:
		if n, err := strconv.Atoi(protocol); err != nil || n < -1 || n > 255 || strconv.Itoa(n) != protocol {
			return p, errorf("InvalidParameterValue", "Invalid value '%s' for IP protocol. Unknown protocol.", protocol)
		}
	}
	return p, nil
}

// validICMP reports whether there is such a type and code; -1 stands for all.
func validICMP(kind, code int32) bool {
	return -1 <= kind && kind <= 255 && -1 <= code && code <= 255 && (kind != -1 || code == -1)
}

// parseCIDR reads an IP range. EC2 clears its host bits, if it has any.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Ipv6Range.html
// https://github.com/aws/aws-cli/issues/2428 (the error)
func parseCIDR(cidr string, v4 bool) (Source, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || p.Addr().Is4() != v4 || p.Addr().Is4In6() {
		return Source{}, errorf("InvalidParameterValue", "CIDR block %s is malformed", cidr)
	}
	return Source{Prefix: p.Masked()}, nil
}

// parseGroupPair reads a reference to a security group, which must be in the same VPC.
//
// https://github.com/ansible/ansible/issues/45782 (the error)
func (s *site) parseGroupPair(vpc string, pair groupPair) (Source, error) {
	if pair.User != "" && pair.User != s.account {
		return Source{}, errorf("InvalidGroup.NotFound", "The security group '%s/%s' does not exist", pair.User, cmp.Or(pair.ID, pair.Name))
	}
	g, err := s.named(pair.ID, pair.Name)
	if err != nil {
		return Source{}, err
	}
	if g.VPC != vpc {
		return Source{}, errorf("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
	}
	return Source{Reference: g.ID}, nil
}
