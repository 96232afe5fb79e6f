package ec2sim_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cloudfront-sg-sync/internal/ec2sim"
)

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
func TestPagination(t *testing.T) {
	s := start(t, ec2sim.Options{})
	for i := range 12 {
		s.group("", fmt.Sprintf("group-%02d", i))
	}
	filter := []types.Filter{{Name: aws.String("group-name"), Values: []string{"group-*"}}}
	in := &ec2.DescribeSecurityGroupsInput{Filters: filter, MaxResults: aws.Int32(5)}
	var sizes []int
	var names []string
	pages := ec2.NewDescribeSecurityGroupsPaginator(s.Client, in)
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(p.SecurityGroups))
		for _, g := range p.SecurityGroups {
			names = append(names, *g.GroupName)
		}
		if len(sizes) == 1 { // what comes and goes does not disturb the pages after it
			if err := s.here.DeleteGroup(*p.SecurityGroups[4].GroupId); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(sizes, []int{5, 5, 2}) || len(slices.Compact(names)) != 12 {
		t.Errorf("got pages of %v: %v", sizes, names)
	}
	all, err := s.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: filter})
	if err != nil || len(all.SecurityGroups) != 11 || all.NextToken != nil {
		t.Errorf("without MaxResults: got %d groups, %v", len(all.SecurityGroups), err)
	}
}

// No connection breaks under a long answer.
func TestLongAnswers(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	perms := []types.IpPermission{tcp(443, v4(60)...)}
	for range 200 {
		wantCode(t, s.authorize(id, perms...), "")
		_, err := s.RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: perms})
		wantCode(t, err, "")
	}
}
