// Command lambda is the AWS Lambda function that keeps tagged security groups equal to CloudFront's published ranges. It
// is built as bootstrap.
package main

import (
	"log/slog"
	"os"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/function"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
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
