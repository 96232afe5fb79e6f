package stack

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/function"
)

// TestPagesOnStack finds what the pages say of the stack that is not so: alarms that point to no heading, outputs that
// there are none of, variables with other defaults, and costs that do not add up.
func TestPagesOnStack(t *testing.T) {
	s, watched := mainTemplate(t), 0
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		description := strings.Join(strings.Fields(s.resource(id, "Properties", "AlarmDescription").(string)), " ")
		heading := regexp.MustCompile(`docs/alarms\.md, "(.*)"\.$`).FindStringSubmatch(description)
		if heading == nil || !strings.Contains(read(t, alarmsFile), "\n## "+heading[1]+"\n\n`"+id+"`") {
			t.Errorf("alarm %s points to a heading that is not its own in %s: %s", id, alarmsFile, description)
		}
		watched += len(metricsOf(withEverything(s).property(id)))
	}
	for _, page := range []string{"docs/deploy.md", alarmsFile, referenceFile, organizationFile} {
		for _, found := range regexp.MustCompile(`output ([A-Z]\w+)`).FindAllStringSubmatch(read(t, page), -1) {
			if s.section("Outputs")[found[1]] == nil {
				t.Errorf("%s names the output %s, which there is none of", page, found[1])
			}
		}
	}
	checkVariables(t, s)
	checkCosts(t, read(t, referenceFile), watched)
}

// checkVariables compares the table of variables with the template: each has a parameter of its name, with that
// default.
func checkVariables(t *testing.T, s template) {
	t.Helper()
	row, listed := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| `?([^|`]*)`? \\|"), map[string]string{}
	for _, found := range row.FindAllStringSubmatch(read(t, "docs/configuration.md"), -1) {
		listed[found[1]] = strings.TrimSpace(found[2])
	}
	want := map[string]string{"EVENT_QUEUE_ARN": "none", "REGIONS": "the function's own"}
	for name := range s.resource("SyncFunction", "Properties", "Environment", "Variables").(map[string]any) {
		parameter := "" // such as TagKey for TAG_KEY
		for word := range strings.SplitSeq(name, "_") {
			parameter += word[:1] + strings.ToLower(word[1:])
		}
		if want[name] == "" {
			value, _ := get(s.section("Parameters"), parameter, "Default").(string)
			want[name] = cmp.Or(value, "none")
		}
	}
	delete(want, "HTTPS_PROXY") // is none of the function's own
	same(t, "the variables of docs/configuration.md", want, listed)
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
