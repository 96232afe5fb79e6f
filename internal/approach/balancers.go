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

// readBalancers reads what is behind load balancers, and the groups of their targets.
func (c Client) readBalancers(ctx context.Context, s *door.Scene, names []string) {
	s.Balancers = map[string]*door.Balancer{}
	var all []*door.TargetGroup
	for _, name := range names {
		b := &door.Balancer{Name: name}
		for _, subject := range s.Subjects {
			if i := subject.Interface; i != nil && i.LoadBalancer() == name {
				b.Addresses = slices.Concat(b.Addresses, i.PrivateIPv4, i.IPv6)
			}
		}
		s.Balancers[name] = b
		groups, err := c.readBalancer(ctx, b)
		b.Err = err
		all = append(all, groups...)
	}
	c.placeTargets(ctx, s, all)
}

// readBalancer reads the listeners of a load balancer, and the target groups that these pass requests on to.
func (c Client) readBalancer(ctx context.Context, b *door.Balancer) ([]*door.TargetGroup, error) {
	lb, err := c.LoadBalancer(ctx, b.Name)
	if err != nil {
		return nil, unseen(err)
	}
	if b.Gone = lb == nil; b.Gone {
		return nil, nil
	}
	b.Groups = lb.SecurityGroups
	in := &elb.DescribeTargetGroupsInput{LoadBalancerArn: lb.LoadBalancerArn}
	pages, err := c.targetGroups.pages(ctx, in, &in.Marker, func(out *elb.DescribeTargetGroupsOutput) *string { return out.NextMarker })
	if err != nil {
		return nil, unseen(err)
	}
	network := lb.Type == elbtypes.LoadBalancerTypeEnumNetwork
	byARN := map[string]*door.TargetGroup{}
	var all []*door.TargetGroup
	for _, page := range pages {
		for _, g := range page.TargetGroups {
			tg := c.readTargetGroup(ctx, g, network)
			byARN[aws.ToString(g.TargetGroupArn)] = tg
			all = append(all, tg)
		}
	}
	for _, l := range lb.Listeners {
		listener := door.Listener{Port: uint16(aws.ToInt32(l.Port)), Targets: all} // rules may pass on to any
		if network {
			listener.Targets = forwarded(l, byARN)
		}
		b.Listeners = append(b.Listeners, listener)
	}
	return all, nil
}

// forwarded returns the target groups of a listener of a Network Load Balancer, which has no rules.
func forwarded(l elbtypes.Listener, byARN map[string]*door.TargetGroup) []*door.TargetGroup {
	var arns []string
	for _, a := range l.DefaultActions {
		arns = add(arns, aws.ToString(a.TargetGroupArn))
		if a.ForwardConfig != nil {
			for _, tg := range a.ForwardConfig.TargetGroups {
				arns = add(arns, aws.ToString(tg.TargetGroupArn))
			}
		}
	}
	var groups []*door.TargetGroup
	for _, arn := range arns {
		if tg := byARN[arn]; tg != nil {
			groups = append(groups, tg)
		}
	}
	return groups
}

// readTargetGroup reads the targets of a group, and for a Network Load Balancer whether they see clients' addresses.
func (c Client) readTargetGroup(ctx context.Context, g elbtypes.TargetGroup, network bool) *door.TargetGroup {
	tg := &door.TargetGroup{
		Name: aws.ToString(g.TargetGroupName), Type: string(g.TargetType), VPC: aws.ToString(g.VpcId),
	}
	if g.IpAddressType == elbtypes.TargetGroupIpAddressTypeEnumIpv6 {
		tg.Family = secgroup.IPv6
	}
	if network {
		out, err := c.attributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: g.TargetGroupArn})
		if err != nil {
			tg.Err = unseen(err)
			return tg
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
		tg.Err = unseen(err)
		return tg
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
	return tg
}

// placeTargets finds the interfaces of targets, with their groups.
func (c Client) placeTargets(ctx context.Context, s *door.Scene, all []*door.TargetGroup) {
	ids := map[string][]string{} // by filter
	each := func(do func(tg *door.TargetGroup, t *door.Target, filter string)) {
		for _, tg := range all {
			filter := "attachment.instance-id"
			if tg.Type == "ip" {
				filter = "addresses.private-ip-address"
				if tg.Family == secgroup.IPv6 {
					filter = "ipv6-addresses.ipv6-address"
				}
			}
			for i := range tg.Targets {
				do(tg, &tg.Targets[i], filter)
			}
		}
	}
	each(func(tg *door.TargetGroup, t *door.Target, filter string) {
		if tg.Type == "instance" || tg.Type == "ip" {
			ids[filter] = add(ids[filter], t.ID)
		}
	})
	var interfaces []door.Interface
	for filter, values := range ids {
		found, err := secgroup.DescribeInterfaces(ctx, c, filter, values)
		if err != nil {
			each(func(tg *door.TargetGroup, _ *door.Target, f string) {
				if f == filter {
					tg.Err = err
				}
			})
		}
		interfaces = append(interfaces, found...)
	}
	subjects, groups, err := door.SubjectsAt(ctx, c, interfaces, nil, true)
	_ = s.ReadLists(ctx, c, groups) // those that may not be read say so
	each(func(tg *door.TargetGroup, t *door.Target, _ string) {
		if err != nil {
			tg.Err = err
		}
		for i := range subjects {
			if at := subjects[i].Interface; at.VPC == tg.VPC && isTarget(at, t.ID) {
				t.Subject = &subjects[i]
			}
		}
	})
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
