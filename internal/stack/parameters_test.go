package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// variables returns the environment that a deployment gives the function.
func (d *deployment) variables() map[string]string {
	variables := map[string]string{}
	for name, value := range d.property("SyncFunction", "Environment", "Variables").(map[string]any) {
		variables[name] = value.(string)
	}
	return variables
}

// changesARN is the queue of changes, as the function has to have it.
const changesARN = "arn:aws:sqs:us-east-1:111122223333:changes.fifo"

// configuration returns what the function makes of a deployment's environment, and notes which variables it reads.
func (d *deployment) configuration(read map[string]bool) (config.Config, error) {
	variables := d.variables()
	if variables["EVENT_QUEUE_ARN"] == "<Changes.Arn>" {
		variables["EVENT_QUEUE_ARN"] = changesARN
	}
	return config.FromEnv(func(name string) string {
		read[name] = true
		return variables[name]
	})
}

// otherValues returns values that each parameter has to take.
func otherValues(t *testing.T) map[string][]string {
	t.Helper()
	var values map[string][]string
	if err := yaml.Unmarshal([]byte(read(t, "internal/stack/testdata/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	for name, longest := range map[string]int{"TagKey": 100, "MemberRoleName": 512, "MetricsNamespace": 255} {
		values[name] = append(values[name], strings.Repeat("k", longest))
	}
	return values
}

// settings returns the parameters whose change the sync at deployment notices, except those that it only passes on.
func (t template) settings() []string {
	var names []string
	for name := range usedIn(t.resource("SyncAtDeploy", "Properties")) {
		if t.section("Parameters")[name] != nil && !slices.Contains([]string{
			"OnDelete", "Release", "SubnetIds", "SecurityGroupIds", "HttpsProxy",
		}, name) {
			names = append(names, name)
		}
	}
	return names
}

// TestEnvironment finds variables that are set and not read, or read and not set; defaults that differ; and settings
// that do not reach the function, or whose change would not be noticed by the sync at deployment.
func TestEnvironment(t *testing.T) {
	s, read := mainTemplate(t), map[string]bool{}
	byDefault, err := deploy(s, nil).configuration(read)
	bare, bareErr := config.FromEnv(func(string) string { return "" })
	if err := errors.Join(err, bareErr); err != nil {
		t.Fatalf("the function cannot start without settings: %v", err)
	}
	bare.Regions, bare.EventQueueARN = []string{"us-east-1"}, changesARN // by AWS_REGION, and by the stack
	same(t, "the template's defaults, of those of the function", bare, byDefault)
	set := s.resource("SyncFunction", "Properties", "Environment", "Variables").(map[string]any)
	delete(set, "HTTPS_PROXY") // net/http reads it
	same(t, "what the template sets, of what the function reads",
		slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(set)))

	noticed, used := usedIn(s.resource("SyncAtDeploy")), usedIn(set)
	delete(used, "AlarmTopicArn") // by the name of alarms
	for name := range used {
		if s.section("Parameters")[name] != nil && !noticed[name] || !noticed["OnDelete"] || !noticed["Release"] {
			t.Errorf("SyncAtDeploy does not notice a change of %s, OnDelete or Release", name)
		}
	}
	for _, name := range s.settings() {
		for i, value := range otherValues(t)[name] {
			parameters := map[string]string{name: value}
			if name == "MemberRoleName" { // the name alone changes nothing
				parameters["MemberAccounts"] = "444455556666"
			}
			config, err := deploy(s, parameters).configuration(read)
			if changes := i > 0 || !cmp.Equal(config, byDefault); err != nil || !changes || !s.accepts(name, value) {
				t.Errorf("%s=%q: the template accepts it: %t; it changes the function's configuration: %t, %v",
					name, value, s.accepts(name, value), changes, err)
			}
		}
	}
}

// TestParametersAreShown finds parameters that the console would show without a group, a label or a description, bounds
// without a word on them, and parameters that these tests do not try.
func TestParametersAreShown(t *testing.T) {
	s, others, listed := mainTemplate(t), otherValues(t), map[string]int{}
	shown := s.section("Metadata")["AWS::CloudFormation::Interface"]
	for _, group := range get(shown, "ParameterGroups").([]any) {
		for _, name := range texts(get(group, "Parameters")) {
			listed[name]++
		}
	}
	for name, parameter := range s.section("Parameters") {
		for problem, found := range map[string]bool{
			"is not in one group": listed[name] != 1,
			"has no label":        get(shown, "ParameterLabels", name, "default") == nil,
			"has no description":  get(parameter, "Description") == nil,
			"has a pattern but no words": get(parameter, "AllowedPattern") != nil &&
				get(parameter, "ConstraintDescription") == nil,
			"has no default, so must be set": get(parameter, "Default") == nil,
			"has no other value to try":      others[name] == nil,
		} {
			if found {
				t.Errorf("parameter %s %s", name, problem)
			}
		}
	}
}

// Lambda takes 4 KB of environment, names and values together, so that a hub has room for the 280 accounts that
// docs/organization.md promises. See
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
func TestHubHoldsManyAccounts(t *testing.T) {
	var accounts []string
	for i := range 280 {
		accounts = append(accounts, fmt.Sprintf("%012d", 100000000000+i))
	}
	if !strings.Contains(read(t, organizationFile), fmt.Sprintf("some %d accounts", len(accounts))) {
		t.Errorf("%s does not say how many accounts a hub takes", organizationFile)
	}
	d := deploy(mainTemplate(t), map[string]string{
		"MemberAccounts": strings.Join(accounts, ","),
		"ExternalId":     strings.Repeat("x", 32),
	})
	size := 0
	for name, value := range d.variables() {
		size += len(name) + len(value)
	}
	if size > 4096 {
		t.Errorf("with %d accounts the environment has %d bytes", len(accounts), size)
	}
	// Values that the template allows have to fit as well:
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	policies, err := json.Marshal(d.property("SyncRole", "Policies"))
	if err != nil || len(policies) > 10240 {
		t.Errorf("the role's policies have %d characters, %v", len(policies), err)
	}
}

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
				"", ",", " ", "%", "%zz", "%2f", ".", ":", "/", "-", "+", "e", "0", "1", "9", "*", "\"", "\n", "é", "A", "a",
				"AWS/", "none",
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
	names := append(s.settings(), "FreeSlotsThreshold", "HoursWithoutSuccess", "AlarmTopicArn", "HttpsProxy")
	// A rule's description has to hold the tag key beside the services.
	longest := ""
	for s.accepts("TagKey", longest+"k") || longest == "" {
		longest += "k"
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				parameters := map[string]string{"TagKey": longest}
				accepted := func(v string) bool { return s.accepts(name, v) }
				parameters[name] = nearValue(s.section("Parameters")[name]).Filter(accepted).Draw(t, "value")
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
	for _, role := range texts(statements(t, d, "SyncRole")["AssumeListedRolesOnly"].Resources) {
		if !roleARN.MatchString(role) {
			t.Errorf("with %q the role may assume %q", d.parameters, role)
		}
	}
}
