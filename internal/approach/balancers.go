package approach

import (
	"context"
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// readBalancer reads the load balancer of an interface, what is behind it, and the groups of its targets.
func (c Client) readBalancer(ctx context.Context, s *door.Scene, at *door.Interface) {
	name := at.LoadBalancer()
	if s.Balancers == nil {
		s.Balancers = map[string]*door.Balancer{}
	}
	b, known := s.Balancers[name]
	if !known {
		b = &door.Balancer{Name: name}
		s.Balancers[name] = b
		b.Err = c.readListeners(ctx, s, b)
	}
	b.Addresses = slices.Concat(b.Addresses, at.PrivateIPv4, at.IPv6)
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
	in := &elb.DescribeTargetGroupsInput{LoadBalancerArn: lb.LoadBalancerArn}
	groups, err := all(ctx, c.targetGroups, in, &in.Marker,
		func(out *elb.DescribeTargetGroupsOutput) ([]elbtypes.TargetGroup, *string) {
			return out.TargetGroups, out.NextMarker
		})
	if err != nil {
		return unseen(err)
	}
	network := lb.Type == elbtypes.LoadBalancerTypeEnumNetwork
	byARN := map[string]*door.TargetGroup{}
	var behind []*door.TargetGroup
	for _, g := range groups {
		tg := &door.TargetGroup{
			Name: aws.ToString(g.TargetGroupName), Type: string(g.TargetType), VPC: aws.ToString(g.VpcId),
		}
		if tg.Err = c.readTargets(ctx, tg, g, network); tg.Err == nil {
			tg.Err = c.placeTargets(ctx, s, tg)
		}
		byARN[aws.ToString(g.TargetGroupArn)] = tg
		behind = append(behind, tg)
	}
	for _, l := range lb.Listeners {
		listener := door.Listener{Port: uint16(aws.ToInt32(l.Port)), Targets: behind} // rules may pass on to any
		if network {
			listener.Targets = forwarded(l, byARN)
		}
		b.Listeners = append(b.Listeners, listener)
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
		if a.ForwardConfig != nil {
			for _, tg := range a.ForwardConfig.TargetGroups {
				add(tg.TargetGroupArn)
			}
		}
	}
	return groups
}

// readTargets reads the targets of a group, and for a Network Load Balancer whether they see clients' addresses.
func (c Client) readTargets(ctx context.Context, tg *door.TargetGroup, g elbtypes.TargetGroup, network bool) error {
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
		state := "healthy"
		if t.TargetHealth != nil {
			state = string(t.TargetHealth.State)
		}
		if state == "draining" || state == "unused" {
			continue // they get no requests
		}
		tg.Targets = append(tg.Targets, door.Target{
			ID: aws.ToString(t.Target.Id), Port: uint16(aws.ToInt32(t.Target.Port)), Serving: state == "healthy",
		})
	}
	return nil
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
	subjects, groups, err := door.SubjectsAt(ctx, c, interfaces, nil, true)
	_ = s.ReadLists(ctx, c, groups) // those that may not be read say so
	for i := range tg.Targets {
		for j := range subjects {
			if at := subjects[j].Interface; at.VPC == tg.VPC && isTarget(at, tg.Targets[i].ID) {
				tg.Targets[i].Subject = &subjects[j]
			}
		}
	}
	return err
}

// isTarget reports whether an ID is that of an interface's instance, whose first interface gets the requests, or one of
// its addresses.
func isTarget(i *door.Interface, id string) bool {
	if i.Instance == id {
		return !i.Secondary
	}
	addr, err := netip.ParseAddr(id)
	return err == nil && slices.Contains(slices.Concat(i.PrivateIPv4, i.IPv6), addr)
}
