package engine

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// No goroutine outlives a run, however it ends: a bubble of synctest panics where one does. And a run ends when its
// time is up, whatever hangs.
func TestNothingOutlivesARun(t *testing.T) {
	const long = time.Hour // for which something hangs
	hanging := roundTripper(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	for _, c := range []struct {
		name    string
		arrange func(*scene)
		limit   time.Duration // of the run's context
		cancel  time.Duration // when it is cancelled instead
		most    time.Duration // that the run may take
		says    string        // of its error
	}{
		{name: "succeeds", arrange: func(*scene) {}, most: time.Second},
		{name: "an action is denied", arrange: func(s *scene) { s.sim.Deny("AuthorizeSecurityGroupIngress") }, most: time.Second, says: "grant the permission"},
		{name: "the file is bad", arrange: func(s *scene) { s.Fetch = fetcherOf("{") }, most: time.Minute, says: "cut short"},
		{name: "the feed hangs", arrange: func(s *scene) { s.fetcher.Transport = hanging }, limit: time.Minute, most: time.Minute, says: "deadline exceeded"},
		{name: "a describe hangs", arrange: func(s *scene) { s.sim.Inject(slow("DescribeSecurityGroups", long)) }, limit: time.Minute, most: time.Minute, says: "deadline exceeded"},
		{name: "an authorize hangs", arrange: func(s *scene) { s.sim.Inject(slow("AuthorizeSecurityGroupIngress", long)) }, limit: time.Minute, most: time.Minute, says: "deadline exceeded"},
		{name: "the quota hangs", arrange: func(s *scene) { s.sim.Inject(slow("GetServiceQuota", long)) }, limit: time.Minute, most: time.Minute, says: "deadline exceeded"},
		{name: "throttled for good", arrange: func(s *scene) {
			s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", Count: ec2sim.Forever, Code: "RequestLimitExceeded"})
		}, limit: time.Minute, most: time.Minute, says: "deadline exceeded"},
		{name: "cancelled while the feed hangs", arrange: func(s *scene) { s.fetcher.Transport = hanging }, cancel: time.Minute, most: time.Minute, says: "canceled"},
		{name: "cancelled in a step", arrange: func(s *scene) { s.sim.Inject(slow("AuthorizeSecurityGroupIngress", 10*time.Second)) }, cancel: 5 * time.Second, most: 10 * time.Second, says: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, ec2sim.Options{}, nil, nil, rangeA)
				s.cfg.Retryer = nil // the engine's own
				s.Targets = Targets(s.cfg, []string{"us-east-1", "eu-west-1"}, nil, "")
				s.group(s.here, "web", "443")
				s.group(s.sim.Region("", "eu-west-1"), "web", "443")
				c.arrange(s)
				ctx := t.Context()
				if c.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.limit)
					defer cancel()
				}
				if c.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					defer cancel()
					defer time.AfterFunc(c.cancel, cancel).Stop()
				}
				began := time.Now()
				_, err := s.Run(ctx, Request{})
				if took := time.Since(began); took > c.most {
					t.Errorf("the run took %s, more than %s", took, c.most)
				}
				if err == nil {
					err = errors.New("")
				}
				if c.says == "" && err.Error() != "" || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %q, want one with %q", err, c.says)
				}
			})
		})
	}
}

// slow makes the answers to an action take that long.
func slow(action string, delay time.Duration) ec2sim.Fault {
	return ec2sim.Fault{Kind: ec2sim.Slow, Action: action, Count: ec2sim.Forever, Delay: delay}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
