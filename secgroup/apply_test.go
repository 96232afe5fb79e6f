package secgroup

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// EC2 gets one permission for each protocol and ports, and what it describes after that are the same rules.
func TestPermissions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) Rule {
			r := genRule(t)
			if rapid.IntRange(0, 4).Draw(t, "list") == 0 {
				r.Source = Source{Reference: "pl-3b927c52"}
			}
			return r
		}), func(r Rule) RuleID { return r.RuleID }).Draw(t, "rules")
		want, there, sockets := map[RuleID]string{}, map[RuleID]string{}, map[string]bool{}
		for _, r := range rules {
			want[r.RuleID] = r.Description
			sockets[fmt.Sprint(r.Protocol, r.From, r.To)] = true
		}
		perms := Permissions(rules)
		described, err := rulesOf(perms)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range described {
			there[r.RuleID] = r.Description
		}
		if diff := cmp.Diff(want, there, compare); diff != "" || len(perms) != len(sockets) {
			t.Fatalf("%d permissions, described again: -want +got\n%s", len(perms), diff)
		}
	})
}

func TestApplyFails(t *testing.T) {
	for _, test := range []struct {
		op   string
		code string
		want string // at the end of the error, what to do
	}{
		{authorize, "UnauthorizedOperation", "; grant the permission ec2:AuthorizeSecurityGroupIngress"},
		{revoke, "UnauthorizedOperation", "; grant the permission ec2:RevokeSecurityGroupIngress"},
		{redescribe, "UnauthorizedOperation", "; grant the permission ec2:UpdateSecurityGroupRuleDescriptionsIngress"},
		{authorize, "RequestLimitExceeded", "; AWS is throttling this account: run again later"},
		{authorize, "RulesPerSecurityGroupLimitExceeded", "add a group to its pool (all groups of a pool carry the same pool tag), or raise quota L-0EA8095F"},
		{revoke, "InvalidPermission.NotFound", "InvalidPermission.NotFound: of EC2"},
	} {
		t.Run(fmt.Sprint(test.op, " ", test.code), func(t *testing.T) {
			api := &fakeEC2{err: ec2Error(test.code)}
			step := stepOf(test.op, "sg-1", Rule{RuleID: tcp(tcp443, "1.0.0.0/24")}, Rule{RuleID: tcp(tcp443, "2.0.0.0/24")})
			err := applied(t.Context(), api, step)
			checkError(t, err, test.op+" 2 rules in sg-1: ", test.code, test.want)
			if !errors.Is(err, api.err) {
				t.Errorf("%v does not wrap what EC2 said", err)
			}
		})
	}
}

// A conflict asks for a new plan, a refusal is for good, and anything else may pass.
func TestErrorsOfEC2(t *testing.T) {
	type kind struct{ conflict, refusal bool }
	for code, want := range map[string]kind{
		"InvalidPermission.Duplicate": {conflict: true}, "InvalidPermission.NotFound": {conflict: true}, "InvalidGroup.NotFound": {conflict: true},
		"RulesPerSecurityGroupLimitExceeded": {conflict: true}, "PrefixListVersionMismatch": {conflict: true},
		"InvalidPermission.Malformed": {refusal: true}, "UnauthorizedOperation": {refusal: true},
		"RequestLimitExceeded": {}, "InternalError": {}, "AuthFailure": {}, "ExpiredToken": {},
	} {
		err := errors.Join(errors.New("first"), fmt.Errorf("pool web: %w", ec2Error(code)))
		if got := (kind{IsConflict(err), IsRefusal(err)}); got != want {
			t.Errorf("%s: %+v, want %+v", code, got, want)
		}
	}
	if err := errors.New("InvalidPermission.Duplicate"); IsConflict(err) || IsRefusal(err) || IsConflict(nil) {
		t.Error("not an error of EC2")
	}
}
