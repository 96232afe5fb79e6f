package ec2sim

import "slices"

// rulesInput holds the parameters of every call that changes rules.
type rulesInput struct {
	Group       string         `json:"GroupId"`
	Permissions []ipPermission `json:"IpPermissions"`
}

func (in rulesInput) target(s *site, c *call) (*Group, []Rule) {
	g := s.groups.find(in.Group)
	rules := s.parseRules(g.VPC, in.Permissions)
	c.Rules = len(rules)
	return g, rules
}

// authorize adds all rules of a request or none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
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
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
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
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
func revoke(of func(*Group) *[]Rule) action {
	return ec2(func(s *site, c *call, in rulesInput) body {
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
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html
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
