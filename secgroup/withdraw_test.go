package secgroup

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Withdrawing revokes the owned rules of every group and no other, whatever the tags, the guard and the age of the
// rules say, in as many calls as there are groups.
func TestWithdraw(t *testing.T) {
	newer := Stamp{TagKey: testKey, Services: []string{"CLOUDFRONT"}, Published: testStamp.Published.AddDate(1, 0, 0)}
	for _, test := range []struct {
		group Group
		want  []string
	}{
		{group("sg-1", "443", nil, ours("443", "18.64.0.0/14", "52.222.128.0/17")), []string{"revoke sg-1: 443 18.64.0.0/14, 443 52.222.128.0/17"}},
		{group("sg-1", "443", nil, theirs("443", "18.64.0.0/14"), ours("443", "52.222.128.0/17")), []string{"revoke sg-1: 443 52.222.128.0/17"}},
		{group("sg-1", "443", nil, rulesFor(newer.String(), "443", "18.64.0.0/14")), []string{"revoke sg-1: 443 18.64.0.0/14"}},
		{group("sg-1", "80", nil, ours("443", "18.64.0.0/14")), []string{"revoke sg-1: 443 18.64.0.0/14"}},
		{group("sg-1", "44three", nil, ours("443", "18.64.0.0/14")), []string{"revoke sg-1: 443 18.64.0.0/14"}},
		{group("sg-1", "443", []string{"mode=all"}, ours("443", "18.64.0.0/14")), []string{"revoke sg-1: 443 18.64.0.0/14"}},
		{group("sg-1", "443", []string{"mode=exclusive"}, theirs("443", "18.64.0.0/14")), nil},
	} {
		plan := newPlan(t, []Group{test.group}, prefixes("18.64.0.0/14"), func(r *Request) { r.Withdraw, r.MaxRevokePercent = true, 0 })
		checkSteps(t, plan, test.want...)
		if err := plan.Failures(); err != nil {
			t.Error(err)
		}
	}
}

// A pool that no plan can be made for, and a group that cannot be read, keep no other from being withdrawn.
func TestWithdrawPools(t *testing.T) {
	elsewhere := group("sg-2", "443", []string{"pool=web"}, ours("443", "18.64.0.0/14"))
	elsewhere.VPC = "vpc-2"
	unread := group("sg-3", "443", []string{"pool=web"}, ours("443", "18.64.0.0/14"))
	unread.Err = errors.New("unread")
	plan := newPlan(t, []Group{group("sg-1", "443", []string{"pool=web"}, ours("443", "18.64.0.0/14")), elsewhere, unread}, nil, func(r *Request) { r.Withdraw = true })
	if diff := cmp.Diff([]string{"revoke sg-1: 443 18.64.0.0/14", "revoke sg-2: 443 18.64.0.0/14"}, steps(plan)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := plan.Failures(); err == nil || err.Error() != "sg-3: unread" {
		t.Errorf("failures %v", err)
	}
}
