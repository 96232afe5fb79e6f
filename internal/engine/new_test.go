package engine

import (
	"log/slog"
	"slices"
	"testing"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

// The compact cover in the engine.
func TestNewTakesServices(t *testing.T) {
	want := iprange.Selection{Services: []string{"CLOUDFRONT_ORIGIN_FACING"}, Within: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}
	e, err := New(config.Config{Selection: want}, aws.Config{Region: "eu-west-1"}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{want.Services, want.Within}, [][]string{e.Services, e.Within}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// The roles of member accounts are of one name, in the partition of the region, and give way to a role that is named
// for the account.
func TestRoles(t *testing.T) {
	c := config.Config{
		RoleARNs:       []string{"arn:aws:iam::222233334444:role/net/own"},
		MemberAccounts: []string{"111122223333", "222233334444"},
		MemberRoleName: "sync",
	}
	for region, partition := range map[string]string{"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		want := []string{"arn:aws:iam::222233334444:role/net/own", "arn:" + partition + ":iam::111122223333:role/sync"}
		if got := Roles(c, region); !slices.Equal(got, want) {
			t.Errorf("in %s the roles are %q, want %q", region, got, want)
		}
	}
}
