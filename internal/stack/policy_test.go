package stack

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
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
	Actions              []string
	Resources, Condition any
}

// statements returns the statements of a role by their Sids, with those that deny as "Deny …". It fails on one that
// has no Sid of its own, or that is not a plain Allow or Deny.
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

// grants returns the two parts of testdata/grants.yaml.
func grants(t *testing.T) map[string]map[string]statement {
	t.Helper()
	var of map[string]map[string]statement
	if err := yaml.Unmarshal([]byte(read(t, "internal/stack/testdata/grants.yaml")), &of); err != nil {
		t.Fatal(err)
	}
	return of
}

// compareGrants reports what a role's statements allow otherwise than they should. Whether they have the actions that
// the function takes, and no others, TestRehearsal finds.
func compareGrants(t *testing.T, role string, want, all map[string]statement) {
	t.Helper()
	got := map[string]statement{}
	for sid, s := range all {
		got[sid] = statement{nil, s.Resources, s.Condition}
		for _, action := range s.Actions {
			reads := strings.HasPrefix(action, "ec2:Describe") || strings.HasPrefix(action, "ec2:Get")
			if strings.HasPrefix(action, "ec2:") && !reads && s.Resources == "*" &&
				sid != "LambdaConnectsFunction" && !strings.HasPrefix(sid, "Deny ") {
				t.Errorf("%s of %s allows %s on other groups or lists than tagged ones", sid, role, action)
			}
		}
	}
	same(t, role, want, got)
}

// TestRoleStatements finds what the role allows beyond what it has to.
func TestRoleStatements(t *testing.T) {
	s := mainTemplate(t)
	d, want := withEverything(s), grants(t)
	maps.Copy(want["ofFunction"], want["onEC2"])
	all := statements(t, d, "SyncRole")
	compareGrants(t, "SyncRole", want["ofFunction"], all)
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
	connects := []string{
		"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
		"ec2:UnassignPrivateIpAddresses",
	}
	same(t, "what the function's code is denied", connects, all["Deny CodeConnectsNothing"].Actions)
	same(t, "what connects the function", append(connects, "ec2:DescribeSubnets", "ec2:DescribeNetworkInterfaces"),
		all["LambdaConnectsFunction"].Actions)

	least := statements(t, deploy(s, map[string]string{"RulesPerGroup": "60"}), "SyncRole")
	same(t, "statements with no options", []string{
		"ChangeEntriesOfTaggedPrefixLists", "ChangeInboundRulesOfTaggedGroups", "DescribeGroupsAndWhatTheyMeet",
		"ReadEntriesOfPrefixLists", "ReceiveChanges", "SendFailedEvents", "WriteOwnLog",
	}, slices.Sorted(maps.Keys(least)))
	const ops = "arn:aws:sns:us-east-1:111122223333:ops"
	for topic, parameters := range map[string]map[string]string{
		"<AlarmTopic>": {"NotifyTopicArn": "alarms", "AlarmEmail": "ops@example.com"},
		ops:            {"NotifyTopicArn": "alarms", "AlarmTopicArn": ops},
	} {
		d := deploy(s, parameters)
		same(t, "the topic that the role may publish to", topic, statements(t, d, "SyncRole")["PublishChanges"].Resources)
		same(t, "the topic that the function publishes to", topic, d.variables()["NOTIFY_TOPIC_ARN"])
	}
	checkTrust(t, d.property("SyncRole", "AssumeRolePolicyDocument", "Statement"),
		map[string]any{"Service": "lambda.amazonaws.com"}, nil)
}

// checkTrust checks who may assume a role.
func checkTrust(t *testing.T, statements, principal, condition any) {
	t.Helper()
	trust := statements.([]any)[0].(map[string]any)
	delete(trust, "Sid")
	want := map[string]any{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
	if condition != nil {
		want["Condition"] = condition
	}
	same(t, "who may assume the role", []any{want}, statements)
}

// TestMemberRole finds differences between what the function may do in the hub's account and in a member's, and others
// than the hub's function that may assume the member's role.
func TestMemberRole(t *testing.T) {
	hub, d := mainTemplate(t), memberOf(readTemplate(t, memberFile))
	checkTrust(t, d.property("MemberRole", "AssumeRolePolicyDocument", "Statement"),
		map[string]any{"AWS": "arn:aws:iam::444455556666:root"},
		map[string]any{
			"ArnEquals":    map[string]any{"aws:PrincipalArn": "arn:aws:iam::444455556666:role/hub/sync"},
			"StringEquals": map[string]any{"sts:ExternalId": "hub-7"},
		})
	own, theirs := statements(t, withEverything(hub), "SyncRole"), statements(t, d, "MemberRole")
	compareGrants(t, "MemberRole", grants(t)["onEC2"], theirs)
	for sid := range theirs {
		same(t, "actions of "+sid+" of MemberRole", own[sid].Actions, theirs[sid].Actions)
	}
	for _, name := range []string{"TagKey", "ExternalId"} {
		if !hub.accepts(name, "hub-7") || !d.template.accepts(name, "hub-7") || d.template.accepts(name, "hub*") ||
			d.template.accepts(name, "") {
			t.Errorf("parameter %s of the member's role takes other values than the hub's", name)
		}
	}
	same(t, "the name of the member's role", get(hub.section("Parameters"), "MemberRoleName", "Default"),
		get(d.template.section("Parameters"), "RoleName", "Default"))
}
