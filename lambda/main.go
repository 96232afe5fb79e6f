// Command lambda is the AWS Lambda function that keeps tagged security groups equal to CloudFront's published ranges. It
// is built as bootstrap.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math"
	"net/http"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/function"
	"cloudfront-sg-sync/internal/version"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

func main() {
	collectLate()
	log := lambdacontext.NewLogger()
	handler, err := newHandler(log)
	if err != nil {
		log.Error("invalid configuration; refusing all events", "error", err)
		handler = function.NewBroken(err, os.Getenv, log)
	}
	lambda.Start(quietly(handler, log))
}

func newHandler(log *slog.Logger) (*function.Handler, error) {
	c, err := config.FromEnv(os.Getenv)
	if err != nil {
		return nil, err
	}
	cfg, err := awsConfig()
	if err != nil {
		return nil, err
	}
	return function.New(c, cfg, log)
}

const (
	// lateHeap is the heap size at the first garbage collection. A cold run of a few groups stays below it, and within
	// 128 MB.
	lateHeap = 24 << 20
	// growth is the percentage by which the heap may grow from then on: a run of thousands of groups has to fit into the
	// function's memory.
	growth = 50
)

// collectLate turns garbage collection off in short runs, and makes it more frequent than usual in runs that need much
// memory.
func collectLate() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(lateHeap)
	goruntime.AddCleanup(new([64]byte), func(struct{}) { // at the first collection
		debug.SetGCPercent(growth)
		debug.SetMemoryLimit(math.MaxInt64)
	}, struct{}{})
}

// quietly returns a handler whose errors aws-lambda-go does not log again as plain text. Anything else that it writes to
// the standard log becomes an entry of the function's log.
func quietly(h lambda.Handler, to *slog.Logger) lambda.Handler {
	q := &quiet{Handler: h, log: to}
	log.SetFlags(0)
	log.SetOutput(q)
	return q
}

type quiet struct {
	lambda.Handler
	log    *slog.Logger
	logged string // the error of the last event, which the handler has logged
}

func (q *quiet) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	q.logged = ""
	answer, err := q.Handler.Invoke(ctx, payload)
	if err != nil {
		q.logged = err.Error()
	}
	return answer, err
}

// Write takes a log line of aws-lambda-go: for a failed event, the error in JSON, as Lambda gets it.
func (q *quiet) Write(p []byte) (int, error) {
	var e struct {
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(p, &e); err != nil || e.Message == "" || e.Message != q.logged {
		q.log.Error(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// awsConfig reads the AWS configuration from the environment, where Lambda puts the function's credentials and region;
// see https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
//
// LoadDefaultConfig would also look for profiles, and for credentials of SSO, web identities, containers and
// instances. A function has none of these, and they would be a tenth of the program.
func awsConfig() (aws.Config, error) {
	env, err := awsconfig.NewEnvConfig()
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
