package function

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// DefaultTopicARN is the topic on which AWS announces a new ip-ranges.json. See
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
const DefaultTopicARN = "arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged"

// Config is the function's configuration, as its environment gives it.
type Config struct {
	URL       string // of ip-ranges.json
	TopicARN  string // the only topic whose notifications count
	Selection iprange.Selection
	TagKey    string
	Regions   []string // empty means the region the function runs in
	RoleARNs  []string // of other accounts, to be synchronised as well
	// MemberAccounts are other accounts that are synchronised by a role of the
	// name MemberRoleName, but for those that RoleARNs has a role of.
	MemberAccounts []string
	MemberRoleName string
	// ExternalID is what the roles of other accounts ask for in their trust
	// policies; empty if they do not.
	ExternalID string
	// RulesPerGroup is the quota of rules per security group; zero asks
	// Service Quotas.
	RulesPerGroup    int
	MaxRevokePercent int
	// NotifyTopicARN is the topic that is told when rules have changed; it is
	// empty where nobody is.
	NotifyTopicARN string
	// MetricsNamespace is where CloudWatch shows the metrics of the runs; it
	// is empty where there are none.
	MetricsNamespace string
}

// The patterns are compiled when a value needs them: most runs need few, and
// compiling all of them would be the largest part of a cold start that is ours.
var (
	servicePattern = pattern(`^[A-Z0-9_]+$`)
	familyPattern  = pattern(`^ipv[46]$`)
	regionPattern  = pattern(`^[a-z]{2,}(-[a-z]+)+-\d+$`)
	rolePattern    = pattern(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)
	accountPattern = pattern(`^\d{12}$`)
	// A role's name may come with its path.
	roleNamePattern = pattern(`^[\w+=,.@/-]{1,512}$`)
	topicPattern    = pattern(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+$`)
	// A namespace is at most 255 of these characters, and those that begin with
	// AWS/ are Amazon's own. See
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html and
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
	namespacePattern = pattern(`^[A-Za-z0-9._/#:-]{1,255}$`)
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	externalIDPattern = pattern(`^[\w+=,.@:/-]{2,}$`)
	tagKeyPattern     = pattern(`^[A-Za-z0-9._/=+@-]+$`)
)

// maxTagKey leaves room for what is added to the tag key: in the 128 characters
// of a tag's key the suffixes, in a rule's description the services and a time.
const maxTagKey = 100

func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// ConfigFromEnv reads the configuration from environment variables. The error
// names every variable that cannot be read, in one line.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	return ReadConfig(func(variable string) (place, value string) { return variable, getenv(variable) })
}

// ReadConfig reads the configuration from where lookup finds the value of each
// variable. The error names every place whose value cannot be read, in one line.
func ReadConfig(lookup func(variable string) (place, value string)) (Config, error) {
	var bad []string
	// read hands the value of a variable, or its default, to parse.
	read := func(variable, fallback string, parse func(string) error) {
		place, value := lookup(variable)
		value = cmp.Or(strings.TrimSpace(value), fallback)
		if err := parse(value); err != nil {
			bad = append(bad, fmt.Sprintf("%s=%q: %v", place, withoutPassword(value), err))
		}
	}
	var c Config
	read("IP_RANGES_URL", iprange.DefaultURL, func(s string) error {
		c.URL = s
		return iprange.ValidateURL(s)
	})
	read("TOPIC_ARN", DefaultTopicARN, func(s string) error {
		c.TopicARN = s
		return match(s, topicPattern, "an SNS topic such as "+DefaultTopicARN)
	})
	read("IP_FAMILIES", "ipv4 ipv6", func(s string) (err error) {
		c.Selection.IPv4, c.Selection.IPv6, err = families(s)
		return err
	})
	read("TAG_KEY", "cloudfront-ingress", func(s string) error {
		if len(s) > maxTagKey || !tagKeyPattern().MatchString(s) {
			return fmt.Errorf("%q is not a tag key of at most %d letters, digits and ._/=+@-", s, maxTagKey)
		}
		c.TagKey = s
		return nil
	})
	read("SERVICES", "CLOUDFRONT", func(s string) (err error) {
		c.Selection.Services, err = list(s, servicePattern, "a service as ip-ranges.json names it, such as CLOUDFRONT")
		if err != nil {
			return err
		}
		return stampOf(c).Validate()
	})
	read("WITHIN", "", func(s string) (err error) {
		c.Selection.Within, err = list(s, servicePattern, "a service as ip-ranges.json names it, such as CLOUDFRONT")
		if err != nil || len(c.Selection.Services) == 0 {
			return err
		}
		for _, service := range c.Selection.Within {
			if slices.Contains(c.Selection.Services, service) {
				return fmt.Errorf("%s is one of SERVICES, so it is let in whole and makes no rule fewer; for the compact cover of CloudFront set SERVICES=%s WITHIN=%s",
					service, iprange.CloudFrontOriginFacing, iprange.CloudFront)
			}
		}
		return stampOf(c).Validate()
	})
	read("REGIONS", "", func(s string) (err error) {
		c.Regions, err = list(s, regionPattern, "a region such as eu-west-1")
		return err
	})
	read("ROLE_ARNS", "", func(s string) (err error) {
		c.RoleARNs, err = list(s, rolePattern, "a role such as arn:aws:iam::111122223333:role/cloudfront-sg-sync")
		return err
	})
	read("MEMBER_ACCOUNTS", "", func(s string) (err error) {
		c.MemberAccounts, err = list(s, accountPattern, "an account ID of 12 digits")
		return err
	})
	read("MEMBER_ROLE_NAME", "cloudfront-sg-sync", func(s string) error {
		c.MemberRoleName = s
		return match(s, roleNamePattern, "the name of a role such as cloudfront-sg-sync")
	})
	read("EXTERNAL_ID", "", func(s string) error {
		c.ExternalID = s
		if s == "" {
			return nil
		}
		return match(s, externalIDPattern, "an external ID of two or more letters, digits and _+=,.@:/-")
	})
	read("RULES_PER_GROUP", "auto", func(s string) (err error) {
		if s != "auto" {
			c.RulesPerGroup, err = number(s, 1, 1000)
		}
		return err
	})
	read("MAX_REVOKE_PERCENT", "50", func(s string) (err error) {
		c.MaxRevokePercent, err = number(s, 0, 100)
		return err
	})
	read("NOTIFY_TOPIC_ARN", "", func(s string) error {
		c.NotifyTopicARN = s
		if s == "" {
			return nil
		}
		return match(s, topicPattern, "an SNS topic such as arn:aws:sns:eu-west-1:111122223333:origin-changes")
	})
	read("METRICS_NAMESPACE", "CloudFrontSGSync", func(s string) error {
		if s == "none" {
			return nil
		}
		c.MetricsNamespace = s
		if strings.HasPrefix(s, "AWS/") {
			return errors.New("namespaces that begin with AWS/ are Amazon's own; name another, or none")
		}
		return match(s, namespacePattern, "a namespace of CloudWatch of at most 255 letters, digits and ._/#:-, nor none")
	})
	if len(bad) > 0 {
		return Config{}, errors.New("configuration: " + strings.Join(bad, "; "))
	}
	return c, nil
}

// NewEngine returns the engine that the configuration asks for. It has the
// credentials, the region and the endpoints of cfg, and its ranges from fetch.
func (c Config) NewEngine(cfg aws.Config, fetch engine.FetchFunc, log *slog.Logger) (*engine.Engine, error) {
	if len(c.Regions) == 0 {
		if cfg.Region == "" {
			return nil, errors.New("configuration: neither REGIONS nor AWS_REGION names a region")
		}
		c.Regions = []string{cfg.Region}
	}
	if cfg.Region == "" {
		cfg.Region = c.Regions[0] // STS needs one
	}
	return &engine.Engine{
		Fetch:            fetch,
		Services:         c.Selection.Services,
		Within:           c.Selection.Within,
		Targets:          engine.Targets(cfg, c.Regions, c.Roles(cfg.Region), c.ExternalID),
		TagKey:           c.TagKey,
		RulesPerGroup:    c.RulesPerGroup,
		MaxRevokePercent: c.MaxRevokePercent,
		Families:         c.Families(),
		Log:              log,
	}, nil
}

// Roles returns the roles to assume, in the partition of a region: those of
// RoleARNs, and that of each member account that has none among them.
func (c Config) Roles(region string) []string {
	roles := slices.Clone(c.RoleARNs)
	for _, account := range c.MemberAccounts {
		if !slices.ContainsFunc(c.RoleARNs, func(arn string) bool { return engine.AccountOf(arn) == account }) {
			roles = append(roles, fmt.Sprintf("arn:%s:iam::%s:role/%s", partitionOf(region), account, c.MemberRoleName))
		}
	}
	return roles
}

// partitionOf returns the partition that a region is in, of those that the
// template supports. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// stampOf returns a stamp like those of the rules that a configuration makes.
func stampOf(c Config) secgroup.Stamp {
	return secgroup.Stamp{TagKey: c.TagKey, Services: c.Selection.Services, Within: c.Selection.Within, Published: time.Unix(0, 0)}
}

// withoutPassword leaves out what stands before an @ in a URL.
func withoutPassword(value string) string {
	scheme, rest, isURL := strings.Cut(value, "://")
	if i := strings.LastIndexByte(rest, '@'); isURL && i >= 0 {
		return scheme + "://…" + rest[i:]
	}
	return value
}

func match(s string, pattern func() *regexp.Regexp, what string) error {
	if !pattern().MatchString(s) {
		return fmt.Errorf("%q is not %s", s, what)
	}
	return nil
}

// list splits a list at spaces and commas; an empty string is an empty list.
// What stands in it twice is taken once.
func list(s string, pattern func() *regexp.Regexp, what string) ([]string, error) {
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
		return nil, errors.New("the list is empty; name " + what)
	}
	return items, nil
}

func families(s string) (ipv4, ipv6 bool, err error) {
	items, err := list(s, familyPattern, "ipv4 or ipv6")
	return slices.Contains(items, "ipv4"), slices.Contains(items, "ipv6"), err
}

func number(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", s, least, most)
	}
	return n, nil
}

// Families returns the IP families that ranges are wanted of.
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
