package ec2sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// A Rule is one rule of a security group.
type Rule struct {
	ID string // sgr-…
	Permission
	Description string
}

// UnmarshalJSON reads a rule of a seed. A source that is no IP range becomes the reference as it is written.
func (r *Rule) UnmarshalJSON(data []byte) error {
	var in struct {
		Protocol    string    `json:"protocol"`
		Ports       portRange `json:"ports"`
		Source      string    `json:"source"`
		Description string    `json:"description"`
	}
	in.Ports = noPorts
	if err := json.Unmarshal(data, &in, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	r.Description, r.Permission = in.Description, Permission{Protocol: in.Protocol, From: in.Ports.From, To: in.Ports.To}
	if prefix, err := netip.ParsePrefix(in.Source); err == nil {
		r.Source.Prefix = prefix
	} else {
		r.Source.Reference = in.Source
	}
	return nil
}

// A portRange is how seeds write ports, such as "443" or "8000-8080".
type portRange struct {
	From int32 `xml:"from"`
	To   int32 `xml:"to"`
}

var noPorts = portRange{-1, -1}

// UnmarshalText reads a port or a range of ports.
func (r *portRange) UnmarshalText(text []byte) error {
	if len(text) == 0 { // of all protocols
		*r = noPorts
		return nil
	}
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%q is not a port or a range of ports", text)
	}
	r.From, r.To = int32(low), int32(high)
	return nil
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

// byFamily returns an IP range in the place of its family.
func (s Source) byFamily() (ipv4, ipv6 string) {
	switch {
	case !s.Prefix.IsValid():
		return "", ""
	case s.Prefix.Addr().Is4():
		return s.Prefix.String(), ""
	}
	return "", s.Prefix.String()
}

// reference returns the ID that a source refers to, if it has the given prefix.
func (s Source) reference(prefix string) string {
	if strings.HasPrefix(s.Reference, prefix) {
		return s.Reference
	}
	return ""
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

// everythingFrom returns the permission of all traffic of a source.
func everythingFrom(s Source) Permission {
	return Permission{Protocol: "-1", From: -1, To: -1, Source: s}
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
func (s *site) permissions(rules []Rule) []*ipPermission {
	type ports struct {
		protocol string
		from, to int32
	}
	index := map[ports]*ipPermission{}
	var all []*ipPermission
	for _, r := range rules {
		key := ports{r.Protocol, r.From, r.To}
		p := index[key]
		if p == nil {
			p = &ipPermission{Protocol: r.Protocol}
			if slices.Contains([]string{"tcp", "udp", "icmp", "icmpv6"}, r.Protocol) {
				p.From, p.To = &key.from, &key.to
			}
			all, index[key] = append(all, p), p
		}
		switch ipv4, ipv6 := r.Source.byFamily(); {
		case ipv4 != "":
			p.IPv4 = append(p.IPv4, ipv4Range{ipv4, r.Description})
		case ipv6 != "":
			p.IPv6 = append(p.IPv6, ipv6Range{ipv6, r.Description})
		case r.Source.reference("pl-") != "":
			p.PrefixLists = append(p.PrefixLists, prefixListRef{r.Source.Reference, r.Description})
		default:
			p.Groups = append(p.Groups, groupPair{User: s.account, ID: r.Source.Reference, Description: r.Description})
		}
	}
	return all
}

// parseRules returns the rules a request lists, for a group of the given VPC. A rule that is listed twice is refused:
// https://github.com/hashicorp/terraform-provider-aws/issues/29492.
func (s *site) parseRules(vpc string, perms []ipPermission) ([]Rule, error) {
	if len(perms) == 0 {
		return nil, missing("ipPermissions")
	}
	var rules []Rule
	for _, p := range perms {
		parsed, err := s.parsePermission(vpc, p)
		if err != nil {
			return nil, err
		}
		rules = append(rules, parsed...)
	}
	if distinct(rules) != nil {
		return nil, errorf("InvalidParameterValue", "The same permission must not appear multiple times")
	}
	return s.checkRules(rules)
}

func (s *site) parsePermission(vpc string, p ipPermission) ([]Rule, error) {
	base, err := parsePorts(p.Protocol, p.From, p.To)
	if err != nil {
		return nil, err
	}
	var rules []Rule
	add := func(description string, src Source, failed error) {
		rule := Rule{Permission: base, Description: description}
		rule.Source = src
		rules, err = append(rules, rule), cmp.Or(err, failed)
	}
	for _, r := range p.IPv4 {
		src, err := parseCIDR(r.CIDR, true)
		add(r.Description, src, err)
	}
	for _, r := range p.IPv6 {
		src, err := parseCIDR(r.CIDR, false)
		add(r.Description, src, err)
	}
	for _, l := range p.PrefixLists {
		add(l.Description, Source{Reference: l.ID}, nil)
	}
	for _, g := range p.Groups {
		src, err := s.parseGroupPair(vpc, g)
		add(g.Description, src, err)
	}
	if len(rules) == 0 {
		// https://github.com/boto/boto3/issues/1078
		return nil, errorf("MissingParameter", "Missing source specification: include source security group or CIDR information")
	}
	return rules, err
}

// checkRules returns rules as a group would have them, if it may.
func (s *site) checkRules(rules []Rule) ([]Rule, error) {
	rules = slices.Clone(rules)
	if err := distinct(rules); err != nil {
		return nil, err
	}
	for i, r := range rules {
		canonical, err := parsePorts(r.Protocol, &r.From, &r.To)
		canonical.Source = r.Source
		switch p := r.Source.Prefix; {
		case err != nil:
		case p.IsValid() && p != p.Masked():
			err = fmt.Errorf("%s has host bits", p)
		case r.Source.reference("pl-") != "":
			_, err = s.prefixLists.find(r.Source.Reference)
		case !p.IsValid():
			_, err = s.groups.find(r.Source.Reference)
		}
		if err == nil && !allowedText(r.Description) {
			err = errorf("InvalidParameterValue", "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*")
		}
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Permission, err)
		}
		rules[i].Permission = canonical
	}
	return rules, nil
}

// withIDs gives those rules an ID that have none.
func (s *site) withIDs(rules []Rule) []Rule {
	rules = slices.Clone(rules)
	for i, r := range rules {
		if r.ID == "" {
			rules[i].ID = s.server.newID("sgr")
		}
	}
	return rules
}

// distinct refuses two rules with the same permission, even if their descriptions differ.
func distinct(rules []Rule) error {
	seen := make(map[Permission]bool, len(rules))
	for _, r := range rules {
		if seen[r.Permission] {
			return errorf("InvalidPermission.Duplicate", "the specified rule %q already exists", r.Permission.String())
		}
		seen[r.Permission] = true
	}
	return nil
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
