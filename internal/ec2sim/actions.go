package ec2sim

import "strings"

// An action carries out a call for one account in one region.
type action func(*site, *call) (any, error)

// actions lists what each service can do. Anything else is an InvalidAction.
var actions = map[string]map[string]action{
	"ec2": {
		"CreateVpc":       ec2((*site).createVPC),
		"DescribeVpcs":    describe(func(s *site) *table[*VPC] { return &s.vpcs }, (*site).vpcXML),
		"CreateSubnet":    ec2((*site).createSubnet),
		"DescribeSubnets": describe(func(s *site) *table[*subnet] { return &s.subnets }, (*site).subnetXML),

		"DescribeNetworkAcls":                    describe(func(s *site) *table[*NetworkACL] { return &s.acls }, itself),
		"DescribeRouteTables":                    describe(func(s *site) *table[*RouteTable] { return &s.routeTables }, itself),
		"DescribeInternetGateways":               describe(func(s *site) *table[*internetGateway] { return &s.gateways }, itself),
		"DescribeVpcBlockPublicAccessOptions":    ec2((*site).publicAccess),
		"DescribeVpcBlockPublicAccessExclusions": describe(func(s *site) *table[*Exclusion] { return &s.exclusions }, itself),

		"CreateSecurityGroup":    ec2((*site).createSecurityGroup),
		"DeleteSecurityGroup":    ec2((*site).deleteSecurityGroup),
		"DescribeSecurityGroups": describe(func(s *site) *table[*Group] { return &s.groups }, (*site).groupXML),

		"AuthorizeSecurityGroupIngress":              ec2(oneWay((*site).authorize, ingress)),
		"AuthorizeSecurityGroupEgress":               ec2(oneWay((*site).authorize, egress)),
		"RevokeSecurityGroupIngress":                 ec2(oneWay((*site).revoke, ingress)),
		"RevokeSecurityGroupEgress":                  ec2(oneWay((*site).revoke, egress)),
		"DescribeSecurityGroupRules":                 describe((*site).rules, (*site).ruleXML),
		"ModifySecurityGroupRules":                   ec2((*site).modifyRules),
		"UpdateSecurityGroupRuleDescriptionsIngress": ec2((*site).updateDescriptions),

		"CreateTags":   ec2((*site).createTags),
		"DeleteTags":   ec2((*site).deleteTags),
		"DescribeTags": describe((*site).tags, itself),

		"CreateNetworkInterface":          ec2((*site).createInterface),
		"DeleteNetworkInterface":          ec2((*site).deleteInterface),
		"DescribeNetworkInterfaces":       describe(func(s *site) *table[*Interface] { return &s.interfaces }, (*site).interfaceXML),
		"ModifyNetworkInterfaceAttribute": ec2((*site).modifyInterface),

		"CreateManagedPrefixList":          ec2((*site).createPrefixList),
		"DeleteManagedPrefixList":          ec2((*site).deletePrefixList),
		"DescribeManagedPrefixLists":       describe(func(s *site) *table[*PrefixList] { return &s.prefixLists }, (*site).prefixListXML),
		"GetManagedPrefixListAssociations": ec2((*site).prefixListAssociations),
		"GetManagedPrefixListEntries":      ec2((*site).prefixListEntries),
		"ModifyManagedPrefixList":          ec2((*site).modifyPrefixList),
		"RestoreManagedPrefixListVersion":  ec2((*site).restorePrefixList),
	},
	"elasticloadbalancing": {
		"DescribeLoadBalancers":          describeELB(func(s *site) *table[*LoadBalancer] { return &s.loadBalancers }, (*site).loadBalancerXML),
		"DescribeLoadBalancerAttributes": elb("", (*site).loadBalancerAttributes),
		"DescribeListeners":              describeELB((*site).listeners, itself),
		"DescribeRules":                  describeELB((*site).listenerRules, itself),
		"DescribeTags":                   elb("ResourceArns", (*site).describeBalancerTags),
		"DescribeTargetGroups":           describeELB(func(s *site) *table[*TargetGroup] { return &s.targetGroups }, itself),
		"DescribeTargetGroupAttributes":  elb("", (*site).targetGroupAttributes),
		"DescribeTargetHealth":           elb("", (*site).targetHealth),
		"SetSecurityGroups":              elb("", (*site).setSecurityGroups),
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
	for _, verb := range []string{"Describe", "Get", "AssumeRole"} {
		if strings.HasPrefix(name, verb) {
			return false
		}
	}
	return true
}

// dryRun is the parameter by which a caller asks whether a call would be permitted.
type dryRun struct {
	DryRun bool `query:"DryRun"`
}

func (d dryRun) dry() bool { return d.DryRun }

// ec2 makes an action of a function from its decoded parameters to its answer.
func ec2[In interface{ dry() bool }, Out any](do func(*site, *call, In) (Out, error)) action {
	return ec2WithIDs("", do)
}

// ec2WithIDs does so for an action whose list of IDs, the field "*" of In, is the parameter ids.
func ec2WithIDs[In interface{ dry() bool }, Out any](ids string, do func(*site, *call, In) (Out, error)) action {
	return func(s *site, c *call) (any, error) {
		var in In
		if err := decodeQuery(c.params, ids, &in); err != nil {
			return nil, err
		}
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
		if in.dry() {
			return nil, errorf("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
		}
		return do(s, c, in)
	}
}

// The directions of rules.
const (
	ingress = false
	egress  = true
)

// oneWay makes, of a function for both directions, the one for rules of a direction.
func oneWay[In, Out any](do func(*site, *call, In, bool) (Out, error), direction bool) func(*site, *call, In) (Out, error) {
	return func(s *site, c *call, in In) (Out, error) { return do(s, c, in, direction) }
}
