// Package config holds the settings: the function's environment variables, which cfsg's flags override. Only [Read]
// reads them and knows their names.
package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// DefaultTopicARN is the topic on which AWS announces a new ip-ranges.json. See
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
const DefaultTopicARN = "arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged"

// A Config holds all settings.
type Config struct {
	URL       string // of ip-ranges.json
	TopicARN  string // the only topic whose notifications count
	Selection iprange.Selection
	TagKey    string
	Regions   []string // empty means the region the function runs in
	RoleARNs  []string // of other accounts to sync as well
	// MemberAccounts are other accounts to sync, each through its role MemberRoleName, unless RoleARNs has a role of
	// that account.
	MemberAccounts   []string
	MemberRoleName   string
	ExternalID       string // the one that the trust policies of the roles ask for; empty if they ask for none
	RulesPerGroup    int    // the quota of rules per security group; zero asks Service Quotas
	MaxRevokePercent int
	NotifyTopicARN   string // the topic to notify when rules have changed; empty for none
	EventQueueARN    string // the queue whose records are accepted; empty for none
	MetricsNamespace string // of CloudWatch; empty for no metrics
}

// FromEnv reads the settings from environment variables, as [Read] does.
func FromEnv(getenv func(string) string) (Config, error) {
	return Read(func(variable string) (place, value string) { return variable, getenv(variable) })
}

// Read reads the settings. For each variable, lookup returns its value and the place of the value, such as a flag. The
// error names every place with a bad value, in one line.
func Read(lookup func(variable string) (place, value string)) (Config, error) {
	var c Config
	settings := make([]struct {
		place, value string
		err          error
	}, len(variables))
	for i, v := range variables {
		s := &settings[i]
		s.place, s.value = lookup(v.name)
		s.value = cmp.Or(strings.TrimSpace(s.value), v.fallback)
		s.err = v.parse(&c, s.value)
	}
	var bad error
	for i, s := range settings {
		if check := checks[variables[i].name]; s.err == nil && check != nil {
			s.err = check(c)
		}
		switch {
		case s.err != nil && bad != nil:
			bad = fmt.Errorf("%w; %s=%q: %w", bad, s.place, withoutPassword(s.value), s.err)
		case s.err != nil:
			bad = fmt.Errorf("%s=%q: %w", s.place, withoutPassword(s.value), s.err)
		}
	}
	if bad != nil {
		return Config{}, fmt.Errorf("configuration: %w", bad)
	}
	return c, nil
}

// checks compare the variable of a name with others after all are read. A setting that cannot be read is empty here, so
// the rest is still checked.
var checks = map[string]func(Config) error{
	"SERVICES": func(c Config) error {
		c.Selection.Within = nil
		return fitsDescription(c)
	},
	"WITHIN": func(c Config) error {
		for _, service := range c.Selection.Within {
			if slices.Contains(c.Selection.Services, service) {
				return hint.New(service+" is one of SERVICES, so all of it is let in and no rules are saved",
					fmt.Sprintf("for the compact cover of CloudFront set SERVICES=%s WITHIN=%s", iprange.CloudFrontOriginFacing, iprange.CloudFront))
			}
		}
		return fitsDescription(c)
	},
}

// fitsDescription refuses lists of services that are too long for a rule's description, which names them.
func fitsDescription(c Config) error {
	if len(c.Selection.Services) == 0 {
		return nil
	}
	return secgroup.Stamp{TagKey: c.TagKey, Services: c.Selection.Services, Within: c.Selection.Within, Published: time.Unix(0, 0)}.Validate()
}

// withoutPassword hides the user and password in a URL.
func withoutPassword(value string) string {
	scheme, rest, isURL := strings.Cut(value, "://")
	if i := strings.LastIndexByte(rest, '@'); isURL && i >= 0 {
		return scheme + "://…" + rest[i:]
	}
	return value
}

// Families returns the IP families of the wanted ranges.
func (c Config) Families() []secgroup.Family {
	var all []secgroup.Family
	if c.Selection.IPv4 {
		all = append(all, secgroup.IPv4)
	}
	if c.Selection.IPv6 {
		all = append(all, secgroup.IPv6)
	}
	return all
}

// A variable is an environment variable: parse checks its value, or fallback if that is empty, and sets it in a Config.
type variable struct {
	name, fallback string
	parse          func(*Config, string) error
}

// variables are all the variables. An error lists them in this order.
var variables = []variable{
	{"IP_RANGES_URL", iprange.DefaultURL, func(c *Config, s string) error {
		c.URL = s
		return iprange.ValidateURL(s)
	}},
	{"TOPIC_ARN", DefaultTopicARN, text(func(c *Config) *string { return &c.TopicARN },
		topicPattern, "an SNS topic such as "+DefaultTopicARN)},
	{"IP_FAMILIES", "ipv4 ipv6", func(c *Config, s string) error {
		items, err := split(s, familyPattern, "ipv4 or ipv6")
		c.Selection.IPv4, c.Selection.IPv6 = slices.Contains(items, "ipv4"), slices.Contains(items, "ipv6")
		return err
	}},
	{"TAG_KEY", "cloudfront-ingress", text(func(c *Config) *string { return &c.TagKey },
		tagKeyPattern, "a tag key of at most 100 letters, digits and ._/=+@-")},
	{"SERVICES", "CLOUDFRONT", list(func(c *Config) *[]string { return &c.Selection.Services }, servicePattern, aService)},
	{"WITHIN", "", list(func(c *Config) *[]string { return &c.Selection.Within }, servicePattern, aService)},
	{"REGIONS", "", list(func(c *Config) *[]string { return &c.Regions }, regionPattern, "a region such as eu-west-1")},
	{"ROLE_ARNS", "", list(func(c *Config) *[]string { return &c.RoleARNs },
		rolePattern, "a role such as arn:aws:iam::111122223333:role/cloudfront-sg-sync")},
	{"MEMBER_ACCOUNTS", "", list(func(c *Config) *[]string { return &c.MemberAccounts },
		accountPattern, "an account ID of 12 digits")},
	{"MEMBER_ROLE_NAME", "cloudfront-sg-sync", text(func(c *Config) *string { return &c.MemberRoleName },
		roleNamePattern, "the name of a role such as cloudfront-sg-sync or net/cloudfront-sg-sync")},
	{"EXTERNAL_ID", "", text(func(c *Config) *string { return &c.ExternalID },
		externalIDPattern, "an external ID of two or more letters, digits and _+=,.@:/-")},
	{"RULES_PER_GROUP", "auto", func(c *Config, s string) (err error) {
		if s != "auto" {
			c.RulesPerGroup, err = Number(s, 1, secgroup.MaxInterfaceRules)
		}
		return err
	}},
	{"MAX_REVOKE_PERCENT", "50", func(c *Config, s string) (err error) {
		c.MaxRevokePercent, err = Number(s, 0, 100)
		return err
	}},
	{"NOTIFY_TOPIC_ARN", "", text(func(c *Config) *string { return &c.NotifyTopicARN },
		topicPattern, "an SNS topic such as arn:aws:sns:eu-west-1:111122223333:origin-changes")},
	{"METRICS_NAMESPACE", "CloudFrontSGSync", parseNamespace},
	{"EVENT_QUEUE_ARN", "", text(func(c *Config) *string { return &c.EventQueueARN },
		queuePattern, "an SQS queue such as arn:aws:sqs:eu-west-1:111122223333:changes.fifo")},
}

// text returns a parser of one value, which may be missing.
func text(field func(*Config) *string, pattern func(string) bool, what string) func(*Config, string) error {
	return func(c *Config, s string) error {
		if s != "" && !pattern(s) {
			return match(s, pattern, what)
		}
		*field(c) = s
		return nil
	}
}

// list returns a parser of a list.
func list(field func(*Config) *[]string, pattern func(string) bool, what string) func(*Config, string) error {
	return func(c *Config, s string) (err error) {
		*field(c), err = split(s, pattern, what)
		return err
	}
}

const aService = "a service as ip-ranges.json names it, such as CLOUDFRONT"

// A pattern is compiled when a value needs it. Most runs need few, and compiling all would dominate this program's share
// of a cold start.
var (
	servicePattern = pattern(`^[A-Z0-9_]+$`)
	familyPattern  = pattern(`^ipv[46]$`)
	regionPattern  = pattern(`^[a-z]{2,}(-[a-z]+)+-\d+$`)
	rolePattern    = pattern(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)
	accountPattern = pattern(`^\d{12}$`)
	// A role's name may come with its path. An ARN already has the slash before the path.
	roleNamePattern = atMost(512, pattern(`^[\w+=,.@-]([\w+=,.@/-]*[\w+=,.@-])?$`))
	queuePattern    = pattern(`^arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[\w.-]+$`)
	topicPattern    = pattern(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+$`)
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
	namespacePattern = atMost(255, pattern(`^[A-Za-z0-9._/#:-]+$`))
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	externalIDPattern = pattern(`^[\w+=,.@:/-]{2,}$`)
	// This leaves room for suffixes in a tag's key, which may have 128 characters, and for the services and a time in a
	// rule's description.
	tagKeyPattern = atMost(100, pattern(`^[A-Za-z0-9._/=+@-]+$`))
)

func pattern(expression string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
	return func(s string) bool { return compiled().MatchString(s) }
}

// atMost limits the length of a value. A repetition such as {1,255} would do so too, but it compiles to as many nested
// parts: two of them took more CPU than the rest of reading the configuration.
func atMost(length int, pattern func(string) bool) func(string) bool {
	return func(s string) bool { return len(s) <= length && pattern(s) }
}

// parseNamespace refuses namespaces that begin with AWS/, which are reserved. See
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
func parseNamespace(c *Config, s string) error {
	if s == "none" {
		return nil
	}
	c.MetricsNamespace = s
	if strings.HasPrefix(s, "AWS/") {
		return hint.New("namespaces that begin with AWS/ are Amazon's own", "name another, or none")
	}
	return match(s, namespacePattern, "a CloudWatch namespace of at most 255 letters, digits and ._/#:-, nor none")
}

func match(s string, pattern func(string) bool, what string) error {
	if !pattern(s) {
		return fmt.Errorf("%q is not %s", s, what)
	}
	return nil
}

// split splits a list at spaces and commas, and drops repetitions. An empty string is an empty list.
func split(s string, pattern func(string) bool, what string) ([]string, error) {
	var items []string
	for _, item := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		if err := match(item, pattern, what); err != nil {
			return nil, err
		}
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	if len(items) == 0 && s != "" {
		return nil, hint.New("the list is empty", "name "+what)
	}
	return items, nil
}

// Number reads a whole number between two others.
func Number(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", s, least, most)
	}
	return n, nil
}
