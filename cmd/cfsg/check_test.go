package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

const oneOrigin = `{
  "prefixLists": [{"name": "office", "entries": ["0.0.0.0/1"]}],
  "groups": [{"name": "web", "ingress": [{"protocol": "tcp", "ports": "443", "source": "list:office", "description": "everyone"}]}],
  "interfaces": [{"groups": ["web"], "instance": "i-0123456789abcdef0", "publicIp": "198.51.100.7"}]
}`

// A missing permission is named, and there is no verdict where it is needed.
func TestCheckWithoutPermissions(t *testing.T) {
	cases := []struct {
		action         string
		code           int
		stdout, stderr string
	}{
		{"", exitOK, "in on port 443 (\"everyone\")", ""},
		{"DescribeNetworkInterfaces", exitError, "", "grant the permission ec2:DescribeNetworkInterfaces"},
		{"DescribeSecurityGroups", exitError, "", "grant the permission ec2:DescribeSecurityGroups"},
		{"DescribeManagedPrefixLists", exitOK, "grant the permission ec2:DescribeManagedPrefixLists", ""},
		{"GetManagedPrefixListEntries", exitError, "could not be read: grant the permission ec2:GetManagedPrefixListEntries", ""},
	}
	for _, c := range cases {
		t.Run(c.action, func(t *testing.T) {
			o := newOperator(t, oneOrigin)
			if c.action != "" {
				o.Deny(c.action)
			}
			code, stdout, stderr := o.cfsg(t.Context(), "check", "--instance", "i-0123456789abcdef0")
			if code != c.code || !strings.Contains(strings.Join(strings.Fields(stdout), " "), strings.Join(strings.Fields(c.stdout), " ")) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, stderr %q, stdout %s", code, stderr, stdout)
			}
			if c.stderr == "" && stderr != "" || strings.Count(stderr, "\ncfsg: ") > 0 {
				t.Errorf("stderr %q", stderr)
			}
			for _, call := range o.Calls() {
				if call.Mutating {
					t.Errorf("it calls %s", call.Action)
				}
			}
		})
	}
}

// JSON has unknown verdicts as docs/schema describes them.
func TestUnknownCheckInJSON(t *testing.T) {
	o := newOperator(t, oneOrigin)
	o.Deny("GetManagedPrefixListEntries")
	code, stdout, stderr := o.cfsg(t.Context(), "check", "--instance", "i-0123456789abcdef0", "-o", "json")
	if err := conforms(stdout, "check"); err != nil || code != exitError || !strings.Contains(stdout, `"verdict": "unknown"`) {
		t.Errorf("exit code %d, %v, %s", code, err, stdout)
	}
	if !strings.HasPrefix(stderr, "cfsg: cannot tell whether all of CLOUDFRONT gets in over IPv4: ") {
		t.Errorf("it fails with %q", stderr)
	}
}

// A host is what its name resolves to.
func TestCheckOfAHost(t *testing.T) {
	asked := lookup
	t.Cleanup(func() { lookup = asked })
	lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if host != "origin.example.com" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("198.51.100.8")}, nil
	}
	o := newOriginSite(t, openShop)
	if stdout := o.must("check", "--address", "origin.example.com"); !strings.Contains(stdout, "198.51.100.8") || strings.Contains(stdout, "198.51.100.9") {
		t.Error(stdout)
	}
	if code, _, stderr := o.cfsg(t.Context(), "check", "www.example.com"); code != exitError || !strings.Contains(stderr, "www.example.com is neither an IP address nor a name that has one") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
