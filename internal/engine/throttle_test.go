package engine

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/smithy-go"
)

// syncThrottled synchronises n groups of their own on an endpoint that throttles, and returns how many calls were
// throttled.
func syncThrottled(s *scene, n int) (throttled int) {
	s.t.Helper()
	s.cfg.Retryer = nil // the engine's own
	s.Targets = Targets(s.cfg, []string{"us-east-1"}, nil, "")
	for i := range n {
		s.group(s.here, fmt.Sprint("web-", i), "443")
	}
	s.sim.ResetCalls()
	report, err := s.Run(s.t.Context(), Request{})
	if err != nil || report.Summary.Changed != n {
		s.t.Errorf("error %v, summary %+v", err, report.Summary)
	}
	for _, c := range s.sim.ResetCalls() {
		if c.Error == "RequestLimitExceeded" {
			throttled++
		}
	}
	return throttled
}

// More groups than EC2's bucket has tokens: the run keeps to the bucket's pace, and no call is throttled, though the
// first ones take longer to arrive than those that follow. The clock is a fake one.
func TestNoCallIsWastedOnThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ec2sim.Options{Throttle: ec2sim.EC2Throttle}, nil, nil, rangeA)
		var sent atomic.Int64
		s.cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if sent.Add(1) <= 2+sequencesAtOnce { // a describe, the quota, and the first of each pool at work
				time.Sleep(350 * time.Millisecond)
			}
			return s.sim.RoundTrip(r)
		})}
		if n := syncThrottled(s, 2*mutatingBurst); n > 0 {
			t.Errorf("%d calls were throttled", n)
		}
	})
}

// Others use up the bucket: throttled calls are made again until all is done.
func TestThrottlingIsWaitedOut(t *testing.T) {
	small := func(string, bool) ec2sim.Bucket { return ec2sim.Bucket{Capacity: 2, Refill: 20} }
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ec2sim.Options{Throttle: small}, nil, nil, rangeA)
		if n := syncThrottled(s, 20); n == 0 {
			t.Error("no call was throttled: the test proves nothing")
		}
	})
}

// A failure that does not pass ends the retries soon, a throttled call later.
func TestRetryer(t *testing.T) {
	r := newRetryer()
	for _, c := range []struct {
		code    string
		attempt int
		ends    bool
	}{
		{"InternalError", 1, false},
		{"InternalError", maxAttempts, true},
		{"RequestLimitExceeded", maxAttempts, false},
	} {
		delay, err := r.RetryDelay(c.attempt, &smithy.GenericAPIError{Code: c.code})
		if (err != nil) != c.ends || delay > 20*time.Second {
			t.Errorf("%s, attempt %d: delay %v, error %v", c.code, c.attempt, delay, err)
		}
	}
}
