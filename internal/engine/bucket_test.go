package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
)

// fetcherOf fetches a document.
func fetcherOf(document string) FetchFunc {
	f := &iprange.Fetcher{
		Selection: iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true},
		Transport: transport(func() string { return document }),
	}
	return f.Fetch
}

// latency is about what a call to EC2 takes.
const latency = 100 * time.Millisecond

// A thousand groups at EC2's pace: the first sync and a change of every group
// take at most 1.1 times what the bucket itself dictates, no call is throttled,
// and there is one describe, one authorize and one revoke for a group. The
// clock is a fake one, so the times are exact.
func TestThousandGroupsAtTheBucketsPace(t *testing.T) {
	const groups = 1000
	// The bucket is full at first; each further call waits for its token.
	dictated := time.Duration((groups-mutatingBurst)*1000/mutatingRate) * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ec2sim.Options{Throttle: ec2sim.EC2Throttle}, nil, nil)
		s.cfg.Retryer = nil // the engine's own
		s.Targets = Targets(s.cfg, []string{"us-east-1"}, nil, "")
		for i := range groups {
			s.group(s.here, fmt.Sprint("web-", i), "443")
		}
		s.sim.Inject(slow(ec2sim.AnyAction, latency))
		for i, run := range []struct {
			ranges []string
			want   map[string]int
		}{
			{[]string{"18.64.0.0/15", rangeB}, map[string]int{"DescribeSecurityGroups": 1, "GetServiceQuota": 1, "AuthorizeSecurityGroupIngress": groups}},
			{[]string{"18.64.0.0/15", rangeB}, map[string]int{"DescribeSecurityGroups": 1}},
			{[]string{"18.64.0.0/15", "99.86.0.0/16"}, map[string]int{"DescribeSecurityGroups": 1, "AuthorizeSecurityGroupIngress": groups, "RevokeSecurityGroupIngress": groups}},
		} {
			s.sim.ResetCalls()
			s.Fetch = fetcherOf(document(1790000000+i, run.ranges...))
			began := time.Now()
			if _, err := s.Run(t.Context(), Request{Force: true}); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			got := map[string]int{}
			for _, c := range s.sim.ResetCalls() {
				if c.Error != "" {
					t.Errorf("%s: %s", c.Action, c.Error)
				}
				got[c.Action]++
			}
			if fmt.Sprint(got) != fmt.Sprint(run.want) {
				t.Errorf("run %d: calls %v, not %v", i, got, run.want)
			}
			most := dictated + dictated/10
			if len(run.want) == 1 {
				most = 2 * latency
			}
			if took > most {
				t.Errorf("run %d took %s, more than %s", i, took, most)
			}
			t.Logf("run %d took %s, the bucket dictates %s: %v", i, took, dictated, got)
			time.Sleep(time.Minute) // the bucket fills again
		}
	})
}
