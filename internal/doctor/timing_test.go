package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A percentile is one of the times, and so many of them are not above it, but no fewer would be enough.
func TestPercentile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Map(rapid.Int64Range(0, 50), func(n int64) Seconds { return Seconds(n) }), 1, 200).Draw(t, "times")
		s := spreadOf(times)
		for p, value := range map[int]Seconds{50: s.Median, 95: s.P95, 99: s.P99, 100: s.Max} {
			below, within := 0, 0
			for _, d := range times {
				if d < value {
					below++
				}
				if d <= value {
					within++
				}
			}
			if within == below {
				t.Errorf("p%d is %d, which was not measured", p, value)
			}
			if within*100 < p*len(times) || below*100 >= p*len(times) {
				t.Errorf("p%d is %d: %d below, %d within, of %d", p, value, below, within, len(times))
			}
		}
	})
}

func TestSecondsString(t *testing.T) {
	for d, want := range map[Seconds]string{
		0:                                      "0 ms",
		1234 * millisecond / 1000:              "1.23 ms",
		12345 * millisecond / 1000:             "12 ms",
		340 * millisecond:                      "340 ms",
		second:                                 "1 s",
		2500 * millisecond:                     "2.5 s",
		30 * second:                            "30 s",
		90*second + 40*millisecond:             "90 s",
		999*millisecond + 499*millisecond/1000: "999 ms",
	} {
		if got := d.String(); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

// every returns what does one thing most of the time, and another every n times.
func every(n int32, usual, other http.HandlerFunc) http.HandlerFunc {
	var count atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		if c := count.Add(1); c > 10 && c%n == 0 { // not in the steps before
			other(w, r)
			return
		}
		usual(w, r)
	}
}

func TestLoad(t *testing.T) {
	const requests = 60
	ok := answering(200, "hello")
	cut := func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(buffer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
		buffer.Flush()
		conn.Close()
	}
	for _, c := range []struct {
		name     string
		handler  http.HandlerFunc
		settings func(*Settings)
		want     string
		failures int
		message  string
	}{
		{"all is well", ok, nil, "", 0, ""},
		{"one of 20 is a 504", every(20, ok, answering(504, "")), nil, "load:error-answers:fail", 0, "3 of 60 answers were 504 Gateway Timeout"},
		{"one of 20 is a 500", every(20, ok, answering(500, "")), nil, "load:error-answers:warn", 0, "3 of 60 answers were 500"},
		{"one of 20 is cut", every(20, ok, cut), nil, "load:requests-failed:fail", 3, "3 of 60 requests got no answer (3 closed)"},
		{"one of 20 is slow", every(20, ok, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), func(s *Settings) { s.ResponseTimeout = second }, "load:requests-failed:fail", 3, "(3 timeout)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu, most atomic.Int32
			counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				now := mu.Add(1)
				defer mu.Add(-1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				c.handler(w, r)
			})
			s := newSite(t, serve(t, counted))
			if c.settings != nil {
				c.settings(&s.options.Settings)
			}
			s.options.Requests, s.options.Concurrency = requests, 8
			report := s.examine(t.Context(), "http://"+name+":80/")
			wants(t, report, c.want)
			l := report.Load
			if l.Completed != requests || l.Failed != c.failures || l.Connections < 1 || l.Connections > 8+requests/20 {
				t.Errorf("%+v", l)
			}
			if n := most.Load(); n > 8 {
				t.Errorf("%d requests at a time", n)
			}
			if findings := step(t, report, "load").Findings; c.want != "" && !strings.Contains(findings[0].Message, c.message) {
				t.Errorf("says %q, want %q", findings[0].Message, c.message)
			}
		})
	}
}

// An aborting connection carries one request. The next one ends it as Windows does, by an error that is neither an end
// nor a reset: WSAECONNABORTED.
type aborting struct {
	net.Conn
	requests int
}

func (c *aborting) Write(b []byte) (int, error) {
	c.requests++
	return c.Conn.Write(b)
}

func (c *aborting) Read(b []byte) (int, error) {
	if c.requests > 1 {
		return 0, &net.OpError{Op: "read", Err: errors.New("an established connection was aborted")}
	}
	return c.Conn.Read(b)
}

// Whatever ends a kept connection before an answer, the request is sent on a new one.
func TestKeptConnectionsEnd(t *testing.T) {
	server := serve(t, answering(200, "hello"))
	s := newSite(t, server)
	s.options.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, server)
		return &aborting{Conn: conn}, err
	}
	s.options.Requests = 5
	report := s.examine(t.Context(), "http://"+name+":80/")
	wants(t, report, "")
	if l := report.Load; l.Failed > 0 || l.Connections != 5 {
		t.Errorf("%+v", l)
	}
}

// Times are compared with CloudFront's timeouts.
func TestJudgeTiming(t *testing.T) {
	w, fine := &walk{Options: Options{Settings: DefaultSettings}}, &http.Response{StatusCode: http.StatusOK}
	answered := func(after Seconds) sample {
		return sample{connect: 1, firstByte: after, total: after + 1, response: fine}
	}
	for _, c := range []struct {
		name    string
		results []sample
		want    string
	}{
		{"in time", []sample{answered(millisecond), answered(999 * millisecond)}, "ok"},
		{"seconds", []sample{answered(8 * second), answered(7 * second)}, "warn response-slow 0 the first byte took 8 s at p95 (7 s at the median); AWS calls milliseconds reasonable, seconds not"},
		{"one of many takes seconds", append(slices.Repeat([]sample{answered(1)}, 19), answered(15*second)), "ok"},
		{"nearly too late", []sample{answered(second), answered(15*second + 1)}, "warn response-slow 0 the slowest first byte took 15 s, more than half of the 30 s that CloudFront waits"},
		{"too late", []sample{answered(millisecond), {failure: timedOut}}, "fail requests-failed 504 1 of 2 requests got no answer (1 timeout)"},
		{"connected in time", []sample{{connect: second - 1, firstByte: 1, total: 2, response: fine}}, "ok"},
		{"connected by the second packet", []sample{answered(1), {connect: 1020 * millisecond, firstByte: 1, total: 2, response: fine}}, "warn connect-slow 0 connecting takes 1.02 s at p95 of 2 connections; CloudFront waits 10 s for a connection"},
		{"one of many connected by the second packet", append(slices.Repeat([]sample{answered(1)}, 19), sample{connect: second, firstByte: 1, total: 2, response: fine}), "ok"},
		{"in many ways", []sample{{failure: refused}, {failure: closed}, {failure: closed}}, "fail requests-failed 502 3 of 3 requests got no answer (2 closed, 1 refused)"},
	} {
		timing := newTiming(len(c.results), 1)
		for _, s := range c.results {
			timing.add(s)
		}
		timing.finish(time.Minute)
		step := w.judgeTiming(t.Context(), timing)
		got := string(step.Verdict)
		for _, f := range step.Findings {
			checkCause(t, f)
			got += fmt.Sprint(" ", f.Code, " ", f.CloudFrontStatus, " ", f.Message)
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// Where the clock does not tick in between, there is no rate, and the report is JSON still.
func TestNoTimeElapsed(t *testing.T) {
	timing := newTiming(1, 1)
	timing.finish(0)
	if _, err := json.Marshal(timing); err != nil {
		t.Error(err)
	}
}

// Ctrl-C reports the measurements so far, and a request that it cut off is no failure of the origin.
func TestLoadInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var count atomic.Int32
	s := newSite(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if count.Add(1) > 30 {
			interrupt()
			<-r.Context().Done()
		}
	})))
	s.options.Requests, s.options.Concurrency = 10_000, 4
	report := s.examine(ctx, "http://"+name+":80/")
	wants(t, report, "")
	if l := report.Load; l.Completed < 10 || l.Completed > 30 || l.Failed > 0 || !report.Interrupted {
		t.Errorf("%+v", l)
	}
	if got := step(t, report, "load").Summary; !strings.Contains(got, "then interrupted") {
		t.Errorf("says %q", got)
	}
}
