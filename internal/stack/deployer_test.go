package stack

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const deployerFile = "docs/deployer-policy.json"

// makes are the actions with which CloudFormation makes, changes and removes a resource of a type, by the permissions
// of whoever deploys. They are those of the "handlers" of the type's schema, as far as the template uses its
// properties: https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
var makes = map[string][]string{
	"AWS::Serverless::Function": {
		"lambda:CreateFunction", "lambda:DeleteFunction", "lambda:GetFunction", "lambda:UpdateFunctionCode",
		"lambda:UpdateFunctionConfiguration", "lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency",
		"lambda:TagResource", "iam:PassRole", "s3:GetObject", "lambda:GetFunctionCodeSigningConfig",
		"lambda:GetFunctionRecursionConfig",
		"lambda:GetRuntimeManagementConfig", "lambda:PutFunctionCodeSigningConfig",
		"lambda:DeleteFunctionCodeSigningConfig",
		"ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs", // VpcConfig
		"lambda:PutFunctionEventInvokeConfig", "lambda:UpdateFunctionEventInvokeConfig",
		"lambda:DeleteFunctionEventInvokeConfig",
	},
	"AWS::Lambda::Permission": {"lambda:AddPermission", "lambda:RemovePermission", "lambda:GetPolicy"},
	"AWS::IAM::Role": {
		"iam:CreateRole", "iam:DeleteRole", "iam:GetRole", "iam:PutRolePolicy",
		"iam:DeleteRolePolicy", "iam:GetRolePolicy",
		"iam:UpdateAssumeRolePolicy", "iam:PutRolePermissionsBoundary",
		"iam:DeleteRolePermissionsBoundary", "iam:TagRole",
	},
	"AWS::Logs::LogGroup": {
		"logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DescribeLogGroups", "logs:PutRetentionPolicy",
		"logs:AssociateKmsKey", "logs:DisassociateKmsKey", "logs:TagResource", "logs:DescribeIndexPolicies",
		"logs:GetDataProtectionPolicy",
	},
	"AWS::SQS::Queue": {
		"sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes",
		"sqs:SetQueueAttributes", "sqs:TagQueue",
	},
	"AWS::SQS::QueuePolicy": {"sqs:SetQueueAttributes"},
	"AWS::Lambda::EventSourceMapping": {
		"lambda:CreateEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping",
		"lambda:DeleteEventSourceMapping",
	},
	"AWS::Events::EventBusPolicy": {"events:PutPermission", "events:RemovePermission", "events:DescribeEventBus"},
	"AWS::Events::Rule": {
		"events:PutRule", "events:DeleteRule", "events:DescribeRule",
		"events:PutTargets", "events:RemoveTargets",
	},
	"AWS::SNS::Subscription": {"sns:Subscribe", "sns:Unsubscribe", "sns:GetSubscriptionAttributes"},
	"AWS::SNS::Topic": {
		"sns:CreateTopic", "sns:DeleteTopic", "sns:GetTopicAttributes",
		"sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource",
	},
	"AWS::CloudWatch::Alarm": {
		"cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms",
		"cloudwatch:DescribeAlarms",
	},
	"AWS::CloudWatch::Dashboard": {
		"cloudwatch:PutDashboard",
		"cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard",
	},
	"Custom::Sync": {"lambda:InvokeFunction"},
}

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
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), linter,
		append(flags, "--format", "parseable", "--", path)...).CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// Each action of the policy exists, and works on the resources that its statement names: cfn-lint knows them from the
// Service Authorization Reference, https://docs.aws.amazon.com/service-authorization/latest/reference/
func TestDeployerPolicyLint(t *testing.T) {
	lintPolicy := func(policy string) string {
		policy = strings.NewReplacer("ACCOUNT", accountID, "BUCKET", "bucket").Replace(policy)
		return lint(t, `{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Policy": {"Type": "AWS::IAM::ManagedPolicy", `+
			`"Properties": {"PolicyDocument": `+policy+"}}}}", "--include-checks", "I")
	}
	policy := read(t, deployerFile)
	if out := lintPolicy(policy); out != "" {
		t.Errorf("cfn-lint: %s", out)
	}
	mistakes := strings.NewReplacer(`"sqs:CreateQueue"`, `"sqs:MakeQueue"`, ":ACCOUNT:alarm:", ":ACCOUNT:alarms:")
	out := lintPolicy(mistakes.Replace(policy))
	for _, want := range []string{"'makequeue' is not one of", "action 'cloudwatch:PutMetricAlarm' requires a resource of"} {
		if !strings.Contains(out, want) {
			t.Errorf("of a mistake cfn-lint says %q, want %q", out, want)
		}
	}
}

// TestDeployerPolicy finds resources that the documented policy does not let a deployer make, what it allows to a service of
// which the template has nothing, and what it allows beyond the stack's own resources.
func TestDeployerPolicy(t *testing.T) {
	var policy any
	if err := json.Unmarshal([]byte(read(t, deployerFile)), &policy); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, s := range get(policy, "Statement").([]any) {
		for _, action := range texts(get(s, "Action")) {
			allowed[action] = true
			if strings.Contains(action, "*") {
				t.Errorf("a deployer is allowed %s", action)
			}
			if action == "iam:PassRole" && get(s, "Condition", "StringEquals", "iam:PassedToService") != "lambda.amazonaws.com" {
				t.Errorf("a deployer may pass a role to others than Lambda")
			}
			for _, resource := range texts(get(s, "Resource")) {
				if resource == "*" && !slices.Contains(anywhere, action) {
					t.Errorf("a deployer is allowed %s everywhere", action)
				}
			}
		}
	}
	services := map[string]bool{"cloudformation": true}
	for _, resource := range mainTemplate(t).section("Resources") {
		kind := get(resource, "Type").(string)
		if makes[kind] == nil {
			t.Errorf("nobody says what a deployer needs for %s", kind)
		}
		for _, action := range makes[kind] {
			service, _, _ := strings.Cut(action, ":")
			services[service] = true
			if !allowed[action] {
				t.Errorf("a deployer is not allowed %s, which %s takes", action, kind)
			}
		}
	}
	for action := range allowed {
		if service, _, _ := strings.Cut(action, ":"); !services[service] {
			t.Errorf("a deployer is allowed %s, and the template has nothing of that service", action)
		}
	}
}
