package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/loopback"
	"cloudfront-sg-sync/internal/version"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
)

// awsConfig returns credentials, region and endpoint.
func (f placeFlags) awsConfig(ctx context.Context, c config.Config) (aws.Config, error) {
	// The SDK's log of how it looks for credentials adds nothing to its errors.
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
