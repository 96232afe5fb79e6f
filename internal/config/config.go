// Package config holds the settings: the function's environment variables, which cfsg's flags override. Only [Read]
// reads them and knows their names.
package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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
	MemberAccounts []string
	MemberRoleName string
	// ExternalID is the one that the trust policies of the roles ask for; empty if they ask for none.
	ExternalID string
	// RulesPerGroup is the quota of rules per security group; zero asks Service Quotas.
	RulesPerGroup    int
	MaxRevokePercent int
	// NotifyTopicARN is the topic to notify when rules have changed; empty for none.
	NotifyTopicARN string
	// EventQueueARN is the queue whose records are accepted; empty for none.
	EventQueueARN string
	// MetricsNamespace is the CloudWatch namespace of the metrics; empty for no metrics.
	MetricsNamespace string
}

// FromEnv reads the settings from environment variables, as [Read] does.
func FromEnv(getenv func(string) string) (Config, error) {
	return Read(func(variable string) (place, value string) { return variable, getenv(variable) })
}

// Read reads the settings. For each variable, lookup returns its value and the place of the value, such as a flag. The
// error names every place with a bad value, in one line.
func Read(lookup func(variable string) (place, value string)) (Config, error) {
	var c Config
	settings := make([]setting, len(variables))
	for i, v := range variables {
		s := &settings[i]
		s.place, s.value = lookup(v.name)
		s.value = cmp.Or(strings.TrimSpace(s.value), v.fallback)
		s.err = v.parse(&c, s.value)
	}
	var bad joinedErrors
	for i, s := range settings {
		if check := checks[variables[i].name]; s.err == nil && check != nil {
			s.err = check(c)
		}
		if s.err != nil {
			bad = append(bad, fmt.Errorf("%s=%q: %w", s.place, withoutPassword(s.value), s.err))
		}
	}
	if len(bad) > 0 {
		return Config{}, fmt.Errorf("configuration: %w", bad)
	}
	return c, nil
}

// joinedErrors is [errors.Join] on one line.
type joinedErrors []error

func (errs joinedErrors) Error() string {
	text := make([]string, len(errs))
	for i, err := range errs {
		text[i] = err.Error()
	}
	return strings.Join(text, "; ")
}

func (errs joinedErrors) Unwrap() []error { return errs }

// A setting is the value of a variable.
type setting struct {
	place, value string
	err          error
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
