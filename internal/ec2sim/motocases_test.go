package ec2sim_test

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

const absentGroup = "sg-0123456789abcdef0"

// Pages that say who is right.
const (
	apiPages   = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
	errorsPage = apiPages + "errors-overview.html"
	quotasPage = "https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html"
)

// A motoCase asks both endpoints the same.
type motoCase struct {
	name string
	ask  func(o *other) string
	want string // what both answer
	moto string // what moto answers instead
	page string // which says who is right
}

var motoCases = []motoCase{
	// Networks.
	{name: "the network ACL of a new subnet", want: "4 map[false 100 allow -1 0.0.0.0/0:true false 32767 deny -1 0.0.0.0/0:true true 100 allow -1 0.0.0.0/0:true true 32767 deny -1 0.0.0.0/0:true]", ask: func(o *other) string {
		out, err := o.DescribeNetworkAcls(o.t.Context(), &ec2.DescribeNetworkAclsInput{Filters: filtered("association.subnet-id", o.subnet)})
		o.must(err)
		entries := map[string]bool{}
		for _, e := range out.NetworkAcls[0].Entries {
			if e.CidrBlock == nil {
				continue // this endpoint's new VPCs have IPv6 as well
			}
			entries[fmt.Sprint(*e.Egress, " ", *e.RuleNumber, " ", e.RuleAction, " ", *e.Protocol, " ", *e.CidrBlock)] = true
		}
		return all(len(entries), entries)
	}},
	{name: "the routes of a new VPC", want: "10.9.0.0/16 local active CreateRouteTable true", ask: func(o *other) string {
		out, err := o.DescribeRouteTables(o.t.Context(), &ec2.DescribeRouteTablesInput{Filters: append(filtered("vpc-id", o.vpc), filtered("association.main", "true")...)})
		o.must(err)
		r := out.RouteTables[0].Routes[0]
		return all(*r.DestinationCidrBlock, *r.GatewayId, r.State, r.Origin, *out.RouteTables[0].Associations[0].Main)
	}},
	{
		name: "a group that an interface has is not deleted",
		want: "DependencyViolation",
		moto: "ok",
		page: apiPages + "API_DeleteSecurityGroup.html",
		ask: func(o *other) string {
			id := o.group("web")
			_, err := o.networkInterface(id)
			o.must(err)
			_, err = o.DeleteSecurityGroup(o.t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &id})
			return said(err)
		},
	},
	{name: "an interface without groups gets the default one", want: "[default available]", ask: func(o *other) string {
		id, err := o.networkInterface()
		o.must(err)
		return o.attached(filtered("network-interface-id", id))
	}},
	{name: "interfaces by their groups", want: "[db+web available] [web available, db+web available] []", ask: func(o *other) string {
		web, db, spare := o.group("web"), o.group("db"), o.group("spare")
		for _, groups := range [][]string{{web}, {web, db}} {
			_, err := o.networkInterface(groups...)
			o.must(err)
		}
		return all(o.attached(filtered("group-id", db)), o.attached(filtered("group-id", db, web)), o.attached(filtered("group-id", spare)))
	}},
	{name: "groups of an interface are replaced", want: "ok [db+web available] ok [db available]", ask: func(o *other) string {
		web, db, spare := o.group("web"), o.group("db"), o.group("spare")
		id, err := o.networkInterface(spare)
		o.must(err)
		which := filtered("network-interface-id", id)
		first := said(o.attach(id, web, db))
		between := o.attached(which)
		return all(first, between, said(o.attach(id, db)), o.attached(which))
	}},
	{
		name: "6 groups of an interface",
		want: "SecurityGroupsPerInterfaceLimitExceeded",
		moto: "ok",
		page: quotasPage,
		ask: func(o *other) string {
			var groups []string
			for i := range 6 {
				groups = append(groups, o.group(fmt.Sprintf("group-%d", i)))
			}
			id, err := o.networkInterface(groups[0])
			o.must(err)
			return said(o.attach(id, groups...))
		},
	},
	{name: "a group is free again", want: "ok ok", ask: func(o *other) string {
		web, db := o.group("web"), o.group("db")
		id, err := o.networkInterface(web)
		o.must(err)
		first := said(o.attach(id, db))
		_, err = o.DeleteSecurityGroup(o.t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &web})
		return all(first, said(err))
	}},
}
