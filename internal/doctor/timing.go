package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/words"
)

const (
	fewRequests = 5                // are sent even if no load test is asked for
	loadTimeout = 10 * time.Minute // ends a load test, whatever the origin does
)

var errLoadTimeout = errors.New("the time for the load test is over")

// Timing is how a number of requests went.
type Timing struct {
	Requests    int             `json:"requests"`    // asked for
	Concurrency int             `json:"concurrency"` // at a time
	Completed   int             `json:"completed"`   // answered or failed
	Failed      int             `json:"failed"`      // without an answer
	Failures    map[failure]int `json:"failures"`
	Statuses    map[int]int     `json:"statuses"`
	Connections int             `json:"connections"` // made for them
	Elapsed     Seconds         `json:"seconds"`
	Rate        float64         `json:"requestsPerSecond"`
	Connect     *Spread         `json:"connect"`
	TLS         *Spread         `json:"tls"`
	FirstByte   *Spread         `json:"firstByte"`
	Total       *Spread         `json:"total"`
}

// timing measures a few single requests, each on a new connection.
func (w *walk) timing(ctx context.Context) Step {
	if len(w.answered) == 0 {
		return skipped(w.noAnswer())
	}
	w.report.Timing = w.measure(ctx, "timing", fewRequests, 1, false)
	return w.judgeTiming(ctx, w.report.Timing)
}

// load measures many requests at a time, if they were asked for, on connections that are kept as CloudFront keeps them.
func (w *walk) load(ctx context.Context) Step {
	switch {
	case w.Requests == 0:
		return skipped("not asked for: --requests and --concurrency")
	case len(w.answered) == 0:
		return skipped(w.noAnswer())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loadTimeout, errLoadTimeout)
	defer cancel()
	w.report.Load = w.measure(ctx, "load", w.Requests, max(w.Concurrency, 1), true)
	return w.judgeTiming(ctx, w.report.Load)
}

// noAnswer says why there is nothing to measure.
func (w *walk) noAnswer() string {
	for _, a := range w.report.Answers {
		if a.Error == "" {
			return "the answer does not end"
		}
	}
	return "no answer to time"
}

// A measurement is what remains of a sample.
type measurement struct {
	connect, tls, firstByte, total Seconds
	kept                           bool
	status                         int
	failure                        failure
}

// measure sends requests to the addresses that answer, in turn. Each sender has a connection of its own, which it
// reuses if keep is set. Requests that the end of the context cuts off are not counted.
func (w *walk) measure(ctx context.Context, what string, requests, concurrency int, keep bool) *Timing {
	var (
		mu      sync.Mutex
		sent    int
		failed  int
		results []measurement
		group   sync.WaitGroup
	)
	next := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if sent == requests || ctx.Err() != nil {
			return false
		}
		w.Progress(fmt.Sprintf("%s: %d of %d requests, %d failed", what, len(results), requests, failed))
		sent++
		return true
	}
	note := func(m measurement) {
		mu.Lock()
		defer mu.Unlock()
		if m.failure != none && ctx.Err() != nil {
			return
		}
		results = append(results, m)
		if m.failure != none {
			failed++
		}
	}
	start := time.Now()
	for sender := range min(concurrency, requests) {
		group.Go(func() {
			transport := w.transport(w.answered[sender%len(w.answered)])
			for turn := sender; next(); turn++ {
				if !keep {
					transport.CloseIdleConnections()
					transport = w.transport(w.answered[turn%len(w.answered)])
				}
				note(measurementOf(w.get(ctx, transport, w.Origin.URL, w.headers(w.answered[turn%len(w.answered)].Addr()))))
			}
			transport.CloseIdleConnections()
		})
	}
	group.Wait()
	return newTiming(results, requests, concurrency, time.Since(start))
}

func measurementOf(s sample) measurement {
	m := measurement{connect: s.connect, tls: s.tls, firstByte: s.firstByte, total: s.total, kept: s.kept, failure: s.failure}
	if s.response != nil {
		m.status = s.response.StatusCode
	}
	return m
}

func newTiming(results []measurement, requests, concurrency int, elapsed time.Duration) *Timing {
	t := &Timing{
		Requests: requests, Concurrency: concurrency, Completed: len(results), Elapsed: Seconds(elapsed),
		Failures: map[failure]int{}, Statuses: map[int]int{},
	}
	var connect, tls, firstByte, total []Seconds
	for _, m := range results {
		if !m.kept && m.connect > 0 {
			t.Connections++
			connect = append(connect, m.connect)
			if m.tls > 0 {
				tls = append(tls, m.tls)
			}
		}
		if m.failure != none {
			t.Failed++
			t.Failures[m.failure]++
			continue
		}
		t.Statuses[m.status]++
		firstByte, total = append(firstByte, m.firstByte), append(total, m.total)
	}
	if elapsed > 0 {
		t.Rate = float64(t.Completed) / elapsed.Seconds()
	}
	t.Connect, t.TLS, t.FirstByte, t.Total = spreadOf(connect), spreadOf(tls), spreadOf(firstByte), spreadOf(total)
	return t
}

// judgeTiming compares the figures with how long CloudFront waits.
func (w *walk) judgeTiming(ctx context.Context, t *Timing) Step {
	step := Step{Verdict: OK, Summary: t.summary()}
	if t.Completed == 0 {
		return skipped("interrupted")
	}
	if t.Completed < t.Requests {
		if cause := context.Cause(ctx); errors.Is(cause, errLoadTimeout) {
			step.find(Finding{Code: "load-cut", Verdict: Warn, Message: fmt.Sprintf("ended after %s, with %d of %d requests sent", Format(loadTimeout), t.Completed, t.Requests)})
		} else {
			step.Summary += ", then interrupted"
		}
	}
	if t.Failed > 0 {
		step.find(w.failures(t))
	}
	for _, status := range slices.Sorted(maps.Keys(t.Statuses)) {
		if status >= 500 {
			step.find(statusesFound(status, t))
		}
	}
	if c, limit := t.Connect, w.Settings.slowConnect(); c != nil && time.Duration(c.P95) >= limit {
		step.find(w.connectSlow(fmt.Sprintf("connecting takes %s at p95 of %s", c.P95, words.Count(t.Connections, "connection"))))
	}
	if f, slow := w.firstByteSlow(t.FirstByte); slow {
		step.find(f)
	}
	return step
}

// slowFirstByte is how long is too long for a first byte, as AWS puts it: milliseconds are reasonable, seconds are not.
// See [page504], "Measure typical and high-load latency".
const slowFirstByte = time.Second

// firstByteSlow is about first bytes that come late. A single one of seconds among many fast ones does not count, but
// one that is nearly too late does.
func (w *walk) firstByteSlow(s *Spread) (f Finding, slow bool) {
	f = Finding{Code: "response-slow", Verdict: Warn, Source: page504}
	switch {
	case s == nil:
	case time.Duration(s.Max) > w.Settings.ResponseTimeout/2:
		f.Message = fmt.Sprintf("the slowest first byte took %s, more than half of the %s that CloudFront waits", s.Max, Format(w.Settings.ResponseTimeout))
		f.Advice = "Under more load it will come too late. Make the application faster, or raise the origin's response timeout."
		return f, true
	case time.Duration(s.P95) >= slowFirstByte:
		f.Message = fmt.Sprintf("the first byte took %s at p95 (%s at the median); AWS calls milliseconds reasonable, seconds not", s.P95, s.Median)
		f.Advice = "Viewers wait for it, and under more load it comes too late: look at the queries and services that the application waits for, and at the host's CPU and memory."
		return f, true
	}
	return Finding{}, false
}

// failures are the requests that got no answer.
func (w *walk) failures(t *Timing) Finding {
	var kinds []string
	f := Finding{Code: "requests-failed", Verdict: Fail, CloudFrontStatus: 502, Source: page502}
	for _, kind := range slices.Sorted(maps.Keys(t.Failures)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", t.Failures[kind], kind))
		if kind == timedOut {
			f.CloudFrontStatus, f.Source = 504, page504
		}
	}
	f.Message = fmt.Sprintf("%d of %d requests got no answer (%s)", t.Failed, t.Completed, strings.Join(kinds, ", "))
	f.Advice = fmt.Sprintf("CloudFront tries a GET up to %d times, other methods once. Look for a limit that is hit now and then: workers, connections, file descriptors, the backlog, connections to the database. %s", w.Settings.ConnectionAttempts, limitsByAddress)
	return f
}

// statusesFound are answers whose status says that something is wrong.
func statusesFound(status int, t *Timing) Finding {
	f := Finding{Code: "error-answers", Verdict: Warn, Source: pageBehavior}
	if status == http.StatusBadGateway || status == http.StatusGatewayTimeout {
		f.Verdict, f.Source = Fail, page504
	}
	f.Message = fmt.Sprintf("%d of %d answers were %d %s", t.Statuses[status], t.Completed, status, http.StatusText(status))
	f.Advice = "CloudFront passes them on. Look at the logs of the server and of the proxy in front of it for what they have in common."
	return f
}

func (t *Timing) summary() string {
	requests := words.Count(t.Completed, "request")
	if t.Concurrency > 1 {
		requests += fmt.Sprintf(", %d at a time", t.Concurrency)
	}
	if t.FirstByte == nil {
		return requests + ", no answer"
	}
	failed := fmt.Sprintf("%d failed", t.Failed)
	if n := t.errors(); n > 0 {
		failed += fmt.Sprintf(", %d were 5xx", n)
	}
	return fmt.Sprintf("%s, %s; first byte %s, at most %s", requests, failed, t.FirstByte.Median, t.FirstByte.Max)
}

// errors counts the answers whose status says that something is wrong.
func (t *Timing) errors() (n int) {
	for status, count := range t.Statuses {
		if status >= 500 {
			n += count
		}
	}
	return n
}
