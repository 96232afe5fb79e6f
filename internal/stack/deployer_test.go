package stack

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const deployerFile = "docs/deployer-policy.json"

// anywhere are the actions that the policy allows on everything, because they take no resource, or one whose name
// nobody can know beforehand: https://docs.aws.amazon.com/service-authorization/latest/reference/
var anywhere = []string{
	"ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs", "ec2:DescribeNetworkInterfaces",
	"cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate", "logs:DescribeLogGroups",
	"lambda:CreateEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping",
	"lambda:DeleteEventSourceMapping", "lambda:ListTags",
	"sns:Unsubscribe", "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes",
}

// lint returns what cfn-lint says of a template, and skips the test without it.
func lint(t *testing.T, text string, flags ...string) string {
	t.Helper()
	linter, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed: pip install cfn-lint")
	}
	cmd := exec.CommandContext(t.Context(), linter, append(flags, "--format", "parseable")...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// Each action of the policy exists, and works on the resources that its statement names: cfn-lint knows them from the
// Service Authorization Reference, https://docs.aws.amazon.com/service-authorization/latest/reference/
func TestDeployerPolicyLint(t *testing.T) {
	policy := strings.NewReplacer("ACCOUNT", accountID, "BUCKET", "bucket").Replace(read(t, deployerFile))
	same(t, "cfn-lint says", "", lint(t, `{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Policy": `+
		`{"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": `+policy+"}}}}", "--include-checks", "I"))
}

// TestDeployerPolicy finds resources that the documented policy does not let a deployer make, and permissions on other
// resources than the stack's own or for services that the template does not use.
func TestDeployerPolicy(t *testing.T) {
	var policy any
	if err := json.Unmarshal([]byte(read(t, deployerFile)), &policy); err != nil {
		t.Fatal(err)
	}
	allowed, passedTo := map[string]bool{}, "lambda.amazonaws.com"
	for _, s := range get(policy, "Statement").([]any) {
		everywhere := slices.Contains(texts(get(s, "Resource")), "*")
		for _, action := range texts(get(s, "Action")) {
			allowed[action] = true
			if strings.Contains(action, "*") || everywhere && !slices.Contains(anywhere, action) ||
				action == "iam:PassRole" && get(s, "Condition", "StringEquals", "iam:PassedToService") != passedTo {
				t.Errorf("a deployer is allowed %s on %v", action, get(s, "Resource"))
			}
		}
	}
	var handlers map[string]map[string][]string // by types and services
	if err := yaml.Unmarshal([]byte(read(t, "internal/stack/testdata/handlers.yaml")), &handlers); err != nil {
		t.Fatal(err)
	}
	services := map[string]bool{"cloudformation": true}
	for _, resource := range mainTemplate(t).section("Resources") {
		kind := get(resource, "Type").(string)
		if handlers[kind] == nil {
			t.Errorf("nobody says what a deployer needs for %s", kind)
		}
		for service, actions := range handlers[kind] {
			services[service] = true
			for _, action := range actions {
				if !allowed[service+":"+action] {
					t.Errorf("a deployer is not allowed %s:%s, which %s takes", service, action, kind)
				}
			}
		}
	}
	for action := range allowed {
		if service, _, _ := strings.Cut(action, ":"); !services[service] {
			t.Errorf("a deployer is allowed %s, and the template has nothing of that service", action)
		}
	}
}
