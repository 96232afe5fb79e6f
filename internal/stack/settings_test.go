package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"

	"github.com/google/go-cmp/cmp"
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

// everySetting gives each parameter of the function another value than its default.
var everySetting = map[string]string{
	"IpRangesUrl":      "https://mirror.example.com/ip-ranges.json",
	"TopicArn":         "arn:aws:sns:eu-west-1:111122223333:mirror",
	"Services":         "CLOUDFRONT_ORIGIN_FACING, ROUTE53_HEALTHCHECKS",
	"Within":           "S3, EC2",
	"IpFamilies":       "ipv6",
	"TagKey":           "team.ingress",
	"Regions":          "eu-west-1,us-west-2",
	"RoleArns":         "arn:aws:iam::222233334444:role/cloudfront-sg-sync,arn:aws:iam::333344445555:role/cloudfront-sg-sync",
	"MemberAccounts":   "444455556666,555566667777",
	"MemberRoleName":   "net/sync",
	"ExternalId":       "hub-7",
	"RulesPerGroup":    "100",
	"MaxRevokePercent": "20",
	"MetricsNamespace": "Edge/Origins",
	"NotifyTopicArn":   "arn:aws:sns:eu-west-1:111122223333:changes",
}

// moreValues are other values that the template and the function have to take. What they have to refuse,
// TestTemplateAcceptsNothingThatIsRefusedLater finds.
var moreValues = map[string][]string{
	"IpRangesUrl": {
		"https://mirror.example.com", "https://mirror.example.com:8443/a?b=c",
		"https://mirror.example.com/%7e",
	},
	"TopicArn":   {"arn:aws-us-gov:sns:us-gov-west-1:111122223333:a_b-c"},
	"Services":   {"CLOUDFRONT ROUTE53_HEALTHCHECKS", "CLOUDFRONT,ROUTE53_HEALTHCHECKS"},
	"Within":     {"S3", "AMAZON GLOBALACCELERATOR", "S3,EC2"},
	"IpFamilies": {"ipv4 ipv6", "ipv6, ipv4"},
	"TagKey":     {strings.Repeat("k", 100)},
	"Regions":    {"us-gov-west-1", "eu-west-1, ap-southeast-2", "eu-west-1 ap-southeast-2", "mars-north-10"},
	"RoleArns": {
		"arn:aws-cn:iam::444455556666:role/net/sync@x",
		"arn:aws:iam::111122223333:role/a, arn:aws:iam::222233334444:role/a",
		"arn:aws:iam::111122223333:role/a arn:aws:iam::222233334444:role/a",
	},
	"MemberAccounts":   {"111122223333", "111122223333, 444455556666", "111122223333 444455556666"},
	"MemberRoleName":   {"net/sync@x", strings.Repeat("r", 512)},
	"ExternalId":       {"hub:7/a=b@c"},
	"RulesPerGroup":    {"1", "60", "1000"},
	"MaxRevokePercent": {"0", "100"},
	"MetricsNamespace": {"none", "a.b_c#d:e-f", "Acme/Origins", strings.Repeat("n", 255)},
}

// TestEnvironment finds variables that are set and not read, or read and not set; defaults that differ; and settings
// that do not reach the function, or whose change would not be noticed by the sync at deployment.
func TestEnvironment(t *testing.T) {
	s := mainTemplate(t)
	read := map[string]bool{}
	byDefault, err := deploy(s, nil).configuration(read)
	if err != nil {
		t.Errorf("the function cannot start with the template's defaults: %v", err)
	}
	set := get(s.resource("SyncFunction", "Properties", "Environment", "Variables")).(map[string]any)
	delete(set, "HTTPS_PROXY") // net/http reads it
	if diff := cmp.Diff(slices.Sorted(maps.Keys(set)), slices.Sorted(maps.Keys(read))); diff != "" {
		t.Errorf("the template does not set what the function reads: -template +function\n%s", diff)
	}

	bare, err := config.FromEnv(func(string) string { return "" })
	if err != nil {
		t.Errorf("the function cannot start without an environment: %v", err)
	}
	bare.Regions = []string{"us-east-1"} // which AWS_REGION says
	bare.EventQueueARN = changesARN      // the stack's
	if diff := cmp.Diff(bare, byDefault); diff != "" {
		t.Errorf("the template's defaults are not the function's: -function +template\n%s", diff)
	}

	noticed := usedIn(get(s.resource("SyncAtDeploy", "Properties"))).refs
	for name, value := range everySetting {
		if !s.accepts(name, value) {
			t.Errorf("parameter %s refuses %q", name, value)
			continue
		}
		parameters := map[string]string{name: value}
		if name == "MemberRoleName" { // the name alone changes nothing
			parameters["MemberAccounts"] = "444455556666"
		}
		config, err := deploy(s, parameters).configuration(read)
		if err != nil {
			t.Errorf("the function cannot start with %s=%q: %v", name, value, err)
		} else if cmp.Equal(config, byDefault) {
			t.Errorf("parameter %s changes nothing of the function's configuration", name)
		}
		for _, value := range moreValues[name] {
			parameters[name] = value
			if _, err := deploy(s, parameters).configuration(read); err != nil || !s.accepts(name, value) {
				t.Errorf("%s=%q: the template accepts it: %t, the function says %v", name,
					value, s.accepts(name, value), err)
			}
		}
	}
	for name := range usedIn(set).refs {
		_, isParameter := s.section("Parameters")[name]
		if _, ok := everySetting[name]; isParameter && !ok && name != "AlarmTopicArn" {
			t.Errorf("parameter %s is a setting of the function and not tried here", name)
		}
		if isParameter && name != "AlarmTopicArn" && !noticed[name] {
			t.Errorf("SyncAtDeploy does not notice a change of %s", name)
		}
	}
	for _, name := range []string{"OnDelete", "Release"} {
		if s.resource("SyncAtDeploy", "Properties", name) == nil {
			t.Errorf("SyncAtDeploy has no property %s", name)
		}
	}
}

// parameterOf returns the parameter behind a variable of the function: TagKey for TAG_KEY.
func parameterOf(variable string) string {
	parameter := ""
	for word := range strings.SplitSeq(variable, "_") {
		parameter += word[:1] + strings.ToLower(word[1:])
	}
	return parameter
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
