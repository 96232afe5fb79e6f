package ec2sim

import (
	"net/url"
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
		"DescribeVpcBlockPublicAccessOptions":    ec2((*site).publicAccess),
		"DescribeVpcBlockPublicAccessExclusions": describe(func(s *site) table[exclusion] { return s.exclusions }),

		"CreateSecurityGroup":                        ec2((*site).createSecurityGroup),
		"DeleteSecurityGroup":                        ec2((*site).deleteSecurityGroup),
		"DescribeSecurityGroups":                     describe(func(s *site) table[Group] { return s.groups }),
		"AuthorizeSecurityGroupIngress":              ec2((*site).authorize),
		"RevokeSecurityGroupIngress":                 revoke(func(g *Group) *[]Rule { return &g.Ingress }),
		"RevokeSecurityGroupEgress":                  revoke(func(g *Group) *[]Rule { return &g.Egress }),
		"UpdateSecurityGroupRuleDescriptionsIngress": ec2((*site).updateDescriptions),
		"CreateTags":                                 ec2((*site).createTags),
		"DeleteTags":                                 ec2((*site).deleteTags),

		"DescribeNetworkInterfaces":       describe(func(s *site) table[Interface] { return s.interfaces }),
		"ModifyNetworkInterfaceAttribute": ec2((*site).modifyInterface),

		"CreateManagedPrefixList":          ec2((*site).createPrefixList),
		"DeleteManagedPrefixList":          ec2((*site).deletePrefixList),
		"DescribeManagedPrefixLists":       describe(func(s *site) table[PrefixList] { return s.prefixLists }),
		"GetManagedPrefixListAssociations": ec2((*site).prefixListAssociations),
		"GetManagedPrefixListEntries":      ec2((*site).prefixListEntries),
		"ModifyManagedPrefixList":          ec2((*site).modifyPrefixList),
	},
	"elasticloadbalancing": {
		"DescribeLoadBalancers":         elb((*site).describeLoadBalancers),
		"DescribeListeners":             elb((*site).describeListeners),
		"DescribeRules":                 elb((*site).describeRules),
		"DescribeTags":                  elb((*site).describeBalancerTags),
		"DescribeTargetGroups":          elb((*site).describeTargetGroups),
		"DescribeTargetGroupAttributes": elb((*site).describeTargetGroupAttributes),
		"DescribeTargetHealth":          elb((*site).describeTargetHealth),
		"SetSecurityGroups":             elb((*site).setSecurityGroups),
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

// ec2 makes an action of a function from its decoded parameters to its answer.
func ec2[In any](do func(*site, *call, In) body) action { return ec2WithIDs("", do) }

// ec2WithIDs does so for an action whose list of IDs, the field "ID" of In, is the parameter ids. Every action takes the
// parameter by which a caller asks whether the call would be permitted.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
func ec2WithIDs[In any](ids string, do func(*site, *call, In) body) action {
	return func(s *site, c *call) any {
		var in In
		must(decodeQuery(c.params, ids, &in))
		switch dryRun := c.params.Get("DryRun"); dryRun {
		case "", "false":
		case "true":
			refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
		default:
			refuseInvalid("Value (%s) for parameter DryRun is invalid. It must be true or false.", dryRun)
		}
		return do(s, c, in)
	}
}

// elb makes an action of Elastic Load Balancing. Its protocol calls the elements of a list member.1, member.2 and so
// on, and sends an empty list as an empty string.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func elb[In any](do func(*site, In) body) action {
	return func(s *site, c *call) any {
		params := url.Values{}
		for name, values := range c.params {
			if !slices.Equal(values, []string{""}) {
				params[strings.ReplaceAll(name, ".member.", ".")] = values
			}
		}
		var in In
		if err := decodeQuery(params, "", &in); err != nil {
			refuse("ValidationError", "%s", asAPIError(err).message)
		}
		return do(s, in)
	}
}
