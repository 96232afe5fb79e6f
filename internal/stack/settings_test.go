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

// checkEnvironment finds variables that are set and not read, or read and not set; defaults that differ; and settings
// that do not reach the function, or whose change would not be noticed by the sync at deployment.
func checkEnvironment(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
	read := map[string]bool{}
	byDefault, err := deploy(s, nil).configuration(read)
	if err != nil {
		report("the function cannot start with the template's defaults: %v", err)
	}
	set := get(s.resource("SyncFunction", "Properties", "Environment", "Variables")).(map[string]any)
	delete(set, "HTTPS_PROXY") // net/http reads it
	for name := range set {
		if !read[name] {
			report("variable %s is set and not read", name)
		}
	}
	for name := range read {
		if set[name] == nil {
			report("variable %s is read and not set", name)
		}
	}

	bare, err := config.FromEnv(func(string) string { return "" })
	if err != nil {
		report("the function cannot start without an environment: %v", err)
	}
	bare.Regions = []string{"us-east-1"} // which AWS_REGION says
	bare.EventQueueARN = changesARN      // the stack's
	if diff := cmp.Diff(bare, byDefault); diff != "" {
		report("the template's defaults are not the function's: -function +template\n%s", diff)
	}

	noticed := usedIn(get(s.resource("SyncAtDeploy", "Properties"))).refs
	for name, value := range everySetting {
		if !s.accepts(name, value) {
			report("parameter %s refuses %q", name, value)
			continue
		}
		parameters := map[string]string{name: value}
		if name == "MemberRoleName" { // the name alone changes nothing
			parameters["MemberAccounts"] = "444455556666"
		}
		config, err := deploy(s, parameters).configuration(read)
		if err != nil {
			report("the function cannot start with %s=%q: %v", name, value, err)
		} else if cmp.Equal(config, byDefault) {
			report("parameter %s changes nothing of the function's configuration", name)
		}
	}
	for name := range usedIn(set).refs {
		_, isParameter := s.section("Parameters")[name]
		if _, ok := everySetting[name]; isParameter && !ok && name != "AlarmTopicArn" {
			report("parameter %s is a setting of the function and not tried here", name)
		}
		if isParameter && name != "AlarmTopicArn" && !noticed[name] {
			report("SyncAtDeploy does not notice a change of %s", name)
		}
	}
	for _, name := range []string{"OnDelete", "Release"} {
		if s.resource("SyncAtDeploy", "Properties", name) == nil {
			report("SyncAtDeploy has no property %s", name)
		}
	}
}

// parameterOf maps the function's variables to the parameters behind them.
var parameterOf = map[string]string{
	"IP_RANGES_URL":      "IpRangesUrl",
	"TOPIC_ARN":          "TopicArn",
	"SERVICES":           "Services",
	"WITHIN":             "Within",
	"IP_FAMILIES":        "IpFamilies",
	"TAG_KEY":            "TagKey",
	"REGIONS":            "Regions",
	"ROLE_ARNS":          "RoleArns",
	"MEMBER_ACCOUNTS":    "MemberAccounts",
	"MEMBER_ROLE_NAME":   "MemberRoleName",
	"EXTERNAL_ID":        "ExternalId",
	"RULES_PER_GROUP":    "RulesPerGroup",
	"MAX_REVOKE_PERCENT": "MaxRevokePercent",
	"METRICS_NAMESPACE":  "MetricsNamespace",
	"NOTIFY_TOPIC_ARN":   "NotifyTopicArn",
}

// manyServices are more than the description of a rule can name.
var manyServices = func() string {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("SERVICE_%d", i))
	}
	return strings.Join(names, ",")
}()

// samples are values to try on a variable of the function and on the parameter behind it.
var samples = map[string][]string{
	"IP_RANGES_URL": {
		"https://ip-ranges.amazonaws.com/ip-ranges.json", "https://mirror.example.com", "https://mirror.example.com:8443/a?b=c#d",
		"http://ip-ranges.amazonaws.com/", "ftp://example.com/", "ip-ranges.json", "https://", "https://example.com:port/",
		"https://mirror.example.com/%7e", "https://mirror.example.com/%zz", "https://mirror.example.com/%", "https://name@example.com/", "https://name:password@example.com/", "http://10.0.0.1/",
	},
	"TOPIC_ARN": {
		config.DefaultTopicARN, "arn:aws-us-gov:sns:us-gov-west-1:111122223333:a_b-c", "AmazonIpSpaceChanged",
		"arn:aws:sqs:us-east-1:806199016981:AmazonIpSpaceChanged", "arn:aws:sns:us-east-1:80619901698:x",
		"arn:aws:sns:us-east-1:806199016981:", "arn:aws:sns:us-east-1:806199016981:*", config.DefaultTopicARN + ":4f1c6ab",
	},
	"SERVICES": {
		"CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT ROUTE53_HEALTHCHECKS", "CLOUDFRONT,ROUTE53_HEALTHCHECKS", "CLOUDFRONT, S3",
		"cloudfront", "CLOUDFRONT;EC2", "CLOUDFRONT, ec2", "*", ",", manyServices,
	},
	"WITHIN": {
		"", "S3", "AMAZON GLOBALACCELERATOR", "S3,EC2", "S3, EC2",
		"cloudfront", "S3;EC2", "S3, ec2", "*", ",", manyServices,
	},
	"IP_FAMILIES": {"ipv4 ipv6", "ipv4,ipv6", "ipv6, ipv4", "ipv4", "ipv6", "ipv5", "IPv4", "4", "none", "ipv4;ipv6", ","},
	"TAG_KEY": {
		"cloudfront-ingress", "team.ingress_2", strings.Repeat("k", 100), strings.Repeat("k", 101), "a b", "a*", "a,b", `a"b`, "a$b", "ü",
	},
	"REGIONS": {
		"", "eu-west-1", "us-gov-west-1", "eu-west-1,ap-southeast-2", "eu-west-1, ap-southeast-2", "eu-west-1 ap-southeast-2", "mars-north-10",
		"everywhere", "eu-west", "eu-west-1a", "EU-WEST-1", "us-east-1,eu-west", "us-east-1;eu-west-1", "*", "us-east-1.example.com",
	},
	"ROLE_ARNS": {
		"", "arn:aws:iam::111122223333:role/sync", "arn:aws-cn:iam::444455556666:role/net/sync@x",
		"arn:aws:iam::111122223333:role/a,arn:aws:iam::222233334444:role/a", "arn:aws:iam::111122223333:role/a arn:aws:iam::222233334444:role/a",
		"sync", "111122223333", "arn:aws:iam::11112222333:role/sync", "arn:aws:iam::111122223333:user/sync",
		"arn:aws:iam::111122223333:role/", "arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/a,b",
	},
	"MEMBER_ACCOUNTS":    {"", "111122223333", "111122223333,444455556666", "111122223333, 444455556666", "111122223333 444455556666", "11112222333", "1111222233334", "all", "*", "111122223333;444455556666"},
	"MEMBER_ROLE_NAME":   {"cloudfront-sg-sync", "net/sync@x", strings.Repeat("r", 512), strings.Repeat("r", 513), "*", "a b", "role*", "ü"},
	"EXTERNAL_ID":        {"", "hub-7", "hub:7/a=b@c", "x", "hub 7", "hub*"},
	"RULES_PER_GROUP":    {"auto", "1", "60", "999", "1000", "0", "-1", "1001", "60.5", "1e2", "0x3c", "AUTO", "184467e18"},
	"MAX_REVOKE_PERCENT": {"0", "50", "100", "-1", "101", "50%", "33.3", "1e1", "none", "auto"},
	"METRICS_NAMESPACE": {
		"CloudFrontSGSync", "none", "Edge/Origins", "a.b_c#d:e-f", strings.Repeat("n", 255), strings.Repeat("n", 256), "a b", `a"b`, "ä", "AWS/foo", "Acme/Origins",
	},
	"NOTIFY_TOPIC_ARN": {"", "arn:aws:sns:eu-west-1:111122223333:changes", "changes", "arn:aws:sqs:eu-west-1:111122223333:changes", "*"},
}

// checkParameters tries each sample on the parameter and on the function: the template must not let pass what the
// function cannot start with, nor refuse what it can. What is stricter in the template by intention is no sample: there
// a tag key has no characters that would be special in a condition key, a topic is no FIFO topic, to which a function
// cannot subscribe, a URL is not plain HTTP of loopback, a list has no spaces and no empty item, and a namespace does
// not begin with AWS even without a slash.
func checkParameters(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
	read := map[string]bool{}
	_, _ = deploy(s, nil).configuration(read)
	delete(read, "EVENT_QUEUE_ARN") // which no parameter sets
	for _, variable := range slices.Sorted(maps.Keys(read)) {
		parameter := parameterOf[variable]
		if parameter == "" || len(samples[variable]) == 0 {
			report("no value is tried on variable %s", variable)
			continue
		}
		if name, ok := get(s.resource("SyncFunction", "Properties", "Environment", "Variables"), variable).(map[string]any); ok {
			if !usedIn(name).refs[parameter] {
				report("variable %s is not set from parameter %s", variable, parameter)
			}
		}
		for _, value := range samples[variable] {
			_, err := config.FromEnv(func(name string) string {
				if name == variable {
					return value
				}
				return ""
			})
			if accepts := s.accepts(parameter, value); accepts != (err == nil) {
				report("parameter %s accepts %q: %t, the function's error: %v", parameter, value, accepts, err)
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
	f := readFiles(t)
	if !strings.Contains(f[organizationFile], fmt.Sprintf("some %d accounts", len(accounts))) {
		t.Errorf("%s does not say how many accounts a hub takes", organizationFile)
	}
	d := deploy(f.template(t, mainFile), map[string]string{"MemberAccounts": strings.Join(accounts, ","), "ExternalId": strings.Repeat("x", 32)})
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
