package ec2sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"cloudfront-sg-sync/internal/ec2sim"
)

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func TestFilters(t *testing.T) {
	s := start(t, ec2sim.Options{})
	for _, g := range []ec2sim.Group{
		{Name: "a", Description: "first", Tags: map[string]string{"cloudfront-ingress": "443", "env": "prod"}},
		{Name: "ab", Description: "second", Tags: map[string]string{"cloudfront-ingress": "80 443"}, Ingress: []ec2sim.Rule{rule(443, "192.0.2.0/24", "")}},
		{Name: "abc*", Description: "third", VPC: s.here.OtherVPC(), Tags: map[string]string{"Cloudfront-Ingress": "443"}},
	} {
		if _, err := s.here.CreateGroup(g); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		filters string // name=value|value, more after a space
		want    string // names of groups, without the default ones
	}{
		{"group-name=a", "a"},
		{"group-name=a|ab", "a ab"},
		{"group-name=a*", "a ab abc*"},
		{"group-name=a?", "a ab"}, // zero or one character
		{`group-name=*\*`, "abc*"},
		{`group-name=abc\*|nothing`, "abc*"},
		{"group-name=A", ""},
		{"tag-key=cloudfront-ingress", "a ab"},
		{"tag-key=cloudfront-ingress tag:env=prod", "a"},
		{"tag-value=443", "a abc*"},
		{"tag:cloudfront-ingress=*443", "a ab"},
		{"tag:cloudfront-ingress=", ""},
		{"description=*ir*", "a abc*"},
		{"owner-id=" + ec2sim.DefaultAccount + " tag-key=*", "a ab abc*"},
		{"vpc-id=" + s.here.OtherVPC() + " tag-key=*", "abc*"},
	} {
		var filters []types.Filter
		for f := range strings.SplitSeq(c.filters, " ") {
			name, values, _ := strings.Cut(f, "=")
			filters = append(filters, types.Filter{Name: &name, Values: strings.Split(values, "|")})
		}
		out, err := s.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: filters})
		if err != nil {
			t.Errorf("%s: %v", c.filters, err)
			continue
		}
		var got []string
		for _, g := range out.SecurityGroups {
			got = append(got, *g.GroupName)
		}
		if want := strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", c.filters, got, want)
		}
	}
}

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

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
func TestTags(t *testing.T) {
	s := start(t, ec2sim.Options{})
	web, db := s.group("", "web", rule(443, "192.0.2.0/24", ""), rule(80, "192.0.2.0/24", "")), s.group("", "db")
	tags := func(pairs ...string) (list []types.Tag) {
		for _, p := range pairs {
			key, value, ok := strings.Cut(p, "=")
			tag := types.Tag{Key: &key}
			if ok {
				tag.Value = &value
			}
			list = append(list, tag)
		}
		return list
	}
	create := func(ids []string, pairs ...string) error {
		_, err := s.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: ids, Tags: tags(pairs...)})
		return err
	}
	remove := func(id string, pairs ...string) error {
		_, err := s.DeleteTags(t.Context(), &ec2.DeleteTagsInput{Resources: []string{id}, Tags: tags(pairs...)})
		return err
	}
	wantTags := func(id string, pairs ...string) {
		t.Helper()
		want := ec2sim.Tags{}
		for _, tag := range tags(pairs...) {
			want[*tag.Key] = *tag.Value
		}
		g, _ := s.here.Group(id)
		if diff := cmp.Diff(want, g.Tags); diff != "" {
			t.Error(diff)
		}
	}
	wantCode(t, create([]string{web, db}, "a=1", "b=2", "c="), "")
	wantCode(t, create([]string{web}, "a=3"), "")
	wantTags(web, "a=3", "b=2", "c=")
	wantTags(db, "a=1", "b=2", "c=")
	wantCode(t, create([]string{web, "sg-00000000000000000"}, "d=4"), "InvalidGroup.NotFound")
	wantCode(t, create([]string{web}, "aws:d=4"), "InvalidParameterValue")
	wantCode(t, create([]string{web}, "d=4", "d=5"), "InvalidParameterValue")
	wantCode(t, create([]string{"web"}, "d=4"), "InvalidID")
	wantTags(web, "a=3", "b=2", "c=")

	wantCode(t, remove(web, "a=1"), "") // another value: not deleted
	wantTags(web, "a=3", "b=2", "c=")
	wantCode(t, remove(web, "a", "c="), "")
	wantTags(web, "b=2")

	wantCode(t, remove(web), "")
	wantTags(web)

	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("key-%d=", i))
	}
	wantCode(t, create([]string{web}, many...), "TagLimitExceeded")
	wantCode(t, create([]string{web}, many[:50]...), "")
	wantCode(t, create([]string{web}, many[50]), "TagLimitExceeded")
}
