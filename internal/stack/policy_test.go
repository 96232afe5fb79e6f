package stack

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withEverything returns a deployment that uses all there is.
func withEverything(s template) *deployment {
	return deploy(s, map[string]string{
		"Regions":        "us-east-1,eu-west-1",
		"RoleArns":       "arn:aws:iam::222233334444:role/a,arn:aws:iam::333344445555:role/a",
		"NotifyTopicArn": "arn:aws:sns:us-east-1:111122223333:changes",
		"AlarmEmail":     "ops@example.com",
		"MemberAccounts": "444455556666",
		"QueueKeyArn":    "arn:aws:kms:us-east-1:111122223333:key/0123",
		"WatchChanges":   "true",

		"SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1", "HttpsProxy": "http://proxy:3128",
		"EnvironmentKeyArn":    "arn:aws:kms:us-east-1:111122223333:key/4567",
		"CodeSigningConfigArn": "arn:aws:lambda:us-east-1:111122223333:code-signing-config:csc-0123",
	})
}

// memberOf returns a deployment of the member's role for the same hub.
func memberOf(s template) *deployment {
	return deploy(s, map[string]string{
		"HubRoleArn": "arn:aws:iam::444455556666:role/hub/sync", "ExternalId": "hub-7",
		"Regions": "us-east-1,eu-west-1",
	})
}

// A statement is one of a policy.
type statement struct {
	actions              []string
	resources, condition any
}

// statements returns the statements of a role by their Sids, with those that deny as "Deny …". It fails on one that has
// no Sid of its own, or that is not a plain Allow or Deny.
func statements(t interface{ Fatalf(string, ...any) }, d *deployment, role string) map[string]statement {
	found := map[string]statement{}
	for _, policy := range d.property(role, "Policies").([]any) {
		document := get(policy, "PolicyDocument")
		if text, ok := document.(string); ok {
			document = nil
			if err := json.Unmarshal([]byte(text), &document); err != nil {
				t.Fatalf("with %q a policy is not JSON: %v\n%s", d.parameters, err, text)
			}
		}
		for _, s := range get(document, "Statement").([]any) {
			sid, _ := get(s, "Sid").(string)
			if _, ok := found[sid]; ok || sid == "" || get(s, "NotAction") != nil || get(s, "NotResource") != nil ||
				get(document, "Version") != "2012-10-17" {
				t.Fatalf("the policies of %s have the statement %v", role, s)
			}
			if get(s, "Effect") != "Allow" {
				sid = "Deny " + sid
			}
			found[sid] = statement{texts(get(s, "Action")), get(s, "Resource"), get(s, "Condition")}
		}
	}
	return found
}

// texts returns a string, or a list of strings, as a list.
func texts(v any) []string {
	if one, ok := v.(string); ok {
		return []string{one}
	}
	items, _ := v.([]any)
	var list []string
	for _, item := range items {
		list = append(list, item.(string))
	}
	return list
}

// byLambda are the actions that Lambda takes with the function's role.
var byLambda = []string{
	"logs:CreateLogStream", "logs:PutLogEvents",
	// https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
	"kms:GenerateDataKey", "kms:Decrypt", // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
	"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
	"ec2:UnassignPrivateIpAddresses", "ec2:DescribeSubnets",
	"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
	// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
	"sqs:SendMessage", // https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
}

// TestRoleActions finds actions that the function's code takes and its role does not allow, or the other way round. The
// code takes an action Op where it names the type OpInput of the AWS SDK. TestRehearsal judges what it calls in fact.
func TestRoleActions(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-f",
		"{{range .GoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}\n{{end}}", "./lambda")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(byLambda), "sts:AssumeRole") // the package stscreds takes it
	for line := range strings.Lines(string(out)) {
		name, source, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "cloudfront-sg-sync/") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`\b(ec2|servicequotas|sns)\.(\w+)Input\b`).FindAllStringSubmatch(string(text), -1) {
			want = append(want, found[1]+":"+found[2])
		}
	}
	var allowed []string
	for sid, s := range statements(t, withEverything(mainTemplate(t)), "SyncRole") {
		if !strings.HasPrefix(sid, "Deny ") {
			allowed = append(allowed, s.actions...)
		}
	}
	slices.Sort(want)
	slices.Sort(allowed)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(allowed)); diff != "" {
		t.Errorf("the function's role does not allow what the code does: -code +role\n%s", diff)
	}
}

// A grant is what a statement allows, apart from its actions.
type grant struct{ Resources, Condition any }

// grantsOnEC2 are the grants on security groups and prefix lists, of the function's role and of a member's: each action
// on its own resources, and those that change something in no other region, and on nothing without the tag.
func grantsOnEC2() map[string]grant {
	there := map[string]any{"aws:RequestedRegion": []any{"us-east-1", "eu-west-1"}}
	tagged := map[string]any{
		"Null":         map[string]any{"aws:ResourceTag/cloudfront-ingress": "false"},
		"StringEquals": there,
	}
	return map[string]grant{
		"DescribeGroupsAndWhatTheyMeet":    {"*", map[string]any{"StringEquals": there}},
		"ReadEntriesOfPrefixLists":         {"arn:aws:ec2:*:*:prefix-list/*", map[string]any{"StringEquals": there}},
		"ChangeInboundRulesOfTaggedGroups": {"arn:aws:ec2:*:111122223333:security-group/*", tagged},
		"ChangeEntriesOfTaggedPrefixLists": {"arn:aws:ec2:*:111122223333:prefix-list/*", tagged},
		"ReadQuotas":                       {"*", nil},
	}
}

// compareGrants reports what a role's statements allow otherwise than they should.
func compareGrants(t *testing.T, role string, want map[string]grant, all map[string]statement) {
	got := map[string]grant{}
	for sid, s := range all {
		got[sid] = grant{s.resources, s.condition}
		for _, action := range s.actions {
			reads := strings.HasPrefix(action, "ec2:Describe") || strings.HasPrefix(action, "ec2:Get")
			if strings.HasPrefix(action, "ec2:") && !reads && want[sid].Resources == "*" &&
				!strings.HasSuffix(sid, "Function") && !strings.HasPrefix(sid, "Deny ") {
				t.Errorf("%s of %s allows %s on other groups or lists than tagged ones", sid, role, action)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want +got\n%s", role, diff)
	}
}

// TestRoleStatements finds what the role allows beyond what it has to.
func TestRoleStatements(t *testing.T) {
	s := mainTemplate(t)
	d := withEverything(s)
	want := grantsOnEC2()
	maps.Copy(want, map[string]grant{
		"WriteOwnLog":            {"<SyncLogGroup.Arn>", nil},
		"SendFailedEvents":       {"<FailedEvents.Arn>", nil},
		"ReceiveChanges":         {"<Changes.Arn>", nil},
		"LambdaConnectsFunction": {"*", nil},
		"DecryptEnvironment":     {"arn:aws:kms:us-east-1:111122223333:key/4567", nil},
		"AssumeListedRolesOnly":  {[]any{"arn:aws:iam::222233334444:role/a", "arn:aws:iam::333344445555:role/a"}, nil},
		"AssumeRolesOfThatName":  {"arn:aws:iam::*:role/cloudfront-sg-sync", nil},
		"UseKeyOfQueue":          {"arn:aws:kms:us-east-1:111122223333:key/0123", nil},
		"PublishChanges":         {"arn:aws:sns:us-east-1:111122223333:changes", nil},
		"Deny CodeConnectsNothing": {"*", map[string]any{"ArnLike": map[string]any{
			"lambda:SourceFunctionArn": "arn:aws:lambda:*:111122223333:function:*",
		}}},
	})
	all := statements(t, d, "SyncRole")
	compareGrants(t, "SyncRole", want, all)
	left := slices.DeleteFunc(slices.Clone(all["LambdaConnectsFunction"].actions), func(action string) bool {
		return strings.HasPrefix(action, "ec2:Describe")
	})
	if denied := all["Deny CodeConnectsNothing"].actions; !slices.Equal(left, denied) {
		t.Errorf("Lambda connects the function by %v, and the function's code is denied %v", left, denied)
	}

	// Options that are off allow nothing.
	for _, sid := range []string{
		"LambdaConnectsFunction", "Deny CodeConnectsNothing", "DecryptEnvironment", "ReadQuotas",
		"AssumeListedRolesOnly", "AssumeRolesOfThatName",
		"UseKeyOfQueue", "PublishChanges",
	} {
		delete(want, sid)
	}
	least := slices.Sorted(maps.Keys(statements(t, deploy(s, map[string]string{"RulesPerGroup": "60"}), "SyncRole")))
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), least); diff != "" {
		t.Errorf("with no options: -want +got\n%s", diff)
	}
	for topic, parameters := range map[string]map[string]string{
		"<AlarmTopic>": {"NotifyTopicArn": "alarms", "AlarmEmail": "ops@example.com"},
		"arn:aws:sns:us-east-1:111122223333:ops": {
			"NotifyTopicArn": "alarms",
			"AlarmTopicArn":  "arn:aws:sns:us-east-1:111122223333:ops",
		},
	} {
		d := deploy(s, parameters)
		may, does := statements(t, d, "SyncRole")["PublishChanges"].resources, d.variables()["NOTIFY_TOPIC_ARN"]
		if may != topic || does != topic {
			t.Errorf("with %v the role may publish to %v, and the function publishes to %q", parameters, may, does)
		}
	}
	checkTrust(t, d.property("SyncRole", "AssumeRolePolicyDocument"),
		map[string]any{"Service": "lambda.amazonaws.com"}, nil)
}

// checkTrust checks who may assume a role.
func checkTrust(t *testing.T, document any, principal, condition any) {
	list := get(document, "Statement").([]any)
	if len(list) != 1 {
		t.Errorf("%d statements say who may assume the role", len(list))
	}
	got := map[string]any{
		"Action": get(list[0], "Action"), "Principal": get(list[0], "Principal"),
		"Condition": get(list[0], "Condition"),
	}
	if diff := cmp.Diff(map[string]any{"Action": "sts:AssumeRole", "Principal": principal, "Condition": condition}, got); diff != "" {
		t.Errorf("others may assume the role: -want +got\n%s", diff)
	}
}

// TestMemberRole finds differences between what the function may do in the hub's account and in a member's, and others
// than the hub's function that may assume the member's role.
func TestMemberRole(t *testing.T) {
	hub, d := mainTemplate(t), memberOf(readTemplate(t, memberFile))
	checkTrust(t, d.property("MemberRole", "AssumeRolePolicyDocument"),
		map[string]any{"AWS": "arn:aws:iam::444455556666:root"},
		map[string]any{
			"ArnEquals":    map[string]any{"aws:PrincipalArn": "arn:aws:iam::444455556666:role/hub/sync"},
			"StringEquals": map[string]any{"sts:ExternalId": "hub-7"},
		})
	own, theirs := statements(t, withEverything(hub), "SyncRole"), statements(t, d, "MemberRole")
	compareGrants(t, "MemberRole", grantsOnEC2(), theirs)
	for sid := range theirs {
		if !slices.Equal(own[sid].actions, theirs[sid].actions) {
			t.Errorf("%s of MemberRole allows %v, the hub's %v", sid, theirs[sid].actions, own[sid].actions)
		}
	}
	for _, name := range []string{"TagKey", "ExternalId"} {
		if !hub.accepts(name, "hub-7") || !d.template.accepts(name, "hub-7") || d.template.accepts(name, "hub*") ||
			d.template.accepts(name, "") {
			t.Errorf("parameter %s of the member's role takes other values than the hub's", name)
		}
	}
	if get(hub.section("Parameters"), "MemberRoleName", "Default") != get(d.template.section("Parameters"), "RoleName", "Default") {
		t.Errorf("the hub looks for a role of another name than the member's")
	}
}
