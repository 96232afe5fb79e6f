package stack

import (
	"encoding/json"
	"maps"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// createOnly prints, for each type of resource, the properties whose change makes CloudFormation replace it, as
// cfn-lint has them from the types' schemas.
const createOnly = `
import glob, json, os, cfnlint.data
found = {}
for path in glob.glob(os.path.dirname(cfnlint.data.__file__) + "/schemas/resources/*.json"):
    schema = json.load(open(path))
    found[schema["typeName"]] = [p.split("/")[2] for p in schema.get("createOnlyProperties", [])]
print(json.dumps(found))`

// replacements returns what CloudFormation would replace or remove if one deployment becomes another.
func replacements(from, to *deployment, createOnly map[string][]string) []string {
	var found []string
	for id, resource := range from.template.section("Resources") {
		if !from.exists(resource) {
			continue
		}
		after := to.template.resource(id)
		kind, _ := get(resource, "Type").(string)
		switch {
		case after == nil || !to.exists(after):
			found = append(found, "removes "+id)
		case get(after, "Type") != kind:
			found = append(found, "replaces "+id)
		default:
			for _, property := range createOnly[kind] {
				if !reflect.DeepEqual(from.property(id, property), to.property(id, property)) {
					found = append(found, "replaces "+id)
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// otherValues are those of the parameters that everySetting does not have.
var otherValues = map[string]string{
	"ScheduleExpression": "rate(1 hour)", "Announcements": "false", "WatchChanges": "true", "OneRunAtATime": "true",
	"MemorySize": "512", "Release": "r",
	"AlarmEmail": "ops@example.com", "AlarmTopicArn": "arn:aws:sns:us-east-1:111122223333:ops",
	"FreeSlotsThreshold": "0", "HoursWithoutSuccess": "30",
	"Dashboard": "false", "LogRetentionDays": "30", "OnDelete": "withdraw", "RoleName": "sync",
	"PermissionsBoundaryArn": "arn:aws:iam::aws:policy/x",
	"SubnetIds":              "subnet-0a", "SecurityGroupIds": "sg-0a", "HttpsProxy": "http://proxy:3128",
	"LogKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1", "QueueKeyArn": "arn:aws:kms:us-east-1:111122223333:key/2",
	"EnvironmentKeyArn":    "arn:aws:kms:us-east-1:111122223333:key/3",
	"CodeSigningConfigArn": "arn:aws:lambda:us-east-1:111122223333:code-signing-config:csc-1",
}

// Only another name of the role and another topic replace anything: a stack can be updated without losing its log, its
// events or its subscription.
func TestReplacements(t *testing.T) {
	out, err := exec.Command(python(t, "cfnlint.data"), "-c", createOnly).Output()
	if err != nil {
		t.Fatal(err)
	}
	var only map[string][]string
	if err := json.Unmarshal(out, &only); err != nil || !slices.Contains(only["AWS::IAM::Role"], "RoleName") {
		t.Fatalf("cfn-lint's schemas do not say what is replaced: %v", err)
	}
	// SAM's function is one of Lambda's, with an EventInvokeConfig of its own.
	only["AWS::Serverless::Function"] = only["AWS::Lambda::Function"]
	s, values := mainTemplate(t), maps.Clone(otherValues)
	maps.Copy(values, everySetting)
	allowed := map[string]string{
		"RoleName": "replaces SyncRole", "TopicArn": "replaces Announcement replaces AnnouncementPermission",
		// The resources of these options exist only with them.
		"Announcements": "removes Announcement removes AnnouncementPermission", "Dashboard": "removes SyncDashboard",
	}
	for name := range s.section("Parameters") {
		value, ok := values[name]
		if !ok || !s.accepts(name, value) {
			t.Errorf("no other value of %s is tried", name)
			continue
		}
		if got := strings.Join(replacements(deploy(s, nil), deploy(s, map[string]string{name: value}), only), " "); got != allowed[name] {
			t.Errorf("%s=%s %s, want %q", name, value, got, allowed[name])
		}
	}
	t.Run("since the last release", func(t *testing.T) {
		tag, err := exec.Command("git", "describe", "--tags", "--abbrev=0").Output()
		if err != nil {
			t.Skip("skipped: nothing has been released yet")
		}
		text, err := exec.Command("git", "show", strings.TrimSpace(string(tag))+":template.yaml").Output()
		if err != nil {
			t.Fatal(err)
		}
		old, err := parseTemplate(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := replacements(deploy(old, nil), deploy(s, nil), only); len(got) > 0 {
			t.Errorf("an update from %s %v", tag, got)
		}
	})
}
