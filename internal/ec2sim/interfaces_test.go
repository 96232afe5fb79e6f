package ec2sim_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cloudfront-sg-sync/internal/ec2sim"
)

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
func TestDescribeInterfaces(t *testing.T) {
	s := start(t, ec2sim.Options{})
	web, lb := s.group("", "web"), s.group("", "lb")
	for _, i := range []ec2sim.Interface{
		{Description: "Primary network interface", Groups: []string{web}, Instance: "i-0123456789abcdef0", PublicIP: netip.MustParseAddr("198.51.100.7")},
		{Description: "ELB app/shop/0123456789abcdef", Groups: []string{lb}, Requester: "amazon-elb"},
		{Description: "spare", Groups: []string{web, lb}, IPv6: netip.MustParseAddr("2001:db8::7")},
	} {
		if _, err := s.here.CreateInterface(i); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, value string
		want        []string
	}{
		{"group-id", lb, []string{"ELB app/shop/0123456789abcdef", "spare"}},
		{"attachment.instance-id", "i-0123456789abcdef0", []string{"Primary network interface"}},
		{"description", "ELB app/shop/*", []string{"ELB app/shop/0123456789abcdef"}},
		{"requester-id", "amazon-elb", []string{"ELB app/shop/0123456789abcdef"}},
		{"requester-managed", "true", []string{"ELB app/shop/0123456789abcdef"}},
		{"association.public-ip", "198.51.100.7", []string{"Primary network interface"}},
		{"ipv6-addresses.ipv6-address", "2001:db8::7", []string{"spare"}},
		{"status", "available", []string{"spare"}},
		{"vpc-id", s.here.OtherVPC(), nil},
	} {
		out, err := s.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{{Name: aws.String(c.name), Values: []string{c.value}}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range out.NetworkInterfaces {
			got = append(got, *i.Description)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s=%s: got %q, want %q", c.name, c.value, got, c.want)
		}
	}
	out, err := s.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{})
	if err != nil {
		t.Fatal(err)
	}
	i := out.NetworkInterfaces[0]
	if *i.Groups[0].GroupName != "web" || *i.Attachment.InstanceId != "i-0123456789abcdef0" || *i.Association.PublicIp != "198.51.100.7" ||
		*i.PrivateIpAddresses[0].PrivateIpAddress != *i.PrivateIpAddress || i.Status != types.NetworkInterfaceStatusInUse {
		t.Errorf("got %+v", i)
	}
	if spare := out.NetworkInterfaces[2]; len(i.Ipv6Addresses) != 0 || len(spare.Ipv6Addresses) != 1 || *spare.Ipv6Addresses[0].Ipv6Address != "2001:db8::7" {
		t.Errorf("got %+v and %+v", i.Ipv6Addresses, spare.Ipv6Addresses)
	}
	if lb := out.NetworkInterfaces[1]; lb.Attachment.InstanceId != nil || *lb.RequesterId != "amazon-elb" || !*lb.RequesterManaged {
		t.Errorf("got %+v", lb)
	}
}

// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func TestGroupsOfInterfaces(t *testing.T) {
	s := start(t, ec2sim.Options{})
	var groups []string
	for i := range 6 {
		groups = append(groups, s.group("", fmt.Sprintf("group-%d", i)))
	}
	far := s.group(s.here.OtherVPC(), "far")
	subnets, err := s.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	if err != nil {
		t.Fatal(err)
	}
	create := func(groups ...string) (*ec2.CreateNetworkInterfaceOutput, error) {
		return s.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{
			SubnetId: subnets.Subnets[0].SubnetId, Groups: groups, Description: aws.String("test"),
		})
	}
	_, err = create(groups...)
	wantCode(t, err, "SecurityGroupsPerInterfaceLimitExceeded")
	_, err = create(far)
	wantCode(t, err, "InvalidParameter")
	_, err = create("sg-00000000000000000")
	wantCode(t, err, "InvalidGroup.NotFound")
	out, err := create()
	wantCode(t, err, "")
	if got := *out.NetworkInterface.Groups[0].GroupName; got != "default" {
		t.Errorf("without groups it got %q", got)
	}
	for _, kind := range []string{"network_load_balancer", "gateway_load_balancer"} {
		lb, err := s.here.CreateInterface(ec2sim.Interface{Type: kind})
		if err != nil || len(lb.Groups) != 0 {
			t.Errorf("%s without groups got %q, %v", kind, lb.Groups, err)
		}
	}
	id := out.NetworkInterface.NetworkInterfaceId
	modify := func(groups ...string) error {
		_, err := s.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: id, Groups: groups})
		return err
	}
	wantCode(t, modify(groups...), "SecurityGroupsPerInterfaceLimitExceeded")
	wantCode(t, modify(groups[:5]...), "")
	wantCode(t, modify(groups[5]), "")
	wantCode(t, s.here.DeleteGroup(groups[0]), "")
	if err := s.here.DeleteGroup(groups[5]); err == nil {
		t.Error("a group in use was deleted")
	}
}

// https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
func TestPrefixLists(t *testing.T) {
	s := start(t, ec2sim.Options{})
	byName := func(name string) types.ManagedPrefixList {
		t.Helper()
		out, err := s.DescribeManagedPrefixLists(t.Context(), &ec2.DescribeManagedPrefixListsInput{Filters: []types.Filter{{Name: aws.String("prefix-list-name"), Values: []string{name}}}})
		if err != nil || len(out.PrefixLists) != 1 {
			t.Fatalf("got %+v, %v", out, err)
		}
		return out.PrefixLists[0]
	}
	if _, err := s.here.PutPrefixList(ec2sim.CloudFrontIPv4, 0, netip.MustParsePrefix("120.52.22.96/27")); err != nil {
		t.Fatal(err)
	}
	cloudFront := byName(ec2sim.CloudFrontIPv4)
	if *cloudFront.OwnerId != "AWS" || *cloudFront.AddressFamily != "IPv4" || cloudFront.MaxEntries != nil {
		t.Errorf("got %+v", cloudFront)
	}
	entries, err := s.GetManagedPrefixListEntries(t.Context(), &ec2.GetManagedPrefixListEntriesInput{PrefixListId: cloudFront.PrefixListId})
	wantCode(t, err, "")
	if len(entries.Entries) != 1 || *entries.Entries[0].Cidr != "120.52.22.96/27" {
		t.Errorf("got %+v", entries.Entries)
	}
	_, err = s.CreateManagedPrefixList(t.Context(), &ec2.CreateManagedPrefixListInput{
		PrefixListName: aws.String("office"), AddressFamily: aws.String("IPv6"), MaxEntries: aws.Int32(5),
		Entries: []types.AddPrefixListEntry{{Cidr: aws.String("2001:db8::/32")}},
	})
	wantCode(t, err, "")
	if office := byName("office"); *office.MaxEntries != 5 || *office.OwnerId != ec2sim.DefaultAccount {
		t.Errorf("got %+v", office)
	}
	_, err = s.CreateManagedPrefixList(t.Context(), &ec2.CreateManagedPrefixListInput{
		PrefixListName: aws.String("office"), AddressFamily: aws.String("IPv4"), MaxEntries: aws.Int32(5),
		Entries: []types.AddPrefixListEntry{{Cidr: aws.String("2001:db8::/32")}},
	})
	wantCode(t, err, "InvalidParameterValue")
}
