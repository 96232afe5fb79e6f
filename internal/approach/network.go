package approach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/door"

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
	pages, err := c.exclusions.pages(ctx, in, &in.NextToken,
		func(out *ec2.DescribeVpcBlockPublicAccessExclusionsOutput) *string { return out.NextToken })
	if err != nil {
		return door.BlockPublicAccess{Err: unseen(err)}
	}
	for _, page := range pages {
		for _, e := range page.VpcBlockPublicAccessExclusions {
			arn := aws.ToString(e.ResourceArn)
			b.Exclusions = append(b.Exclusions, door.Exclusion{
				On: arn[strings.LastIndex(arn, "/")+1:], Ingress: e.InternetGatewayExclusionMode == types.InternetGatewayExclusionModeAllowBidirectional,
				InForce:  slices.Contains([]string{"create-complete", "update-complete"}, string(e.State)),
				Changing: strings.HasSuffix(string(e.State), "-in-progress") || e.State == types.VpcBlockPublicAccessExclusionStateUpdateFailed,
			})
		}
	}
	return b
}

// readSubnets reads the network ACLs and the route tables of subnets.
func (c Client) readSubnets(ctx context.Context, vpcs, ids []string, subjects []door.Subject) map[string]door.Subnet {
	subnets := map[string]door.Subnet{}
	for _, subject := range subjects {
		if i := subject.Interface; i != nil && i.Subnet != "" {
			subnets[i.Subnet] = door.Subnet{ID: i.Subnet, VPC: i.VPC, RouteErr: errors.New("EC2 shows no route table"), ACLErr: errors.New("EC2 shows no network ACL")}
		}
	}
	aclErr := c.readACLs(ctx, ids, subnets)
	tables, tableErr := c.readTables(ctx, vpcs)
	for id, s := range subnets {
		s.ACLErr = cmp.Or(aclErr, s.ACLErr)
		takeTables(&s, tables)
		s.RouteErr = cmp.Or(tableErr, s.RouteErr)
		subnets[id] = s
	}
	return subnets
}

// readACLs reads the network ACLs of subnets.
func (c Client) readACLs(ctx context.Context, ids []string, subnets map[string]door.Subnet) error {
	for some := range slices.Chunk(ids, door.ValuesPerFilter) {
		in := &ec2.DescribeNetworkAclsInput{Filters: []types.Filter{{Name: aws.String("association.subnet-id"), Values: some}}}
		pages, err := c.networkACLs.pages(ctx, in, &in.NextToken, func(out *ec2.DescribeNetworkAclsOutput) *string { return out.NextToken })
		if err != nil {
			return unseen(err)
		}
		for _, page := range pages {
			for _, a := range page.NetworkAcls {
				rules, err := aclRules(a)
				for _, at := range a.Associations {
					if s, asked := subnets[aws.ToString(at.SubnetId)]; asked {
						s.ACL, s.ACLRules, s.ACLErr, s.Owner = aws.ToString(a.NetworkAclId), rules, err, aws.ToString(a.OwnerId)
						subnets[s.ID] = s
					}
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

// A table is a route table.
type table struct {
	id, vpc, owner string
	on             []string // the subnets and gateways that it is associated with
	main           bool
	routes         []door.Route
}

// readTables reads the route tables of VPCs, and the entries of the prefix lists that routes go by.
func (c Client) readTables(ctx context.Context, vpcs []string) ([]table, error) {
	in := &ec2.DescribeRouteTablesInput{Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: vpcs}}}
	pages, err := c.routeTables.pages(ctx, in, &in.NextToken, func(out *ec2.DescribeRouteTablesOutput) *string { return out.NextToken })
	if err != nil {
		return nil, unseen(err)
	}
	lists := map[string]door.Route{}
	var tables []table
	for _, page := range pages {
		for _, t := range page.RouteTables {
			found := table{id: aws.ToString(t.RouteTableId), vpc: aws.ToString(t.VpcId), owner: aws.ToString(t.OwnerId)}
			for _, a := range t.Associations {
				found.main = found.main || aws.ToBool(a.Main)
				found.on = append(found.on, aws.ToString(cmp.Or(a.SubnetId, a.GatewayId)))
			}
			for _, r := range t.Routes {
				if r.State != types.RouteStateFiltered {
					found.routes = append(found.routes, c.route(ctx, r, lists))
				}
			}
			tables = append(tables, found)
		}
	}
	return tables, nil
}

// route reads a route. Each list is read once.
func (c Client) route(ctx context.Context, r types.Route, lists map[string]door.Route) door.Route {
	found := door.Route{
		List: aws.ToString(r.DestinationPrefixListId), Propagated: r.Origin == types.RouteOriginEnableVgwRoutePropagation, Blackhole: r.State == types.RouteStateBlackhole,
		Target: aws.ToString(cmp.Or(r.GatewayId, r.NatGatewayId, r.EgressOnlyInternetGatewayId, r.TransitGatewayId, r.NetworkInterfaceId, r.InstanceId,
			r.VpcPeeringConnectionId, r.LocalGatewayId, r.CarrierGatewayId, r.CoreNetworkArn, r.OdbNetworkArn)),
	}
	if found.List == "" {
		to, err := netip.ParsePrefix(aws.ToString(cmp.Or(r.DestinationCidrBlock, r.DestinationIpv6CidrBlock)))
		found.To, found.Err = []netip.Prefix{to}, err
		return found
	}
	list, known := lists[found.List]
	if !known {
		list.To, list.Err = door.EntriesOf(ctx, c, found.List)
		lists[found.List] = list
	}
	found.To, found.Err = list.To, list.Err
	return found
}

// takeTables takes over the route table of a subnet, or else the main one of its VPC, and that of the internet gateway,
// by which requests may come in through a firewall. See
// https://docs.aws.amazon.com/vpc/latest/userguide/gateway-route-tables.html
func takeTables(s *door.Subnet, tables []table) {
	for _, main := range []bool{true, false} { // its own comes last and wins
		for _, t := range tables {
			if t.vpc == s.VPC && (main && t.main || !main && slices.Contains(t.on, s.ID)) {
				s.Table, s.Routes, s.RouteErr, s.Owner = t.id, t.routes, nil, cmp.Or(t.owner, s.Owner)
			}
			if t.vpc == s.VPC && slices.ContainsFunc(t.on, func(id string) bool { return strings.HasPrefix(id, "igw-") }) {
				s.Edge = t.routes
			}
		}
	}
}
