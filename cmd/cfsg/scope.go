package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/loopback"
	"cloudfront-sg-sync/internal/version"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
)

// A scope holds the settings of a command, where they come from, the ranges they ask for, and the way to AWS.
type scope struct {
	config.Config
	settings document.Settings
	// ranges reads the ranges, once.
	ranges func() (ipRanges, error)
	// aws has the credentials, the region and the endpoint.
	aws aws.Config
	// role is that of the one account that the command works in, or empty for the account of the credentials.
	role string
}

// open reads the settings that the flags, and the stack or the environment give.
func (f placeFlags) open(ctx context.Context, t terminal, flags map[string]given) (*scope, error) {
	c, err := f.readConfig(ctx, t, flags)
	if err != nil {
		return nil, err
	}
	w := &scope{Config: c, settings: document.Settings{
		Services: c.Selection.Services, Within: append([]string{}, c.Selection.Within...), From: f.source(), Others: []document.Made{},
	}}
	w.ranges = sync.OnceValues(func() (ipRanges, error) { return f.read(ctx, t, w.Config) })
	return w, nil
}

// openOne refuses several regions or accounts: an ID, a name or an address is in one of them.
func (f placeFlags) openOne(ctx context.Context, t terminal, who string, flags map[string]given) (*scope, error) {
	w, err := f.open(ctx, t, flags)
	if err != nil {
		return nil, err
	}
	if len(w.Regions) > 1 {
		return nil, hint.New(fmt.Sprintf("%s in one region, not in %s", who, strings.Join(w.Regions, ", ")), "name it with --region")
	}
	if accounts := len(engine.Roles(w.Config, "")); accounts > 1 {
		return nil, hint.New(fmt.Sprintf("%s in one account, not in %d", who, accounts), "name its role with --role-arn")
	}
	if w.aws, err = f.awsConfig(ctx, w.Regions...); err == nil {
		w.role = strings.Join(engine.Roles(w.Config, w.aws.Region), "") // there is at most one
	}
	return w, err
}

// inAccount returns the credentials of the one account that the command works in.
func (w *scope) inAccount() aws.Config { return engine.Config(w.aws, w.role, w.ExternalID) }

func (w *scope) target() *engine.Target {
	return &engine.Target{Account: engine.AccountOf(w.role), Region: w.aws.Region}
}

// engine returns the engine with these settings.
func (w *scope) engine(log *slog.Logger) (*engine.Engine, error) {
	return engine.New(w.Config, w.aws, func(context.Context, *iprange.Notice) (*iprange.Publication, error) {
		ranges, err := w.ranges()
		return ranges.Publication, err
	}, log)
}

// infer has the engine work with the settings that all rules in its targets were made with, if nobody names any.
func (w *scope) infer(ctx context.Context, e *engine.Engine) error {
	if w.settings.From != document.FromDefault {
		return nil
	}
	found, err := e.Discover(ctx)
	w.settle(found)
	e.Selection.Services, e.Selection.Within = w.settings.Services, w.settings.Within
	return err
}

// settle takes the settings of the rules if nobody names any and all rules agree, and compares both.
func (w *scope) settle(found []secgroup.Holder) {
	s, made := &w.settings, document.MadeFor(w.TagKey, found)
	if s.From == document.FromDefault && len(made) == 1 {
		s.From, s.Services, s.Within = document.FromRules, made[0].Services, made[0].Within
		w.Selection.Services, w.Selection.Within = s.Services, s.Within
	}
	s.Compare(made)
}

const originFacing = iprange.CloudFrontOriginFacing

// question asks whether groups let the ranges in, on ports.
func (w *scope) question(ports []secgroup.PortRange) (q door.Question, err error) {
	ranges, err := w.ranges()
	if err != nil {
		return q, err
	}
	of := func(services ...string) (*iprange.Publication, error) {
		selection := w.Selection
		selection.Services, selection.Within = services, nil
		p, err := iprange.Decode(bytes.NewReader(ranges.document), selection)
		if err != nil {
			err = fmt.Errorf("read the ranges of %s: %w", strings.Join(services, ", "), err)
		}
		return p, err
	}
	q = door.Question{Services: w.Selection.Services, Ports: ports, TagKey: w.TagKey, Families: w.Families(), Now: time.Now(), Wanted: ranges.Publication}
	if len(w.Selection.Within) > 0 {
		// The services have to get in; the cover is one way to let them in.
		if q.Wanted, err = of(w.Selection.Services...); err == nil {
			q.Within, err = of(w.Selection.Within...)
		}
	}
	return q, err
}

// awsConfig returns credentials, endpoint and the first of the regions or, without any, the profile's.
func (f placeFlags) awsConfig(ctx context.Context, regions ...string) (aws.Config, error) {
	// The SDK's log of how it looks for credentials adds nothing to its errors.
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(logging.Nop{}), awsconfig.WithAPIOptions(version.UserAgent())}
	if f.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(f.Profile))
	}
	if region := cmp.Or(regions...); region != "" {
		options = append(options, awsconfig.WithRegion(region))
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
	if cfg.Region == "" {
		return cfg, errNoRegion
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return cfg, hint.With(fmt.Errorf("no AWS credentials: %w", err), "sign in as for the AWS CLI (aws configure, AWS_PROFILE, --profile), or try cfsg sim and --endpoint-url")
	}
	return engine.Config(cfg, "", ""), nil
}

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

// readConfig reads the configuration from the flags, and settings that no flag gives from the deployed function of
// --stack or, without one, from the environment. SERVICES and WITHIN in the environment go before those of a stack.
func (f placeFlags) readConfig(ctx context.Context, t terminal, flags map[string]given) (config.Config, error) {
	lookup := func(variable string) (string, string) { return variable, os.Getenv(variable) }
	if f.Stack != "" {
		variables, err := f.deployed(ctx)
		if err != nil {
			return config.Config{}, fmt.Errorf("read the settings of --stack %s: %w", f.Stack, err)
		}
		for _, variable := range []string{"SERVICES", "WITHIN"} { // WITHIN goes with the SERVICES beside it
			if value := os.Getenv(variable); f.source() == document.FromEnvironment && os.Getenv("SERVICES")+value != "" {
				flags[variable] = given{"the environment's " + variable, value}
			}
		}
		// The stack's settings were asked for: say where something else is used instead.
		for _, variable := range slices.Sorted(maps.Keys(flags)) {
			g, deployed := flags[variable], variables[variable]
			if g.flag != "" && deployed != "" && items(g.value) != items(deployed) {
				fmt.Fprintf(t.err, "cfsg: %s is used, not the stack's %s=%s\n", strings.TrimSpace(g.flag+" "+g.value), variable, deployed)
			}
		}
		lookup = func(variable string) (string, string) { return variable + " of stack " + f.Stack, variables[variable] }
	}
	return config.Read(func(variable string) (string, string) {
		if g, ok := flags[variable]; ok {
			return g.flag, g.value
		}
		return lookup(variable)
	})
}

// items writes a variable's list as others may have written it.
func items(list string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(list, ",", " ")), " ")
}

// deployed returns the environment variables of the function that a stack made. The stack names it in its output
// FunctionName. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html and
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
func (f placeFlags) deployed(ctx context.Context) (map[string]string, error) {
	id, _ := arn.Parse(f.Stack)
	cfg, err := f.awsConfig(ctx, id.Region) // or that of the profile: --region names those of the groups
	if errors.Is(err, errNoRegion) && len(f.Region) > 0 {
		cfg, err = f.awsConfig(ctx, f.Region...)
	}
	if err != nil {
		return nil, err
	}
	stacks, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &f.Stack})
	api, ok := errors.AsType[smithy.APIError](err)
	switch {
	case ok && api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), "does not exist"):
		return nil, hint.New("there is none in "+cfg.Region, "check the name, and name its region with AWS_REGION or the stack by its ARN")
	case err != nil:
		return nil, awserr.Explain(err, "cloudformation:DescribeStacks")
	}
	name := ""
	for _, stack := range stacks.Stacks {
		for _, output := range stack.Outputs {
			if aws.ToString(output.OutputKey) == "FunctionName" {
				name = aws.ToString(output.OutputValue)
			}
		}
	}
	if name == "" {
		return nil, errors.New("the stack has no output FunctionName: it is not a stack of cloudfront-sg-sync, or its deployment is not complete")
	}
	found, err := lambda.NewFromConfig(cfg).GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil {
		return nil, awserr.Explain(err, "lambda:GetFunctionConfiguration")
	}
	if env := found.Environment; env != nil && len(env.Variables) > 0 {
		return env.Variables, nil
	}
	return nil, fmt.Errorf("function %s has no environment variables: it is not the function of cloudfront-sg-sync, or you may not decrypt them", name)
}
