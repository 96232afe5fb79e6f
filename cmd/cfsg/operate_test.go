package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// An operator runs cfsg on an endpoint that may misbehave.
type operator struct {
	*ec2sim.Server
	t      *testing.T
	url    string
	flags  []string
	before func() // each request
}

func newOperator(t *testing.T, seed string) *operator {
	t.Helper()
	o := newOperatorWith(t, seed, sample)
	o.flags = append(o.flags, "--family", "ipv4")
	return o
}

const sample = `{"syncToken":"1767323045","prefixes":[{"ip_prefix":"18.64.0.0/14","service":"CLOUDFRONT"}],"ipv6_prefixes":[]}`

// newOperatorWith has the ranges of a file for all commands.
func newOperatorWith(t *testing.T, seed, document string) *operator {
	t.Helper()
	o := &operator{Server: ec2sim.New(ec2sim.Options{}), t: t, before: func() {}}
	if err := o.Seed(strings.NewReader(seed)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // some calls go on side by side
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		func() {
			mu.Lock()
			defer mu.Unlock()
			o.before()
		}()
		o.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ranges := filepath.Join(t.TempDir(), "ip-ranges.json")
	if err := os.WriteFile(ranges, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "any")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "any")
	o.url = server.URL
	o.flags = []string{"--endpoint-url", server.URL, "--region", "us-east-1", "--ip-ranges", ranges}
	return o
}

func (o *operator) cfsg(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(ctx, append(args, o.flags...), terminal{strings.NewReader(""), &out, &err})
	return code, out.String(), err.String()
}

// says runs a command, which has to end with a code and to say something, wherever its lines break.
func (o *operator) says(code int, want string, args ...string) (stdout string) {
	o.t.Helper()
	got, stdout, stderr := o.cfsg(o.t.Context(), args...)
	if got != code || !strings.Contains(strings.Join(strings.Fields(stdout+stderr), " "), want) {
		o.t.Errorf("%v: exit code %d, want %d and %q in\n%s%s", args, got, code, want, stdout, stderr)
	}
	return stdout
}

// must is a command that has to end well.
func (o *operator) must(args ...string) (stdout string) {
	o.t.Helper()
	return o.says(exitOK, "", args...)
}

const fourGroups = `{"groups": [
  {"name": "a", "tags": {"cloudfront-ingress": "443 80 8080 8443", "cloudfront-ingress-pool": "web"},
   "ingress": [{"protocol": "tcp", "ports": "443", "source": "13.32.0.0/15", "description": "cloudfront-ingress: CLOUDFRONT 2026-01-01T00:00:00Z"}]},
  {"name": "b", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"},
   "ingress": [{"protocol": "tcp", "ports": "443", "source": "13.32.0.0/15", "description": "cloudfront-ingress: CLOUDFRONT 2026-01-01T00:00:00Z"}]}
]}`

// Ctrl-C lets the call under way finish, says what is done, and the next apply does the rest.
func TestApplyStopsBetweenTwoSteps(t *testing.T) {
	o := newOperator(t, fourGroups)
	ctx, interrupt := context.WithCancel(t.Context())
	o.Observe(func(ec2sim.Change) { interrupt() }) // before the answer to the first call
	code, stdout, stderr := o.cfsg(ctx, "apply", "--yes", "--force")
	for _, want := range []string{
		"1 of 3: authorized 4 rules in ",
		"cfsg: stopped after 1 of 3 steps\nhint: run cfsg apply again for the rest",
	} {
		if code != exitInterrupted || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, stderr %q, want %q", code, stderr, want)
		}
	}
	if !strings.Contains(stdout, "4 rules added, 0 revoked") {
		t.Errorf("the report is %s", stdout)
	}
	o.Observe(func(ec2sim.Change) {})
	o.says(exitOK, "2 of 2: revoked 1 rule in ", "apply", "--yes", "--force")
	o.must("plan", "--detailed-exitcode")
}

// A region that could not be planned fails, and the others are applied and judged all the same.
func TestApplyWhereARegionFails(t *testing.T) {
	o := newOperator(t, fourGroups)
	if _, err := o.Region("", "eu-west-1").CreateGroup(ec2sim.Group{
		Name: "c", Tags: map[string]string{"cloudfront-ingress": "443"},
		Ingress: []ec2sim.Rule{{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("0.0.0.0/0"))}},
	}); err != nil {
		t.Fatal(err)
	}
	o.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "DescribeSecurityGroups", Region: "eu-west-1", Count: 2, Code: "Boom"})
	o.says(exitError, "cfsg: eu-west-1: ", "apply", "--yes", "--force", "--region", "us-east-1", "--region", "eu-west-1")
	o.must("plan", "--detailed-exitcode")
}

// A plan is not applied to groups that changed since it was shown.
func TestApplyDoesOnlyWhatWasShown(t *testing.T) {
	o := newOperator(t, fourGroups)
	region := o.Region("", "us-east-1")
	tagged := slices.IndexFunc(region.Groups(), func(g ec2sim.Group) bool { return len(g.Tags) > 0 })
	requests := 0
	o.before = func() {
		if requests++; requests == 6 { // account, groups, lists, quota and interfaces for the plan; now the run begins
			if err := region.SetRules(region.Groups()[tagged].ID); err != nil {
				t.Error(err)
			}
		}
	}
	o.says(exitError, "cfsg: us-east-1: the security groups have changed since the plan was made: nothing was done here hint: plan again", "apply", "--yes", "--force")
	for _, c := range o.Calls() {
		if c.Mutating {
			t.Errorf("it calls %s", c.Action)
		}
	}
}
