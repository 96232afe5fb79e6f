package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/loopback"
	"cloudfront-sg-sync/internal/version"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
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

// awsConfig returns credentials, region and endpoint.
func (f placeFlags) awsConfig(ctx context.Context, c config.Config) (aws.Config, error) {
	// What the SDK logs, such as how it looks for credentials, is in the errors as far as it matters.
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(logging.Nop{}), awsconfig.WithAPIOptions(version.UserAgent())}
	if f.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(f.Profile))
	}
	if len(c.Regions) > 0 {
		options = append(options, awsconfig.WithRegion(c.Regions[0]))
	}
	if endpoint := cmp.Or(f.EndpointURL, os.Getenv("AWS_ENDPOINT_URL")); endpoint != "" {
		local, err := isLoopback(endpoint)
		if err != nil {
			return aws.Config{}, fmt.Errorf("the endpoint of --endpoint-url or AWS_ENDPOINT_URL: %w", err)
		}
		if f.EndpointURL != "" { // the variable, and those of single services, are read below
			options = append(options, awsconfig.WithBaseEndpoint(endpoint))
		}
		// An endpoint on this machine is no AWS: it needs no account.
		if local && f.Profile == "" && os.Getenv("AWS_PROFILE") == "" && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
			options = append(options, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
		}
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, hint.With(fmt.Errorf("read the AWS configuration: %w", err), "check --profile and the AWS_* variables")
	}
	if len(c.Regions) == 0 && cfg.Region == "" {
		return cfg, errNoRegion
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return cfg, hint.With(fmt.Errorf("no AWS credentials: %w", err), "sign in as for the AWS CLI (aws configure, AWS_PROFILE, --profile), or try cfsg sim and --endpoint-url")
	}
	return cfg, nil
}

// errNoRegion says that nothing names a region.
var errNoRegion = hint.New("no region", "name one with --region, AWS_REGION or a profile that has one")

// isLoopback reports whether a URL's host is this machine.
func isLoopback(endpoint string) (bool, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false, errors.New("this is not a URL such as http://127.0.0.1:4566")
	}
	if u.User != nil {
		return false, hint.New("the URL holds credentials", "leave them out: requests are signed")
	}
	return loopback.Is(u.Hostname()), nil
}
