package ec2sim_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// balancing is an endpoint with load balancers.
func balancing(t *testing.T) *sim {
	t.Helper()
	s := start(t, ec2sim.Options{})
	wantCode(t, s.Seed(strings.NewReader(balancers)), "")
	return s
}

const balancers = `{
	"groups": [
		{"name": "g0"}, {"name": "g1"}, {"name": "g2"}, {"name": "g3"}, {"name": "g4"}, {"name": "g5"}, {"name": "far", "vpc": "other"}
	],
	"loadBalancers": [
		{"name": "shop", "groups": ["g0"], "listeners": ["HTTP:80", "HTTPS:443"], "tags": {"elbv2.k8s.aws/cluster": "prod"}, "interfaces": [
			{"publicIp": "198.51.100.7", "ipv6": "2001:db8::7"}, {"publicIp": "198.51.100.8"}, {}
		]},
		{"name": "other", "groups": ["g0"], "listeners": ["HTTPS:8443"]},
		{"name": "nlb", "type": "network", "groups": ["g0"]},
		{"name": "bare", "type": "network", "scheme": "internal"},
		{"name": "gateway", "type": "gateway"}
	],
	"targetGroups": [
		{"name": "web", "protocol": "HTTP", "port": 80, "listeners": ["shop:443"]},
		{"name": "api", "protocol": "HTTP", "port": 80, "listeners": ["shop:443"]},
		{"name": "db", "protocol": "TCP", "port": 5432, "targets": [{"id": "i-0123456789abcdef0"}]}
	]
}`

// resources returns the IDs of what an answer names: the ARNs of load balancers by "lb:NAME", those of target groups by
// "tg:NAME", and those of listeners by "listener:NAME:NUMBER".
func (s *sim) resources() *strings.Replacer {
	var pairs []string
	for _, g := range s.here.Groups() {
		pairs = append(pairs, "sg:"+g.Name, g.ID)
	}
	arns := regexp.MustCompile(`arn:aws:elasticloadbalancing:[^:]*:\d*:(loadbalancer/...|targetgroup)/(\w+)/\w+`)
	for _, action := range []string{"DescribeLoadBalancers", "DescribeTargetGroups"} {
		_, answer := post(s.t, s.Server, "elasticloadbalancing", "Action="+action)
		for _, m := range arns.FindAllStringSubmatch(answer, -1) {
			prefix := "tg:"
			if strings.HasPrefix(m[1], "load") {
				prefix = "lb:"
			}
			pairs = append(pairs, prefix+m[2], m[0])
		}
	}
	return strings.NewReplacer(pairs...)
}

// The calls to Elastic Load Balancing answer as the AWS documentation says, see [TestDocumented].
func TestDocumentedBalancing(t *testing.T) {
	const (
		describe  = "Action=DescribeLoadBalancers"
		listeners = "Action=DescribeListeners"
		targets   = "Action=DescribeTargetGroups"
		tags      = "Action=DescribeTags"
		set       = "Action=SetSecurityGroups&LoadBalancerArn="
		first     = "&SecurityGroups.member.1=sg:g0"
		invalid   = "<Code>ValidationError</Code>"
		conflict  = "<Code>InvalidConfigurationRequest</Code>"
	)
	for name, c := range map[string]struct {
		query  string
		status int
		want   []string
	}{
		"all load balancers":            {describe, 200, []string{"lb:shop", "lb:nlb", "lb:gateway", "!NextMarker"}},
		"by a name":                     {describe + "&Names.member.1=shop", 200, []string{"lb:shop", "!lb:other", "<State><Code>active", "<Scheme>internet-facing", "<Type>application", "<IpAddressType>dualstack", "<member>sg:g0</member>"}},
		"by an ARN":                     {describe + "&LoadBalancerArns.member.1=lb:bare", 200, []string{"<Scheme>internal", "<Type>network", "<IpAddressType>ipv4", "!sg:"}},
		"by a wrong name":               {describe + "&Names.member.1=shop&Names.member.2=shp", 400, []string{"<Code>LoadBalancerNotFound</Code>", "<Type>Sender</Type>"}},
		"listeners of a load balancer":  {listeners + "&LoadBalancerArn=lb:shop", 200, []string{"<Port>80</Port>", "<Port>443</Port>", "<Type>fixed-response", "<TargetGroupArn>tg:web", "!8443"}},
		"rules of none":                 {"Action=DescribeRules&ListenerArn=lb:shop", 400, []string{"<Code>ListenerNotFound</Code>"}},
		"target groups of a balancer":   {targets + "&LoadBalancerArn=lb:shop", 200, []string{"tg:web", "tg:api", "!tg:db"}},
		"attributes":                    {"Action=DescribeTargetGroupAttributes&TargetGroupArn=tg:db", 200, []string{"<Key>preserve_client_ip.enabled</Key><Value>true"}},
		"health":                        {"Action=DescribeTargetHealth&TargetGroupArn=tg:db", 200, []string{"<Id>i-0123456789abcdef0</Id><Port>5432</Port>", "<State>healthy"}},
		"tags":                          {tags + "&ResourceArns.member.1=lb:shop", 200, []string{"<Key>elbv2.k8s.aws/cluster</Key><Value>prod"}},
		"tags of nothing":               {tags, 400, []string{invalid}},
		"groups of no load balancer":    {set + "lb:shop0" + first, 400, []string{"<Code>LoadBalancerNotFound</Code>"}},
		"6 groups":                      {set + "lb:shop&SecurityGroups.member.1=sg:g0&SecurityGroups.member.2=sg:g1&SecurityGroups.member.3=sg:g2&SecurityGroups.member.4=sg:g3&SecurityGroups.member.5=sg:g4&SecurityGroups.member.6=sg:g5", 400, []string{conflict}},
		"a group that does not exist":   {set + "lb:shop&SecurityGroups.member.1=sg-00000000000000000", 400, []string{"<Code>InvalidSecurityGroup</Code>"}},
		"a group of another VPC":        {set + "lb:shop" + first + "&SecurityGroups.member.2=sg:far", 400, []string{conflict}},
		"an NLB created without groups": {set + "lb:bare" + first, 400, []string{conflict}},
		"a Gateway Load Balancer":       {set + "lb:gateway" + first, 400, []string{conflict}},
		"an NLB gets others":            {set + "lb:nlb&SecurityGroups.member.1=sg:g1", 200, []string{"<member>sg:g1</member>"}},
		"an unknown parameter":          {describe + "&Colour=red", 400, []string{invalid}},
	} {
		t.Run(name, func(t *testing.T) {
			s := balancing(t)
			s.here.SetGroupsPerInterface(16)
			ids := s.resources()
			status, answer := post(t, s.Server, "elasticloadbalancing", ids.Replace(c.query))
			if problem := difference(status, answer, c.status, ids, c.want); problem != "" {
				t.Errorf("%s: %s", problem, answer)
			}
		})
	}
}

// One call changes all interfaces of a load balancer at once, and nobody else's.
func TestSetSecurityGroups(t *testing.T) {
	s := balancing(t)
	var seen []ec2sim.Change
	s.Observe(func(c ec2sim.Change) { seen = append(seen, c) })
	ids := s.resources()
	post(t, s.Server, "elasticloadbalancing", ids.Replace("Action=SetSecurityGroups&LoadBalancerArn=lb:shop&SecurityGroups.member.1=sg:g1&SecurityGroups.member.2=sg:g2"))
	s.Calls() // waits for the observer
	if len(seen) != 1 || seen[0].Call.Action != "SetSecurityGroups" || seen[0].Call.Resource != ids.Replace("lb:shop") || len(seen[0].Interfaces) != 3 {
		t.Errorf("saw %+v", seen)
	}
	for _, i := range s.here.Interfaces() {
		want := []string{ids.Replace("sg:g0")}
		switch {
		case strings.HasPrefix(i.Description, "ELB app/shop/"):
			want = []string{ids.Replace("sg:g1"), ids.Replace("sg:g2")}
		case strings.HasPrefix(i.Description, "ELB net/bare/"), strings.HasPrefix(i.Description, "ELB gwy/"):
			want = nil
		}
		if i.Requester != "amazon-elb" || !slices.Equal(i.Groups, want) {
			t.Errorf("%s of %s has %q, want %q", i.Description, i.Requester, i.Groups, want)
		}
	}
	if err := s.here.DeleteGroup(ids.Replace("sg:g2")); err == nil {
		t.Error("a group of a load balancer was deleted")
	}
}
