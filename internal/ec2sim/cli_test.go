package ec2sim_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The real AWS CLI takes the endpoint for EC2.
func TestCLI(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: each call of the AWS CLI takes a second")
	}
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("skipped: the AWS CLI is not installed, so whether the endpoint satisfies it was not tried")
	}
	if out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput(); err != nil {
		t.Skipf("skipped: %s --version: %v: %s", path, err, out)
	}
	s := start(t, ec2sim.Options{})
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", s.url, "--output", "json"}, args...)...)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
		cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_DEFAULT_REGION="+region,
			"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PAGER=")
		return cmd.CombinedOutput()
	}
	must := func(into any, args ...string) {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		if into != nil {
			if err := json.Unmarshal(out, into); err != nil {
				t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	}
	var created struct {
		GroupID string `json:"GroupId"`
	}
	must(&created, "ec2", "create-security-group", "--group-name", "web", "--description", "web servers",
		"--tag-specifications", "ResourceType=security-group,Tags=[{Key=cloudfront-ingress,Value=443}]")
	must(nil, "ec2", "authorize-security-group-ingress", "--group-id", created.GroupID, "--protocol", "tcp", "--port", "443", "--cidr", "192.0.2.0/24")
	must(nil, "ec2", "authorize-security-group-ingress", "--group-id", created.GroupID, "--ip-permissions",
		`[{"IpProtocol":"tcp","FromPort":80,"ToPort":80,"Ipv6Ranges":[{"CidrIpv6":"2001:db8::/32","Description":"ours"}]}]`)
	var described struct {
		SecurityGroups []struct {
			GroupID     string `json:"GroupId"`
			Permissions []struct {
				IPv4 []struct{ CidrIP string }                `json:"IpRanges"`
				IPv6 []struct{ CidrIPv6, Description string } `json:"Ipv6Ranges"`
			} `json:"IpPermissions"`
			Tags []struct{ Key, Value string }
		}
	}
	must(&described, "ec2", "describe-security-groups", "--filters", "Name=tag-key,Values=cloudfront-ingress")
	g := described.SecurityGroups[0]
	if len(described.SecurityGroups) != 1 || g.GroupID != created.GroupID || g.Tags[0].Value != "443" ||
		g.Permissions[0].IPv4[0].CidrIP != "192.0.2.0/24" || g.Permissions[1].IPv6[0].Description != "ours" {
		t.Errorf("described as %+v", described)
	}
	out, err := run("ec2", "revoke-security-group-ingress", "--group-id", created.GroupID, "--protocol", "tcp", "--port", "22", "--cidr", "192.0.2.0/24", "--dry-run")
	if err == nil || !strings.Contains(string(out), "(DryRunOperation)") {
		t.Errorf("a dry run answered %v\n%s", err, out)
	}
	out, err = run("ec2", "authorize-security-group-ingress", "--group-id", created.GroupID, "--protocol", "tcp", "--port", "443", "--cidr", "192.0.2.0/24")
	if err == nil || !strings.Contains(string(out), "(InvalidPermission.Duplicate)") {
		t.Errorf("a duplicate answered %v\n%s", err, out)
	}
	must(nil, "ec2", "delete-security-group", "--group-id", created.GroupID)
	var identity struct{ Account string }
	must(&identity, "sts", "get-caller-identity")
	if identity.Account != ec2sim.DefaultAccount {
		t.Errorf("got %+v", identity)
	}
	var quota struct{ Quota struct{ Value float64 } }
	must(&quota, "service-quotas", "get-service-quota", "--service-code", "vpc", "--quota-code", "L-0EA8095F")
	if quota.Quota.Value != ec2sim.DefaultRulesPerGroup {
		t.Errorf("got %+v", quota)
	}
}
