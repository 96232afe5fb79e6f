package stack

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		kind, after := get(resource, "Type").(string), to.template.resource(id)
		changed := func(property string) bool {
			return !cmp.Equal(from.property(id, property), to.property(id, property))
		}
		switch {
		case !from.exists(resource):
		case after == nil || !to.exists(after):
			found = append(found, "removes "+id)
		case get(after, "Type") != kind || slices.ContainsFunc(createOnly[kind], changed):
			found = append(found, "replaces "+id)
		}
	}
	slices.Sort(found)
	return found
}

// Only another name of the role and another topic replace anything: a stack can be updated without losing its log, its
// events or its subscription. TestRehearseScript updates a stack from an older template.
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
	s := mainTemplate(t)
	allowed := map[string]string{
		"RoleName": "replaces SyncRole", "TopicArn": "replaces Announcement replaces AnnouncementPermission",
		// The resources of these options exist only with them.
		"Announcements": "removes Announcement removes AnnouncementPermission", "Dashboard": "removes SyncDashboard",
	}
	for name, values := range otherValues(t) {
		value := values[0]
		changed := replacements(deploy(s, nil), deploy(s, map[string]string{name: value}), only)
		if got := strings.Join(changed, " "); got != allowed[name] || !s.accepts(name, value) {
			t.Errorf("%s=%s %s, want %q", name, value, got, allowed[name])
		}
	}
}
