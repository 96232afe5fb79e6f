package ec2sim

import (
	"cmp"
	"slices"
)

// rulesInput is what the calls that change rules have in common.
type rulesInput struct {
	Group       string         `json:"GroupId"`
	Permissions []ipPermission `json:"IpPermissions"`
}

func (in rulesInput) target(s *site, c *call) (*Group, []Rule, error) {
	g, err := s.groups.find(in.Group)
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
func (s *site) authorize(c *call, in rulesInput) (body, error) {
	g, rules, err := in.target(s, c)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(distinct(slices.Concat(g.Ingress, rules)), s.checkQuota(g.Ingress, rules)); err != nil {
		return nil, err
	}
	rules = s.withIDs(rules)
	s.update(g, func(g *Group) { g.Ingress = slices.Concat(g.Ingress, rules) })
	return done, nil
}

// checkQuota refuses rules that would bring a group over its quota in a family that they take of. The quotas of the two
// are enforced apart: a group that holds too many IPv6 rules, because its quota was lowered, still takes IPv4.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func (s *site) checkQuota(have, add []Rule) error {
	used, more := s.load(have), s.load(add)
	for family := range used {
		if more[family] > 0 && used[family]+more[family] > s.quotas.RulesPerGroup {
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

// revokeIngress removes rules. If one is not there, the call fails and removes none. For a group in a default VPC it
// succeeds: the answer names that rule, and the others are removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
func (s *site) revokeIngress(c *call, in rulesInput) (body, error) {
	return s.revoke(c, in, func(g *Group) *[]Rule { return &g.Ingress })
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
func (s *site) revokeEgress(c *call, in rulesInput) (body, error) {
	return s.revoke(c, in, func(g *Group) *[]Rule { return &g.Egress })
}

func (s *site) revoke(c *call, in rulesInput, of func(*Group) *[]Rule) (body, error) {
	g, rules, err := in.target(s, c)
	if err != nil {
		return nil, err
	}
	known := *of(g)
	unknown := slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return ruleOf(known, r.Permission) >= 0 })
	if len(unknown) > 0 && !s.vpcs.byID[g.VPC].Default {
		return nil, errorf("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
	}
	if len(unknown) < len(rules) {
		kept := slices.DeleteFunc(slices.Clone(known), func(r Rule) bool { return ruleOf(rules, r.Permission) >= 0 })
		s.update(g, func(g *Group) { *of(g) = kept })
	}
	return body{{"return", true}, {"unknownIpPermissionSet", list("item", s.permissions(unknown))}}, nil
}

func ruleOf(rules []Rule, p Permission) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return r.Permission == p })
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
			return nil, errorf("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
		rules[i].Description = w.Description
	}
	s.update(g, func(g *Group) { g.Ingress = rules })
	return done, nil
}
