package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// manyGroups are 300 groups in pools of three. One pool is right already, one has a mistyped tag, and one is open to
// the world.
func manyGroups() string {
	var groups []string
	for i := range 300 {
		ports, ingress := "443", ""
		switch i {
		case 0:
			ports = "https,"
		case 3:
			ingress = `{"protocol": "tcp", "ports": "443", "source": "18.64.0.0/14", "description": "cloudfront-ingress: CLOUDFRONT 2026-01-02T03:04:05Z"}`
		case 6:
			ingress = `{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}`
		}
		groups = append(groups, fmt.Sprintf(`{"name": "g%d", "tags": {"cloudfront-ingress": %q, "cloudfront-ingress-pool": "pool-%03d"}, "ingress": [%s]}`, i, ports, i/3, ingress))
	}
	return `{"groups": [` + strings.Join(groups, ",") + `]}`
}

// A plan for hundreds of groups is counted pool by pool, with what needs a look; --verbose shows each group and step.
func TestPlanOfManyGroupsIsFolded(t *testing.T) {
	o := newOperator(t, manyGroups())
	code, stdout, _ := o.cfsg(t.Context(), "plan")
	for _, want := range []string{
		`(?m)^  pool-000 +3 +\d +\+1 +incomplete, see the errors$`,
		`(?m)^  pool-099 +3 +1 +\+1$`,
		`(?m)^! sg-\w+ lets 0\.0\.0\.0/0 in on port 443 through a rule that this plan leaves in place: see cfsg status$`,
		`(?m)^  nothing to do in 1 pool of 3 groups$`,
		`(?m)^There are 300 groups: --verbose shows each one and every step\.$`,
		`(?m)^Plan: 99 rules to add, 0 to revoke, in 99 of 300 groups\.$`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("exit code %d, no %s in\n%s", code, want, stdout)
		}
	}
	if n := strings.Count(stdout, "\n"); n > 120 {
		t.Errorf("it has %d lines for 100 pools", n)
	}
	_, stdout, stderr := o.cfsg(t.Context(), "plan", "--verbose")
	if strings.Count(stdout, "authorize 1 rule in") != 99 || strings.Contains(stdout, "--verbose") {
		t.Errorf("--verbose does not show each step: %s\n%s", stdout, stderr)
	}
	if _, stdout, _ = o.cfsg(t.Context(), "apply", "--yes"); strings.Count(stdout, "\n") > 120 || !strings.Contains(stdout, "Applied, as published 2026-01-02T03:04:05Z: 99 rules added") {
		t.Errorf("apply has %d lines:\n%s", strings.Count(stdout, "\n"), stdout)
	}
}
