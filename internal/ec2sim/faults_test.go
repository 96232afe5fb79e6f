package ec2sim_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"cloudfront-sg-sync/internal/ec2sim"
)

func TestFaults(t *testing.T) {
	const authorize = "AuthorizeSecurityGroupIngress"
	for _, c := range []struct {
		name      string
		fault     ec2sim.Fault
		code      string
		status    int
		effective bool
	}{
		{"refused", ec2sim.Fault{Kind: ec2sim.Refused, Action: authorize}, "UnauthorizedOperation", 403, false},
		{"refused by another service", ec2sim.Fault{Kind: ec2sim.Refused, Action: ec2sim.AnyAction, Service: "sts"}, "", 0, true},
		{"error before", ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: authorize}, "InternalError", 500, false},
		{"error after", ec2sim.Fault{Kind: ec2sim.ErrorAfter, Action: authorize}, "InternalError", 500, true},
		{"another code", ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: ec2sim.AnyMutating, Code: "RequestLimitExceeded"}, "RequestLimitExceeded", 503, false},
		{"cut before", ec2sim.Fault{Kind: ec2sim.CutBefore, Action: authorize}, "not an API error", 0, false},
		{"cut after", ec2sim.Fault{Kind: ec2sim.CutAfter, Action: authorize}, "not an API error", 0, true},
		{"slow", ec2sim.Fault{Kind: ec2sim.Slow, Action: authorize, Delay: time.Millisecond}, "", 0, true},
		{"another action", ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "CreateTags"}, "", 0, true},
		{"another region", ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: authorize, Region: "eu-west-1"}, "", 0, true},
		{"another account", ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: authorize, Account: "444455556666"}, "", 0, true},
		{"another group", ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: authorize, Resource: "sg-00000000000000000"}, "", 0, true},
		{"later", ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: authorize, After: 1}, "", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, ec2sim.Options{})
			id := s.group("", "web")
			s.Inject(c.fault)
			err := s.authorize(id, tcp(443, "192.0.2.0/24"))
			wantCode(t, err, c.code)
			if c.status != 0 && statusOf(err) != c.status {
				t.Errorf("got status %d, want %d", statusOf(err), c.status)
			}
			call := s.Calls()[0]
			if got := len(s.rules(id)) == 1; got != c.effective || call.Effective != c.effective {
				t.Errorf("took effect: %v, recorded %+v", got, call)
			}
		})
	}
}

// Faults strike after as many calls as told, as often as told, in their order.
func TestFaultCounts(t *testing.T) {
	s := start(t, ec2sim.Options{})
	s.Inject(
		ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "DescribeVpcs", After: 1, Count: 2, Code: "First"},
		ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "DescribeVpcs", After: 1, Count: ec2sim.Forever, Code: "Second"},
	)
	for i, want := range []string{"", "First", "First", "Second", "Second"} {
		_, err := s.DescribeVpcs(t.Context(), nil)
		if got := codeOf(err); got != want {
			t.Errorf("call %d: got %q, want %q", i, got, want)
		}
	}
	if n := s.ClearFaults(); n != 1 {
		t.Errorf("%d faults were left", n)
	}
	_, err := s.DescribeVpcs(t.Context(), nil)
	wantCode(t, err, "")
}

// A caller that gives up waiting does not undo what the call has done.
func TestSlowAnswer(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	s.Inject(ec2sim.Fault{Kind: ec2sim.Slow, Action: ec2sim.AnyMutating, Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(id)})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, ok := s.here.Group(id); ok {
		t.Error("the group is still there")
	}
}

// A stale answer is from before the last changes, by hand or by calls, and the next one is from now.
func TestStaleAnswers(t *testing.T) {
	for back, want := range []int{1, 1, 0, 0} {
		s := start(t, ec2sim.Options{Remember: 3})
		id := s.group("", "web")
		wantCode(t, s.authorize(id, tcp(443, "192.0.2.0/24")), "")
		wantCode(t, s.authorize(id, tcp(80, "192.0.2.0/24")), "")
		s.Inject(ec2sim.Fault{Kind: ec2sim.Stale, Action: "DescribeSecurityGroups", Back: back})
		for _, want := range []int{want, 2} {
			out, err := s.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}})
			wantCode(t, err, "")
			if got := len(out.SecurityGroups[0].IpPermissions); got != want {
				t.Errorf("%d changes back: got %d permissions, want %d", back, got, want)
			}
		}
	}
}
