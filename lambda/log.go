package main

import (
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

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
