package ec2sim_test

import (
	"cmp"
	"fmt"
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
// Where the two differ, the case says what moto does, and which page says that AWS does what this endpoint does.
func TestMoto(t *testing.T) {
	theirServer := moto.Start(t)
	for i, c := range motoCases {
		t.Run(c.name, func(t *testing.T) {
			ours := c.ask(newOurs(t, i))
			theirs := c.ask(newOther(t, theirServer, i))
			if ours != c.want {
				t.Errorf("this endpoint answers %q, want %q; see %s", ours, c.want, c.page)
			}
			switch {
			case theirs == c.want && c.moto != "":
				t.Logf("moto no longer differs")
			case theirs != c.want && theirs != c.moto:
				t.Errorf("moto answers %q, and this endpoint %q: find out who is right", theirs, ours)
			case c.moto != "" && c.page == "":
				t.Errorf("no page says who is right")
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

// said returns the error code of an answer, "ok" for none.
func said(err error) string { return cmp.Or(codeOf(err), "ok") }

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

func (o *other) defaultVPC() string {
	o.t.Helper()
	out, err := o.DescribeVpcs(o.t.Context(), &ec2.DescribeVpcsInput{Filters: filtered("is-default", "true")})
	o.must(err)
	return *out.Vpcs[0].VpcId
}

func filtered(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: &name, Values: values}}
}

func (o *other) authorize(group string, perms ...types.IpPermission) error {
	_, err := o.AuthorizeSecurityGroupIngress(o.t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &group, IpPermissions: perms})
	return err
}

func (o *other) revoke(group string, perms ...types.IpPermission) error {
	_, err := o.RevokeSecurityGroupIngress(o.t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, IpPermissions: perms})
	return err
}

// rules returns a group's ingress rules, sorted.
func (o *other) rules(group string) string {
	o.t.Helper()
	out, err := o.DescribeSecurityGroups(o.t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{group}})
	o.must(err)
	var rules []string
	for _, p := range out.SecurityGroups[0].IpPermissions {
		add := func(source, description *string) {
			ports := ""
			if p.FromPort != nil {
				ports = fmt.Sprintf(" %d-%d", *p.FromPort, *p.ToPort)
			}
			rule := *p.IpProtocol + ports + " " + cmp.Or(o.names[*source], *source)
			if d := aws.ToString(description); d != "" {
				rule += " (" + d + ")"
			}
			rules = append(rules, rule)
		}
		for _, r := range p.IpRanges {
			add(r.CidrIp, r.Description)
		}
		for _, r := range p.Ipv6Ranges {
			add(r.CidrIpv6, r.Description)
		}
		for _, r := range p.PrefixListIds {
			add(r.PrefixListId, r.Description)
		}
		for _, r := range p.UserIdGroupPairs {
			add(r.GroupId, r.Description)
		}
	}
	slices.Sort(rules)
	return "[" + strings.Join(rules, ", ") + "]"
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

func (o *other) modify(id string, version int64, add, remove []string) error {
	in := &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, PrefixListName: aws.String("list" + o.suffix), AddEntries: added(add...), RemoveEntries: removed(remove...)}
	if version > 0 {
		in.CurrentVersion = &version
	}
	_, err := o.ModifyManagedPrefixList(o.t.Context(), in)
	return err
}

// entries returns the version of a list and its entries, sorted.
func (o *other) entries(id string) string {
	o.t.Helper()
	lists, err := o.DescribeManagedPrefixLists(o.t.Context(), &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}})
	o.must(err)
	out, err := o.GetManagedPrefixListEntries(o.t.Context(), &ec2.GetManagedPrefixListEntriesInput{PrefixListId: &id})
	o.must(err)
	var entries []string
	for _, e := range out.Entries {
		entries = append(entries, strings.TrimSpace(*e.Cidr+" "+aws.ToString(e.Description)))
	}
	slices.Sort(entries)
	return fmt.Sprintf("v%d [%s]", *lists.PrefixLists[0].Version, strings.Join(entries, ", "))
}
