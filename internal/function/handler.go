// Package function is the Lambda function without its main: it reads the configuration and the events, and runs the
// engine for them.
package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A Handler handles the function's events, one at a time as Lambda hands them out. It implements lambda.Handler.
type Handler struct {
	fetcher   *iprange.Fetcher
	engine    *engine.Engine
	sources   sources
	notifier  *notifier  // of an SNS topic; nil without one
	metrics   *metrics   // of CloudWatch; nil without a namespace
	responder *responder // to CloudFormation
	refusals  refusals
	// now and sleep are the clock by which a deployment waits for its role.
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	broken error // the reason to refuse every event; the engine is nil then
	log    *slog.Logger
}

// New returns a handler that works with the credentials, the region and the endpoints of cfg.
func New(c config.Config, cfg aws.Config, log *slog.Logger) (*Handler, error) {
	cfg = engine.Config(cfg, "", "") // for the clients of all services
	fetcher := &iprange.Fetcher{URL: c.URL, Selection: c.Selection, Log: log}
	h := &Handler{fetcher: fetcher, now: time.Now, sleep: sleep, log: log}
	h.sources = sources{topicARN: c.TopicARN, queueARN: c.EventQueueARN, tagKey: c.TagKey, isOwn: ownRole(c, cfg)}
	var err error
	if h.engine, err = engine.New(c, h.refusals.watch(context.Background(), cfg), fetcher.Fetch, log); err != nil {
		return nil, err
	}
	if c.NotifyTopicARN != "" {
		h.notifier = newNotifier(cfg, c)
	}
	if c.MetricsNamespace != "" {
		h.metrics = newMetrics(c.MetricsNamespace)
	}
	// If the ranges come from this machine, it is a test, and requests may do so too.
	h.responder = newResponder(isLoopbackURL(c.URL))
	return h, nil
}

// NewBroken returns a handler for a function with an invalid configuration. It refuses every event with the cause. If
// the function did not start instead, CloudFormation would wait for an answer, and again when it rolls back.
func NewBroken(cause error, getenv func(string) string, log *slog.Logger) *Handler {
	nobody := sources{isOwn: func(string) bool { return false }}
	return &Handler{broken: cause, sources: nobody, responder: newResponder(isLoopbackURL(getenv("IP_RANGES_URL"))), log: log}
}

// bounded cuts the text of an error that quotes an event, so that it fits into a log.
func bounded(err error) error {
	const most = 1000
	if text := err.Error(); len(text) > most {
		return errors.New(words.Shorten(text, most))
	}
	return err
}

// reportReserve is how long before the deadline a run stops, to have time to report.
const reportReserve = 3 * time.Second

// Invoke handles one event and returns the answer in JSON. The answer is logged as well, because Lambda returns none
// with an error.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	event, err := parseEvent(payload, h.sources)
	switch {
	case event.resource != nil:
		return h.handleResource(ctx, event.resource)
	case h.broken != nil:
		return h.refuse(ctx, h.broken)
	case err != nil:
		return h.refuse(ctx, bounded(err))
	case event.ignored != "":
		h.log.InfoContext(ctx, "event ignored", "reason", event.ignored)
		return json.Marshal(map[string]string{"ignored": event.ignored})
	}
	_, answer, err := h.run(ctx, task{Request: event.run, drift: event.drift})
	// A message that is retried holds up those behind it. So it is retried only if that may help, or if no metric raises
	// the alarm for failed runs. The schedule tries again anyway.
	if err != nil && (!event.queued || h.metrics == nil || mayPass(err)) {
		return nil, err
	}
	return answer, nil
}

// refuse logs that an event is not handled. Lambda counts the error, which raises an alarm, and keeps the event in the
// queue of failed events.
func (h *Handler) refuse(ctx context.Context, err error) ([]byte, error) {
	h.log.ErrorContext(ctx, "event refused, nothing was changed", "error", err)
	return nil, err
}

// A task is a run and the reason for it.
type task struct {
	engine.Request
	deployed bool // for a deployment, whose new role may be refused for a while
	drift    bool // because somebody else changed rules or entries
}

// run runs the engine and reports the outcome to the topic, CloudWatch and the log. It always returns a report, and the
// same in JSON.
func (h *Handler) run(ctx context.Context, req task) (report *engine.Report, answer []byte, err error) {
	began := time.Now()
	req.Watch = !req.Withdraw
	var earlier []*engine.Report
	if req.deployed {
		earlier, report, err = h.runDeployed(ctx, req.Request)
	} else {
		report, err = h.runEngine(ctx, req.Request)
	}
	for _, r := range append(earlier, report) {
		if h.notifier == nil || !r.Changed || req.DryRun {
			continue
		}
		r.Errors, r.Warnings = report.Errors, report.Warnings // the last says what has not passed
		if failed := h.notifier.publish(ctx, r, req.Withdraw); failed != nil {
			report.Errors = append(report.Errors, failed.Error())
			err = errors.Join(err, failed)
		}
	}
	if h.metrics != nil && !req.DryRun {
		if failed := h.metrics.emit(report, err, req, began, time.Now()); failed != nil {
			h.log.WarnContext(ctx, "the metrics of this run are lost", "error", failed)
		}
	}
	answer, failed := json.Marshal(report)
	err = errors.Join(err, failed)
	h.logReport(ctx, report, answer, err)
	return report, answer, err
}

// logReport logs the report of a run that ended with err.
func (h *Handler) logReport(ctx context.Context, report *engine.Report, answer []byte, err error) {
	level, text := slog.LevelInfo, "run finished"
	if err != nil {
		level, text = slog.LevelError, "run failed"
	} else if len(report.Warnings) > 0 {
		level, text = slog.LevelWarn, "run finished with warnings"
	}
	h.log.Log(ctx, level, text, "answer", json.RawMessage(answer))
}

// runEngine runs the engine until shortly before the deadline. A panic is reported as other failures are.
func (h *Handler) runEngine(ctx context.Context, req engine.Request) (report *engine.Report, err error) {
	ctx, cancel := endEarlier(ctx, reportReserve)
	defer cancel()
	defer func() {
		if report == nil { // after a panic
			report = engine.NewReport(req.DryRun)
			report.Errors = append(report.Errors, err.Error())
		}
	}()
	defer h.recovered(ctx, &err)
	return h.engine.Run(ctx, req)
}

// recovered is deferred. It makes a panic an error.
func (h *Handler) recovered(ctx context.Context, err *error) {
	if p := recover(); p != nil {
		h.log.ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("panic: %v", p)
	}
}
