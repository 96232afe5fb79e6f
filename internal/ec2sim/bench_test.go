package ec2sim_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cloudfront-sg-sync/internal/ec2sim"
)

// BenchmarkCalls shows what a call costs that fills a group with 60 rules, and one that describes 1,000 groups; most of
// it is the SDK's own.
func BenchmarkCalls(b *testing.B) {
	s := ec2sim.New(ec2sim.Options{})
	server := httptest.NewServer(s)
	b.Cleanup(server.Close)
	c, here := client(server.URL, region), s.Region("", region)
	ctx := b.Context()
	var id string
	for i := range 1000 {
		g, err := here.CreateGroup(ec2sim.Group{Name: fmt.Sprintf("group-%d", i)})
		if err != nil {
			b.Fatal(err)
		}
		id = g.ID
	}
	b.Run("authorize and revoke 60", func(b *testing.B) {
		perms := []types.IpPermission{tcp(443, v4(60)...)}
		for b.Loop() {
			if _, err := c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: perms}); err != nil {
				b.Fatal(err)
			}
			if _, err := c.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: perms}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("describe 1000", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{MaxResults: aws.Int32(1000)}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
