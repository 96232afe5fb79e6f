package ec2sim_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"cloudfront-sg-sync/internal/ec2sim"
)

// balancing is an endpoint and the real SDK's client of Elastic Load Balancing.
func balancing(t *testing.T, o ec2sim.Options) (*sim, *elasticloadbalancingv2.Client) {
	t.Helper()
	s := start(t, o)
	return s, elasticloadbalancingv2.NewFromConfig(awsConfig(region), func(o *elasticloadbalancingv2.Options) { o.BaseEndpoint = &s.url })
}

func (s *sim) balancer(lb ec2sim.LoadBalancer, interfaces ...ec2sim.Addresses) ec2sim.LoadBalancer {
	s.t.Helper()
	created, err := s.here.CreateLoadBalancer(lb, interfaces...)
	if err != nil {
		s.t.Fatal(err)
	}
	return created
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html
func TestDescribeLoadBalancers(t *testing.T) {
	s, elb := balancing(t, ec2sim.Options{})
	web := s.group(s.here.OtherVPC(), "web")
	s.balancer(ec2sim.LoadBalancer{Name: "shop", VPC: s.here.OtherVPC(), Groups: []string{web}},
		ec2sim.Addresses{PublicIP: netip.MustParseAddr("198.51.100.7"), IPv6: netip.MustParseAddr("2001:db8::7")},
		ec2sim.Addresses{PublicIP: netip.MustParseAddr("198.51.100.8")})
	s.balancer(ec2sim.LoadBalancer{Name: "bare", Type: "network", Scheme: "internal", State: "provisioning"})
	s.balancer(ec2sim.LoadBalancer{Name: "inspect", Type: "gateway"})

	describe := func(in elasticloadbalancingv2.DescribeLoadBalancersInput) (names []string, err error) {
		pages := elasticloadbalancingv2.NewDescribeLoadBalancersPaginator(elb, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				return nil, err
			}
			for _, lb := range page.LoadBalancers {
				names = append(names, *lb.LoadBalancerName)
			}
		}
		slices.Sort(names)
		return names, nil
	}
	for _, size := range []*int32{nil, aws.Int32(1), aws.Int32(2), aws.Int32(400)} {
		if got, err := describe(elasticloadbalancingv2.DescribeLoadBalancersInput{PageSize: size}); err != nil || !slices.Equal(got, []string{"bare", "inspect", "shop"}) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	all := s.here.LoadBalancers()
	for _, c := range []struct {
		in   elasticloadbalancingv2.DescribeLoadBalancersInput
		code string
	}{
		{elasticloadbalancingv2.DescribeLoadBalancersInput{Names: []string{"shop", "shp"}}, "LoadBalancerNotFound"},
		{elasticloadbalancingv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{all[0].ARN + "0"}}, "LoadBalancerNotFound"},
		{elasticloadbalancingv2.DescribeLoadBalancersInput{Names: []string{"shop"}, LoadBalancerArns: []string{all[0].ARN}}, "ValidationError"},
		{elasticloadbalancingv2.DescribeLoadBalancersInput{LoadBalancerArns: slices.Repeat([]string{all[0].ARN}, 21)}, "ValidationError"},
		{elasticloadbalancingv2.DescribeLoadBalancersInput{PageSize: aws.Int32(0)}, "ValidationError"},
		{elasticloadbalancingv2.DescribeLoadBalancersInput{PageSize: aws.Int32(401)}, "ValidationError"},
	} {
		_, err := describe(c.in)
		wantCode(t, err, c.code)
	}
	out, err := elb.DescribeLoadBalancers(t.Context(), &elasticloadbalancingv2.DescribeLoadBalancersInput{Names: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	lb := out.LoadBalancers[0]
	if len(out.LoadBalancers) != 1 || lb.Type != "application" || lb.Scheme != "internet-facing" || lb.State.Code != "active" || *lb.VpcId != s.here.OtherVPC() ||
		!slices.Equal(lb.SecurityGroups, []string{web}) || lb.IpAddressType != "dualstack" || len(lb.AvailabilityZones) != 1 || lb.CreatedTime == nil {
		t.Errorf("got %+v", lb)
	}
	out, err = elb.DescribeLoadBalancers(t.Context(), &elasticloadbalancingv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{all[2].ARN}})
	if err != nil {
		t.Fatal(err)
	}
	if lb := out.LoadBalancers[0]; lb.Type != "network" || lb.Scheme != "internal" || lb.State.Code != "provisioning" || len(lb.SecurityGroups) != 0 || lb.IpAddressType != "ipv4" {
		t.Errorf("got %+v", lb)
	}

	// The interfaces are those that its description finds.
	_, resource, _ := strings.Cut(all[0].ARN, ":loadbalancer/")
	found, err := s.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{{Name: aws.String("description"), Values: []string{"ELB " + resource}}}})
	wantCode(t, err, "")
	if len(found.NetworkInterfaces) != 2 {
		t.Fatalf("%q has %d interfaces", resource, len(found.NetworkInterfaces))
	}
	if i := found.NetworkInterfaces[0]; *i.RequesterId != "amazon-elb" || *i.Attachment.InstanceOwnerId != "amazon-elb" || i.InterfaceType != "interface" ||
		*i.Association.PublicIp != "198.51.100.7" || *i.Groups[0].GroupId != web {
		t.Errorf("got %+v", i)
	}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeListeners.html
func TestDescribeListeners(t *testing.T) {
	s, elb := balancing(t, ec2sim.Options{})
	lb := s.balancer(ec2sim.LoadBalancer{Name: "shop", Listeners: []ec2sim.Listener{{Protocol: "HTTP", Port: 80}, {Protocol: "HTTPS", Port: 443}}})
	other := s.balancer(ec2sim.LoadBalancer{Name: "other", Listeners: []ec2sim.Listener{{Protocol: "HTTPS", Port: 8443}}})
	var got []string
	pages := elasticloadbalancingv2.NewDescribeListenersPaginator(elb, &elasticloadbalancingv2.DescribeListenersInput{LoadBalancerArn: &lb.ARN, PageSize: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Listeners {
			got = append(got, fmt.Sprintf("%s:%d", l.Protocol, *l.Port))
		}
	}
	if want := []string{"HTTP:80", "HTTPS:443"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	out, err := elb.DescribeListeners(t.Context(), &elasticloadbalancingv2.DescribeListenersInput{ListenerArns: []string{other.Listeners[0].ARN}})
	wantCode(t, err, "")
	if len(out.Listeners) != 1 || *out.Listeners[0].LoadBalancerArn != other.ARN {
		t.Errorf("got %+v", out.Listeners)
	}
	_, err = elb.DescribeListeners(t.Context(), &elasticloadbalancingv2.DescribeListenersInput{LoadBalancerArn: aws.String(lb.ARN + "0")})
	wantCode(t, err, "LoadBalancerNotFound")
	_, err = elb.DescribeListeners(t.Context(), &elasticloadbalancingv2.DescribeListenersInput{ListenerArns: []string{lb.ARN}})
	wantCode(t, err, "ListenerNotFound")
	_, err = elb.DescribeListeners(t.Context(), &elasticloadbalancingv2.DescribeListenersInput{})
	wantCode(t, err, "ValidationError")
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
func TestLoadBalancerTags(t *testing.T) {
	s, elb := balancing(t, ec2sim.Options{})
	lb := s.balancer(ec2sim.LoadBalancer{Name: "k8s-shop", Tags: map[string]string{"elbv2.k8s.aws/cluster": "prod", "team": "shop"}})
	out, err := elb.DescribeTags(t.Context(), &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: []string{lb.ARN}})
	wantCode(t, err, "")
	if d := out.TagDescriptions; len(d) != 1 || *d[0].ResourceArn != lb.ARN || len(d[0].Tags) != 2 || *d[0].Tags[0].Key != "elbv2.k8s.aws/cluster" || *d[0].Tags[0].Value != "prod" {
		t.Errorf("got %+v", d)
	}
	_, err = elb.DescribeTags(t.Context(), &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: []string{lb.ARN + "0"}})
	wantCode(t, err, "LoadBalancerNotFound")
	_, err = elb.DescribeTags(t.Context(), &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: slices.Repeat([]string{lb.ARN}, 21)})
	wantCode(t, err, "ValidationError")

	// EC2 has a call of the same name; refusing this one does not refuse that one.
	s.Inject(ec2sim.Fault{Kind: ec2sim.Refused, Action: "DescribeTags", Service: "elasticloadbalancing"})
	_, err = s.DescribeTags(t.Context(), nil)
	wantCode(t, err, "")
	_, err = elb.DescribeTags(t.Context(), &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: []string{lb.ARN}})
	wantCode(t, err, "AccessDenied")
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
func TestSetSecurityGroups(t *testing.T) {
	s, elb := balancing(t, ec2sim.Options{GroupsPerInterface: 16})
	var groups []string
	for i := range 6 {
		groups = append(groups, s.group("", fmt.Sprintf("group-%d", i)))
	}
	far := s.group(s.here.OtherVPC(), "far")
	shop := s.balancer(ec2sim.LoadBalancer{Name: "shop", Groups: groups[:1]}, make([]ec2sim.Addresses, 3)...)
	other := s.balancer(ec2sim.LoadBalancer{Name: "other", Groups: groups[:1]})
	nlb := s.balancer(ec2sim.LoadBalancer{Name: "nlb", Type: "network", Groups: groups[:1]})
	bare := s.balancer(ec2sim.LoadBalancer{Name: "bare", Type: "network"})
	gateway := s.balancer(ec2sim.LoadBalancer{Name: "gateway", Type: "gateway"})
	set := func(lb ec2sim.LoadBalancer, groups ...string) error {
		out, err := elb.SetSecurityGroups(t.Context(), &elasticloadbalancingv2.SetSecurityGroupsInput{LoadBalancerArn: &lb.ARN, SecurityGroups: groups})
		if err == nil && !slices.Equal(out.SecurityGroupIds, groups) {
			t.Errorf("set %q, answered %q", groups, out.SecurityGroupIds)
		}
		return err
	}
	for _, c := range []struct {
		lb     ec2sim.LoadBalancer
		groups []string
		code   string
	}{
		{ec2sim.LoadBalancer{ARN: shop.ARN + "0"}, groups[:1], "LoadBalancerNotFound"},
		{shop, groups, "InvalidConfigurationRequest"},
		{shop, []string{}, "InvalidConfigurationRequest"},
		{shop, []string{"sg-00000000000000000"}, "InvalidSecurityGroup"},
		{shop, []string{groups[0], far}, "InvalidConfigurationRequest"},
		{bare, groups[:1], "InvalidConfigurationRequest"},
		{gateway, groups[:1], "InvalidConfigurationRequest"},
		{nlb, []string{}, "InvalidConfigurationRequest"},
		{nlb, groups[1:3], ""},
	} {
		wantCode(t, set(c.lb, c.groups...), c.code)
	}

	// One call changes all its interfaces at once, and nobody else's.
	var seen []ec2sim.Change
	s.Observe(func(c ec2sim.Change) { seen = append(seen, c) })
	wantCode(t, set(shop, groups[1:]...), "")
	s.Calls() // waits for the observer
	if len(seen) != 1 || seen[0].Call.Action != "SetSecurityGroups" || seen[0].Call.Resource != shop.ARN || len(seen[0].Interfaces) != 3 {
		t.Errorf("saw %+v", seen)
	}
	want := map[string][]string{shop.Name: groups[1:], other.Name: groups[:1], nlb.Name: groups[1:3], bare.Name: nil, gateway.Name: nil}
	for _, lb := range s.here.LoadBalancers() {
		if !slices.Equal(lb.Groups, want[lb.Name]) {
			t.Errorf("%s has %q, want %q", lb.Name, lb.Groups, want[lb.Name])
		}
	}
	for _, i := range s.here.Interfaces() {
		_, name, _ := strings.Cut(i.Description, "/")
		name, _, _ = strings.Cut(name, "/")
		if !slices.Equal(i.Groups, want[name]) {
			t.Errorf("an interface of %s has %q, want %q", name, i.Groups, want[name])
		}
	}
	_, err := s.DeleteSecurityGroup(t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &groups[4]})
	wantCode(t, err, "DependencyViolation")
	wantCode(t, set(other, groups[1]), "")
	_, err = s.DeleteSecurityGroup(t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &groups[0]})
	wantCode(t, err, "")
}
