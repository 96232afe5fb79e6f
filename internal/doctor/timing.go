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

// measure sends requests to the addresses that answer, in turn. Each sender has a connection of its own, which it
// reuses if keep is set. Requests that the end of the context cuts off are not counted.
func (w *walk) measure(ctx context.Context, what string, requests, concurrency int, keep bool) *Timing {
	var (
		mu      sync.Mutex
		sent    int
		failed  int
		results []sample
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
	note := func(m sample) {
		mu.Lock()
		defer mu.Unlock()
		if m.failure != none && ctx.Err() != nil {
			return
		}
		if m.response != nil {
			m.response = &http.Response{StatusCode: m.response.StatusCode} // there may be many
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
				note(w.get(ctx, transport, w.Origin.URL, w.headers(w.answered[turn%len(w.answered)].Addr())))
			}
			transport.CloseIdleConnections()
		})
	}
	group.Wait()
	return newTiming(results, requests, concurrency, time.Since(start))
}

func newTiming(results []sample, requests, concurrency int, elapsed time.Duration) *Timing {
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
		t.Statuses[m.response.StatusCode]++
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
	step := Step{Verdict: OK, Summary: t.summary(), partial: t.Completed > 0}
	if t.Completed == 0 {
		return skipped("interrupted")
	}
	if t.Completed < t.Requests {
		if cause := context.Cause(ctx); errors.Is(cause, errLoadTimeout) {
			step.find(finding("load-cut", "ended after %s, with %d of %d requests sent", Format(loadTimeout), t.Completed, t.Requests))
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
	switch {
	case s == nil:
	case time.Duration(s.Max) > w.Settings.ResponseTimeout/2:
		f = finding("response-slow", "the slowest first byte took %s, more than half of the %s that CloudFront waits", s.Max, Format(w.Settings.ResponseTimeout))
		f.Advice = "Under more load it will come too late. Make the application faster, or raise the origin's response timeout."
		return f, true
	case time.Duration(s.P95) >= slowFirstByte:
		return finding("response-slow", "the first byte took %s at p95 (%s at the median); AWS calls milliseconds reasonable, seconds not", s.P95, s.Median), true
	}
	return Finding{}, false
}

// failures are the requests that got no answer.
func (w *walk) failures(t *Timing) Finding {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(t.Failures)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", t.Failures[kind], kind))
	}
	f := finding("requests-failed", "%d of %d requests got no answer (%s)", t.Failed, t.Completed, strings.Join(kinds, ", ")).advise(w.Settings.ConnectionAttempts)
	if t.Failures[timedOut] > 0 {
		f.CloudFrontStatus, f.Source = 504, page504
	}
	return f
}

// statusesFound are answers whose status says that something is wrong.
func statusesFound(status int, t *Timing) Finding {
	f := finding("error-answers", "%d of %d answers were %d %s", t.Statuses[status], t.Completed, status, http.StatusText(status))
	if status == http.StatusBadGateway || status == http.StatusGatewayTimeout {
		f.Verdict, f.Source = Fail, page504
	}
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
