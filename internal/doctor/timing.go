package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/words"
)

const (
	fewRequests = 5            // are sent even if no load test is asked for
	loadTimeout = 600 * second // ends a load test, whatever the origin does
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

	broken                         int // answers with 5xx
	connect, tls, firstByte, total []Seconds
}

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
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(loadTimeout), errLoadTimeout)
	defer cancel()
	w.report.Load = w.measure(ctx, "load", w.Requests, max(w.Concurrency, 1), true)
	return w.judgeTiming(ctx, w.report.Load)
}

func (w *walk) noAnswer() string {
	if slices.ContainsFunc(w.report.Answers, func(a Answer) bool { return a.Error == "" }) {
		return "the answer does not end"
	}
	return "no answer to time"
}

// measure sends requests to the addresses that answer, in turn. Each sender has a connection of its own, which it
// reuses if keep is set. Requests that the end of the context cuts off are not counted.
func (w *walk) measure(ctx context.Context, what string, requests, concurrency int, keep bool) *Timing {
	var (
		mu    sync.Mutex
		sent  int
		group sync.WaitGroup
		t     = newTiming(requests, concurrency)
	)
	next := func(done ...sample) bool {
		mu.Lock()
		defer mu.Unlock()
		over := ctx.Err() != nil
		for _, s := range done {
			if s.failure == none || !over {
				t.add(s)
			}
		}
		if over || sent == requests {
			return false
		}
		w.Progress(fmt.Sprintf("%s: %d of %d requests, %d failed", what, t.Completed, requests, t.Failed))
		sent++
		return true
	}
	start := time.Now()
	for sender := range min(concurrency, requests) {
		group.Go(func() {
			l := w.line(w.answered[sender%len(w.answered)])
			defer func() { l.close() }()
			for turn, more := sender, next(); more; turn++ {
				if !keep {
					l.close()
					l = w.line(w.answered[turn%len(w.answered)])
				}
				more = next(l.get(ctx, w.Origin.URL))
			}
		})
	}
	group.Wait()
	t.finish(time.Since(start))
	return t
}

func newTiming(requests, concurrency int) *Timing {
	return &Timing{Requests: requests, Concurrency: concurrency, Failures: map[failure]int{}, Statuses: map[int]int{}}
}

func (t *Timing) add(s sample) {
	t.Completed++
	if !s.kept && s.connect > 0 {
		t.Connections++
		t.connect = append(t.connect, s.connect)
		if s.tls > 0 {
			t.tls = append(t.tls, s.tls)
		}
	}
	if s.failure != none {
		t.Failed++
		t.Failures[s.failure]++
		return
	}
	if t.Statuses[s.response.StatusCode]++; s.response.StatusCode >= 500 {
		t.broken++
	}
	t.firstByte, t.total = append(t.firstByte, s.firstByte), append(t.total, s.total)
}

func (t *Timing) finish(elapsed time.Duration) {
	if t.Elapsed = Seconds(elapsed); elapsed > 0 { // the clock of Windows ticks slowly
		t.Rate = float64(t.Completed) / elapsed.Seconds()
	}
	t.Connect, t.TLS, t.FirstByte, t.Total = spreadOf(t.connect), spreadOf(t.tls), spreadOf(t.firstByte), spreadOf(t.total)
}

// judgeTiming compares the figures with how long CloudFront waits.
func (w *walk) judgeTiming(ctx context.Context, t *Timing) Step {
	if t.Completed == 0 {
		return skipped("interrupted")
	}
	step := Step{Verdict: OK, Summary: t.summary(), partial: true}
	if t.Completed < t.Requests {
		if cause := context.Cause(ctx); errors.Is(cause, errLoadTimeout) {
			step.Find("load-cut", "ended after %s, with %d of %d requests sent", loadTimeout, t.Completed, t.Requests)
		} else {
			step.Summary += ", then interrupted"
		}
	}
	if t.Failed > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(t.Failures)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", t.Failures[kind], kind))
		}
		f := finding("requests-failed", "%d of %d requests got no answer (%s)", t.Failed, t.Completed, strings.Join(kinds, ", "))
		if t.Failures[timedOut] > 0 {
			f.CloudFrontStatus, f.Source = 504, page504
		}
		step.find(f.advise(w.Settings.ConnectionAttempts))
	}
	for _, status := range slices.Sorted(maps.Keys(t.Statuses)) {
		if status >= 500 {
			f := finding("error-answers", "%d of %d answers were %d %s", t.Statuses[status], t.Completed, status, http.StatusText(status))
			if status == http.StatusBadGateway || status == http.StatusGatewayTimeout {
				f.Verdict, f.Source = Fail, page504
			}
			step.find(f)
		}
	}
	if c, limit := t.Connect, w.Settings.slowConnect(); c != nil && c.P95 >= limit {
		step.find(w.connectSlow(fmt.Sprintf("connecting takes %s at p95 of %s", c.P95, words.Count(t.Connections, "connection"))))
	}
	// A single first byte of seconds among many fast ones does not count, but one that is nearly too late does.
	switch s := t.FirstByte; {
	case s == nil:
	case s.Max > w.Settings.ResponseTimeout/2:
		f := finding("response-slow", "the slowest first byte took %s, more than half of the %s that CloudFront waits", s.Max, w.Settings.ResponseTimeout)
		f.Advice = "Under more load it will come too late. Make the application faster, or raise the origin's response timeout."
		step.find(f)
	case s.P95 >= slowFirstByte:
		step.Find("response-slow", "the first byte took %s at p95 (%s at the median); AWS calls milliseconds reasonable, seconds not", s.P95, s.Median)
	}
	return step
}

// slowFirstByte is how long is too long for a first byte, as AWS puts it: milliseconds are reasonable, seconds are not.
// See [page504], "Measure typical and high-load latency".
const slowFirstByte = second

func (t *Timing) summary() string {
	summary := words.Count(t.Completed, "request")
	if t.Concurrency > 1 {
		summary += fmt.Sprintf(", %d at a time", t.Concurrency)
	}
	if t.FirstByte == nil {
		return summary + ", no answer"
	}
	summary += fmt.Sprintf(", %d failed", t.Failed)
	if t.broken > 0 {
		summary += fmt.Sprintf(", %d were 5xx", t.broken)
	}
	return fmt.Sprintf("%s; first byte %s, at most %s", summary, t.FirstByte.Median, t.FirstByte.Max)
}

// A Spread is the distribution of measured times.
type Spread struct {
	Min    Seconds `json:"minSeconds"`
	Median Seconds `json:"medianSeconds"`
	P95    Seconds `json:"p95Seconds"`
	P99    Seconds `json:"p99Seconds"`
	Max    Seconds `json:"maxSeconds"`
}

// spreadOf returns nil if nothing was measured.
func spreadOf(times []Seconds) *Spread {
	if len(times) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(times))
	// The smallest measured time that p percent of all do not exceed: the nearest rank.
	percentile := func(p int) Seconds { return sorted[(p*len(sorted)+99)/100-1] }
	return &Spread{sorted[0], percentile(50), percentile(95), percentile(99), percentile(100)}
}

// KeepAlive is what happens to a connection after an answer.
type KeepAlive struct {
	Kept        bool     `json:"kept"`               // the server lets CloudFront reuse it
	ClosedAfter *Seconds `json:"closedAfterSeconds"` // of being idle; null if it was still open in the end
	Watched     Seconds  `json:"watchedSeconds"`
}

// keepAlive checks whether the server keeps a connection open for as long as CloudFront wants to reuse it. That takes
// this long, and a bit more: a server with the same timeout as CloudFront loses requests too.
func (w *walk) keepAlive(ctx context.Context) Step {
	if len(w.answered) == 0 {
		return skipped(w.noAnswer())
	}
	timeout := w.Settings.KeepAliveTimeout
	watch := timeout + min(timeout/10, second/2)
	w.Progress(fmt.Sprintf("watching an idle connection (at most %s)", watch))
	k, err := w.idle(ctx, time.Duration(watch))
	if err != nil { // so it is unknown
		return Step{Verdict: Warn, Summary: "no second answer: " + causeOf(err)}
	}
	w.report.KeepAlive = k
	step := Step{Verdict: OK, Summary: fmt.Sprintf("an idle connection is kept longer than CloudFront's %s", timeout)}
	switch {
	case !k.Kept:
		step.Summary = "the connection is closed after each answer"
		step.Find("not-kept", "the server closes the connection after each answer, so every request of CloudFront has to open a new one")
	case k.ClosedAfter != nil:
		step.Summary = fmt.Sprintf("an idle connection is closed after %s", *k.ClosedAfter)
		step.Find("closed-early", "the server closes idle connections after %s, while CloudFront reuses them for %s: a request sent at that moment is lost", *k.ClosedAfter, timeout)
	}
	return step
}

// idle sends a request on a connection of its own, reads the answer, and waits for the server to close it.
func (w *walk) idle(ctx context.Context, watch time.Duration) (*KeepAlive, error) {
	l := w.line(w.answered[0])
	defer l.close()
	s := l.get(ctx, w.Origin.URL)
	switch {
	case s.err != nil:
		return nil, s.err
	case s.endless:
		return nil, errors.New("it does not end")
	case l.conn == nil:
		return &KeepAlive{}, nil
	}
	conn := l.conn
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	start := time.Now()
	if err := conn.SetReadDeadline(start.Add(watch)); err != nil {
		return nil, err
	}
	_, err := l.in.ReadByte()
	if err == nil {
		return nil, errors.New("it sends more than one answer")
	}
	k := &KeepAlive{Kept: true, Watched: Seconds(time.Since(start))}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		k.ClosedAfter = &k.Watched
	}
	return k, nil
}
