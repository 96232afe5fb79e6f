package ec2sim

import (
	"slices"
	"strings"
)

// An action carries out a call for one account in one region, and returns the answer.
type action func(*site, *call) any

// actions lists what each service can do. Anything else is an InvalidAction.
var actions = map[string]map[string]action{
	"ec2": {
		"DescribeVpcs":                           describe(func(s *site) table[vpc] { return s.vpcs }),
		"DescribeSubnets":                        describe(func(s *site) table[subnet] { return s.subnets }),
		"DescribeNetworkAcls":                    describe(func(s *site) table[networkACL] { return s.acls }),
		"DescribeRouteTables":                    describe(func(s *site) table[routeTable] { return s.routeTables }),
		"DescribeVpcBlockPublicAccessOptions":    with((*site).publicAccess),
		"DescribeVpcBlockPublicAccessExclusions": describe(func(s *site) table[exclusion] { return s.exclusions }),

		"CreateSecurityGroup":                        with((*site).createSecurityGroup),
		"DeleteSecurityGroup":                        with((*site).deleteSecurityGroup),
		"DescribeSecurityGroups":                     describe(func(s *site) table[Group] { return s.groups }),
		"AuthorizeSecurityGroupIngress":              with((*site).authorize),
		"RevokeSecurityGroupIngress":                 revoke(func(g *Group) *[]Rule { return &g.Ingress }),
		"RevokeSecurityGroupEgress":                  revoke(func(g *Group) *[]Rule { return &g.Egress }),
		"UpdateSecurityGroupRuleDescriptionsIngress": with((*site).updateDescriptions),
		"CreateTags":                                 with((*site).createTags),
		"DeleteTags":                                 with((*site).deleteTags),

		"DescribeNetworkInterfaces":       describe(func(s *site) table[Interface] { return s.interfaces }),
		"ModifyNetworkInterfaceAttribute": with((*site).modifyInterface),

		"CreateManagedPrefixList":          with((*site).createPrefixList),
		"DeleteManagedPrefixList":          with((*site).deletePrefixList),
		"DescribeManagedPrefixLists":       describe(func(s *site) table[PrefixList] { return s.prefixLists }),
		"GetManagedPrefixListAssociations": with((*site).prefixListAssociations),
		"GetManagedPrefixListEntries":      with((*site).prefixListEntries),
		"ModifyManagedPrefixList":          with((*site).modifyPrefixList),
	},
	"elasticloadbalancing": {
		"DescribeLoadBalancers":         with((*site).describeLoadBalancers),
		"DescribeListeners":             with((*site).describeListeners),
		"DescribeRules":                 with((*site).describeRules),
		"DescribeTags":                  with((*site).describeBalancerTags),
		"DescribeTargetGroups":          with((*site).describeTargetGroups),
		"DescribeTargetGroupAttributes": with((*site).describeTargetGroupAttributes),
		"DescribeTargetHealth":          with((*site).describeTargetHealth),
		"SetSecurityGroups":             with((*site).setSecurityGroups),
	},
	"sts": {
		"AssumeRole":        (*site).assumeRole,
		"GetCallerIdentity": (*site).callerIdentity,
	},
	"servicequotas": {
		"GetServiceQuota": (*site).getServiceQuota,
	},
}

// mutating reports whether an action of EC2 changes anything, which its name says.
func mutating(name string) bool {
	return !slices.ContainsFunc([]string{"Describe", "Get", "AssumeRole"}, func(verb string) bool { return strings.HasPrefix(name, verb) })
}

// with makes an action of a function from its decoded parameters to its answer.
func with[In any](do func(*site, *call, In) body) action {
	return func(s *site, c *call) any {
		var in In
		decodeQuery(c.params, &in)
		return do(s, c, in)
	}
}
