// Command lambda is the AWS Lambda function that keeps tagged security groups
// equal to the published CloudFront ranges. It is built as bootstrap.
package main

import (
	"context"
	"log/slog"
	"os"

	"cloudfront-sg-sync/internal/function"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	log := lambdacontext.NewLogger()
	handler, err := newHandler(context.Background(), log)
	if err != nil {
		log.Error("the function is not configured as it should be, and does nothing", "error", err)
		handler = function.NewBroken(err, os.Getenv, log)
	}
	lambda.Start(quietly(handler, log))
}

func newHandler(ctx context.Context, log *slog.Logger) (*function.Handler, error) {
	c, err := function.ConfigFromEnv(os.Getenv)
	if err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	return function.New(c, cfg, log)
}
