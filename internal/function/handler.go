// Package function is the Lambda function but for its main: it reads the
// configuration and the events, and has the engine do what they ask for.
package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A Handler handles the function's events, one at a time as Lambda hands them
// out. It implements lambda.Handler.
type Handler struct {
	fetcher  *iprange.Fetcher
	engine   *engine.Engine
	topicARN string
	log      *slog.Logger
}

// New returns a handler that works with the credentials, the region and the
// endpoints of cfg.
func New(c Config, cfg aws.Config, log *slog.Logger) (*Handler, error) {
	fetcher := &iprange.Fetcher{URL: c.URL, Selection: c.Selection, Log: log}
	e, err := c.NewEngine(cfg, fetcher.Fetch, log)
	if err != nil {
		return nil, err
	}
	return &Handler{fetcher: fetcher, engine: e, topicARN: c.TopicARN, log: log}, nil
}

// bounded returns an error whose text is not longer than a log can bear,
// whatever the event was that it quotes.
func bounded(err error) error {
	const most = 1000
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
	}
	return err
}

// reportReserve is how long before Lambda would end the function a run ends by
// itself, to report what it did.
const reportReserve = 3 * time.Second

// Invoke handles one event and returns the answer in JSON. The answer is
// logged as well: with an error Lambda returns none.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	req, err := parseEvent(payload, h.topicARN)
	if err != nil {
		err = bounded(err)
		h.log.ErrorContext(ctx, "event refused, nothing is changed", "error", err)
		return nil, err
	}
	run := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		run, cancel = context.WithDeadline(ctx, deadline.Add(-reportReserve))
		defer cancel()
	}
	report, runErr := h.engine.Run(run, req)
	answer, err := json.Marshal(report)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	if runErr != nil {
		h.log.ErrorContext(ctx, "run failed", "answer", json.RawMessage(answer))
		return nil, runErr
	}
	h.log.InfoContext(ctx, "run finished", "answer", json.RawMessage(answer))
	return answer, nil
}
