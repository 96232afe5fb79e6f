package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// tampered is EC2 with hands on what it is asked and what it answers.
type tampered struct {
	secgroup.API
	authorize func(*ec2.AuthorizeSecurityGroupIngressInput)
	described func(*ec2.DescribeSecurityGroupsOutput)
}

func (a *tampered) AuthorizeSecurityGroupIngress(ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	if a.authorize != nil {
		a.authorize(in)
	}
	return a.API.AuthorizeSecurityGroupIngress(ctx, in, opts...)
}

func (a *tampered) DescribeSecurityGroups(ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opts ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	out, err := a.API.DescribeSecurityGroups(ctx, in, opts...)
	if err == nil && a.described != nil {
		a.described(out)
	}
	return out, err
}

// A rule that refers to a prefix list that is no longer shared stops no group.
func TestPrefixListIsGone(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	a, b := s.group(s.here, "a", "443"), s.group(s.here, "b", "443")
	s.Targets[0].EC2 = &tampered{API: s.Targets[0].EC2, described: func(out *ec2.DescribeSecurityGroupsOutput) {
		for i := range out.SecurityGroups {
			out.SecurityGroups[i].IpPermissions = append(out.SecurityGroups[i].IpPermissions, types.IpPermission{
				IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22),
				PrefixListIds: []types.PrefixListId{{PrefixListId: aws.String("pl-0123456789abcdef0")}},
			})
		}
	}}
	if _, err := s.Run(t.Context(), Request{}); err != nil || s.sources(s.here, a) != rangeA || s.sources(s.here, b) != rangeA {
		t.Errorf("error %v; a has %q, b has %q", err, s.sources(s.here, a), s.sources(s.here, b))
	}
}

// Where Service Quotas fails for once, it is asked again; where it may not be asked, it is not.
func TestQuotaIsAskedAgain(t *testing.T) {
	for _, test := range []struct {
		err   error
		calls int
		holds bool // all ranges, in the second run
	}{
		{errors.New("connection reset"), 2, true},
		{&smithy.GenericAPIError{Code: "TooManyRequestsException"}, 2, true},
		{&smithy.GenericAPIError{Code: "AccessDeniedException"}, 1, false},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			var ranges []string
			for i := range DefaultRulesPerGroup + 1 {
				ranges = append(ranges, fmt.Sprintf("52.%d.0.0/16", 2*i))
			}
			s := newScene(t, ec2sim.Options{RulesPerGroup: 100}, []string{"us-east-1"}, nil, ranges...)
			web := s.group(s.here, "web", "443")
			ask, calls := s.Targets[0].Quota, 0
			s.Targets[0].Quota = func(ctx context.Context) (int, error) {
				if calls++; calls == 1 {
					return 0, test.err
				}
				return ask(ctx)
			}
			if _, err := s.Run(t.Context(), Request{}); err == nil {
				t.Error("with the default quota it is not too small")
			}
			_, err := s.Run(t.Context(), Request{})
			if n := len(strings.Fields(s.sources(s.here, web))); calls != test.calls || (err == nil) != test.holds || (n == len(ranges)) != test.holds {
				t.Errorf("%d calls, %d rules, error %v", calls, n, err)
			}
		})
	}
}

// An approved plan is applied as far as it goes: where a step runs into someone else's change, the run says so, and
// plans nothing of its own.
func TestApprovedPlanMeetsAChange(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	s.group(s.here, "a", "443")
	b := s.group(s.here, "b", "443")
	p, err := s.Propose(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	target := s.Targets[0]
	target.EC2 = &tampered{API: target.EC2, authorize: func(in *ec2.AuthorizeSecurityGroupIngressInput) {
		if *in.GroupId == b {
			_ = s.here.AddRules(b, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix(rangeA)), Description: "mine"})
		}
	}}
	report, err := s.Run(t.Context(), p.Approved())
	if err == nil || errors.Is(err, ErrOutdated) || !strings.Contains(err.Error(), "InvalidPermission.Duplicate") || report.Summary.Added != 2 {
		t.Errorf("error %v, summary %+v", err, report.Summary)
	}
}

// A group that is gone when the run looks again has not failed.
func TestGroupGoesDuringRun(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	s.group(s.here, "a", "443")
	b := s.group(s.here, "b", "443")
	s.Targets[0].EC2 = &tampered{API: s.Targets[0].EC2, authorize: func(in *ec2.AuthorizeSecurityGroupIngressInput) {
		if *in.GroupId == b {
			_ = s.here.DeleteGroup(b)
		}
	}}
	report, err := s.Run(t.Context(), Request{})
	if err != nil || report.Summary.Failed != 0 || report.Summary.Groups != 1 || len(report.Errors) > 0 {
		t.Errorf("error %v, summary %+v, errors %v", err, report.Summary, report.Errors)
	}
}

// A panic in a pool is the failure of its groups.
func TestPanicInPool(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	a, b := s.group(s.here, "a", "443"), s.group(s.here, "b", "443")
	s.Targets[0].EC2 = &tampered{API: s.Targets[0].EC2, authorize: func(in *ec2.AuthorizeSecurityGroupIngressInput) {
		if *in.GroupId == a {
			panic("boom")
		}
	}}
	report, err := s.Run(t.Context(), Request{})
	if err == nil || report.Summary.Failed != 1 || report.Summary.Changed != 1 || s.sources(s.here, b) != rangeA {
		t.Errorf("error %v, summary %+v", err, report.Summary)
	}
	for _, g := range report.Groups {
		if strings.Contains(g.Error, "boom") != (g.GroupID == a) {
			t.Errorf("%s: error %q", g.GroupID, g.Error)
		}
	}
}

// Without ranges, what else failed is told as well.
func TestFetchFailureHidesNoOther(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1"}, nil) // no ranges
	s.sim.Deny("DescribeSecurityGroups")
	report, err := s.Run(t.Context(), Request{})
	if err == nil || len(report.Errors) != 3 {
		t.Errorf("errors %q", report.Errors)
	}
}

// Where no look explains a conflict, the looks end.
func TestLooksAreBounded(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	s.group(s.here, "web", "443")
	s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", Count: ec2sim.Forever, Code: "InvalidPermission.Duplicate"})
	s.sim.ResetCalls()
	if _, err := s.Run(t.Context(), Request{}); err == nil {
		t.Error("no error")
	}
	described := 0
	for _, c := range s.sim.ResetCalls() {
		if c.Action == "DescribeSecurityGroups" {
			described++
		}
	}
	if described != maxPlans+1 {
		t.Errorf("%d looks, not %d", described, maxPlans+1)
	}
}

// If a target could not be read, a group asked for may be there; if all could be, a run says that it does not exist.
func TestUnknownGroupIsToldOnlyAfterALook(t *testing.T) {
	const says = "has this ID"
	for _, test := range []struct {
		name    string
		arrange func(*scene)
		missing bool
	}{
		{"all is well", func(*scene) {}, true},
		{"describing fails", func(s *scene) { s.sim.Deny("DescribeSecurityGroups") }, false},
		{"describing fails in another region", func(s *scene) {
			s.Targets[1].EC2 = failing{s.Targets[1].EC2, errors.New("connection reset")}
		}, false},
		{"planning panics", func(s *scene) { s.Targets[1].Quota = nil }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1"}, nil, rangeA)
			here := s.group(s.here, "web", "443")
			there := s.group(s.sim.Region("", "eu-west-1"), "web", "443")
			test.arrange(s)
			report, err := s.Run(t.Context(), Request{GroupIDs: []string{here, there, "sg-0123456789abcdef0"}})
			if err == nil || strings.Contains(err.Error(), says) != test.missing {
				t.Errorf("error %v, want one with %q: %t", err, says, test.missing)
			}
			for _, e := range report.Errors {
				if strings.HasPrefix(e, here+":") || strings.HasPrefix(e, there+":") {
					t.Errorf("a group that is there is told as unknown: %s", e)
				}
			}
		})
	}
}

// failing is EC2 that does not describe.
type failing struct {
	secgroup.API
	err error
}

func (f failing) DescribeSecurityGroups(context.Context, *ec2.DescribeSecurityGroupsInput, ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	return nil, f.err
}

// A report tells whose permissions were in the way, and how much was seen at all: what a deployment of the stack could
// cure, and what it could not.
func TestReportTellsWhatWasDenied(t *testing.T) {
	const member = "222233334444"
	for _, test := range []struct {
		name, account, action string
		described             int
		denied                bool
	}{
		{"nothing", "", "", 2, false},
		{"a look at home", ec2sim.DefaultAccount, "DescribeSecurityGroups", 1, true},
		{"a change at home", ec2sim.DefaultAccount, "AuthorizeSecurityGroupIngress", 2, true},
		{"a look in another account", member, "DescribeSecurityGroups", 1, false},
		{"a change in another account", member, "AuthorizeSecurityGroupIngress", 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			role := "arn:aws:iam::" + member + ":role/sync"
			s := newScene(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: role}}}, []string{"us-east-1"}, []string{role}, rangeA)
			s.group(s.here, "web", "443")
			s.group(s.sim.Region(member, "us-east-1"), "web", "443")
			if test.action != "" {
				s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Account: test.account, Action: test.action, Count: ec2sim.Forever, Code: "UnauthorizedOperation"})
			}
			report, err := s.Run(t.Context(), Request{})
			if report.Described != test.described || report.Denied != test.denied || (err != nil) != (test.action != "") {
				t.Errorf("described %d, denied: %t, error %v", report.Described, report.Denied, err)
			}
		})
	}
}
