package stack

import (
	"encoding/json"
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
		"HubRoleArn": "arn:aws:iam::444455556666:role/hub/sync", "ExternalId": "hub-7", "Regions": "us-east-1,eu-west-1",
	})
}

// A statement is one of a policy, with its lists as lists and its other members as they are.
type statement struct {
	policy, sid string
	actions     []string
	resources   []string
	condition   any
}

// statements returns what a role allows, by the Sid of each statement.
func statements(t *testing.T, d *deployment, role string) map[string]statement {
	t.Helper()
	found := map[string]statement{}
	for _, policy := range d.property(role, "Policies").([]any) {
		name := get(policy, "PolicyName").(string)
		document := get(policy, "PolicyDocument")
		if text, ok := document.(string); ok {
			document = nil
			if err := json.Unmarshal([]byte(text), &document); err != nil {
				t.Fatalf("policy %s is not JSON: %v\n%s", name, err, text)
			}
		}
		if version := get(document, "Version"); version != "2012-10-17" {
			t.Errorf("policy %s has version %v", name, version)
		}
		for _, s := range get(document, "Statement").([]any) {
			if get(s, "Effect") == "Deny" {
				continue // it allows nothing
			}
			sid, _ := get(s, "Sid").(string)
			if _, ok := found[sid]; ok || sid == "" || get(s, "Effect") != "Allow" || get(s, "NotAction") != nil || get(s, "NotResource") != nil {
				t.Errorf("policy %s has a statement without a Sid of its own, or one that is not a plain Allow: %v", name, s)
			}
			found[sid] = statement{name, sid, texts(get(s, "Action")), texts(get(s, "Resource")), get(s, "Condition")}
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

func allowedActions(t *testing.T, d *deployment, role string) map[string]bool {
	t.Helper()
	allowed := map[string]bool{}
	for _, s := range statements(t, d, role) {
		for _, action := range s.actions {
			allowed[action] = true
		}
	}
	return allowed
}

// checkStatements finds what the role allows beyond the resources it has to: each action on its own resources, and
// those that change something in no other region, and on no group without the tag.
func checkStatements(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
	d := withEverything(s)
	all := statements(t, d, "SyncRole")
	for sid, want := range map[string][]string{
		"WriteOwnLog":                      {"<SyncLogGroup.Arn>"},
		"SendFailedEvents":                 {"<FailedEvents.Arn>"},
		"ReceiveChanges":                   {"<Changes.Arn>"},
		"LambdaConnectsFunction":           {"*"},
		"DecryptEnvironment":               {"arn:aws:kms:us-east-1:111122223333:key/4567"},
		"DescribeGroupsAndWhatTheyMeet":    {"*"},
		"ChangeInboundRulesOfTaggedGroups": {"arn:aws:ec2:*:111122223333:security-group/*"},
		"ReadEntriesOfPrefixLists":         {"arn:aws:ec2:*:*:prefix-list/*"},
		"ChangeEntriesOfTaggedPrefixLists": {"arn:aws:ec2:*:111122223333:prefix-list/*"},
		"ReadQuotas":                       {"*"},
		"AssumeListedRolesOnly":            {"arn:aws:iam::222233334444:role/a", "arn:aws:iam::333344445555:role/a"},
		"AssumeRolesOfThatName":            {"arn:aws:iam::*:role/cloudfront-sg-sync"},
		"UseKeyOfQueue":                    {"arn:aws:kms:us-east-1:111122223333:key/0123"},
		"PublishChanges":                   {"arn:aws:sns:us-east-1:111122223333:changes"},
	} {
		if diff := cmp.Diff(want, all[sid].resources); diff != "" {
			report("statement %s has other resources: -want +got\n%s", sid, diff)
		}
		delete(all, sid)
	}
	for sid := range all {
		report("there is a statement %s, whose resources are not looked at here", sid)
	}
	checkEC2Statements(t, d, "SyncRole", report)
	checkNetwork(d, report)

	// Options that are off allow nothing.
	least := statements(t, deploy(s, map[string]string{"RulesPerGroup": "60"}), "SyncRole")
	for _, sid := range []string{"LambdaConnectsFunction", "DecryptEnvironment", "ReadQuotas", "AssumeListedRolesOnly", "AssumeRolesOfThatName", "UseKeyOfQueue", "PublishChanges"} {
		if _, ok := least[sid]; ok {
			report("statement %s is there without a need", sid)
		}
	}
	for topic, parameters := range map[string]map[string]string{
		"<AlarmTopic>":                           {"NotifyTopicArn": "alarms", "AlarmEmail": "ops@example.com"},
		"arn:aws:sns:us-east-1:111122223333:ops": {"NotifyTopicArn": "alarms", "AlarmTopicArn": "arn:aws:sns:us-east-1:111122223333:ops"},
	} {
		d := deploy(s, parameters)
		if got := statements(t, d, "SyncRole")["PublishChanges"].resources; !slices.Equal(got, []string{topic}) {
			report("with %v the role may publish to %v", parameters, got)
		}
		if got := d.variables()["NOTIFY_TOPIC_ARN"]; got != topic {
			report("with %v the function publishes to %q", parameters, got)
		}
	}
	checkTrust(report, d.property("SyncRole", "AssumeRolePolicyDocument"), map[string]any{"Service": "lambda.amazonaws.com"}, nil)
}

// checkNetwork finds what Lambda may do to connect the function to subnets and the function's own code could do too.
func checkNetwork(d *deployment, report func(string, ...any)) {
	for _, policy := range d.property("SyncRole", "Policies").([]any) {
		if get(policy, "PolicyName") != "ConnectToSubnets" {
			continue
		}
		list := get(policy, "PolicyDocument", "Statement").([]any)
		left := slices.DeleteFunc(texts(get(list[0], "Action")), func(action string) bool {
			return strings.HasPrefix(action, "ec2:Describe") || slices.Contains(texts(get(list[1], "Action")), action)
		})
		byCode := map[string]any{"ArnLike": map[string]any{"lambda:SourceFunctionArn": "arn:aws:lambda:*:111122223333:function:*"}}
		if len(left) > 0 || get(list[1], "Effect") != "Deny" || !cmp.Equal(get(list[1], "Condition"), any(byCode)) {
			report("the function's code may do %v, denied is %v", left, list[1])
		}
		return
	}
	report("Lambda may not connect the function to subnets")
}

// ofTagged are the statements on what carries the tag.
var ofTagged = map[string]bool{"ChangeInboundRulesOfTaggedGroups": true, "ChangeEntriesOfTaggedPrefixLists": true}

// checkEC2Statements checks the statements on security groups and prefix lists, of the function's role and of a
// member's.
func checkEC2Statements(t *testing.T, d *deployment, role string, report func(string, ...any)) {
	t.Helper()
	regions := []any{"us-east-1", "eu-west-1"}
	all := statements(t, d, role)
	tagged := map[string]any{
		"Null":         map[string]any{"aws:ResourceTag/cloudfront-ingress": "false"},
		"StringEquals": map[string]any{"aws:RequestedRegion": regions},
	}
	for sid, want := range map[string]any{
		"DescribeGroupsAndWhatTheyMeet":    map[string]any{"StringEquals": map[string]any{"aws:RequestedRegion": regions}},
		"ReadEntriesOfPrefixLists":         map[string]any{"StringEquals": map[string]any{"aws:RequestedRegion": regions}},
		"ChangeInboundRulesOfTaggedGroups": tagged,
		"ChangeEntriesOfTaggedPrefixLists": tagged,
	} {
		if diff := cmp.Diff(want, all[sid].condition); diff != "" {
			report("statement %s of %s has another condition: -want +got\n%s", sid, role, diff)
		}
	}
	for _, s := range all {
		for _, action := range s.actions {
			if !ofTagged[s.sid] && s.sid != "LambdaConnectsFunction" && strings.HasPrefix(action, "ec2:") && !strings.HasPrefix(action, "ec2:Describe") && !strings.HasPrefix(action, "ec2:Get") {
				report("%s of %s allows %s on other groups or lists than tagged ones", s.sid, role, action)
			}
			if strings.Contains(action, "*") {
				report("%s of %s allows %s", s.sid, role, action)
			}
		}
	}
}

// checkTrust checks who may assume a role.
func checkTrust(report func(string, ...any), document any, principal, condition any) {
	list := get(document, "Statement").([]any)
	if len(list) != 1 {
		report("%d statements say who may assume the role", len(list))
	}
	got := map[string]any{"Action": get(list[0], "Action"), "Principal": get(list[0], "Principal"), "Condition": get(list[0], "Condition")}
	if diff := cmp.Diff(map[string]any{"Action": "sts:AssumeRole", "Principal": principal, "Condition": condition}, got); diff != "" {
		report("others may assume the role: -want +got\n%s", diff)
	}
}

// checkMemberRole finds differences between what the function may do in the hub's account and in a member's, and others
// than the hub's function that may assume the member's role.
func checkMemberRole(t *testing.T, f files, report func(string, ...any)) {
	d := memberOf(f.template(t, memberFile))
	checkEC2Statements(t, d, "MemberRole", report)
	checkTrust(report, d.property("MemberRole", "AssumeRolePolicyDocument"),
		map[string]any{"AWS": "arn:aws:iam::444455556666:root"},
		map[string]any{
			"ArnEquals":    map[string]any{"aws:PrincipalArn": "arn:aws:iam::444455556666:role/hub/sync"},
			"StringEquals": map[string]any{"sts:ExternalId": "hub-7"},
		})
	own := statements(t, withEverything(f.template(t, mainFile)), "SyncRole")
	for sid, theirs := range statements(t, d, "MemberRole") {
		if diff := cmp.Diff(own[sid], theirs, cmp.AllowUnexported(statement{})); diff != "" {
			report("statement %s is another in the hub: -hub +member\n%s", sid, diff)
		}
	}
	hub := f.template(t, mainFile)
	for _, name := range []string{"TagKey", "ExternalId"} {
		if !hub.accepts(name, "hub-7") || !d.template.accepts(name, "hub-7") || d.template.accepts(name, "hub*") || d.template.accepts(name, "") {
			report("parameter %s of the member's role takes other values than the hub's", name)
		}
	}
	role := "arn:aws:iam::222233334444:role/" + get(d.template.section("Parameters"), "RoleName", "Default").(string)
	if get(hub.section("Parameters"), "MemberRoleName", "Default") != get(d.template.section("Parameters"), "RoleName", "Default") {
		report("the hub looks for a role of another name than the member's")
	}
	if !hub.accepts("RoleArns", role) {
		report("the hub does not take %s in RoleArns", role)
	}
}
