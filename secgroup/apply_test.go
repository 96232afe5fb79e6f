package secgroup

import (
	"errors"
	"fmt"
	"testing"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// EC2 gets one permission for each protocol and ports, and what it describes after that are the same rules.
func TestPermissions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) Rule {
			r := genRule(t)
			switch rapid.IntRange(0, 9).Draw(t, "other") {
			case 0, 1:
				r.Source = Source{Reference: "pl-3b927c52"}
			case 2:
				r.Protocol, r.From, r.To = "icmp", 8, -1
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

// An error says which step failed, why, and what to do about it.
func TestApplyFails(t *testing.T) {
	rules := rulesFor("", "443", "1.0.0.0/24", "2.0.0.0/24")
	authorize, revoke := Step{HolderID: "sg-1", Add: rules}, Step{HolderID: "sg-1", Remove: rules}
	redescribe := Step{HolderID: "sg-1", Describe: rules}
	for _, test := range []struct {
		step Step
		code string
		want string
	}{
		{authorize, "UnauthorizedOperation", "; grant the permission ec2:AuthorizeSecurityGroupIngress"},
		{revoke, "UnauthorizedOperation", "; grant the permission ec2:RevokeSecurityGroupIngress"},
		{redescribe, "UnauthorizedOperation", "; grant the permission ec2:UpdateSecurityGroupRuleDescriptionsIngress"},
		{authorize, "RequestLimitExceeded", "; AWS is throttling this account: run again later"},
		{
			authorize, "RulesPerSecurityGroupLimitExceeded",
			"add a group to its pool (all groups of a pool carry the same pool tag), or raise quota L-0EA8095F",
		},
		{revoke, "InvalidPermission.NotFound", "InvalidPermission.NotFound: "},
	} {
		sim, _, api := newSim(ec2sim.Options{})
		sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: ec2sim.AnyMutating, Code: test.code, Count: ec2sim.Forever})
		_, err := Apply(t.Context(), api, test.step, 0)
		checkError(t, err, test.step.Operation()+" 2 rules in sg-1: ", test.want)
		if awserr.Code(err) != test.code {
			t.Errorf("%v does not wrap what EC2 said", err)
		}
	}
}

// A conflict asks for a new plan, a refusal is for good, and anything else may pass.
func TestErrorsOfEC2(t *testing.T) {
	type kind struct{ conflict, refusal bool }
	for code, want := range map[string]kind{
		"InvalidPermission.Duplicate": {conflict: true}, "InvalidPermission.NotFound": {conflict: true},
		"InvalidGroup.NotFound": {conflict: true}, "RulesPerSecurityGroupLimitExceeded": {conflict: true},
		"PrefixListVersionMismatch": {conflict: true}, "InvalidPermission.Malformed": {refusal: true},
		"UnauthorizedOperation": {refusal: true},
		"RequestLimitExceeded":  {}, "InternalError": {}, "AuthFailure": {}, "ExpiredToken": {},
	} {
		said := &smithy.OperationError{ServiceID: "EC2", OperationName: "Call", Err: &smithy.GenericAPIError{Code: code}}
		err := errors.Join(errors.New("first"), fmt.Errorf("pool web: %w", said))
		if got := (kind{IsConflict(err), IsRefusal(err)}); got != want {
			t.Errorf("%s: %+v, want %+v", code, got, want)
		}
	}
	if err := errors.New("InvalidPermission.Duplicate"); IsConflict(err) || IsRefusal(err) || IsConflict(nil) {
		t.Error("not an error of EC2")
	}
}
