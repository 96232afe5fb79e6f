package main

import (
	"context"
	"log/slog"
	"sync"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"

	"github.com/alecthomas/kong"
)

// placeFlags say where a command looks, and for what. Credentials, profile and region are found as the AWS CLI finds
// them.
type placeFlags struct {
	rangeFlags
	TagKey      string   `placeholder:"KEY" help:"The tag that marks the groups (default cloudfront-ingress)."`
	Region      []string `placeholder:"NAME" help:"A region (default: that of the profile, or AWS_REGION)."`
	RoleARN     []string `name:"role-arn" placeholder:"ARN" help:"A role of another account to assume, which is looked at as well."`
	Profile     string   `placeholder:"NAME" help:"The profile of the AWS CLI's configuration."`
	EndpointURL string   `name:"endpoint-url" placeholder:"URL" help:"The endpoint to talk to instead of AWS."`
}

// accountFlags say in which accounts and regions a command works, and on which groups.
type accountFlags struct {
	placeFlags
	RulesPerGroup string `placeholder:"N" help:"The quota of rules per group (default auto: ask Service Quotas)."`
	Verbose       bool   `short:"v" help:"Log to stderr."`
}

func (f placeFlags) given() map[string]given {
	values := f.rangeFlags.given()
	give(values, "TAG_KEY", "--tag-key", f.TagKey)
	give(values, "REGIONS", "--region", f.Region...)
	give(values, "ROLE_ARNS", "--role-arn", f.RoleARN...)
	if len(f.RoleARN) > 0 {
		values["MEMBER_ACCOUNTS"] = given{flag: "--role-arn"} // the roles that are named are all there are
	}
	return values
}

// parse returns the name or ID that somebody typed as a name, an ARN or a URL. A region in it is the one to look in.
func (f *placeFlags) parse(text string) string {
	name, region := door.ParseName(text)
	if region != "" && len(f.Region) == 0 {
		f.Region = []string{region}
	}
	return name
}

func (f accountFlags) given() map[string]given {
	values := f.placeFlags.given()
	give(values, "RULES_PER_GROUP", "--rules-per-group", f.RulesPerGroup)
	return values
}

// A managed engine is one with the settings that it works with.
type managed struct {
	*engine.Engine
	config   config.Config
	settings document.Settings
	// ranges reads the ranges once.
	ranges func() (ipRanges, error)
}

// managed returns the engine that the flags, and the stack or the environment ask for. Settings that nobody names are
// those that all rules were made with.
func (f accountFlags) managed(ctx context.Context, t terminal, flags map[string]given) (*managed, error) {
	c, err := f.readConfig(ctx, t, flags)
	if err != nil {
		return nil, err
	}
	cfg, err := f.awsConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if f.Verbose {
		log = slog.New(slog.NewTextHandler(t.err, nil))
	}
	m := &managed{config: c, settings: f.settings(c)}
	m.ranges = sync.OnceValues(func() (ipRanges, error) { return f.read(ctx, t, m.config) })
	m.Engine, err = engine.New(c, cfg, func(context.Context, *iprange.Notice) (*iprange.Publication, error) {
		ranges, err := m.ranges()
		return ranges.Publication, err
	}, log)
	if err == nil && m.settings.From == document.FromDefault {
		defer t.progress("reading what the rules were made with …")()
		made, _ := m.Made(ctx) // what cannot be read, the plan tells
		settle(&m.config, &m.settings, made)
		m.Services, m.Within = m.settings.Services, m.settings.Within
	}
	return m, err
}

// next returns what names the next command after this run.
func (placeFlags) next(k *kong.Context) document.Next {
	return func(command string, more ...string) []string { return next(k, command, more...) }
}
