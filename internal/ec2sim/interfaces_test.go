package ec2sim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"cloudfront-sg-sync/internal/ec2sim"
)

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

// An interface of a service is changed only through the service.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
func TestRequesterManaged(t *testing.T) {
	s := start(t, ec2sim.Options{})
	i, err := s.here.CreateInterface(ec2sim.Interface{Requester: "amazon-elb"})
	wantCode(t, err, "")
	_, err = s.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &i.ID, Groups: []string{s.group("", "web")}})
	wantCode(t, err, "AuthFailure")
}
