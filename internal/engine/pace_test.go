package engine

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

// newPaceScene is a number of groups on an endpoint that throttles, seen through the engine's own clients.
func newPaceScene(t *testing.T, groups int, throttle ec2sim.Throttle, transport func(*scene) http.RoundTripper) *scene {
	s := newScene(t, ec2sim.Options{Throttle: throttle}, nil, nil, rangeA)
	s.cfg.Retryer = nil
	s.cfg.HTTPClient = &http.Client{Transport: transport(s)}
	s.Targets = Targets(s.cfg, []string{"us-east-1"}, nil, "")
	for i := range groups {
		s.group(s.here, fmt.Sprint("web-", i), "443")
	}
	return s
}

// throttled counts the calls that were throttled, and forgets all.
func (s *scene) throttled() (n int) {
	for _, c := range s.sim.Calls() {
		if c.Error == "RequestLimitExceeded" {
			n++
		}
	}
	return n
}

// A thousand groups at EC2's pace: the first sync and a change of every group take at most 1.1 times what the bucket
// itself dictates, no call is throttled, and there is one describe, one authorize and one revoke for a group. The clock
// is a fake one, so the times are exact.
func TestThousandGroupsAtTheBucketsPace(t *testing.T) {
	const groups, latency = 1000, 100 * time.Millisecond // about what a call to EC2 takes
	// The bucket is full at first; each further call waits for its token.
	dictated := time.Duration((groups-mutatingBurst)*1000/mutatingRate) * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := newPaceScene(t, groups, ec2sim.EC2Throttle, func(s *scene) http.RoundTripper { return s.sim })
		s.sim.Inject(slow(ec2sim.AnyAction, latency))
		for i, run := range []struct {
			ranges []string
			most   time.Duration
			want   map[string]int
		}{
			{[]string{"18.64.0.0/15", rangeB}, dictated + dictated/10, map[string]int{
				"GetCallerIdentity": 1, "GetServiceQuota": 1, "AuthorizeSecurityGroupIngress": groups, "mutating": groups,
			}},
			{[]string{"18.64.0.0/15", rangeB}, 2 * latency, map[string]int{}},
			{[]string{"18.64.0.0/15", "99.86.0.0/16"}, dictated + dictated/10, map[string]int{
				"DescribeNetworkInterfaces": groups / 200, "AuthorizeSecurityGroupIngress": groups,
				"RevokeSecurityGroupIngress": groups, "mutating": 2 * groups,
			}},
		} {
			run.want["DescribeSecurityGroups"], run.want["DescribeManagedPrefixLists"] = 1, 1
			s.publish(1790000000+2*i, prefixes(run.ranges...))
			s.calls()
			began := time.Now()
			if _, err := s.Run(t.Context(), Request{Force: true}); err != nil {
				t.Fatal(err)
			}
			took, throttled := time.Since(began), s.throttled()
			if diff := cmp.Diff(run.want, s.calls()); diff != "" || took > run.most || throttled > 0 {
				t.Errorf("run %d took %s, more than %s, or %d calls were throttled: %s", i, took, run.most, throttled, diff)
			}
			t.Logf("run %d took %s, the bucket dictates %s", i, took, dictated)
			time.Sleep(time.Minute) // the bucket fills again
		}
	})
}

// More groups than EC2's bucket has tokens: the run keeps to the bucket's pace, and no call is throttled, though the
// first ones take longer to arrive than those that follow. If others use up the bucket, throttled calls are made again
// until all is done. The clock is a fake one.
func TestThrottling(t *testing.T) {
	late := func(s *scene) http.RoundTripper {
		var sent atomic.Int64
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if sent.Add(1) <= 2+sequencesAtOnce { // a describe, the quota, and the first of each pool at work
				time.Sleep(350 * time.Millisecond)
			}
			return s.sim.RoundTrip(r)
		})
	}
	small := func(string, bool) ec2sim.Bucket { return ec2sim.Bucket{Capacity: 2, Refill: 20} }
	for name, c := range map[string]struct {
		groups    int
		throttle  ec2sim.Throttle
		throttled bool
	}{"no call is wasted": {2 * mutatingBurst, ec2sim.EC2Throttle, false}, "others use up the bucket": {20, small, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newPaceScene(t, c.groups, c.throttle, late)
				report, err := s.Run(t.Context(), Request{})
				if n := s.throttled(); err != nil || report.Summary.Changed != c.groups || (n > 0) != c.throttled {
					t.Errorf("%d calls were throttled; error %v, %+v", n, err, report.Summary)
				}
			})
		})
	}
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

// BenchmarkIdleRun runs with nothing to do. What is allocated for a group does not depend on how many there are: the
// memory is that of the groups.
func BenchmarkIdleRun(b *testing.B) {
	for _, groups := range []int{1000, 5000} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			s := newScene(b, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
			for i := range groups {
				s.group(s.here, fmt.Sprint("web-", i), "443")
			}
			_, err := s.Run(b.Context(), Request{})
			s.must(err)
			s.Targets[0].EC2 = &keepingAPI{s.Targets[0].EC2, map[string]*ec2.DescribeSecurityGroupsOutput{}}
			_, err = s.Run(b.Context(), Request{}) // keeps what EC2 answers
			s.must(err)
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n := 0
			for b.Loop() {
				n++
				if report, err := s.Run(b.Context(), Request{}); err != nil || report.Changed || len(report.Groups) != groups {
					b.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(n*groups), "B/group")
		})
	}
}

// keepingAPI answers a describe as it was answered first, so that neither the endpoint nor the SDK is measured.
type keepingAPI struct {
	secgroup.API
	pages map[string]*ec2.DescribeSecurityGroupsOutput // by token
}

func (k *keepingAPI) DescribeSecurityGroups(
	ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opts ...func(*ec2.Options),
) (out *ec2.DescribeSecurityGroupsOutput, err error) {
	token := aws.ToString(in.NextToken)
	if k.pages[token] == nil {
		k.pages[token], err = k.API.DescribeSecurityGroups(ctx, in, opts...)
	}
	return k.pages[token], err
}
