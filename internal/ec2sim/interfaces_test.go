package ec2sim_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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
		{"association.public-ip", "198.51.100.7", []string{"Primary network interface"}},
		{"ipv6-addresses.ipv6-address", "2001:db8::7", []string{"spare"}},
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
	if lb := out.NetworkInterfaces[1]; lb.Attachment.InstanceId != nil || *lb.Attachment.InstanceOwnerId != "amazon-elb" || *lb.RequesterId != "amazon-elb" || !*lb.RequesterManaged {
		t.Errorf("got %+v", lb)
	}
}

// The quotas of rules per group and groups per interface come to 1,000 at most.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func TestGroupsPerInterface(t *testing.T) {
	for _, c := range []struct{ rules, groups, want int }{{60, 5, 5}, {60, 16, 16}, {100, 16, 10}, {200, 5, 5}, {250, 5, 4}, {1000, 5, 1}} {
		s := start(t, ec2sim.Options{RulesPerGroup: c.rules})
		s.here.SetGroupsPerInterface(c.groups)
		var groups []string
		for i := range 17 {
			groups = append(groups, s.group("", fmt.Sprintf("group-%d", i)))
		}
		i, err := s.here.CreateInterface(ec2sim.Interface{Groups: groups[:1]})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.here.Attach(i.ID, groups[:c.want]...); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		wantErr := s.here.Attach(i.ID, groups[:c.want+1]...)
		if wantErr == nil || !strings.Contains(wantErr.Error(), "SecurityGroupsPerInterfaceLimitExceeded") {
			t.Errorf("%+v: %v", c, wantErr)
		}
		if got := len(s.here.Interfaces()[0].Groups); got != c.want {
			t.Errorf("%+v: has %d groups", c, got)
		}
	}
}

// An interface of a service is changed through the service alone.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
func TestRequesterManaged(t *testing.T) {
	s := start(t, ec2sim.Options{})
	i, err := s.here.CreateInterface(ec2sim.Interface{Requester: "amazon-elb"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &i.ID, Groups: []string{s.group("", "web")}})
	wantCode(t, err, "AuthFailure")
	if statusOf(err) != http.StatusBadRequest {
		t.Errorf("status %d", statusOf(err))
	}
	_, err = s.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{i.ID}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	wantCode(t, err, "")
}

// Observers see which interfaces a call has changed.
func TestObserveInterfaces(t *testing.T) {
	s := start(t, ec2sim.Options{})
	web, db := s.group("", "web"), s.group("", "db")
	i, err := s.here.CreateInterface(ec2sim.Interface{Groups: []string{web}})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	s.Observe(func(c ec2sim.Change) {
		for _, i := range c.Interfaces {
			seen = append(seen, fmt.Sprint(c.Call.Action, i.Groups))
		}
		seen = append(seen, c.Deleted...)
	})
	_, err = s.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &i.ID, Groups: []string{web, db}})
	wantCode(t, err, "")
	if err := s.here.Attach(i.ID, db); err != nil {
		t.Fatal(err)
	}
	_, err = s.DeleteNetworkInterface(t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &i.ID})
	wantCode(t, err, "")
	want := []string{fmt.Sprint("ModifyNetworkInterfaceAttribute", []string{web, db}), fmt.Sprint([]string{db}), i.ID}
	if !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	if !slices.Equal(i.Groups, []string{web}) {
		t.Errorf("the snapshot has become %q", i.Groups)
	}
}
