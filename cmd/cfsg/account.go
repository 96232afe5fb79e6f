package main

import (
	"context"
	"log/slog"
	"sync"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"
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
	Verbose       bool   `short:"v" help:"Say on stderr what is done."`
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

func (f accountFlags) given() map[string]given {
	values := f.placeFlags.given()
	give(values, "RULES_PER_GROUP", "--rules-per-group", f.RulesPerGroup)
	return values
}

// engine returns the engine that the flags, and the stack or the environment ask for. It reads the ranges once, however
// often it runs.
func (f accountFlags) engine(ctx context.Context, t terminal, flags map[string]given) (*engine.Engine, error) {
	c, err := f.readConfig(ctx, t, flags)
	if err != nil {
		return nil, err
	}
	cfg, err := f.awsConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	read := sync.OnceValues(func() (*iprange.Publication, error) {
		ranges, err := f.read(ctx, t, c)
		return ranges.Publication, err
	})
	log := slog.New(slog.DiscardHandler)
	if f.Verbose {
		log = slog.New(slog.NewTextHandler(t.err, nil))
	}
	return engine.New(c, cfg, func(context.Context, *iprange.Notice) (*iprange.Publication, error) { return read() }, log)
}
