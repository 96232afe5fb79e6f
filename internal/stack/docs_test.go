package stack

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/function"

	"github.com/google/go-cmp/cmp"
)

// setting matches a parameter that a page tells the reader to set, such as AlarmEmail=….
var setting = regexp.MustCompile(`\b([A-Z][a-z]+(?:[A-Z][a-z0-9]+)*)=`)

// checkDocs finds what the pages say of the stack that is not so: alarms that point to no heading, parameters that
// there are none of, and costs that do not add up.
func checkDocs(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
	alarms := s.ofType("AWS::CloudWatch::Alarm")
	for _, id := range alarms {
		description := strings.Join(strings.Fields(s.resource(id, "Properties", "AlarmDescription").(string)), " ")
		heading := regexp.MustCompile(`docs/alarms\.md, "(.*)"\.$`).FindStringSubmatch(description)
		if heading == nil || !strings.Contains(f[alarmsFile], "\n## "+heading[1]+"\n\n`"+id+"`") {
			report("alarm %s points to a heading that is not its own in %s: %s", id, alarmsFile, description)
		}
	}
	members := f.template(t, memberFile).section("Parameters")
	maps.Copy(members, f.template(t, forwardFile).section("Parameters"))
	for _, page := range []string{deployFile, alarmsFile, referenceFile, organizationFile} {
		for _, found := range setting.FindAllStringSubmatch(f[page], -1) {
			name := found[1]
			known := s.section("Parameters")[name] != nil || members[name] != nil || notParameters[name]
			if !known {
				report("%s sets %s, which is no parameter", page, name)
			}
		}
		for _, found := range regexp.MustCompile(`output ([A-Z]\w+)`).FindAllStringSubmatch(f[page], -1) {
			if s.section("Outputs")[found[1]] == nil {
				report("%s names the output %s, which there is none of", page, found[1])
			}
		}
	}
	checkVariables(t, f, report)
	watched := 0
	for _, id := range alarms {
		watched += len(metricsOf(withEverything(s).property(id)))
	}
	checkCosts(report, f[referenceFile], watched)
}

// checkVariables compares the table of variables with the template: each has a parameter of its name, with that
// default.
func checkVariables(t *testing.T, f files, report func(string, ...any)) {
	listed := map[string]string{}
	for _, found := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| `?([^|`]*)`? \\|").FindAllStringSubmatch(f[configurationFile], -1) {
		listed[found[1]] = strings.TrimSpace(found[2])
	}
	s, want := f.template(t, mainFile), map[string]string{}
	for name := range get(s.resource("SyncFunction", "Properties", "Environment", "Variables")).(map[string]any) {
		if name == "HTTPS_PROXY" {
			continue // is none of the function's own
		}
		parameter := ""
		for word := range strings.SplitSeq(name, "_") {
			parameter += word[:1] + strings.ToLower(word[1:])
		}
		want[name] = fmt.Sprint(get(s.section("Parameters")[parameter], "Default"))
		switch {
		case name == "REGIONS":
			want[name] = "the function's own"
		case want[name] == "" || name == "EVENT_QUEUE_ARN":
			want[name] = "none"
		}
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		report("the variables of %s: -template +page\n%s", configurationFile, diff)
	}
}

// notParameters are what the AWS CLI sets in the same way, and the parameters of a release's plain template alone.
var notParameters = map[string]bool{
	"CodeBucket": true, "CodePrefix": true, "Architecture": true,
	"ParameterKey": true, "ParameterValue": true, "Enabled": true, "AttributeKey": true, "AttributeValue": true, "Key": true, "Value": true, "OrganizationalUnitIds": true, "RetainStacksOnAccountRemoval": true,
}

// checkCosts adds up the table of costs. An alarm costs as much as the metrics that it watches.
func checkCosts(report func(string, ...any), page string, alarms int) {
	for _, row := range []string{
		fmt.Sprintf("| Metrics | %d × $0.30, ", len(function.Metrics)),
		fmt.Sprintf("| Alarms | %d × $0.10 | %.2f |", alarms, 0.1*float64(alarms)),
	} {
		if !strings.Contains(page, row) {
			report("the table of costs has no row %q", row)
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
		report("the costs do not add up to %s", total)
	}
}
