package approach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// readBlock reads VPC Block Public Access.
func (c Client) readBlock(ctx context.Context) door.BlockPublicAccess {
	out, err := c.publicAccess(ctx, &ec2.DescribeVpcBlockPublicAccessOptionsInput{})
	if err == nil && out.VpcBlockPublicAccessOptions == nil {
		err = errors.New("EC2 returned no options")
	}
	if err != nil {
		return door.BlockPublicAccess{Err: unseen(err)}
	}
	options := out.VpcBlockPublicAccessOptions
	b := door.BlockPublicAccess{
		Account: aws.ToString(options.AwsAccountId), On: options.InternetGatewayBlockMode != types.InternetGatewayBlockModeOff,
		Changing: options.State == types.VpcBlockPublicAccessStateUpdateInProgress,
	}
	if !b.On && !b.Changing || options.ExclusionsAllowed == types.VpcBlockPublicAccessExclusionsAllowedNotAllowed {
		return b
	}
	in := &ec2.DescribeVpcBlockPublicAccessExclusionsInput{}
	exclusions, err := all(ctx, c.exclusions, in, &in.NextToken,
		func(out *ec2.DescribeVpcBlockPublicAccessExclusionsOutput) ([]types.VpcBlockPublicAccessExclusion, *string) {
			return out.VpcBlockPublicAccessExclusions, out.NextToken
		})
	if err != nil {
		return door.BlockPublicAccess{Err: unseen(err)}
	}
	for _, e := range exclusions {
		if e.InternetGatewayExclusionMode != types.InternetGatewayExclusionModeAllowBidirectional {
			continue
		}
		on := path.Base(aws.ToString(e.ResourceArn))
		switch e.State {
		case "create-complete", "update-complete":
			b.Exclusions = append(b.Exclusions, on)
		case "create-in-progress", "update-in-progress", "update-failed", "delete-in-progress", "disable-in-progress":
			b.Pending = append(b.Pending, on)
		}
	}
	return b
}

// readNetwork reads the way from the Internet to the interfaces of a scene.
func (c Client) readNetwork(ctx context.Context, s *door.Scene) {
	subnets, vpcs := map[string]door.Subnet{}, map[string]bool{}
	for _, subject := range s.Subjects {
		if i := subject.Interface; i != nil && i.Subnet != "" {
			vpcs[i.VPC] = true
			subnets[i.Subnet] = door.Subnet{
				ID: i.Subnet, VPC: i.VPC,
				RouteErr: errors.New("EC2 shows no route table"), ACLErr: errors.New("EC2 shows no network ACL"),
			}
		}
	}
	if len(subnets) == 0 {
		return
	}
	s.Network = &door.Network{Block: c.readBlock(ctx), Subnets: subnets}
	aclErr := c.readACLs(ctx, subnets)
	tableErr := c.readTables(ctx, slices.Sorted(maps.Keys(vpcs)), subnets)
	for id, s := range subnets {
		s.ACLErr, s.RouteErr = cmp.Or(aclErr, s.ACLErr), cmp.Or(tableErr, s.RouteErr)
		subnets[id] = s
	}
}

// readACLs reads the network ACLs of subnets.
func (c Client) readACLs(ctx context.Context, subnets map[string]door.Subnet) error {
	for some := range slices.Chunk(slices.Sorted(maps.Keys(subnets)), secgroup.ValuesPerFilter) {
		in := &ec2.DescribeNetworkAclsInput{Filters: []types.Filter{{Name: aws.String("association.subnet-id"), Values: some}}}
		acls, err := all(ctx, c.networkACLs, in, &in.NextToken,
			func(out *ec2.DescribeNetworkAclsOutput) ([]types.NetworkAcl, *string) {
				return out.NetworkAcls, out.NextToken
			})
		if err != nil {
			return unseen(err)
		}
		for _, a := range acls {
			rules, err := aclRules(a)
			for _, at := range a.Associations {
				if s, asked := subnets[aws.ToString(at.SubnetId)]; asked {
					s.ACL, s.ACLRules, s.ACLErr, s.Owner = aws.ToString(a.NetworkAclId), rules, err, aws.ToString(a.OwnerId)
					subnets[s.ID] = s
				}
			}
		}
	}
	return nil
}

// aclRules reads the rules of a network ACL.
func aclRules(a types.NetworkAcl) ([]door.ACLRule, error) {
	var rules []door.ACLRule
	for _, e := range a.Entries {
		prefix, err := netip.ParsePrefix(aws.ToString(cmp.Or(e.CidrBlock, e.Ipv6CidrBlock)))
		if err != nil {
			return nil, fmt.Errorf("rule %d of %s cannot be read: %w", aws.ToInt32(e.RuleNumber), aws.ToString(a.NetworkAclId), err)
		}
		r := door.ACLRule{
			Number: aws.ToInt32(e.RuleNumber), Egress: aws.ToBool(e.Egress), Allow: e.RuleAction == types.RuleActionAllow,
			Protocol: aws.ToString(e.Protocol), To: 65535, Prefix: prefix,
		}
		if e.PortRange != nil {
			r.From, r.To = uint16(aws.ToInt32(e.PortRange.From)), uint16(aws.ToInt32(e.PortRange.To))
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// readTables reads for each subnet its route table, or else the main one of its VPC, and that of the internet gateway, by
// which requests may come in through a firewall. See
// https://docs.aws.amazon.com/vpc/latest/userguide/gateway-route-tables.html
func (c Client) readTables(ctx context.Context, vpcs []string, subnets map[string]door.Subnet) error {
	in := &ec2.DescribeRouteTablesInput{Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: vpcs}}}
	tables, err := all(ctx, c.routeTables, in, &in.NextToken,
		func(out *ec2.DescribeRouteTablesOutput) ([]types.RouteTable, *string) {
			return out.RouteTables, out.NextToken
		})
	if err != nil {
		return unseen(err)
	}
	lists := map[string]door.Route{}
	for _, t := range tables {
		var routes []door.Route
		for _, r := range t.Routes {
			if r.State != types.RouteStateFiltered {
				routes = append(routes, c.route(ctx, r, lists))
			}
		}
		for id, s := range subnets {
			if s.VPC != aws.ToString(t.VpcId) {
				continue
			}
			for _, a := range t.Associations {
				own := aws.ToString(a.SubnetId) == id
				if own || aws.ToBool(a.Main) && s.Table == "" {
					s.Table, s.Routes, s.RouteErr, s.Owner = aws.ToString(t.RouteTableId), routes, nil, cmp.Or(aws.ToString(t.OwnerId), s.Owner)
				}
				if strings.HasPrefix(aws.ToString(a.GatewayId), "igw-") {
					s.Edge = routes
				}
			}
			subnets[id] = s
		}
	}
	return nil
}

// route reads a route. Each list is read once.
func (c Client) route(ctx context.Context, r types.Route, lists map[string]door.Route) door.Route {
	found := door.Route{
		List:       aws.ToString(r.DestinationPrefixListId),
		Propagated: r.Origin == types.RouteOriginEnableVgwRoutePropagation, Blackhole: r.State == types.RouteStateBlackhole,
		Target: aws.ToString(cmp.Or(r.GatewayId, r.NatGatewayId, r.EgressOnlyInternetGatewayId, r.TransitGatewayId,
			r.NetworkInterfaceId, r.InstanceId, r.VpcPeeringConnectionId, r.LocalGatewayId, r.CarrierGatewayId, r.CoreNetworkArn, r.OdbNetworkArn)),
	}
	if found.List == "" {
		to, err := netip.ParsePrefix(aws.ToString(cmp.Or(r.DestinationCidrBlock, r.DestinationIpv6CidrBlock)))
		found.To, found.Err = []netip.Prefix{to}, err
		return found
	}
	list, known := lists[found.List]
	if !known {
		var entries []secgroup.Rule
		entries, list.Err = door.EntriesOf(ctx, c, found.List)
		for _, e := range entries {
			list.To = append(list.To, e.Source.Prefix)
		}
		lists[found.List] = list
	}
	found.To, found.Err = list.To, list.Err
	return found
}
