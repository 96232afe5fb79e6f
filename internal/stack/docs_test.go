package stack

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/function"

	"github.com/google/go-cmp/cmp"
)

// TestPagesOnStack finds what the pages say of the stack that is not so: alarms that point to no heading, outputs that
// there are none of, and costs that do not add up.
func TestPagesOnStack(t *testing.T) {
	s := mainTemplate(t)
	alarms := s.ofType("AWS::CloudWatch::Alarm")
	for _, id := range alarms {
		description := strings.Join(strings.Fields(s.resource(id, "Properties", "AlarmDescription").(string)), " ")
		heading := regexp.MustCompile(`docs/alarms\.md, "(.*)"\.$`).FindStringSubmatch(description)
		if heading == nil || !strings.Contains(read(t, alarmsFile), "\n## "+heading[1]+"\n\n`"+id+"`") {
			t.Errorf("alarm %s points to a heading that is not its own in %s: %s", id, alarmsFile, description)
		}
	}
	for _, page := range []string{deployFile, alarmsFile, referenceFile, organizationFile} {
		for _, found := range regexp.MustCompile(`output ([A-Z]\w+)`).FindAllStringSubmatch(read(t, page), -1) {
			if s.section("Outputs")[found[1]] == nil {
				t.Errorf("%s names the output %s, which there is none of", page, found[1])
			}
		}
	}
	checkVariables(t)
	watched := 0
	for _, id := range alarms {
		watched += len(metricsOf(withEverything(s).property(id)))
	}
	checkCosts(t, read(t, referenceFile), watched)
}

// checkVariables compares the table of variables with the template: each has a parameter of its name, with that
// default.
func checkVariables(t *testing.T) {
	listed := map[string]string{}
	for _, found := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| `?([^|`]*)`? \\|").FindAllStringSubmatch(read(t, configurationFile), -1) {
		listed[found[1]] = strings.TrimSpace(found[2])
	}
	s, want := mainTemplate(t), map[string]string{}
	for name := range get(s.resource("SyncFunction", "Properties", "Environment", "Variables")).(map[string]any) {
		if name == "HTTPS_PROXY" {
			continue // is none of the function's own
		}
		want[name] = fmt.Sprint(get(s.section("Parameters")[parameterOf(name)], "Default"))
		switch {
		case name == "REGIONS":
			want[name] = "the function's own"
		case want[name] == "" || name == "EVENT_QUEUE_ARN":
			want[name] = "none"
		}
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("the variables of %s: -template +page\n%s", configurationFile, diff)
	}
}

// notParameters are what the AWS CLI sets in the same way, the parameters of a release's template alone, and a tag.
var notParameters = map[string]bool{
	"CodeBucket": true, "CodePrefix": true, "Architecture": true, "ManagedBy": true,
	"ParameterKey": true, "ParameterValue": true, "Enabled": true, "AttributeKey": true, "AttributeValue": true,
	"Key": true, "Value": true, "OrganizationalUnitIds": true, "RetainStacksOnAccountRemoval": true,
}

// checkCosts adds up the table of costs. An alarm costs as much as the metrics that it watches.
func checkCosts(t *testing.T, page string, alarms int) {
	for _, row := range []string{
		fmt.Sprintf("| Metrics | %d × $0.30, ", len(function.Metrics)),
		fmt.Sprintf("| Alarms | %d × $0.10 | %.2f |", alarms, 0.1*float64(alarms)),
	} {
		if !strings.Contains(page, row) {
			t.Errorf("the table of costs has no row %q", row)
		}
	}
	_, table, _ := strings.Cut(page, "| $ a month |")
	sum := 0.0
	for _, found := range regexp.MustCompile(`(?m)^\| \w.*\| (\d+\.\d\d) \|$`).FindAllStringSubmatch(table, -1) {
		amount, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			panic(err)
		}
		sum += amount
	}
	if total := fmt.Sprintf("| **Together** | | **%.2f** |", sum); !strings.Contains(table, total) {
		t.Errorf("the costs do not add up to %s", total)
	}
}
