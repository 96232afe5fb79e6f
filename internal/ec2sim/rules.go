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

// A portRange is how seeds write ports, such as "443" or "8000-8080".
type portRange struct {
	From int32 `xml:"from"`
	To   int32 `xml:"to"`
}

// UnmarshalText reads a port or a range of ports.
func (r *portRange) UnmarshalText(text []byte) error {
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

func (s Source) isList() bool { return strings.HasPrefix(s.Reference, prefixListKind.prefix) }

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

// An ipPermission is how requests and answers write rules: all sources that share a protocol and ports together.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
type ipPermission struct {
	Protocol    string     `json:"IpProtocol" xml:"ipProtocol"`
	From        *int32     `json:"FromPort" xml:"fromPort"`
	To          *int32     `json:"ToPort" xml:"toPort"`
	Groups      []ruleForm `json:"Groups" xml:"groups>item"`
	IPv4        []ruleForm `json:"IpRanges" xml:"ipRanges>item"`
	IPv6        []ruleForm `json:"Ipv6Ranges" xml:"ipv6Ranges>item"`
	PrefixLists []ruleForm `json:"PrefixListIds" xml:"prefixListIds>item"`
}

// A ruleForm is a source in an ipPermission, of any kind.
type ruleForm struct {
	User        string `json:"UserId" xml:"userId,omitempty"`
	Group       string `json:"GroupId" xml:"groupId,omitempty"`
	IPv4        string `json:"CidrIp" xml:"cidrIp,omitempty"`
	IPv6        string `json:"CidrIpv6" xml:"cidrIpv6,omitempty"`
	List        string `json:"PrefixListId" xml:"prefixListId,omitempty"`
	Description string `json:"Description" xml:"description,omitempty"`
}

func (s *site) permissions(rules []Rule) []*ipPermission {
	index := map[Permission]*ipPermission{}
	var all []*ipPermission
	for _, r := range rules {
		key := Permission{r.Protocol, r.From, r.To, Source{}}
		p := index[key]
		if p == nil {
			p = &ipPermission{Protocol: r.Protocol}
			if protocolNumbers[r.Protocol] != "" {
				p.From, p.To = &key.From, &key.To
			}
			all, index[key] = append(all, p), p
		}
		form, forms := ruleForm{Description: r.Description}, &p.Groups
		switch source := r.Source; {
		case source.Prefix.Addr().Is4():
			form.IPv4, forms = source.String(), &p.IPv4
		case source.Prefix.IsValid():
			form.IPv6, forms = source.String(), &p.IPv6
		case source.isList():
			form.List, forms = source.Reference, &p.PrefixLists
		default:
			form.User, form.Group = s.account, source.Reference
		}
		*forms = append(*forms, form)
	}
	return all
}

// parseRules returns the rules a request lists, for a group of the given VPC. A rule that is listed twice is refused:
// https://github.com/hashicorp/terraform-provider-aws/issues/29492.
func (s *site) parseRules(vpc string, perms []ipPermission) (rules []Rule) {
	if len(perms) == 0 {
		refuseMissing("ipPermissions")
	}
	for _, p := range perms {
		permission := parsePorts(p.Protocol, p.From, p.To)
		sources := slices.Concat(p.IPv4, p.IPv6, p.PrefixLists, p.Groups)
		if len(sources) == 0 {
			// https://github.com/boto/boto3/issues/1078
			refuse("MissingParameter", "Missing source specification: include source security group or CIDR information")
		}
		for _, f := range sources {
			permission.Source = s.parseSource(vpc, f)
			rules = append(rules, Rule{Permission: permission, Description: f.Description})
		}
	}
	if distinct(rules) != nil {
		refuseInvalid("The same permission must not appear multiple times")
	}
	return s.checkRules(rules)
}

// parseSource reads a source. A security group must be in the same VPC.
//
// https://github.com/ansible/ansible/issues/45782 (the error)
func (s *site) parseSource(vpc string, f ruleForm) Source {
	switch {
	case f.List != "":
		return Source{Reference: f.List}
	case f.IPv4 != "" || f.IPv6 != "":
		return Source{Prefix: parseCIDR(cmp.Or(f.IPv4, f.IPv6), f.IPv4 != "")}
	case f.User != "" && f.User != s.account:
		refuse("InvalidGroup.NotFound", "The security group '%s/%s' does not exist", f.User, f.Group)
	case s.groups.find(f.Group).VPC != vpc:
		refuse("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
	}
	return Source{Reference: f.Group}
}

// checkRules returns rules as a group would have them, if it may.
func (s *site) checkRules(rules []Rule) []Rule {
	rules = slices.Clone(rules)
	for i, r := range rules {
		within(fmt.Sprintf("rule %q", r.Permission), func() {
			rules[i].Permission = parsePorts(r.Protocol, &r.From, &r.To)
			rules[i].Source = r.Source
			switch p := r.Source.Prefix; {
			case p.IsValid() && p != p.Masked():
				must(fmt.Errorf("%s has host bits", p))
			case r.Source.isList():
				s.prefixLists.find(r.Source.Reference)
			case !p.IsValid():
				s.groups.find(r.Source.Reference)
			}
			if !allowedText(r.Description) {
				refuseInvalid("Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*")
			}
		})
	}
	must(distinct(rules))
	return rules
}

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

// protocolNumbers are those of the protocols that have a name.
//
// https://www.iana.org/assignments/protocol-numbers/protocol-numbers.xhtml
var protocolNumbers = map[string]string{"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}

// parsePorts reads protocol and ports. All protocols but TCP, UDP and ICMP are allowed on all ports, whatever ports are
// given. Of ICMP, -1 stands for all types or codes.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
func parsePorts(protocol string, from, to *int32) Permission {
	p := Permission{Protocol: strings.ToLower(protocol), From: -1, To: -1}
	for name, number := range protocolNumbers {
		if p.Protocol == number {
			p.Protocol = name
		}
	}
	given := from != nil && to != nil
	if given && protocolNumbers[p.Protocol] != "" {
		p.From, p.To = *from, *to
	}
	n, err := strconv.Atoi(p.Protocol)
	switch known := protocolNumbers[p.Protocol] != ""; {
	case p.Protocol == "":
		refuseMissing("ipProtocol")
	case !known && (err != nil || n < -1 || n > 255):
		refuseInvalid("Invalid value '%s' for IP protocol. Unknown protocol.", p.Protocol)
	case p.Protocol != "tcp" && p.Protocol != "udp":
	case !given:
		refuseInvalid("Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
	case min(p.From, p.To) < 0 || max(p.From, p.To) > 65535:
		refuseInvalid("TCP/UDP port (%d or %d) out of range", p.From, p.To)
	case p.From > p.To:
		refuseInvalid("Invalid TCP/UDP port range (%d:%d)", p.From, p.To)
	}
	return p
}

// parseCIDR reads an IP range. EC2 clears its host bits, if it has any.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Ipv6Range.html
// https://github.com/aws/aws-cli/issues/2428 (the error)
func parseCIDR(cidr string, v4 bool) netip.Prefix {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || p.Addr().Is4() != v4 || p.Addr().Is4In6() {
		refuseInvalid("CIDR block %s is malformed", cidr)
	}
	return p.Masked()
}
