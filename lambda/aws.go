package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"

	"cloudfront-sg-sync/internal/version"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// awsConfig reads the AWS configuration from the environment, where Lambda puts the function's credentials and region;
// see
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
//
// config.LoadDefaultConfig would also look for profiles, and for credentials of SSO, web identities, containers and
// instances. A function has none of these, and they would be a tenth of the program.
func awsConfig() (aws.Config, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration in the environment: %w", err)
	}
	cfg := aws.Config{
		Region:           env.Region,
		Credentials:      credentials.StaticCredentialsProvider{Value: env.Credentials},
		ConfigSources:    []any{env}, // endpoints, FIPS, dual-stack
		APIOptions:       version.UserAgent(),
		RetryMode:        env.RetryMode,
		RetryMaxAttempts: env.RetryMaxAttempts,
	}
	if env.BaseEndpoint != "" && !aws.ToBool(env.IgnoreConfiguredEndpoints) {
		cfg.BaseEndpoint = aws.String(env.BaseEndpoint)
	}
	if env.CustomCABundle != "" {
		if cfg.HTTPClient, err = trusting(env.CustomCABundle); err != nil {
			return aws.Config{}, fmt.Errorf("AWS_CA_BUNDLE=%s: %w", env.CustomCABundle, err)
		}
	}
	return cfg, nil
}

// trusting returns a client that trusts only the certificates in a file.
func trusting(bundle string) (aws.HTTPClient, error) {
	pem, err := os.ReadFile(bundle)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("it holds no certificate in PEM form")
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.TLSClientConfig.RootCAs = roots
	}), nil
}
