package ec2sim

import (
	"slices"
	"strings"
)

// A placedRule is a rule and where it is.
type placedRule struct {
	Rule
	group  *Group
	egress bool
}

// ruleKind has the filters of DescribeSecurityGroupRules.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html
var ruleKind = kind[placedRule]{
	prefix: "sgr-", malformed: "InvalidSecurityGroupRuleId.Malformed",
	notFound: "InvalidSecurityGroupRuleId.NotFound", message: "The security group rule ID '%s' does not exist",
	set: "securityGroupRuleSet", ids: "SecurityGroupRuleId",
	id: func(r placedRule) string { return r.ID },
	filters: attributes[placedRule]{
		"group-id":               func(r placedRule) []string { return []string{r.group.ID} },
		"security-group-rule-id": func(r placedRule) []string { return []string{r.ID} },
	},
}

// rules returns the rules of all groups.
func (s *site) rules() *table[placedRule] {
	var rules []placedRule
	for g := range s.groups.all {
		for _, egress := range []bool{false, true} {
			for _, r := range *g.rules(egress) {
				rules = append(rules, placedRule{r, g, egress})
			}
		}
	}
	return tableOf(&ruleKind, rules)
}

type modifyRulesInput struct {
	dryRun
	Group   string       `query:"GroupId"`
	Updates []ruleUpdate `query:"SecurityGroupRule"`
}

type ruleUpdate struct {
	ID   string      `query:"SecurityGroupRuleId"`
	Rule ruleRequest `query:"SecurityGroupRule"`
}

type ruleRequest struct {
	Protocol    string `query:"IpProtocol"`
	From        *int32 `query:"FromPort"`
	To          *int32 `query:"ToPort"`
	IPv4        string `query:"CidrIpv4"`
	IPv6        string `query:"CidrIpv6"`
	PrefixList  string `query:"PrefixListId"`
	Referenced  string `query:"ReferencedGroupId"`
	Description string `query:"Description"`
}

// permission returns the request in the form of the other calls.
func (r ruleRequest) permission() ipPermission {
	p := ipPermission{Protocol: r.Protocol, From: r.From, To: r.To}
	if r.IPv4 != "" {
		p.IPv4 = []ipv4Range{{r.IPv4, r.Description}}
	}
	if r.IPv6 != "" {
		p.IPv6 = []ipv6Range{{r.IPv6, r.Description}}
	}
	if r.PrefixList != "" {
		p.PrefixLists = []prefixListRef{{r.PrefixList, r.Description}}
	}
	if r.Referenced != "" {
		p.Groups = []groupPair{{ID: r.Referenced, Description: r.Description}}
	}
	return p
}

// modifyRules replaces rules by others of the same kind of source, all or none.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRuleRequest.html
func (s *site) modifyRules(c *call, in modifyRulesInput) (*done, error) {
	g, err := s.groups.find(in.Group)
	if err != nil {
		return nil, err
	}
	c.rules = len(in.Updates)
	if len(in.Updates) == 0 {
		return nil, missing("SecurityGroupRules")
	}
	after := [2][]Rule{slices.Clone(g.Ingress), slices.Clone(g.Egress)}
	for _, u := range in.Updates {
		rules := after[0]
		i, err := findRule(rules, u.ID)
		if err != nil {
			rules = after[1]
			if i, err = findRule(rules, u.ID); err != nil {
				return nil, err
			}
		}
		if rules[i], err = s.replacement(g, rules[i], u.Rule); err != nil {
			return nil, err
		}
	}
	for _, rules := range after {
		if err := distinct(rules); err != nil {
			return nil, err
		}
		if err := s.checkQuota(nil, rules); err != nil {
			return nil, err
		}
	}
	s.update(g, func(g *Group) { g.Ingress, g.Egress = after[0], after[1] })
	return &done{Return: true}, nil
}

// replacement returns what a rule becomes.
func (s *site) replacement(g *Group, old Rule, request ruleRequest) (Rule, error) {
	rules, err := s.parsePermission(g.VPC, request.permission())
	if err != nil {
		return Rule{}, err
	}
	next := rules[0]
	if len(rules) != 1 || kindOf(old.Source) != kindOf(next.Source) {
		return Rule{}, errorf("InvalidParameterValue", "You may not change the type of the source of rule %s", old.ID)
	}
	next.ID = old.ID
	return next, nil
}

// kindOf names the kind of a source.
func kindOf(s Source) string {
	switch {
	case s.Prefix.IsValid() && s.Prefix.Addr().Is4():
		return "IPv4"
	case s.Prefix.IsValid():
		return "IPv6"
	}
	kind, _, _ := strings.Cut(s.Reference, "-")
	return kind
}

type updateDescriptionsInput struct {
	dryRun
	Group        string            `query:"GroupId"`
	GroupName    string            `query:"GroupName"`
	Permissions  []ipPermission    `query:"IpPermissions"`
	Descriptions []ruleDescription `query:"SecurityGroupRuleDescription"`
}

type ruleDescription struct {
	ID   string `query:"SecurityGroupRuleId"`
	Text string `query:"Description"`
}

// updateDescriptions replaces descriptions; one that is left out is removed.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html
func (s *site) updateDescriptions(c *call, in updateDescriptionsInput) (*done, error) {
	g, err := s.named(in.Group, in.GroupName)
	if err != nil {
		return nil, err
	}
	wanted, err := s.parseRules(g.VPC, in.Permissions)
	if err != nil {
		return nil, err
	}
	c.rules = len(wanted) + len(in.Descriptions)
	if c.rules == 0 {
		return nil, missing("ipPermissions")
	}
	rules := slices.Clone(g.Ingress)
	for _, w := range wanted {
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.Permission == w.Permission })
		if i < 0 {
			return nil, errorf("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
		rules[i].Description = w.Description
	}
	for _, d := range in.Descriptions {
		i, err := findRule(rules, d.ID)
		if err != nil {
			return nil, err
		}
		if !allowedText(d.Text) {
			return nil, invalidDescription()
		}
		rules[i].Description = d.Text
	}
	s.update(g, func(g *Group) { g.Ingress = rules })
	return &done{Return: true}, nil
}
