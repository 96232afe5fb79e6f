package stack

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// nearValue generates values that a parameter takes, and others near them.
func nearValue(parameter any) *rapid.Generator[string] {
	valid := []*rapid.Generator[string]{rapid.Just(get(parameter, "Default").(string))}
	if allowed, ok := get(parameter, "AllowedValues").([]any); ok {
		valid = append(valid, rapid.Map(rapid.SampledFrom(allowed), func(v any) string { return v.(string) }))
	}
	if pattern, ok := get(parameter, "AllowedPattern").(string); ok {
		valid = append(valid, rapid.StringMatching(pattern))
	}
	valid = append(valid, rapid.StringMatching(`[-+]?[0-9]{0,4}(\.[0-9]{0,2})?(e[-+]?[0-9])?`)) // what a Number may be
	return rapid.Custom(func(t *rapid.T) string {
		value := []rune(rapid.OneOf(valid...).Draw(t, "value"))
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			at := rapid.IntRange(0, len(value)).Draw(t, "at")
			end := at
			if at < len(value) && rapid.Bool().Draw(t, "replace") {
				end++
			}
			piece := rapid.SampledFrom([]string{
				"", ",", " ", "%", "%zz", "%2f", ".", ":", "/", "-", "+", "e", "0", "1",
				"9", "*", "\"", "\n", "é", "A", "AWS/", "none", "a",
			}).Draw(t, "piece")
			value = slices.Concat(value[:at], []rune(piece), value[end:])
		}
		if rapid.IntRange(0, 3).Draw(t, "how") == 0 {
			value = slices.Repeat(value, rapid.IntRange(1, 30).Draw(t, "times"))
		}
		return string(value)
	})
}

// The function can start with any settings that the template accepts, and CloudFormation can create all their
// resources: a stack is refused at once, or not at all.
func TestTemplateAcceptsNothingThatIsRefusedLater(t *testing.T) {
	s := mainTemplate(t)
	names := []string{"FreeSlotsThreshold", "HoursWithoutSuccess"}
	for name := range usedIn(s.resource("SyncFunction", "Properties", "Environment", "Variables")).refs {
		if s.section("Parameters")[name] != nil {
			names = append(names, name)
		}
	}
	if len(names) < 12 {
		t.Fatalf("only these parameters are tried: %v", names)
	}
	// A rule's description has to hold the tag key beside the services.
	longest := ""
	for s.accepts("TagKey", longest+"k") || longest == "" {
		longest += "k"
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				parameters := map[string]string{"TagKey": longest}
				parameters[name] = nearValue(s.section("Parameters")[name]).Filter(func(v string) bool { return s.accepts(name, v) }).Draw(t, "value")
				checkDeployment(t, deploy(s, parameters))
			})
		})
	}
}

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[^\s,*]+$`)

// checkDeployment fails where a deployment that the template accepts would come to grief.
func checkDeployment(t *rapid.T, d *deployment) {
	if d.refusal() != "" {
		return
	}
	if _, err := d.configuration(map[string]bool{}); err != nil {
		t.Errorf("the template accepts %q: %v", d.parameters, err)
	}
	if d.exists(d.template.resource("SyncDashboard")) &&
		!json.Valid([]byte(d.property("SyncDashboard", "DashboardBody").(string))) {
		t.Errorf("with %q the dashboard is not JSON", d.parameters)
	}
	if hours, err := strconv.Atoi(d.property("NoSuccessAlarm", "EvaluationPeriods").(string)); err != nil ||
		hours < 2 || hours > 168 {
		t.Errorf("with %q an alarm looks back %d hours, %v", d.parameters, hours, err)
	}
	for _, role := range texts(statements(t, d, "SyncRole")["AssumeListedRolesOnly"].resources) {
		if !roleARN.MatchString(role) {
			t.Errorf("with %q the role may assume %q", d.parameters, role)
		}
	}
}
