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
// See https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
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

func (s Source) isList() bool { return strings.HasPrefix(s.Reference, "pl-") }

// String returns the permission as EC2's messages spell it.
func (p Permission) String() string {
	return fmt.Sprintf("peer: %s, %s, from port: %d, to port: %d, ALLOW", p.Source, strings.ToUpper(p.Protocol), p.From, p.To)
}

// TCP returns the permission of a TCP port range from an IP range.
func TCP(from, to int32, prefix netip.Prefix) Permission {
	return Permission{Protocol: "tcp", From: from, To: to, Source: Source{Prefix: prefix}}
}

// An ipPermission is how requests and answers write rules: all sources that share a protocol and ports together.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
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
	User        string        `json:"UserId" xml:"userId,omitempty"`
	Group       string        `json:"GroupId" xml:"groupId,omitempty"`
	IPv4        *netip.Prefix `json:"CidrIp" xml:"cidrIp"`
	IPv6        *netip.Prefix `json:"CidrIpv6" xml:"cidrIpv6"`
	List        string        `json:"PrefixListId" xml:"prefixListId,omitempty"`
	Description string        `json:"Description" xml:"description,omitempty"`
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
			form.IPv4, forms = &source.Prefix, &p.IPv4
		case source.Prefix.IsValid():
			form.IPv6, forms = &source.Prefix, &p.IPv6
		case source.isList():
			form.List, forms = source.Reference, &p.PrefixLists
		default:
			form.User, form.Group = s.account, source.Reference
		}
		*forms = append(*forms, form)
	}
	return all
}

// parseRules returns the rules a request lists. A rule that is listed twice is refused:
// https://github.com/hashicorp/terraform-provider-aws/issues/29492.
func (s *site) parseRules(perms []ipPermission) (rules []Rule) {
	for _, p := range perms {
		permission := parsePorts(p.Protocol, p.From, p.To)
		for _, f := range slices.Concat(p.IPv4, p.IPv6, p.PrefixLists, p.Groups) {
			permission.Source = Source{Reference: cmp.Or(f.List, f.Group)}
			if prefix := cmp.Or(f.IPv4, f.IPv6); prefix != nil {
				permission.Source.Prefix = prefix.Masked() // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
			}
			rules = append(rules, Rule{Permission: permission, Description: f.Description})
		}
	}
	if len(rules) == 0 {
		// https://github.com/boto/boto3/issues/1078
		refuse("MissingParameter", "Missing source specification: include source security group or CIDR information")
	}
	if distinct(rules) != nil {
		refuseInvalid("The same permission must not appear multiple times")
	}
	return s.checkRules(rules)
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
// See https://www.iana.org/assignments/protocol-numbers/protocol-numbers.xhtml
var protocolNumbers = map[string]string{"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}

// parsePorts reads protocol and ports. A protocol that has a name is described by it, whatever a request calls it. All
// protocols but TCP, UDP and ICMP are allowed on all ports, whatever ports are given. Of ICMP, -1 stands for all types
// or codes.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
// and https://github.com/hashicorp/terraform/pull/5881 (numbers)
func parsePorts(protocol string, from, to *int32) Permission {
	for name, number := range protocolNumbers {
		if protocol == number || strings.EqualFold(protocol, name) {
			protocol = name
		}
	}
	p := Permission{Protocol: protocol, From: -1, To: -1}
	if protocolNumbers[protocol] != "" && from != nil && to != nil {
		p.From, p.To = *from, *to
	}
	n, err := strconv.Atoi(protocol)
	switch {
	case protocol == "tcp" || protocol == "udp":
		if p.From < 0 || p.To > 65535 || p.From > p.To {
			refuseInvalid("Invalid TCP/UDP port range (%d:%d)", p.From, p.To)
		}
	case protocolNumbers[protocol] == "" && (err != nil || n < -1 || n > 255):
		refuseInvalid("Invalid value '%s' for IP protocol. Unknown protocol.", protocol)
	}
	return p
}

// rulesInput holds the parameters of every call that changes rules.
type rulesInput struct {
	Group       string         `json:"GroupId"`
	Permissions []ipPermission `json:"IpPermissions"`
}

func (in rulesInput) target(s *site, c *call) (*Group, []Rule) {
	g := s.groups.find(in.Group)
	rules := s.parseRules(in.Permissions)
	c.Rules = len(rules)
	return g, rules
}

// authorize adds all rules of a request or none.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
func (s *site) authorize(c *call, in rulesInput) body {
	g, rules := in.target(s, c)
	must(distinct(slices.Concat(g.Ingress, rules)))
	if !s.fit(g.Ingress, rules) {
		refuse("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	}
	s.update(g, func(g *Group) { g.Ingress = slices.Concat(g.Ingress, s.withIDs(rules)) })
	return done
}

// fit reports whether rules keep a group within its quota in each family that they take of. The quotas of the two are
// enforced apart: a group that holds too many IPv6 rules, because its quota was lowered, still takes IPv4.
// See https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func (s *site) fit(have, add []Rule) bool {
	used, more := s.load(have), s.load(add)
	over := func(family int) bool { return more[family] > 0 && used[family]+more[family] > s.quotas.RulesPerGroup }
	return !over(0) && !over(1)
}

// load returns what rules count against the quota of rules per group, for IPv4 and IPv6 apart.
//
// An IP range counts once in its own family, a security group once in both
// (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html), a prefix list as often as it may have
// entries, or what AWS has fixed for its own
// (https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html#security-group-size). That a prefix list
// counts in both families whatever its own has been measured: https://github.com/jantman/awslimitchecker/pull/447.
func (s *site) load(rules []Rule) (n [2]int) {
	for _, r := range rules {
		weight := 1
		if l := s.prefixLists.byID[r.Source.Reference]; l != nil {
			weight = l.MaxEntries
		}
		if !r.Source.Prefix.Addr().Is6() {
			n[0] += weight
		}
		if !r.Source.Prefix.Addr().Is4() {
			n[1] += weight
		}
	}
	return n
}

// revoke makes the action that removes rules, inbound or outbound. If one is not there, the call fails and removes none.
// For a group in a default VPC it succeeds: the answer names that rule, and the others are removed.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
func revoke(of func(*Group) *[]Rule) action {
	return with(func(s *site, c *call, in rulesInput) body {
		g, rules := in.target(s, c)
		unknown := except(rules, *of(g))
		if len(unknown) > 0 && !s.vpcs.byID[g.VPC].Default {
			refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
		if len(unknown) < len(rules) {
			s.update(g, func(g *Group) { *of(g) = except(*of(g), rules) })
		}
		return body{{"return", true}, {"unknownIpPermissionSet", list("item", s.permissions(unknown))}}
	})
}

// except returns those rules whose permission is not that of one of the others.
func except(rules, others []Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return ruleOf(others, r.Permission) >= 0 })
}

func ruleOf(rules []Rule, p Permission) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return r.Permission == p })
}

// updateDescriptions replaces descriptions; one that is left out is removed.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html
func (s *site) updateDescriptions(c *call, in rulesInput) body {
	g, wanted := in.target(s, c)
	rules := slices.Clone(g.Ingress)
	for _, w := range wanted {
		i := ruleOf(rules, w.Permission)
		if i < 0 {
			refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
		rules[i].Description = w.Description
	}
	s.update(g, func(g *Group) { g.Ingress = rules })
	return done
}
