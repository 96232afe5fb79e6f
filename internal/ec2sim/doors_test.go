package ec2sim_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The seeds in testdata/doors, as the real SDK sees them: the way from CloudFront to each network interface.
func TestDoors(t *testing.T) {
	const (
		allow  = "out 100 allow -1 0.0.0.0/0, in 100 allow -1 0.0.0.0/0, "
		allow6 = ", out 101 allow -1 ::/0, in 101 allow -1 ::/0"
		deny   = "out 32767 deny -1 0.0.0.0/0, in 32767 deny -1 0.0.0.0/0"
		deny6  = ", out 32768 deny -1 ::/0, in 32768 deny -1 ::/0"
		theDef = allow + deny + allow6 + deny6
		in     = "in 100 allow -1 0.0.0.0/0, in 101 allow -1 ::/0, "
		out    = "out 100 allow -1 0.0.0.0/0, out 101 allow -1 ::/0, "
		local  = "10.1.0.0/16 local, "
		routes = local + "0.0.0.0/0 igw, ::/0 igw"
	)
	for _, c := range []struct{ seed, acl, routes, block, behind string }{
		{"open", theDef, routes, "off", "HTTPS:443 fixed-response"},
		{"two-listeners", theDef, routes, "off", "HTTP:80 fixed-response, HTTPS:443 fixed-response"},
		{"acl-denies-443", "in 90 deny 6 443-443 0.0.0.0/0, in 91 deny 6 443-443 ::/0, " + in + out + deny + deny6, routes, "off", "HTTPS:443 fixed-response"},
		{"acl-denies-answers", in + "out 90 deny 6 1024-65535 0.0.0.0/0, out 91 deny 6 1024-65535 ::/0, " + out + deny + deny6, routes, "off", "HTTPS:443 fixed-response"},
		{"acl-denies-one-block", "in 90 deny 6 443-443 13.32.0.0/15, " + in + out + deny + deny6, routes, "off", "HTTPS:443 fixed-response"},
		{"no-internet-route", theDef, local + "0.0.0.0/0 nat, ::/0 eigw", "off", "HTTPS:443 fixed-response"},
		{"no-ipv6-route", theDef, local + "0.0.0.0/0 igw", "off", "HTTPS:443 fixed-response"},
		{"block-public-access", theDef, routes, "block-bidirectional", "HTTPS:443 fixed-response"},
		{"block-public-access-excluded", theDef, routes, "block-ingress allow-bidirectional create-complete vpc", "HTTPS:443 fixed-response"},
		{"private-instance", theDef, routes, "off", ""},
		{"nlb-instances", theDef, routes, "off", "TCP:443 forward app instance preserved=true i-0123456789abcdef0:8443 healthy"},
		{"nlb-addresses", theDef, routes, "off", "TCP:443 forward app ip preserved=false 10.1.0.10:8443 healthy"},
		{"nlb-not-preserved", theDef, routes, "off", "TCP:443 forward app instance preserved=false i-0123456789abcdef0:8443 healthy"},
		{"nlb-without-groups", theDef, routes, "off", "TCP:443 forward app instance preserved=true i-0123456789abcdef0:8443 healthy"},
	} {
		t.Run(c.seed, func(t *testing.T) {
			seed, err := os.ReadFile("testdata/doors/" + c.seed + ".json")
			wantCode(t, err, "")
			s, elb := balancing(t, ec2sim.Options{}, string(seed))
			interfaces, err := s.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{})
			wantCode(t, err, "")
			i := interfaces.NetworkInterfaces[len(interfaces.NetworkInterfaces)-1]
			if got := s.aclOf(*i.SubnetId); got != c.acl {
				t.Errorf("network ACL: got %q, want %q", got, c.acl)
			}
			if got := s.routesOf(*i.SubnetId, *i.VpcId); got != c.routes {
				t.Errorf("routes: got %q, want %q", got, c.routes)
			}
			if got := s.block(); got != c.block {
				t.Errorf("block public access: got %q, want %q", got, c.block)
			}
			if got := behind(t, elb); got != c.behind {
				t.Errorf("listeners: got %q, want %q", got, c.behind)
			}
			if groups := c.seed != "nlb-without-groups"; groups != (len(i.Groups) > 0) {
				t.Errorf("groups: got %v", i.Groups)
			}
		})
	}
	if seeds, _ := os.ReadDir("testdata/doors"); len(seeds) != 14 {
		t.Errorf("there are %d seeds", len(seeds))
	}
}

func (s *sim) aclOf(subnet string) string {
	s.t.Helper()
	out, err := s.DescribeNetworkAcls(s.t.Context(), &ec2.DescribeNetworkAclsInput{Filters: filtered("association.subnet-id", subnet)})
	wantCode(s.t, err, "")
	if len(out.NetworkAcls) != 1 {
		s.t.Fatalf("%s has %d network ACLs", subnet, len(out.NetworkAcls))
	}
	var entries []string
	for _, e := range out.NetworkAcls[0].Entries {
		way := "in"
		if *e.Egress {
			way = "out"
		}
		entry := fmt.Sprint(way, " ", *e.RuleNumber, " ", e.RuleAction, " ", *e.Protocol)
		if e.PortRange != nil {
			entry += fmt.Sprintf(" %d-%d", *e.PortRange.From, *e.PortRange.To)
		}
		entries = append(entries, entry+" "+aws.ToString(e.CidrBlock)+aws.ToString(e.Ipv6CidrBlock))
	}
	return strings.Join(entries, ", ")
}

// routesOf returns the routes of a subnet, which are those of the main table where it has none of its own.
func (s *sim) routesOf(subnet, vpc string) string {
	s.t.Helper()
	out, err := s.DescribeRouteTables(s.t.Context(), &ec2.DescribeRouteTablesInput{Filters: filtered("association.subnet-id", subnet)})
	wantCode(s.t, err, "")
	if len(out.RouteTables) == 0 {
		out, err = s.DescribeRouteTables(s.t.Context(), &ec2.DescribeRouteTablesInput{Filters: append(filtered("vpc-id", vpc), filtered("association.main", "true")...)})
		wantCode(s.t, err, "")
	}
	if len(out.RouteTables) != 1 {
		s.t.Fatalf("%s has %d route tables", subnet, len(out.RouteTables))
	}
	var routes []string
	for _, r := range out.RouteTables[0].Routes {
		target := aws.ToString(r.GatewayId) + aws.ToString(r.NatGatewayId) + aws.ToString(r.EgressOnlyInternetGatewayId)
		target, _, _ = strings.Cut(target, "-")
		routes = append(routes, aws.ToString(r.DestinationCidrBlock)+aws.ToString(r.DestinationIpv6CidrBlock)+" "+target)
	}
	return strings.Join(routes, ", ")
}

func (s *sim) block() string {
	s.t.Helper()
	options, err := s.DescribeVpcBlockPublicAccessOptions(s.t.Context(), &ec2.DescribeVpcBlockPublicAccessOptionsInput{})
	wantCode(s.t, err, "")
	exclusions, err := s.DescribeVpcBlockPublicAccessExclusions(s.t.Context(), &ec2.DescribeVpcBlockPublicAccessExclusionsInput{})
	wantCode(s.t, err, "")
	found := []string{string(options.VpcBlockPublicAccessOptions.InternetGatewayBlockMode)}
	for _, e := range exclusions.VpcBlockPublicAccessExclusions {
		resource := (*e.ResourceArn)[strings.LastIndex(*e.ResourceArn, ":")+1:]
		kind, _, _ := strings.Cut(resource, "/")
		found = append(found, string(e.InternetGatewayExclusionMode), string(e.State), kind)
	}
	return strings.Join(found, " ")
}

// behind returns the listeners of all load balancers and what is behind them.
func behind(t *testing.T, elb *elasticloadbalancingv2.Client) string {
	t.Helper()
	balancers, err := elb.DescribeLoadBalancers(t.Context(), &elasticloadbalancingv2.DescribeLoadBalancersInput{})
	wantCode(t, err, "")
	var found []string
	for _, lb := range balancers.LoadBalancers {
		listeners, err := elb.DescribeListeners(t.Context(), &elasticloadbalancingv2.DescribeListenersInput{LoadBalancerArn: lb.LoadBalancerArn})
		wantCode(t, err, "")
		for _, l := range listeners.Listeners {
			action := l.DefaultActions[0]
			line := fmt.Sprintf("%s:%d %s", l.Protocol, *l.Port, action.Type)
			if action.TargetGroupArn != nil {
				line += " " + targets(t, elb, *lb.LoadBalancerArn)
			}
			found = append(found, line)
		}
	}
	return strings.Join(found, ", ")
}

func targets(t *testing.T, elb *elasticloadbalancingv2.Client, balancer string) string {
	t.Helper()
	groups, err := elb.DescribeTargetGroups(t.Context(), &elasticloadbalancingv2.DescribeTargetGroupsInput{LoadBalancerArn: &balancer})
	wantCode(t, err, "")
	g := groups.TargetGroups[0]
	attributes, err := elb.DescribeTargetGroupAttributes(t.Context(), &elasticloadbalancingv2.DescribeTargetGroupAttributesInput{TargetGroupArn: g.TargetGroupArn})
	wantCode(t, err, "")
	health, err := elb.DescribeTargetHealth(t.Context(), &elasticloadbalancingv2.DescribeTargetHealthInput{TargetGroupArn: g.TargetGroupArn})
	wantCode(t, err, "")
	line := *g.TargetGroupName + " " + string(g.TargetType)
	for _, a := range attributes.Attributes {
		if *a.Key == "preserve_client_ip.enabled" {
			line += " preserved=" + *a.Value
		}
	}
	for _, h := range health.TargetHealthDescriptions {
		line += fmt.Sprintf(" %s:%d %s", *h.Target.Id, *h.Target.Port, h.TargetHealth.State)
	}
	return line
}
