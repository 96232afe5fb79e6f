package ec2sim_test

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const absentGroup = "sg-0123456789abcdef0"

// Pages that say who is right.
const (
	apiPages   = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
	errorsPage = apiPages + "errors-overview.html"
	quotasPage = "https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html"
	listsPage  = "https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html"
	terraform  = "https://github.com/hashicorp/terraform-provider-aws"
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
		name: "a network ACL that does not exist",
		want: "InvalidNetworkAclID.NotFound",
		moto: "InvalidRouteTableID.NotFound",
		page: errorsPage,
		ask: func(o *other) string {
			_, err := o.DescribeNetworkAcls(o.t.Context(), &ec2.DescribeNetworkAclsInput{NetworkAclIds: []string{"acl-0123456789abcdef0"}})
			return said(err)
		},
	},
	{name: "a route table that does not exist", want: "InvalidRouteTableID.NotFound", ask: func(o *other) string {
		_, err := o.DescribeRouteTables(o.t.Context(), &ec2.DescribeRouteTablesInput{RouteTableIds: []string{"rtb-0123456789abcdef0"}})
		return said(err)
	}},

	// Security groups.
	{name: "a group is created and described", want: "ok web 0 1", ask: func(o *other) string {
		id := o.group("web")
		out, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}})
		g := out.SecurityGroups[0]
		return all(said(err), *g.Description, len(g.IpPermissions), len(g.IpPermissionsEgress))
	}},
	{name: "a name twice in a VPC", want: "InvalidGroup.Duplicate", ask: func(o *other) string {
		o.group("web")
		_, err := o.CreateSecurityGroup(o.t.Context(), &ec2.CreateSecurityGroupInput{VpcId: &o.vpc, GroupName: aws.String("web" + o.suffix), Description: aws.String("web")})
		return said(err)
	}},
	{
		name: "a group in no VPC",
		want: "InvalidVpcID.NotFound",
		moto: "ok",
		page: errorsPage,
		ask: func(o *other) string {
			_, err := o.CreateSecurityGroup(o.t.Context(), &ec2.CreateSecurityGroupInput{VpcId: aws.String("vpc-0123456789abcdef0"), GroupName: aws.String("web"), Description: aws.String("web")})
			return said(err)
		},
	},
	{
		name: "a name like an ID",
		want: "InvalidParameterValue",
		moto: "ok",
		page: apiPages + "API_CreateSecurityGroup.html",
		ask: func(o *other) string {
			_, err := o.CreateSecurityGroup(o.t.Context(), &ec2.CreateSecurityGroupInput{VpcId: &o.vpc, GroupName: aws.String("sg-web"), Description: aws.String("web")})
			return said(err)
		},
	},
	{name: "a group that does not exist", want: "InvalidGroup.NotFound", ask: func(o *other) string {
		_, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{absentGroup}})
		return said(err)
	}},
	{
		name: "an ID that is none",
		want: "InvalidGroupId.Malformed",
		moto: "InvalidGroup.NotFound",
		page: errorsPage,
		ask: func(o *other) string {
			_, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{"web"}})
			return said(err)
		},
	},
	{name: "a group is deleted twice", want: "ok InvalidGroup.NotFound", ask: func(o *other) string {
		id := o.group("web")
		_, first := o.DeleteSecurityGroup(o.t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &id})
		_, second := o.DeleteSecurityGroup(o.t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &id})
		return all(said(first), said(second))
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
	{
		name: "a group that another's rule names is not deleted",
		want: "DependencyViolation",
		moto: "ok",
		page: apiPages + "API_DeleteSecurityGroup.html",
		ask: func(o *other) string {
			id, other := o.group("web"), o.group("other")
			o.must(o.authorize(other, types.IpPermission{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &id}}}))
			_, err := o.DeleteSecurityGroup(o.t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &id})
			return said(err)
		},
	},
	{
		name: "the default group is not deleted",
		want: "CannotDelete",
		moto: "ok",
		page: "https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html",
		ask: func(o *other) string {
			out, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: append(filtered("vpc-id", o.vpc), filtered("group-name", "default")...)})
			o.must(err)
			_, err = o.DeleteSecurityGroup(o.t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: out.SecurityGroups[0].GroupId})
			return said(err)
		},
	},
	{name: "tags, and filters on them", want: "ok 1 1 1 0", ask: func(o *other) string {
		id := o.group("web")
		_, err := o.CreateTags(o.t.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("cloudfront-ingress" + o.suffix), Value: aws.String("443")}}})
		count := func(name, value string) int {
			out, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: filtered(name, value)})
			o.must(err)
			return len(out.SecurityGroups)
		}
		key := "cloudfront-ingress" + o.suffix
		return all(said(err), count("tag-key", key), count("tag:"+key, "443"), count("tag-key", "cloudfront-ingres?"+o.suffix), count("tag-key", "Cloudfront-ingress"+o.suffix))
	}},
	{
		name: "a filter that there is not",
		want: "InvalidParameterValue",
		moto: "not an API error",
		page: errorsPage,
		ask: func(o *other) string {
			_, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: filtered("colour", "blue")})
			return said(err)
		},
	},
	{
		name: "pages too small",
		want: "InvalidParameterValue",
		moto: "ok",
		page: apiPages + "API_DescribeSecurityGroups.html",
		ask: func(o *other) string {
			_, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{MaxResults: aws.Int32(4)})
			return said(err)
		},
	},

	// Rules.
	{name: "rules of both families", want: "ok [tcp 443-443 192.0.2.0/24, tcp 443-443 2001:db8::/32]", ask: func(o *other) string {
		id := o.group("web")
		err := o.authorize(id, tcp(443, "192.0.2.0/24", "2001:db8::/32"))
		return all(said(err), o.rules(id))
	}},
	{name: "a rule twice", want: "InvalidPermission.Duplicate", ask: func(o *other) string {
		id := o.group("web")
		o.must(o.authorize(id, tcp(443, "192.0.2.0/24")))
		return said(o.authorize(id, tcp(443, "192.0.2.0/24")))
	}},
	{name: "a rule twice, with another description", want: "InvalidPermission.Duplicate", ask: func(o *other) string {
		id := o.group("web")
		o.must(o.authorize(id, tcp(443, "192.0.2.0/24")))
		p := tcp(443, "192.0.2.0/24")
		p.IpRanges[0].Description = aws.String("other")
		return said(o.authorize(id, p))
	}},
	{
		name: "authorize is all or nothing",
		want: "InvalidPermission.Duplicate [tcp 443-443 192.0.2.0/24]",
		moto: "InvalidPermission.Duplicate [tcp 443-443 192.0.2.0/24, tcp 443-443 198.51.100.0/24]",
		page: errorsPage,
		ask: func(o *other) string {
			id := o.group("web")
			o.must(o.authorize(id, tcp(443, "192.0.2.0/24")))
			err := o.authorize(id, tcp(443, "198.51.100.0/24", "192.0.2.0/24"))
			return all(said(err), o.rules(id))
		},
	},
	{
		name: "60 rules of each family",
		want: "ok ok",
		moto: "ok RulesPerSecurityGroupLimitExceeded",
		page: quotasPage,
		ask: func(o *other) string {
			id := o.group("web")
			return all(said(o.authorize(id, tcp(443, v4(60)...))), said(o.authorize(id, tcp(443, v6(60)...))))
		},
	},
	{name: "61 rules of a family", want: "RulesPerSecurityGroupLimitExceeded", ask: func(o *other) string {
		id := o.group("web")
		return said(o.authorize(id, tcp(443, v4(61)...)))
	}},
	{
		name: "a prefix list counts as often as it may have entries",
		want: "RulesPerSecurityGroupLimitExceeded",
		moto: "ok",
		page: listsPage,
		ask: func(o *other) string {
			id, list := o.group("web"), o.list(60, "192.0.2.0/24")
			o.must(o.authorize(id, tcp(443, "192.0.2.0/24")))
			return said(o.authorize(id, types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: &list}}}))
		},
	},
	{
		name: "host bits",
		want: "ok [tcp 443-443 192.0.2.0/24]",
		moto: "ok [tcp 443-443 192.0.2.7/24]",
		page: apiPages + "API_IpRange.html",
		ask: func(o *other) string {
			id := o.group("web")
			err := o.authorize(id, tcp(443, "192.0.2.7/24"))
			return all(said(err), o.rules(id))
		},
	},
	{name: "no IP range", want: "InvalidParameterValue", ask: func(o *other) string {
		return said(o.authorize(o.group("web"), tcp(443, "192.0.2.0")))
	}},
	{
		name: "ports the wrong way round",
		want: "InvalidParameterValue",
		moto: "ok",
		page: apiPages + "API_IpPermission.html",
		ask: func(o *other) string {
			return said(o.authorize(o.group("web"), tcpRange(443, 80, "192.0.2.0/24")))
		},
	},
	{
		name: "a description with other characters",
		want: "InvalidParameterValue",
		moto: "ok",
		page: apiPages + "API_IpRange.html",
		ask: func(o *other) string {
			p := tcp(443, "192.0.2.0/24")
			p.IpRanges[0].Description = aws.String("zurück")
			return said(o.authorize(o.group("web"), p))
		},
	},
	{name: "no group to authorize", want: "InvalidGroup.NotFound", ask: func(o *other) string {
		return said(o.authorize(absentGroup, tcp(443, "192.0.2.0/24")))
	}},
	{name: "a rule from a group that does not exist", want: "InvalidGroup.NotFound", ask: func(o *other) string {
		return said(o.authorize(o.group("web"), types.IpPermission{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: aws.String(absentGroup)}}}))
	}},
	{name: "a rule from a prefix list", want: "ok [tcp 443-443 list]", ask: func(o *other) string {
		id, list := o.group("web"), o.list(5, "192.0.2.0/24")
		p := tcp(443)
		p.PrefixListIds = []types.PrefixListId{{PrefixListId: &list}}
		err := o.authorize(id, p)
		return all(said(err), o.rules(id))
	}},
	{
		name: "a rule from a prefix list that does not exist",
		want: "InvalidPrefixListID.NotFound",
		moto: "ok",
		page: errorsPage,
		ask: func(o *other) string {
			p := tcp(443)
			p.PrefixListIds = []types.PrefixListId{{PrefixListId: aws.String("pl-0123456789abcdef0")}}
			return said(o.authorize(o.group("web"), p))
		},
	},
	{name: "revoke, whatever the description", want: "ok [tcp 443-443 198.51.100.0/24]", ask: func(o *other) string {
		id := o.group("web")
		p := tcp(443, "192.0.2.0/24", "198.51.100.0/24")
		p.IpRanges[0].Description = aws.String("ours")
		o.must(o.authorize(id, p))
		err := o.revoke(id, tcp(443, "192.0.2.0/24"))
		return all(said(err), o.rules(id))
	}},
	{name: "revoke what is not there", want: "InvalidPermission.NotFound", ask: func(o *other) string {
		return said(o.revoke(o.group("web"), tcp(443, "192.0.2.0/24")))
	}},
	{name: "revoke what is partly there", want: "InvalidPermission.NotFound [tcp 443-443 192.0.2.0/24]", ask: func(o *other) string {
		id := o.group("web")
		o.must(o.authorize(id, tcp(443, "192.0.2.0/24")))
		err := o.revoke(id, tcp(443, "192.0.2.0/24", "198.51.100.0/24"))
		return all(said(err), o.rules(id))
	}},
	{
		name: "revoke what is not there, in the default VPC",
		want: "ok",
		moto: "InvalidPermission.NotFound",
		page: apiPages + "API_RevokeSecurityGroupIngress.html",
		ask: func(o *other) string {
			return said(o.revoke(o.groupIn(o.defaultVPC(), "web"), tcp(443, "192.0.2.0/24")))
		},
	},
	{name: "a new description", want: "ok [tcp 443-443 192.0.2.0/24 (new)]", ask: func(o *other) string {
		id := o.group("web")
		p := tcp(443, "192.0.2.0/24")
		o.must(o.authorize(id, p))
		p.IpRanges[0].Description = aws.String("new")
		_, err := o.UpdateSecurityGroupRuleDescriptionsIngress(o.t.Context(), &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{GroupId: &id, IpPermissions: []types.IpPermission{p}})
		return all(said(err), o.rules(id))
	}},
	{name: "a dry run", want: "DryRunOperation", ask: func(o *other) string {
		id := o.group("web")
		_, err := o.AuthorizeSecurityGroupIngress(o.t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: []types.IpPermission{tcp(443, "192.0.2.0/24")}, DryRun: aws.Bool(true)})
		return said(err)
	}},

	// Network interfaces.
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
	{name: "interfaces by their description", want: "[web available]", ask: func(o *other) string {
		_, err := o.networkInterface(o.group("web"))
		o.must(err)
		return o.attached(filtered("description", "interface"+o.suffix))
	}},
	{name: "interfaces by the pattern of a description", want: "[web available]", ask: func(o *other) string {
		_, err := o.networkInterface(o.group("web"))
		o.must(err)
		return o.attached(append(filtered("vpc-id", o.vpc), filtered("description", "inter*")...))
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
	{
		name: "an interface gets a group that does not exist",
		want: "InvalidGroup.NotFound",
		moto: "ok",
		page: errorsPage,
		ask: func(o *other) string {
			id, err := o.networkInterface(o.group("web"))
			o.must(err)
			return said(o.attach(id, absentGroup))
		},
	},
	{
		name: "an interface gets a group of another VPC",
		want: "InvalidGroup.NotFound",
		moto: "ok",
		page: "https://github.com/kubernetes-sigs/cluster-api-provider-aws/issues/3943",
		ask: func(o *other) string {
			id, err := o.networkInterface(o.group("web"))
			o.must(err)
			return said(o.attach(id, o.groupIn(o.defaultVPC(), "far")))
		},
	},
	{name: "no interface", want: "InvalidNetworkInterfaceID.NotFound", ask: func(o *other) string {
		return said(o.attach("eni-0123456789abcdef0", o.group("web")))
	}},
	{name: "a group is free again", want: "ok ok", ask: func(o *other) string {
		web, db := o.group("web"), o.group("db")
		id, err := o.networkInterface(web)
		o.must(err)
		first := said(o.attach(id, db))
		_, err = o.DeleteSecurityGroup(o.t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &web})
		return all(first, said(err))
	}},

	// Prefix lists.
	{name: "a list is created", want: "v1 [192.0.2.0/24 a, 198.51.100.0/24]", ask: func(o *other) string {
		return o.entries(o.list(5, "192.0.2.0/24 a", "198.51.100.0/24"))
	}},
	{
		name: "the state of a new list, as it is answered",
		want: "create-in-progress",
		moto: "create-complete",
		page: "https://docs.aws.amazon.com/cli/latest/reference/ec2/create-managed-prefix-list.html",
		ask: func(o *other) string {
			out, err := o.CreateManagedPrefixList(o.t.Context(), &ec2.CreateManagedPrefixListInput{PrefixListName: aws.String("list"), AddressFamily: aws.String("IPv4"), MaxEntries: aws.Int32(1)})
			o.must(err)
			return string(out.PrefixList.State)
		},
	},
	{
		name: "more entries than its size",
		want: "PrefixListMaxEntriesExceeded",
		moto: "ok",
		page: listsPage,
		ask: func(o *other) string {
			_, err := o.CreateManagedPrefixList(o.t.Context(), &ec2.CreateManagedPrefixListInput{PrefixListName: aws.String("list"), AddressFamily: aws.String("IPv4"), MaxEntries: aws.Int32(1), Entries: added("192.0.2.0/24", "198.51.100.0/24")})
			return said(err)
		},
	},
	{name: "adding and removing at once", want: "ok v2 [192.0.2.0/24 a, 203.0.113.0/24 b]", ask: func(o *other) string {
		id := o.list(5, "192.0.2.0/24 a", "198.51.100.0/24")
		err := o.modify(id, 1, []string{"203.0.113.0/24 b"}, []string{"198.51.100.0/24"})
		return all(said(err), o.entries(id))
	}},
	{name: "one change after the other", want: "ok ok v3 [198.51.100.0/24]", ask: func(o *other) string {
		id := o.list(5, "192.0.2.0/24")
		first := said(o.modify(id, 1, []string{"198.51.100.0/24"}, nil))
		return all(first, said(o.modify(id, 2, nil, []string{"192.0.2.0/24"})), o.entries(id))
	}},
	{
		name: "a version that is not the current one",
		want: "PrefixListVersionMismatch v1 [192.0.2.0/24]",
		moto: "ok v2 [192.0.2.0/24, 198.51.100.0/24]",
		page: apiPages + "API_ModifyManagedPrefixList.html",
		ask: func(o *other) string {
			id := o.list(5, "192.0.2.0/24")
			err := o.modify(id, 2, []string{"198.51.100.0/24"}, nil)
			return all(said(err), o.entries(id))
		},
	},
	{
		name: "an entry that is there already",
		want: "InvalidPrefixListModification v1 [192.0.2.0/24]",
		moto: "ok v2 [192.0.2.0/24]",
		page: terraform + "/issues/29204",
		ask: func(o *other) string {
			id := o.list(5, "192.0.2.0/24")
			err := o.modify(id, 1, []string{"192.0.2.0/24"}, nil)
			return all(said(err), o.entries(id))
		},
	},
	{
		name: "an entry that is there already, with another description",
		want: "InvalidRequest v1 [192.0.2.0/24]",
		moto: "ok v2 [192.0.2.0/24, 192.0.2.0/24 new]",
		page: terraform + "/blob/main/internal/service/ec2/vpc_managed_prefix_list.go",
		ask: func(o *other) string {
			id := o.list(5, "192.0.2.0/24")
			err := o.modify(id, 1, []string{"192.0.2.0/24 new"}, nil)
			return all(said(err), o.entries(id))
		},
	},
	{
		name: "a description is changed in one call",
		want: "InvalidParameterValue v1 [192.0.2.0/24 old]",
		moto: "ok v2 [192.0.2.0/24 new]",
		page: terraform + "/blob/main/internal/service/ec2/vpc_managed_prefix_list.go",
		ask: func(o *other) string {
			id := o.list(5, "192.0.2.0/24 old")
			err := o.modify(id, 1, []string{"192.0.2.0/24 new"}, []string{"192.0.2.0/24"})
			return all(said(err), o.entries(id))
		},
	},
	{
		name: "an entry that is not there is removed",
		want: "InvalidPrefixListModification v1 [192.0.2.0/24]",
		moto: "ok v2 [192.0.2.0/24]",
		page: terraform + "/blob/main/internal/service/ec2/vpc_managed_prefix_list_entry.go",
		ask: func(o *other) string {
			id := o.list(5, "192.0.2.0/24")
			err := o.modify(id, 1, nil, []string{"198.51.100.0/24"})
			return all(said(err), o.entries(id))
		},
	},
	{
		name: "more entries than fit are added",
		want: "PrefixListMaxEntriesExceeded v1 [192.0.2.0/24]",
		moto: "ok v2 [192.0.2.0/24, 198.51.100.0/24]",
		page: listsPage,
		ask: func(o *other) string {
			id := o.list(1, "192.0.2.0/24")
			err := o.modify(id, 1, []string{"198.51.100.0/24"}, nil)
			return all(said(err), o.entries(id))
		},
	},
	{
		name: "101 entries are added",
		want: "InvalidParameterValue",
		moto: "ok",
		page: apiPages + "API_ModifyManagedPrefixList.html",
		ask: func(o *other) string {
			return said(o.modify(o.list(200), 1, v4(101), nil))
		},
	},
	{
		name: "entries and size at once",
		want: "InvalidParameterCombination",
		moto: "ok",
		page: terraform + "/issues/26034",
		ask: func(o *other) string {
			id := o.list(5)
			_, err := o.ModifyManagedPrefixList(o.t.Context(), &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, CurrentVersion: aws.Int64(1), AddEntries: added("192.0.2.0/24"), MaxEntries: aws.Int32(6)})
			return said(err)
		},
	},
	{
		name: "a size",
		want: "ok 7",
		moto: "ok 5",
		page: apiPages + "API_ModifyManagedPrefixList.html",
		ask: func(o *other) string {
			id := o.list(5)
			_, err := o.ModifyManagedPrefixList(o.t.Context(), &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, CurrentVersion: aws.Int64(1), MaxEntries: aws.Int32(7)})
			out, described := o.DescribeManagedPrefixLists(o.t.Context(), &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}})
			o.must(described)
			return all(said(err), *out.PrefixLists[0].MaxEntries)
		},
	},
	{
		name: "a version is restored",
		want: "ok v3 [192.0.2.0/24]",
		moto: "not an API error v2 [192.0.2.0/24, 198.51.100.0/24]",
		page: apiPages + "API_RestoreManagedPrefixListVersion.html",
		ask: func(o *other) string {
			id := o.list(5, "192.0.2.0/24")
			o.must(o.modify(id, 1, []string{"198.51.100.0/24"}, nil))
			_, err := o.RestoreManagedPrefixListVersion(o.t.Context(), &ec2.RestoreManagedPrefixListVersionInput{PrefixListId: &id, CurrentVersion: aws.Int64(2), PreviousVersion: aws.Int64(1)})
			return all(said(err), o.entries(id))
		},
	},
	{name: "lists by name and by tag", want: "1 1", ask: func(o *other) string {
		id := o.list(5)
		_, err := o.CreateTags(o.t.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("key" + o.suffix), Value: aws.String("ranges")}}})
		o.must(err)
		count := func(name, value string) int {
			out, err := o.DescribeManagedPrefixLists(o.t.Context(), &ec2.DescribeManagedPrefixListsInput{Filters: filtered(name, value)})
			o.must(err)
			return len(out.PrefixLists)
		}
		return all(count("prefix-list-name", "list"+o.suffix), count("tag:key"+o.suffix, "ranges"))
	}},
	{
		name: "a list that does not exist is described",
		want: "InvalidPrefixListID.NotFound",
		moto: "ok",
		page: errorsPage,
		ask: func(o *other) string {
			_, err := o.DescribeManagedPrefixLists(o.t.Context(), &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{"pl-0123456789abcdef0"}})
			return said(err)
		},
	},
	{name: "the list of CloudFront", want: "AWS IPv4 false false create-complete", ask: func(o *other) string {
		out, err := o.DescribeManagedPrefixLists(o.t.Context(), &ec2.DescribeManagedPrefixListsInput{Filters: filtered("prefix-list-name", "com.amazonaws.global.cloudfront.origin-facing")})
		o.must(err)
		l := out.PrefixLists[0]
		return all(*l.OwnerId, *l.AddressFamily, l.Version != nil, l.MaxEntries != nil, l.State)
	}},
	{name: "a list is deleted", want: "ok true", ask: func(o *other) string {
		id := o.list(5)
		_, err := o.DeleteManagedPrefixList(o.t.Context(), &ec2.DeleteManagedPrefixListInput{PrefixListId: &id})
		out, described := o.DescribeManagedPrefixLists(o.t.Context(), &ec2.DescribeManagedPrefixListsInput{Filters: filtered("prefix-list-id", id)})
		o.must(described)
		gone := len(out.PrefixLists) == 0 || out.PrefixLists[0].State == types.PrefixListStateDeleteComplete
		return all(said(err), gone)
	}},
	{
		name: "who refers to a list",
		want: "ok web",
		moto: "not an API error",
		page: apiPages + "API_GetManagedPrefixListAssociations.html",
		ask: func(o *other) string {
			id, list := o.group("web"), o.list(5)
			o.must(o.authorize(id, types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: &list}}}))
			out, err := o.GetManagedPrefixListAssociations(o.t.Context(), &ec2.GetManagedPrefixListAssociationsInput{PrefixListId: &list})
			if err != nil {
				return said(err)
			}
			return all(said(err), o.names[*out.PrefixListAssociations[0].ResourceId])
		},
	},
}
