package ec2sim

import (
	"slices"
)

// rulesInput is what the calls that authorize and revoke rules have in common.
type rulesInput struct {
	dryRun
	simpleForm
	Group       string         `query:"GroupId"`
	GroupName   string         `query:"GroupName"`
	Permissions []ipPermission `query:"IpPermissions"`
}

// simpleForm is the older way to name one rule, without a list.
type simpleForm struct {
	CIDR        string `query:"CidrIp"`
	Protocol    string `query:"IpProtocol"`
	From        *int32 `query:"FromPort"`
	To          *int32 `query:"ToPort"`
	SourceName  string `query:"SourceSecurityGroupName"`
	SourceOwner string `query:"SourceSecurityGroupOwnerId"`
}

// listed returns the simple form as a list. A source group's name alone stands for all of TCP, UDP and ICMP.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
func (f simpleForm) listed() []ipPermission {
	switch {
	case f.SourceName != "":
		source := []groupPair{{Name: f.SourceName, User: f.SourceOwner}}
		var first, last, all int32 = 0, 65535, -1
		return []ipPermission{
			{Protocol: "tcp", From: &first, To: &last, Groups: source},
			{Protocol: "udp", From: &first, To: &last, Groups: source},
			{Protocol: "icmp", From: &all, To: &all, Groups: source},
		}
	case f.CIDR != "" || f.Protocol != "":
		return []ipPermission{{Protocol: f.Protocol, From: f.From, To: f.To, IPv4: []ipv4Range{{CIDR: f.CIDR}}}}
	}
	return nil
}

// target returns the group a request is about, and the rules it lists.
func (in rulesInput) target(s *site) (*Group, []Rule, error) {
	g, err := s.named(in.Group, in.GroupName)
	if err != nil {
		return nil, nil, err
	}
	perms := slices.Concat(in.Permissions, in.listed())
	if len(in.Permissions) > 0 && len(perms) > len(in.Permissions) {
		return nil, nil, errorf("InvalidParameterCombination", "The parameter ipPermissions cannot be used with the parameter cidrIp or sourceSecurityGroupName")
	}
	rules, err := s.parseRules(g.VPC, perms)
	return g, rules, err
}

type authorizeOutput struct {
	done
	Rules []ruleXML `xml:"securityGroupRuleSet>item"`
}

// authorize adds all rules of a request or none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
func (s *site) authorize(c *call, in rulesInput, egress bool) (*authorizeOutput, error) {
	g, rules, err := in.target(s)
	if err != nil {
		return nil, err
	}
	c.rules = len(rules)
	if len(rules) == 0 {
		return nil, missing("ipPermissions")
	}
	if err := distinct(slices.Concat(*g.rules(egress), rules)); err != nil {
		return nil, err
	}
	if err := s.checkQuota(*g.rules(egress), rules); err != nil {
		return nil, err
	}
	out := &authorizeOutput{done: done{Return: true}}
	for i := range rules {
		rules[i].ID = s.server.newID("sgr")
		out.Rules = append(out.Rules, s.ruleXML(placedRule{rules[i], g, egress}))
	}
	s.update(g, func(g *Group) { *g.rules(egress) = slices.Concat(*g.rules(egress), rules) })
	return out, nil
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
	var used, more load
	for _, r := range have {
		used.add(s.weight(r.Source))
	}
	for _, r := range add {
		more.add(s.weight(r.Source))
	}
	for family := range used {
		if more[family] > 0 && used[family]+more[family] > s.quota {
			return errorf("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
		}
	}
	return nil
}

type revokeInput struct {
	rulesInput
	RuleIDs []string `query:"SecurityGroupRuleId"`
}

type revokeOutput struct {
	done
	Unknown []ipPermission `xml:"unknownIpPermissionSet>item"`
	Revoked []revokedXML   `xml:"revokedSecurityGroupRuleSet>item"`
}

// revoke removes rules. One that is not there is an error that leaves all of them standing, but for a group in a
// default VPC: there it is named in the answer, and the others are removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
func (s *site) revoke(c *call, in revokeInput, egress bool) (*revokeOutput, error) {
	g, rules, err := in.target(s)
	if err != nil {
		return nil, err
	}
	c.rules = len(rules) + len(in.RuleIDs)
	if c.rules == 0 {
		return nil, missing("ipPermissions")
	}
	doomed := make(map[string]bool, c.rules) // by rule id
	for _, id := range in.RuleIDs {
		if _, err := findRule(*g.rules(egress), id); err != nil {
			return nil, err
		}
		doomed[id] = true
	}
	unknown := find(*g.rules(egress), rules, doomed)
	if vpc := s.vpcs.byID[g.VPC]; len(unknown) > 0 && !vpc.Default {
		return nil, errorf("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
	}
	out := &revokeOutput{done: done{Return: true}, Unknown: s.permissions(unknown)}
	var kept []Rule
	for _, r := range *g.rules(egress) {
		if doomed[r.ID] {
			out.Revoked = append(out.Revoked, revoked(g, r, egress))
		} else {
			kept = append(kept, r)
		}
	}
	if len(out.Revoked) > 0 {
		s.update(g, func(g *Group) { *g.rules(egress) = kept })
	}
	return out, nil
}

// find marks the ids of the wanted rules, and returns those that are not there.
func find(have, wanted []Rule, found map[string]bool) (unknown []Rule) {
	ids := make(map[Permission]string, len(have))
	for _, r := range have {
		ids[r.Permission] = r.ID
	}
	for _, r := range wanted {
		if id, ok := ids[r.Permission]; ok {
			found[id] = true
		} else {
			unknown = append(unknown, r)
		}
	}
	return unknown
}

// findRule returns the position of the rule with an id.
func findRule(rules []Rule, id string) (int, error) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
	if i < 0 {
		return 0, ruleKind.absent(id)
	}
	return i, nil
}

// A ruleXML is a rule in an answer.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html
type ruleXML struct {
	ID          string           `xml:"securityGroupRuleId"`
	Group       string           `xml:"groupId"`
	Owner       string           `xml:"groupOwnerId"`
	Egress      bool             `xml:"isEgress"`
	Protocol    string           `xml:"ipProtocol"`
	From        int32            `xml:"fromPort"`
	To          int32            `xml:"toPort"`
	IPv4        string           `xml:"cidrIpv4,omitempty"`
	IPv6        string           `xml:"cidrIpv6,omitempty"`
	PrefixList  string           `xml:"prefixListId,omitempty"`
	Referenced  *referencedGroup `xml:"referencedGroupInfo"`
	Description string           `xml:"description,omitempty"`
	ARN         string           `xml:"securityGroupRuleArn"`
}

type referencedGroup struct {
	ID   string `xml:"groupId"`
	User string `xml:"userId"`
	VPC  string `xml:"vpcId"`
}

func (s *site) ruleXML(placed placedRule) ruleXML {
	r, g := placed.Rule, placed.group
	x := ruleXML{
		ID: r.ID, Group: g.ID, Owner: g.Account, Egress: placed.egress,
		Protocol: r.Protocol, From: r.From, To: r.To,
		IPv4: familyCIDR(r, true), IPv6: familyCIDR(r, false), PrefixList: reference(r, "pl-"),
		Description: r.Description,
		ARN:         arn(s.region, s.account, "security-group-rule/"+r.ID),
	}
	if id := reference(r, "sg-"); id != "" {
		x.Referenced = &referencedGroup{ID: id, User: g.Account, VPC: g.VPC}
	}
	return x
}

// A revokedXML is a rule that was.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokedSecurityGroupRule.html
type revokedXML struct {
	ID          string `xml:"securityGroupRuleId"`
	Group       string `xml:"groupId"`
	Egress      bool   `xml:"isEgress"`
	Protocol    string `xml:"ipProtocol"`
	From        int32  `xml:"fromPort"`
	To          int32  `xml:"toPort"`
	IPv4        string `xml:"cidrIpv4,omitempty"`
	IPv6        string `xml:"cidrIpv6,omitempty"`
	PrefixList  string `xml:"prefixListId,omitempty"`
	Referenced  string `xml:"referencedGroupId,omitempty"`
	Description string `xml:"description,omitempty"`
}

func revoked(g *Group, r Rule, egress bool) revokedXML {
	return revokedXML{
		ID: r.ID, Group: g.ID, Egress: egress, Protocol: r.Protocol, From: r.From, To: r.To,
		IPv4: familyCIDR(r, true), IPv6: familyCIDR(r, false),
		PrefixList: reference(r, "pl-"), Referenced: reference(r, "sg-"), Description: r.Description,
	}
}
