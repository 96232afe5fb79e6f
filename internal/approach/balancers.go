package approach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// A LoadBalancer is an Application, Network or Gateway Load Balancer.
type LoadBalancer struct {
	elbtypes.LoadBalancer
	Listeners []elbtypes.Listener // those for TCP, by which CloudFront connects
}

// LoadBalancer returns a load balancer with its listeners, or nil if there is none of that name.
func (c Client) LoadBalancer(ctx context.Context, name string) (*LoadBalancer, error) {
	out, err := c.loadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{name}})
	_, none := errors.AsType[*elbtypes.LoadBalancerNotFoundException](err)
	if none || err == nil && len(out.LoadBalancers) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lb := &LoadBalancer{LoadBalancer: out.LoadBalancers[0]}
	in := &elb.DescribeListenersInput{LoadBalancerArn: lb.LoadBalancerArn}
	lb.Listeners, err = all(ctx, c.listeners, in, &in.Marker,
		func(out *elb.DescribeListenersOutput) ([]elbtypes.Listener, *string) {
			return out.Listeners, out.NextMarker
		})
	lb.Listeners = slices.DeleteFunc(lb.Listeners, func(l elbtypes.Listener) bool {
		return slices.Contains([]string{"UDP", "QUIC", "GENEVE"}, string(l.Protocol))
	})
	return lb, err
}

// readListeners reads the listeners of a load balancer, and the target groups that these pass requests on to.
func (c Client) readListeners(ctx context.Context, s *door.Scene, b *door.Balancer) error {
	lb, err := c.LoadBalancer(ctx, b.Name)
	if err != nil {
		return unseen(err)
	}
	if b.Gone = lb == nil; b.Gone {
		return nil
	}
	b.Groups = lb.SecurityGroups
	network := lb.Type == elbtypes.LoadBalancerTypeEnumNetwork
	for _, l := range lb.Listeners {
		listener := door.Listener{Port: uint16(aws.ToInt32(l.Port))}
		if lb.Type == elbtypes.LoadBalancerTypeEnumApplication {
			// In mode passthrough, the targets decide. See
			// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/mutual-authentication.html
			m := l.MutualAuthentication
			listener.ARN, listener.MutualTLS = aws.ToString(l.ListenerArn), m != nil && aws.ToString(m.Mode) == "verify"
		}
		b.Listeners = append(b.Listeners, listener)
	}
	in := &elb.DescribeTargetGroupsInput{LoadBalancerArn: lb.LoadBalancerArn}
	groups, err := all(ctx, c.targetGroups, in, &in.Marker,
		func(out *elb.DescribeTargetGroupsOutput) ([]elbtypes.TargetGroup, *string) {
			return out.TargetGroups, out.NextMarker
		})
	if err != nil {
		return unseen(err)
	}
	byARN := map[string]*door.TargetGroup{}
	var behind []*door.TargetGroup
	for _, g := range groups {
		tg := &door.TargetGroup{Name: aws.ToString(g.TargetGroupName), Type: string(g.TargetType), VPC: aws.ToString(g.VpcId)}
		tg.Err = c.readTargets(ctx, s, tg, g, network)
		byARN[aws.ToString(g.TargetGroupArn)] = tg
		behind = append(behind, tg)
	}
	for i, l := range lb.Listeners {
		if b.Listeners[i].Targets = behind; network { // rules of an Application Load Balancer may pass on to any
			b.Listeners[i].Targets = forwarded(l, byARN)
		}
	}
	return nil
}

// forwarded returns the target groups of a listener of a Network Load Balancer, which has no rules.
func forwarded(l elbtypes.Listener, byARN map[string]*door.TargetGroup) (groups []*door.TargetGroup) {
	add := func(arn *string) {
		if tg := byARN[aws.ToString(arn)]; tg != nil && !slices.Contains(groups, tg) {
			groups = append(groups, tg)
		}
	}
	for _, a := range l.DefaultActions {
		add(a.TargetGroupArn)
		for _, tg := range cmp.Or(a.ForwardConfig, new(elbtypes.ForwardActionConfig)).TargetGroups {
			add(tg.TargetGroupArn)
		}
	}
	return groups
}

// readTargets reads the targets of a group, and for a Network Load Balancer whether they see clients' addresses.
func (c Client) readTargets(
	ctx context.Context, s *door.Scene, tg *door.TargetGroup, g elbtypes.TargetGroup, network bool,
) error {
	if g.IpAddressType == elbtypes.TargetGroupIpAddressTypeEnumIpv6 {
		tg.Family = secgroup.IPv6
	}
	if network {
		out, err := c.attributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: g.TargetGroupArn})
		if err != nil {
			return unseen(err)
		}
		tg.Preserves = tg.Type == "instance" || slices.Contains([]string{"UDP", "TCP_UDP"}, string(g.Protocol))
		for _, a := range out.Attributes {
			if aws.ToString(a.Key) == "preserve_client_ip.enabled" {
				tg.Preserves = aws.ToString(a.Value) == "true"
			}
		}
	}
	out, err := c.targetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: g.TargetGroupArn})
	if err != nil {
		return unseen(err)
	}
	for _, t := range out.TargetHealthDescriptions {
		state := cmp.Or(t.TargetHealth, &elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumHealthy}).State
		if state == elbtypes.TargetHealthStateEnumDraining || state == elbtypes.TargetHealthStateEnumUnused {
			continue // they get no requests
		}
		tg.Targets = append(tg.Targets, door.Target{
			ID: aws.ToString(t.Target.Id), Port: uint16(aws.ToInt32(t.Target.Port)),
			Serving: state == elbtypes.TargetHealthStateEnumHealthy,
		})
	}
	return c.placeTargets(ctx, s, tg)
}

// placeTargets finds the interfaces of targets, with their groups.
func (c Client) placeTargets(ctx context.Context, s *door.Scene, tg *door.TargetGroup) error {
	filter := map[string]string{"instance": "attachment.instance-id", "ip": "addresses.private-ip-address"}[tg.Type]
	if tg.Type == "ip" && tg.Family == secgroup.IPv6 {
		filter = "ipv6-addresses.ipv6-address"
	}
	if filter == "" {
		return nil
	}
	var ids []string
	for _, t := range tg.Targets {
		ids = append(ids, t.ID)
	}
	slices.Sort(ids) // one is a target of several ports
	interfaces, err := secgroup.DescribeInterfaces(ctx, c, filter, slices.Compact(ids))
	if err != nil {
		return err
	}
	subjects, err := door.SubjectsAt(ctx, c, interfaces, nil, true)
	_ = s.ReadLists(ctx, c, subjects) // those that may not be read say so
	for i := range tg.Targets {
		for j := range subjects {
			if at := subjects[j].Interface; at.VPC == tg.VPC && isTarget(at, tg.Targets[i].ID) {
				tg.Targets[i].Subject = &subjects[j]
			}
		}
	}
	return err
}

// isTarget reports whether an interface has an address, or is the first of an instance, which gets the requests.
func isTarget(i *door.Interface, id string) bool {
	if i.Instance == id {
		return !i.Secondary
	}
	addr, err := netip.ParseAddr(id)
	return err == nil && slices.Contains(slices.Concat(i.PrivateIPv4, i.IPv6), addr)
}

// Demands reads what the rules of a listener demand before they pass requests on: one of the headers, or any if none
// are named. It is nil if there are no rules.
func (c Client) Demands(ctx context.Context, b *door.Balancer, port uint16, headers []string) *doctor.SecondLayer {
	says := func(demanded doctor.Demanded, format string, args ...any) *doctor.SecondLayer {
		return &doctor.SecondLayer{Demanded: demanded, Cause: fmt.Sprintf(format, args...)}
	}
	where := fmt.Sprintf("listener %d of load balancer %s", port, b.Name)
	at := slices.IndexFunc(b.Listeners, func(l door.Listener) bool { return l.Port == port && l.ARN != "" })
	switch {
	case len(b.Listeners) == 0 && b.Err != nil:
		return says(doctor.Maybe, "cannot see the rules of load balancer %s: %v", b.Name, b.Err)
	case at < 0:
		return nil
	case b.Listeners[at].MutualTLS:
		return says(doctor.Yes, "%s demands a client certificate", where)
	}
	in := &elb.DescribeRulesInput{ListenerArn: &b.Listeners[at].ARN}
	rules, err := all(ctx, c.rules, in, &in.Marker,
		func(out *elb.DescribeRulesOutput) ([]elbtypes.Rule, *string) { return out.Rules, out.NextMarker })
	if err != nil {
		return says(doctor.Maybe, "cannot see the rules of load balancer %s: %v", b.Name, unseen(err))
	}
	isForward := func(a elbtypes.Action) bool { return a.Type == elbtypes.ActionTypeEnumForward }
	guards := func(c elbtypes.RuleCondition) bool { return demands(c, headers) }
	var open []string
	for _, r := range rules {
		if slices.ContainsFunc(r.Actions, isForward) && !slices.ContainsFunc(r.Conditions, guards) {
			open = append(open, aws.ToString(r.Priority))
		}
	}
	secret := cmp.Or(strings.Join(headers, " or "), "a secret header")
	if len(open) == 0 {
		return says(doctor.Yes, "each rule of %s that forwards demands %s", where, secret)
	}
	return says(doctor.No, "rule %s of %s forwards without %s", words.Few(open), where, secret)
}

// demands reports whether a condition holds only for those who know the value of a header. One of its values is enough,
// so all must be such that not everything matches them. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_HttpHeaderConditionConfig.html
func demands(c elbtypes.RuleCondition, headers []string) bool {
	const nobodysSecret = "cfsg-e8a1f3" // only a pattern for everything matches it
	h := c.HttpHeaderConfig
	named := func(name string) bool { return strings.EqualFold(name, aws.ToString(h.HttpHeaderName)) }
	if h == nil || len(headers) > 0 && !slices.ContainsFunc(headers, named) {
		return false
	}
	return !slices.ContainsFunc(h.Values, func(pattern string) bool {
		all, err := path.Match(strings.NewReplacer("[", "x", `\`, "x").Replace(pattern), nobodysSecret)
		return err != nil || all
	}) && !slices.ContainsFunc(h.RegexValues, func(pattern string) bool {
		r, err := regexp.Compile(pattern)
		return err != nil || r.MatchString(nobodysSecret)
	})
}
