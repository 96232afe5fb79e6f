// Command lambda is the AWS Lambda function that keeps tagged security groups equal to CloudFront's published ranges. It
// is built as bootstrap.
package main

import (
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"math"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"

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
