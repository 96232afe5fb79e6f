package ec2sim

import "slices"

// rulesInput is what the calls that change rules have in common.
type rulesInput struct {
	Group       string         `query:"GroupId"`
	GroupName   string         `query:"GroupName"`
	Permissions []ipPermission `query:"IpPermissions"`
}

// target returns the group a request is about, and the rules it lists.
func (in rulesInput) target(s *site, c *call) (*Group, []Rule, error) {
	g, err := s.named(in.Group, in.GroupName)
	if err != nil {
		return nil, nil, err
	}
	rules, err := s.parseRules(g.VPC, in.Permissions)
	c.rules = len(rules)
	return g, rules, err
}

// authorize adds all rules of a request or none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
func (s *site) authorize(c *call, in rulesInput, egress bool) (body, error) {
	g, rules, err := in.target(s, c)
	if err != nil {
		return nil, err
	}
	if err := distinct(slices.Concat(*g.rules(egress), rules)); err != nil {
		return nil, err
	}
	if err := s.checkQuota(*g.rules(egress), rules); err != nil {
		return nil, err
	}
	rules = s.withIDs(rules)
	s.update(g, func(g *Group) { *g.rules(egress) = slices.Concat(*g.rules(egress), rules) })
	return append(slices.Clone(done), element{"securityGroupRuleSet", list("item", rulesXML(g, rules, egress))}), nil
}

// rules returns the group's rules of one direction.
func (g *Group) rules(egress bool) *[]Rule {
	if egress {
		return &g.Egress
	}
	return &g.Ingress
}

// checkQuota refuses rules that would bring a group over its quota in a family that they take of. The quotas of the two
// are enforced apart: a group that holds too many IPv6 rules, because its quota was lowered, still takes IPv4.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func (s *site) checkQuota(have, add []Rule) error {
	used, more := s.load(have), s.load(add)
	for family := range used {
		if more[family] > 0 && used[family]+more[family] > s.quota {
			return errorf("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
		}
	}
	return nil
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
		ipv4, ipv6 := r.Source.byFamily()
		if ipv6 == "" {
			n[0] += weight
		}
		if ipv4 == "" {
			n[1] += weight
		}
	}
	return n
}

// revoke removes rules. If one is not there, the call fails and removes none. For a group in a default VPC it succeeds:
// the answer names that rule, and the others are removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
func (s *site) revoke(c *call, in rulesInput, egress bool) (body, error) {
	g, rules, err := in.target(s, c)
	if err != nil {
		return nil, err
	}
	var revoked, kept, unknown []Rule
	for _, r := range *g.rules(egress) {
		if ruleOf(rules, r.Permission) >= 0 {
			revoked = append(revoked, r)
		} else {
			kept = append(kept, r)
		}
	}
	for _, r := range rules {
		if ruleOf(revoked, r.Permission) < 0 {
			unknown = append(unknown, r)
		}
	}
	if len(unknown) > 0 && !s.vpcs.byID[g.VPC].Default {
		return nil, noSuchRule()
	}
	if len(revoked) > 0 {
		s.update(g, func(g *Group) { *g.rules(egress) = kept })
	}
	return append(slices.Clone(done), element{"unknownIpPermissionSet", list("item", s.permissions(unknown))},
		element{"revokedSecurityGroupRuleSet", list("item", rulesXML(g, revoked, egress))}), nil
}

// ruleOf returns where the rule of a permission is, -1 if it is not there.
func ruleOf(rules []Rule, p Permission) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return r.Permission == p })
}

func noSuchRule() error {
	return errorf("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
}

// updateDescriptions replaces descriptions; one that is left out is removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html
func (s *site) updateDescriptions(c *call, in rulesInput) (body, error) {
	g, wanted, err := in.target(s, c)
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(g.Ingress)
	for _, w := range wanted {
		i := ruleOf(rules, w.Permission)
		if i < 0 {
			return nil, noSuchRule()
		}
		rules[i].Description = w.Description
	}
	s.update(g, func(g *Group) { g.Ingress = rules })
	return done, nil
}

// A ruleXML is a rule in an answer, or one that was revoked.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokedSecurityGroupRule.html
type ruleXML struct {
	ID          string `xml:"securityGroupRuleId"`
	Group       string `xml:"groupId"`
	Egress      bool   `xml:"isEgress"`
	Protocol    string `xml:"ipProtocol"`
	From        int32  `xml:"fromPort"`
	To          int32  `xml:"toPort"`
	IPv4        string `xml:"cidrIpv4,omitempty"`
	IPv6        string `xml:"cidrIpv6,omitempty"`
	PrefixList  string `xml:"prefixListId,omitempty"`
	Referenced  string `xml:"referencedGroupInfo>groupId,omitempty"`
	Description string `xml:"description,omitempty"`
}

func rulesXML(g *Group, rules []Rule, egress bool) (forms []ruleXML) {
	for _, r := range rules {
		ipv4, ipv6 := r.Source.byFamily()
		forms = append(forms, ruleXML{
			r.ID, g.ID, egress, r.Protocol, r.From, r.To, ipv4, ipv6, r.Source.reference("pl-"), r.Source.reference("sg-"), r.Description,
		})
	}
	return forms
}
