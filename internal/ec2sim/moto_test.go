package ec2sim_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/moto"
)

// The same requests, sent to this endpoint and to moto, an EC2 that others have written (https://docs.getmoto.org).
func TestMoto(t *testing.T) {
	theirServer := moto.Start(t)
	for i, c := range motoCases {
		t.Run(c.name, func(t *testing.T) {
			if ours, theirs := c.ask(newOurs(t, i)), c.ask(newOther(t, theirServer, i)); ours != c.want || theirs != c.want {
				t.Errorf("this endpoint answers %q, moto %q, want %q", ours, theirs, c.want)
			}
		})
	}
}

// motoCases are questions about networks and network interfaces, and what both endpoints answer.
var motoCases = []struct {
	name, want string
	ask        func(o *other) string
}{
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
	{name: "an interface without groups gets the default one", want: "[default available]", ask: func(o *other) string {
		id, err := o.networkInterface()
		o.must(err)
		return o.attached(filtered("network-interface-id", id))
	}},
	{name: "interfaces by their groups", want: "[db+web available] [web available, db+web available] []", ask: func(o *other) string {
		web, db, unused := o.group("web"), o.group("db"), o.group("unused")
		for _, groups := range [][]string{{web}, {web, db}} {
			_, err := o.networkInterface(groups...)
			o.must(err)
		}
		return all(o.attached(filtered("group-id", db)), o.attached(filtered("group-id", db, web)), o.attached(filtered("group-id", unused)))
	}},
	{name: "groups of an interface are replaced", want: "<nil> [db+web available] <nil> [db available]", ask: func(o *other) string {
		web, db, unused := o.group("web"), o.group("db"), o.group("unused")
		id, err := o.networkInterface(unused)
		o.must(err)
		which := filtered("network-interface-id", id)
		first := o.attach(id, web, db)
		between := o.attached(which)
		return all(first, between, o.attach(id, db), o.attached(which))
	}},
}

// TestDocumented, asked of moto: it answers as documented, or as the case says.
func TestMotoDocumented(t *testing.T) {
	server := moto.Start(t)
	for i, c := range readDocumented(t, "documented.txt") {
		t.Run(c.name, func(t *testing.T) {
			o := newOther(t, server, i)
			lists, err := o.DescribeManagedPrefixLists(t.Context(), &ec2.DescribeManagedPrefixListsInput{Filters: filtered("owner-id", "AWS")})
			o.must(err)
			list, group := o.list(101), o.group("web")
			_, err = o.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{group}, Tags: []types.Tag{{Key: aws.String("cloudfront-ingress"), Value: aws.String("443")}}})
			o.must(err)
			ids := strings.NewReplacer(
				"AWSLIST", *lists.PrefixLists[0].PrefixListId, "LIST", list, "VPC", o.vpc, "NAME", "web-servers"+o.suffix,
				"BUILTIN", o.builtin(), "OTHER", group, "DEFAULT", o.groupIn(o.defaultVPC(), "web"), ec2sim.DefaultAccount, "123456789012")
			problem := c.ask(ids, func(query string) (int, string) { return postTo(t, server, http.DefaultTransport, "ec2", query) })
			switch {
			case problem == "" && c.moto != "":
				t.Logf("moto no longer differs")
			case problem != c.moto:
				t.Errorf("%q: %q, find out who is right", c.name, problem)
			}
		})
	}
}

// An other is an EC2, this one or another, and a VPC of a case's own.
type other struct {
	*ec2.Client
	t      *testing.T
	here   *ec2sim.Region // of this one
	vpc    string
	subnet string
	names  map[string]string // IDs to what a case calls them
	suffix string
}

// newOther returns moto with a new VPC, or this endpoint, where VPCs, subnets and interfaces are not created by calls.
func newOther(t *testing.T, url string, i int) *other {
	t.Helper()
	o := &other{Client: client(url, region), t: t, names: map[string]string{}, suffix: fmt.Sprintf("-%d", i)}
	vpc, err := o.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.9.0.0/16")})
	o.must(err)
	o.vpc = *vpc.Vpc.VpcId
	subnet, err := o.CreateSubnet(t.Context(), &ec2.CreateSubnetInput{VpcId: &o.vpc, CidrBlock: aws.String("10.9.128.0/24")})
	o.must(err)
	o.subnet = *subnet.Subnet.SubnetId
	return o
}

// newOurs returns an endpoint of this kind.
func newOurs(t *testing.T, i int) *other {
	t.Helper()
	s := start(t, ec2sim.Options{})
	o := &other{Client: s.Client, t: t, here: &s.here, names: map[string]string{}, suffix: fmt.Sprintf("-%d", i)}
	o.must(s.Seed(strings.NewReader(`{"vpcs": [{"name": "v", "cidr": "10.9.0.0/16"}], "subnets": [{"vpc": "v", "name": "s", "cidr": "10.9.128.0/24"}]}`)))
	subnets, err := o.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{Filters: filtered("cidr-block", "10.9.128.0/24")})
	o.must(err)
	o.vpc, o.subnet = *subnets.Subnets[0].VpcId, *subnets.Subnets[0].SubnetId
	return o
}

// all joins what a case has found out.
func all(parts ...any) string { return strings.TrimSuffix(fmt.Sprintln(parts...), "\n") }

func (o *other) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *other) group(name string) string { return o.groupIn(o.vpc, name) }

func (o *other) groupIn(vpc, name string) string {
	o.t.Helper()
	out, err := o.CreateSecurityGroup(o.t.Context(), &ec2.CreateSecurityGroupInput{VpcId: &vpc, GroupName: aws.String(name + o.suffix), Description: aws.String(name)})
	o.must(err)
	o.names[*out.GroupId] = name
	return *out.GroupId
}

func (o *other) builtin() string {
	o.t.Helper()
	out, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{
		Filters: append(filtered("vpc-id", o.vpc), filtered("group-name", "default")...),
	})
	o.must(err)
	return *out.SecurityGroups[0].GroupId
}

func (o *other) defaultVPC() string {
	o.t.Helper()
	out, err := o.DescribeVpcs(o.t.Context(), &ec2.DescribeVpcsInput{Filters: filtered("is-default", "true")})
	o.must(err)
	return *out.Vpcs[0].VpcId
}

func filtered(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: &name, Values: values}}
}

func (o *other) networkInterface(groups ...string) (string, error) {
	if o.here != nil {
		i, err := o.here.CreateInterface(ec2sim.Interface{Subnet: o.subnet, Groups: groups, Description: "interface" + o.suffix})
		return i.ID, err
	}
	out, err := o.CreateNetworkInterface(o.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: &o.subnet, Groups: groups, Description: aws.String("interface" + o.suffix)})
	if err != nil {
		return "", err
	}
	return *out.NetworkInterface.NetworkInterfaceId, nil
}

func (o *other) attach(id string, groups ...string) error {
	_, err := o.ModifyNetworkInterfaceAttribute(o.t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &id, Groups: groups})
	return err
}

// attached returns the groups of the interfaces that match a filter.
func (o *other) attached(filters []types.Filter) string {
	o.t.Helper()
	out, err := o.DescribeNetworkInterfaces(o.t.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: filters})
	o.must(err)
	var found []string
	for _, i := range out.NetworkInterfaces {
		var groups []string
		for _, g := range i.Groups {
			groups = append(groups, cmp.Or(o.names[*g.GroupId], *g.GroupName))
		}
		slices.Sort(groups)
		found = append(found, strings.Join(groups, "+")+" "+string(i.Status))
	}
	return "[" + strings.Join(found, ", ") + "]"
}

func (o *other) list(maxEntries int32, entries ...string) string {
	o.t.Helper()
	out, err := o.CreateManagedPrefixList(o.t.Context(), &ec2.CreateManagedPrefixListInput{
		PrefixListName: aws.String("list" + o.suffix), AddressFamily: aws.String("IPv4"), MaxEntries: &maxEntries, Entries: added(entries...),
	})
	o.must(err)
	o.names[*out.PrefixList.PrefixListId] = "list"
	return *out.PrefixList.PrefixListId
}
