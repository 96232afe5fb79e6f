package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A role that may not be assumed is told by its name, with the likely cause, and once for the account; the other
// accounts are synchronised.
func TestRoleIsRefused(t *testing.T) {
	const (
		member = "arn:aws:iam::222233334444:role/sync"
		other  = "arn:aws:iam::333344445555:role/sync"
	)
	regions := []string{"us-east-1", "eu-west-1", "eu-north-1"}
	s := newScene(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: member, ExternalID: "hub-7"}, {ARN: other}}}, regions, []string{member, other}, rangeA)
	theirs := s.sim.Region("333344445555", "eu-west-1")
	web := s.group(theirs, "web", "443")
	report, err := s.Run(t.Context(), Request{})
	if len(report.Errors) != 1 || err == nil || s.sources(theirs, web) != rangeA {
		t.Fatalf("errors %q", report.Errors)
	}
	got := report.Errors[0]
	for _, word := range []string{"account 222233334444: role " + member + " cannot be assumed", "trust policy", "EXTERNAL_ID", "not authorized to perform: sts:AssumeRole"} {
		if !strings.Contains(got, word) {
			t.Errorf("error %q, want one with %q", got, word)
		}
	}
	for _, word := range []string{"grant the permission", "DescribeSecurityGroups", "us-east-1"} {
		if strings.Contains(got, word) {
			t.Errorf("error %q, want none with %q", got, word)
		}
	}
}

// A failure to assume a role that is no refusal is reported as such, and errors.As finds it.
func TestRoleIsNotReached(t *testing.T) {
	cause := &aws.RequestCanceledError{Err: context.DeadlineExceeded}
	provider := roleProvider{aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, cause }), "arn:aws:iam::222233334444:role/sync"}
	_, err := provider.Retrieve(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "trust policy") {
		t.Errorf("error %v", err)
	}
}
