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
	for _, c := range readDocumented(t, "documented-balancing.txt") {
		t.Run(c.name, func(t *testing.T) {
			s := balancing(t)
			s.here.SetGroupsPerInterface(16)
			problem := c.ask(s.resources(), func(query string) (int, string) {
				return post(t, s.Server, "elasticloadbalancing", query)
			})
			if problem != "" {
				t.Error(problem)
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
