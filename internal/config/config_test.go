package config

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"cloudfront-sg-sync/iprange"

	"github.com/google/go-cmp/cmp"
)

// environment has variables and their values.
type environment map[string]string

func (e environment) read() (Config, error) {
	return FromEnv(func(name string) string { return e[name] })
}

func TestFromEnv(t *testing.T) {
	const sync, other = "arn:aws:iam::111122223333:role/sync", "arn:aws-cn:iam::444455556666:role/net/sync@x"
	const topic, queue = "arn:aws-us-gov:sns:us-gov-west-1:111122223333:a.fifo", "arn:aws:sqs:us-east-1:111122223333:a"
	defaults := func(*Config) {}
	url := func(url string) func(*Config) { return func(c *Config) { c.URL = url } }
	services := func(names ...string) func(*Config) { return func(c *Config) { c.Selection.Services = names } }
	for _, test := range []struct {
		name, value string
		want        func(*Config)
	}{
		{"IP_RANGES", "http://example.com", defaults}, // another variable

		{"IP_RANGES_URL", "http://127.0.0.1:8080/", url("http://127.0.0.1:8080/")},
		{"IP_RANGES_URL", " https://mirror.example.com/ranges\n", url("https://mirror.example.com/ranges")},
		{"IP_RANGES_URL", " ", defaults},
		{"TOPIC_ARN", topic, func(c *Config) { c.TopicARN = topic }},
		{"SERVICES", "CLOUDFRONT_ORIGIN_FACING", services("CLOUDFRONT_ORIGIN_FACING")},
		{"SERVICES", " CLOUDFRONT ,\n\tS3,,EC2, ", services("CLOUDFRONT", "S3", "EC2")},
		{"SERVICES", "S3,CLOUDFRONT S3", services("S3", "CLOUDFRONT")},
		{"WITHIN", "AMAZON, S3 AMAZON", func(c *Config) { c.Selection.Within = []string{"AMAZON", "S3"} }},
		{"WITHIN", " ", defaults},
		{"IP_FAMILIES", "ipv4", func(c *Config) { c.Selection.IPv6 = false }},
		{"IP_FAMILIES", "ipv6", func(c *Config) { c.Selection.IPv4 = false }},
		{"IP_FAMILIES", "ipv6,ipv4", defaults},
		{"TAG_KEY", "team/cloudfront.ingress_2", func(c *Config) { c.TagKey = "team/cloudfront.ingress_2" }},
		{"TAG_KEY", strings.Repeat("k", 100), func(c *Config) { c.TagKey = strings.Repeat("k", 100) }},
		{"REGIONS", "eu-west-1 us-gov-west-1", func(c *Config) { c.Regions = []string{"eu-west-1", "us-gov-west-1"} }},
		{"ROLE_ARNS", sync + "," + other + " " + sync, func(c *Config) { c.RoleARNs = []string{sync, other} }},
		{"MEMBER_ACCOUNTS", "111122223333,444455556666 111122223333", func(c *Config) {
			c.MemberAccounts = []string{"111122223333", "444455556666"}
		}},
		{"MEMBER_ROLE_NAME", "net/sync@x", func(c *Config) { c.MemberRoleName = "net/sync@x" }},
		{"MEMBER_ROLE_NAME", "r", func(c *Config) { c.MemberRoleName = "r" }},
		{"MEMBER_ROLE_NAME", strings.Repeat("r", 512), func(c *Config) { c.MemberRoleName = strings.Repeat("r", 512) }},
		{"NOTIFY_TOPIC_ARN", topic, func(c *Config) { c.NotifyTopicARN = topic }},
		{"NOTIFY_TOPIC_ARN", " ", defaults},
		{"EVENT_QUEUE_ARN", queue, func(c *Config) { c.EventQueueARN = queue }},
		{"METRICS_NAMESPACE", "Edge/A.SG#1:a_b-c", func(c *Config) { c.MetricsNamespace = "Edge/A.SG#1:a_b-c" }},
		{"METRICS_NAMESPACE", strings.Repeat("n", 255), func(c *Config) { c.MetricsNamespace = strings.Repeat("n", 255) }},
		{"METRICS_NAMESPACE", "none", func(c *Config) { c.MetricsNamespace = "" }},
		{"EXTERNAL_ID", "hub:7/a=b@c", func(c *Config) { c.ExternalID = "hub:7/a=b@c" }},
		{"EXTERNAL_ID", strings.Repeat("x", 1224), func(c *Config) { c.ExternalID = strings.Repeat("x", 1224) }},
		{"RULES_PER_GROUP", "auto", defaults},
		{"RULES_PER_GROUP", "1", func(c *Config) { c.RulesPerGroup = 1 }},
		{"RULES_PER_GROUP", "1000", func(c *Config) { c.RulesPerGroup = 1000 }},
		{"MAX_REVOKE_PERCENT", "0", func(c *Config) { c.MaxRevokePercent = 0 }},
		{"MAX_REVOKE_PERCENT", "100", func(c *Config) { c.MaxRevokePercent = 100 }},
	} {
		want := Config{
			URL:              "https://ip-ranges.amazonaws.com/ip-ranges.json",
			TopicARN:         "arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged",
			Selection:        iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true},
			TagKey:           "cloudfront-ingress",
			MemberRoleName:   "cloudfront-sg-sync",
			MaxRevokePercent: 50,
			MetricsNamespace: "CloudFrontSGSync",
		}
		test.want(&want)
		got, err := environment{test.name: test.value}.read()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s=%q: error %v, -want +got\n%s", test.name, test.value, err, diff)
		}
	}
	// The compact cover.
	c, err := environment{"SERVICES": "CLOUDFRONT_ORIGIN_FACING", "WITHIN": "CLOUDFRONT"}.read()
	if got := c.Selection.String(); got != "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT" || err != nil {
		t.Errorf("%s, error %v", got, err)
	}
}

func TestFromEnvRefused(t *testing.T) {
	const topic, role = "arn:aws:sns:us-east-1:806199016981:", "arn:aws:iam::111122223333:role/"
	var tooMany string // for a rule's description
	for i := range 40 {
		tooMany += fmt.Sprintf(" SERVICE_%d", i)
	}
	for _, test := range []struct{ name, want, values string }{ // separated by |
		{"IP_RANGES_URL", "not a URL like https://", "ip-ranges.json"},
		{"IP_RANGES_URL", "invalid port", "https://example.com:port/"},
		{"IP_RANGES_URL", "use https", "http://ip-ranges.amazonaws.com/"},
		{"IP_RANGES_URL", `scheme "ftp" is not supported`, "ftp://example.com/ip-ranges.json"},
		{"IP_RANGES_URL", `@example.com/": credentials in a URL`, "https://me@example.com/|https://me:s3cret@example.com/"},
		{"IP_RANGES_URL", "invalid control character", "https://example.com/\nTAG_KEY=all"},
		{"TOPIC_ARN", " is not an SNS topic such as " + topic, "changes|" + topic + "|" + topic + "*|" + topic + "a:b"},
		{"TOPIC_ARN", "is not an SNS topic", "arn:aws:sqs:us-east-1:806199016981:a|arn:aws:sns:us-east-1:80619901698:a"},
		{"TOPIC_ARN", "is not an SNS topic", topic + "a," + topic + "b|" + topic + "a\n" + topic + "b"},
		{"SERVICES", " is not a service as ip-ranges.json names it", "cloudfront|CLOUDFRONT;EC2|CLOUDFRONT, ec2"},
		{"SERVICES", "list fewer services", tooMany},
		{"WITHIN", " is not a service as ip-ranges.json names it", "cloudfront"},
		{"WITHIN", "list fewer services", tooMany},
		{"WITHIN", "CLOUDFRONT is one of SERVICES, so all of it is let in and no rules are saved; for the compact cover of " +
			"CloudFront set SERVICES=CLOUDFRONT_ORIGIN_FACING WITHIN=CLOUDFRONT", "CLOUDFRONT|S3 CLOUDFRONT"},
		{"IP_FAMILIES", " is not ipv4 or ipv6", "ipv5|IPv4|ipv4;ipv6"},
		{"TAG_KEY", "is not a tag key of at most 100 letters", "cloudfront ingress|ingrèss|a\nb|" + strings.Repeat("k", 101)},
		{"REGIONS", " is not a region such as eu-west-1", "everywhere|eu-west-1a|us-east-1 eu-west|us-east-1;eu-west-1"},
		{"REGIONS", " is not a region", "169.254.169.254/eu-1"},
		{"MEMBER_ACCOUNTS", " is not an account ID of 12 digits", "11112222333|111122223333;444455556666|" + role + "sync"},
		{
			"MEMBER_ROLE_NAME", " is not the name of a role such as cloudfront-sg-sync",
			"role*|net/role/|two names|" + strings.Repeat("r", 513),
		},
		{"ROLE_ARNS", " is not a role such as arn:aws:iam::", "sync|" + role + "*|" + role + "sync, elsewhere"},
		{"ROLE_ARNS", " is not a role", "arn:aws:iam::11112222333:role/sync|arn:aws:iam::111122223333:user/sync"},
		{"NOTIFY_TOPIC_ARN", " is not an SNS topic such as arn:aws:sns:eu-west-1:", "ops|none|" + topic + "a," + topic + "b"},
		{"EVENT_QUEUE_ARN", " is not an SQS queue such as arn:aws:sqs:eu-west-1:", "changes|" + topic + "changes"},
		{"METRICS_NAMESPACE", "are Amazon's own", "AWS/Lambda"},
		{"METRICS_NAMESPACE", " is not a CloudWatch namespace of at most 255", "a name|a\nb|" + strings.Repeat("n", 256)},
		{"EXTERNAL_ID", " is not an external ID of two or more letters", "x|hub 7|hub\n7"},
		// The last is 60 in 64 bits.
		{"RULES_PER_GROUP", " is not a whole number from 1 to 1000", "0|1001|sixty|1e2|18446744073709551676"},
		{"MAX_REVOKE_PERCENT", " is not a whole number from 0 to 100", "-1|101|none"},
	} {
		for value := range strings.SplitSeq(test.values, "|") {
			c, err := environment{test.name: value}.read()
			checkOneLine(t, err, "configuration: "+test.name+"=", test.want)
			if diff := cmp.Diff(Config{}, c); diff != "" || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s=%q: error %v, and this is returned:\n%s", test.name, value, err, diff)
			}
		}
	}
	for _, list := range []string{"SERVICES", "WITHIN", "IP_FAMILIES", "REGIONS", "MEMBER_ACCOUNTS", "ROLE_ARNS"} {
		_, err := environment{list: ","}.read()
		checkOneLine(t, err, list+"=", "the list is empty")
	}
	// A description holds both lists. A setting that depends on others is checked even if one of those is bad itself.
	services := strings.Repeat("S", 120)
	_, err := environment{"SERVICES": services, "WITHIN": services[1:], "TAG_KEY": "k"}.read()
	checkOneLine(t, err, "would have 276 characters, but EC2 accepts 255")
	_, err = environment{"WITHIN": "CLOUDFRONT", "TAG_KEY": "a key"}.read()
	checkOneLine(t, err, "TAG_KEY=", "WITHIN=", "CLOUDFRONT is one of SERVICES")
}

// Every bad variable is reported at once, and none of the good ones.
func TestFromEnvNamesEveryBadVariable(t *testing.T) {
	all := environment{}
	for _, v := range variables {
		all[v.name] = "a value\nof two lines"
	}
	for good := range all {
		bad := maps.Clone(all)
		delete(bad, good)
		_, err := bad.read()
		checkOneLine(t, err)
		for name := range all {
			if n := strings.Count(err.Error(), " "+name+"="); (n == 1) != (name != good) || n > 1 {
				t.Errorf("without a bad %s: %s is named %d times, in: %v", good, name, n, err)
			}
		}
	}
}

// checkOneLine fails unless err is one line that holds all the words.
func checkOneLine(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("an error of several lines: %q", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want one with %q", err, word)
		}
	}
}
