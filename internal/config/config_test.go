package config

import (
	"fmt"
	"strings"
	"testing"

	"cloudfront-sg-sync/iprange"

	"github.com/google/go-cmp/cmp"
)

// environ returns a getenv of an environment.
func environ(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestFromEnv(t *testing.T) {
	defaults := func(change func(*Config)) Config {
		c := Config{
			URL:              "https://ip-ranges.amazonaws.com/ip-ranges.json",
			TopicARN:         "arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged",
			Selection:        iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true},
			TagKey:           "cloudfront-ingress",
			RulesPerGroup:    0,
			MemberRoleName:   "cloudfront-sg-sync",
			MaxRevokePercent: 50,
			MetricsNamespace: "CloudFrontSGSync",
		}
		change(&c)
		return c
	}
	for _, test := range []struct {
		name, variable, value string
		want                  func(*Config)
	}{
		{"empty environment", "", "", func(*Config) {}},
		{"another variable", "IP_RANGES", "http://example.com", func(*Config) {}},

		{"URL", "IP_RANGES_URL", "https://mirror.example.com/ranges", func(c *Config) { c.URL = "https://mirror.example.com/ranges" }},
		{"URL of loopback", "IP_RANGES_URL", "http://127.0.0.1:8080/", func(c *Config) { c.URL = "http://127.0.0.1:8080/" }},
		{"URL of IPv6 loopback", "IP_RANGES_URL", "http://[::1]:8080/", func(c *Config) { c.URL = "http://[::1]:8080/" }},
		{"URL in spaces", "IP_RANGES_URL", " https://mirror.example.com/\n", func(c *Config) { c.URL = "https://mirror.example.com/" }},
		{"URL blank", "IP_RANGES_URL", " ", func(*Config) {}},

		{"topic", "TOPIC_ARN", "arn:aws:sns:us-east-1:111122223333:mirror", func(c *Config) { c.TopicARN = "arn:aws:sns:us-east-1:111122223333:mirror" }},
		{"topic of another partition", "TOPIC_ARN", "arn:aws-us-gov:sns:us-gov-west-1:111122223333:a.fifo", func(c *Config) { c.TopicARN = "arn:aws-us-gov:sns:us-gov-west-1:111122223333:a.fifo" }},

		{"one service", "SERVICES", "CLOUDFRONT_ORIGIN_FACING", func(c *Config) { c.Selection.Services = []string{"CLOUDFRONT_ORIGIN_FACING"} }},
		{"services by spaces", "SERVICES", "CLOUDFRONT ROUTE53_HEALTHCHECKS", func(c *Config) { c.Selection.Services = []string{"CLOUDFRONT", "ROUTE53_HEALTHCHECKS"} }},
		{"services by commas", "SERVICES", "CLOUDFRONT,ROUTE53_HEALTHCHECKS", func(c *Config) { c.Selection.Services = []string{"CLOUDFRONT", "ROUTE53_HEALTHCHECKS"} }},
		{"services by both", "SERVICES", " CLOUDFRONT ,\n\tS3,,EC2, ", func(c *Config) { c.Selection.Services = []string{"CLOUDFRONT", "S3", "EC2"} }},
		{"a service twice", "SERVICES", "S3,CLOUDFRONT S3", func(c *Config) { c.Selection.Services = []string{"S3", "CLOUDFRONT"} }},

		{"IPv4", "IP_FAMILIES", "ipv4", func(c *Config) { c.Selection.IPv6 = false }},
		{"IPv6", "IP_FAMILIES", "ipv6", func(c *Config) { c.Selection.IPv4 = false }},
		{"families by commas", "IP_FAMILIES", "ipv6,ipv4", func(*Config) {}},

		{"tag key", "TAG_KEY", "team/cloudfront.ingress_2", func(c *Config) { c.TagKey = "team/cloudfront.ingress_2" }},
		{"longest tag key", "TAG_KEY", strings.Repeat("k", 100), func(c *Config) { c.TagKey = strings.Repeat("k", 100) }},

		{"services to take in", "WITHIN", "AMAZON, S3 AMAZON", func(c *Config) { c.Selection.Within = []string{"AMAZON", "S3"} }},
		{"no service to take in", "WITHIN", " ", func(*Config) {}},

		{"one region", "REGIONS", "eu-west-1", func(c *Config) { c.Regions = []string{"eu-west-1"} }},
		{"regions by spaces", "REGIONS", "eu-west-1 us-gov-west-1", func(c *Config) { c.Regions = []string{"eu-west-1", "us-gov-west-1"} }},
		{"regions by commas", "REGIONS", "eu-west-1,ap-southeast-2, us-east-1", func(c *Config) { c.Regions = []string{"eu-west-1", "ap-southeast-2", "us-east-1"} }},

		{
			"roles by commas", "ROLE_ARNS", "arn:aws:iam::111122223333:role/sync,arn:aws-cn:iam::444455556666:role/net/sync@x",
			func(c *Config) {
				c.RoleARNs = []string{"arn:aws:iam::111122223333:role/sync", "arn:aws-cn:iam::444455556666:role/net/sync@x"}
			},
		},
		{
			"roles by spaces", "ROLE_ARNS", "arn:aws:iam::111122223333:role/sync arn:aws:iam::111122223333:role/sync",
			func(c *Config) { c.RoleARNs = []string{"arn:aws:iam::111122223333:role/sync"} },
		},

		{
			"accounts by commas", "MEMBER_ACCOUNTS", "111122223333,444455556666 111122223333",
			func(c *Config) { c.MemberAccounts = []string{"111122223333", "444455556666"} },
		},
		{"role with a path", "MEMBER_ROLE_NAME", "net/sync@x", func(c *Config) { c.MemberRoleName = "net/sync@x" }},
		{"shortest role", "MEMBER_ROLE_NAME", "r", func(c *Config) { c.MemberRoleName = "r" }},
		{"longest role", "MEMBER_ROLE_NAME", strings.Repeat("r", 512), func(c *Config) { c.MemberRoleName = strings.Repeat("r", 512) }},

		{"topic to tell", "NOTIFY_TOPIC_ARN", "arn:aws-cn:sns:cn-north-1:111122223333:ops", func(c *Config) { c.NotifyTopicARN = "arn:aws-cn:sns:cn-north-1:111122223333:ops" }},
		{"no topic to tell", "NOTIFY_TOPIC_ARN", " ", func(*Config) {}},
		{"namespace", "METRICS_NAMESPACE", "Edge/CloudFront.SG#1:a_b-c", func(c *Config) { c.MetricsNamespace = "Edge/CloudFront.SG#1:a_b-c" }},
		{"longest namespace", "METRICS_NAMESPACE", strings.Repeat("n", 255), func(c *Config) { c.MetricsNamespace = strings.Repeat("n", 255) }},
		{"no metrics", "METRICS_NAMESPACE", "none", func(c *Config) { c.MetricsNamespace = "" }},
		{"external ID", "EXTERNAL_ID", "hub:7/a=b@c", func(c *Config) { c.ExternalID = "hub:7/a=b@c" }},
		{"long external ID", "EXTERNAL_ID", strings.Repeat("x", 1224), func(c *Config) { c.ExternalID = strings.Repeat("x", 1224) }},

		{"quota asked for", "RULES_PER_GROUP", "auto", func(*Config) {}},
		{"least quota", "RULES_PER_GROUP", "1", func(c *Config) { c.RulesPerGroup = 1 }},
		{"most quota", "RULES_PER_GROUP", "1000", func(c *Config) { c.RulesPerGroup = 1000 }},

		{"no revoke that closes", "MAX_REVOKE_PERCENT", "0", func(c *Config) { c.MaxRevokePercent = 0 }},
		{"all revokes", "MAX_REVOKE_PERCENT", "100", func(c *Config) { c.MaxRevokePercent = 100 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := FromEnv(environ(map[string]string{test.variable: test.value}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(defaults(test.want), got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// The compact cover.
func TestWithin(t *testing.T) {
	c, err := FromEnv(environ(map[string]string{"SERVICES": "CLOUDFRONT_ORIGIN_FACING", "WITHIN": "CLOUDFRONT"}))
	if err != nil {
		t.Fatal(err)
	}
	want := iprange.Selection{Services: []string{"CLOUDFRONT_ORIGIN_FACING"}, Within: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}
	if diff := cmp.Diff(want, c.Selection); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	// A description holds both lists.
	services := strings.Repeat("S", 120)
	_, err = FromEnv(environ(map[string]string{"SERVICES": services, "WITHIN": services[1:], "TAG_KEY": "k"}))
	if err == nil || !strings.Contains(err.Error(), "would have 276 characters, but EC2 accepts 255") {
		t.Errorf("error %v", err)
	}
}

func TestFromEnvRefused(t *testing.T) {
	var tooMany []string // for a rule's description
	for i := range 40 {
		tooMany = append(tooMany, fmt.Sprintf("SERVICE_%d", i))
	}
	for variable, values := range map[string]map[string]string{ // to what the error says of it
		"IP_RANGES_URL": {
			"ip-ranges.json":                    "not a URL like https://",
			"https://example.com:port/":         "invalid port",
			"http://ip-ranges.amazonaws.com/":   "use https",
			"ftp://example.com/ip-ranges.json":  `scheme "ftp" is not supported`,
			"https://name@example.com/":         "credentials in a URL",
			"https://example.com/\nTAG_KEY=all": "invalid control character",
		},
		"TOPIC_ARN": {
			"AmazonIpSpaceChanged": "is not an SNS topic such as arn:aws:sns:",
			"arn:aws:sqs:us-east-1:806199016981:AmazonIpSpaceChanged":         "is not an SNS topic",
			"arn:aws:sns:us-east-1:80619901698:AmazonIpSpaceChanged":          "is not an SNS topic",
			"arn:aws:sns:us-east-1:806199016981:":                             "is not an SNS topic",
			"arn:aws:sns:us-east-1:806199016981:*":                            "is not an SNS topic",
			"arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged:4f1c6ab": "is not an SNS topic",
			DefaultTopicARN + "," + DefaultTopicARN:                           "is not an SNS topic",
			DefaultTopicARN + "\n" + DefaultTopicARN:                          "is not an SNS topic",
		},
		"SERVICES": {
			"cloudfront":               `"cloudfront" is not a service as ip-ranges.json names it`,
			"CLOUDFRONT;EC2":           `"CLOUDFRONT;EC2" is not a service`,
			"CLOUDFRONT, ec2":          `"ec2" is not a service`,
			",":                        "the list is empty",
			strings.Join(tooMany, ","): "list fewer services",
		},
		"WITHIN": {
			"cloudfront":               `"cloudfront" is not a service as ip-ranges.json names it`,
			",":                        "the list is empty",
			"CLOUDFRONT":               "CLOUDFRONT is one of SERVICES, so all of it is let in and no rules are saved; for the compact cover of CloudFront set SERVICES=CLOUDFRONT_ORIGIN_FACING WITHIN=CLOUDFRONT",
			"S3 CLOUDFRONT":            "CLOUDFRONT is one of SERVICES",
			strings.Join(tooMany, ","): "list fewer services",
		},
		"IP_FAMILIES": {
			"ipv5":      `"ipv5" is not ipv4 or ipv6`,
			"IPv4":      `"IPv4" is not ipv4 or ipv6`,
			"ipv4;ipv6": "is not ipv4 or ipv6",
			",":         "the list is empty",
		},
		"TAG_KEY": {
			"cloudfront ingress":     "is not a tag key",
			"cloudfront-ingrèss":     "is not a tag key",
			"a\nb":                   "is not a tag key",
			strings.Repeat("k", 101): "is not a tag key of at most 100 letters",
		},
		"REGIONS": {
			"everywhere":           `"everywhere" is not a region such as eu-west-1`,
			"eu-west-1a":           "is not a region",
			"us-east-1 eu-west":    `"eu-west" is not a region`,
			"us-east-1;eu-west-1":  "is not a region",
			"169.254.169.254/eu-1": "is not a region",
			",":                    "the list is empty",
		},
		"MEMBER_ACCOUNTS": {
			"11112222333":                         "is not an account ID of 12 digits",
			"111122223333;444455556666":           "is not an account ID",
			"arn:aws:iam::111122223333:role/sync": "is not an account ID",
			",":                                   "the list is empty",
		},
		"MEMBER_ROLE_NAME": {
			"role*":                  "is not the name of a role such as cloudfront-sg-sync",
			"net/role/":              "is not the name of a role",
			"two names":              "is not the name of a role",
			strings.Repeat("r", 513): "is not the name of a role",
		},
		"ROLE_ARNS": {
			"cloudfront-sg-sync":                             `"cloudfront-sg-sync" is not a role such as arn:aws:iam::`,
			"arn:aws:iam::11112222333:role/sync":             "is not a role",
			"arn:aws:iam::111122223333:user/sync":            "is not a role",
			"arn:aws:iam::111122223333:role/*":               "is not a role",
			"arn:aws:iam::111122223333:role/sync, elsewhere": `"elsewhere" is not a role`,
			",": "the list is empty",
		},
		"NOTIFY_TOPIC_ARN": {
			"ops":                                    "is not an SNS topic such as arn:aws:sns:eu-west-1:",
			"none":                                   "is not an SNS topic",
			"arn:aws:sqs:eu-west-1:111122223333:ops": "is not an SNS topic",
			"arn:aws:sns:eu-west-1:111122223333:ops,arn:aws:sns:eu-west-1:111122223333:dev": "is not an SNS topic",
		},
		"METRICS_NAMESPACE": {
			"AWS/Lambda":             "are Amazon's own",
			"a namespace":            "is not a CloudWatch namespace",
			"a\nb":                   "is not a CloudWatch namespace",
			strings.Repeat("n", 256): "is not a CloudWatch namespace of at most 255",
		},
		"EXTERNAL_ID": {
			"x":      `"x" is not an external ID of two or more letters`,
			"hub 7":  "is not an external ID",
			"hub\n7": "is not an external ID",
		},
		"RULES_PER_GROUP": {
			"0":                    `"0" is not a whole number from 1 to 1000`,
			"1001":                 "is not a whole number",
			"sixty":                "is not a whole number",
			"1e2":                  "is not a whole number",
			"18446744073709551676": "is not a whole number", // 60 in 64 bits
		},
		"MAX_REVOKE_PERCENT": {
			"-1":   `"-1" is not a whole number from 0 to 100`,
			"101":  "is not a whole number",
			"none": "is not a whole number",
		},
	} {
		t.Run(variable, func(t *testing.T) {
			for value, want := range values {
				c, err := FromEnv(environ(map[string]string{variable: value}))
				checkOneLine(t, err, "configuration: ", variable, want)
				if diff := cmp.Diff(Config{}, c); diff != "" {
					t.Errorf("%s=%q: a configuration is returned with the error\n%s", variable, value, diff)
				}
			}
		})
	}
}

// Every bad variable is reported at once, and none of the good ones.
func TestFromEnvNamesEveryBadVariable(t *testing.T) {
	bad := map[string]string{
		"IP_RANGES_URL":      "http://example.com/",
		"TOPIC_ARN":          "topic\nof two lines",
		"SERVICES":           "cloudfront",
		"WITHIN":             "cloudfront",
		"IP_FAMILIES":        "ipv5",
		"TAG_KEY":            "a key",
		"REGIONS":            "eu-west",
		"ROLE_ARNS":          "role",
		"MEMBER_ACCOUNTS":    "account",
		"MEMBER_ROLE_NAME":   "*",
		"EXTERNAL_ID":        "x",
		"RULES_PER_GROUP":    "0",
		"MAX_REVOKE_PERCENT": "101",
		"NOTIFY_TOPIC_ARN":   "ops",
		"METRICS_NAMESPACE":  "AWS/EC2",
	}
	_, err := FromEnv(environ(bad))
	checkOneLine(t, err)
	for name := range bad {
		if n := strings.Count(err.Error(), " "+name+"="); n != 1 {
			t.Errorf("%s is named %d times in: %v", name, n, err)
		}
	}

	for good := range bad {
		vars := map[string]string{}
		for name, value := range bad {
			if name != good {
				vars[name] = value
			}
		}
		_, err := FromEnv(environ(vars))
		checkOneLine(t, err)
		for name := range bad {
			if named := strings.Contains(err.Error(), " "+name+"="); named != (name != good) {
				t.Errorf("without a bad %s: %s named: %t, in: %v", good, name, named, err)
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

// A password in a URL is refused without being written down.
func TestErrorHidesPassword(t *testing.T) {
	_, err := FromEnv(func(name string) string {
		return map[string]string{"IP_RANGES_URL": "https://user:s3cret@example.com/ip-ranges.json"}[name]
	})
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "example.com") {
		t.Errorf("error %v", err)
	}
}

// A setting that depends on others is checked even if one of those is bad itself.
func TestSettingsAreCheckedApart(t *testing.T) {
	_, err := FromEnv(environ(map[string]string{"WITHIN": "CLOUDFRONT", "TAG_KEY": "a key"}))
	checkOneLine(t, err, "TAG_KEY=", "WITHIN=", "CLOUDFRONT is one of SERVICES")
}
