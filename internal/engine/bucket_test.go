package engine

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
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

// A thousand groups at EC2's pace: the first sync and a change of every group take at most 1.1 times what the bucket
// itself dictates, no call is throttled, and there is one describe, one authorize and one revoke for a group. The clock
// is a fake one, so the times are exact.
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
			{[]string{"18.64.0.0/15", rangeB}, map[string]int{"DescribeManagedPrefixLists": 1, "DescribeSecurityGroups": 1, "GetCallerIdentity": 1, "GetServiceQuota": 1, "AuthorizeSecurityGroupIngress": groups}},
			{[]string{"18.64.0.0/15", rangeB}, map[string]int{"DescribeManagedPrefixLists": 1, "DescribeSecurityGroups": 1}},
			{[]string{"18.64.0.0/15", "99.86.0.0/16"}, map[string]int{
				"DescribeManagedPrefixLists": 1, "DescribeSecurityGroups": 1, "DescribeNetworkInterfaces": groups / 200,
				"AuthorizeSecurityGroupIngress": groups, "RevokeSecurityGroupIngress": groups,
			}},
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

// BenchmarkIdleRun runs with nothing to do. What is allocated for a group does not depend on how many there are: the
// memory is that of the groups.
func BenchmarkIdleRun(b *testing.B) {
	for _, groups := range []int{1000, 5000} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			s := newScene(b, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
			for i := range groups {
				s.group(s.here, fmt.Sprint("web-", i), "443")
			}
			if _, err := s.Run(b.Context(), Request{}); err != nil {
				b.Fatal(err)
			}
			api := &keepingAPI{API: s.Targets[0].EC2}
			s.Targets[0].EC2 = api
			if _, err := s.Run(b.Context(), Request{}); err != nil { // keeps what EC2 answers
				b.Fatal(err)
			}
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

func (k *keepingAPI) DescribeSecurityGroups(ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opts ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	token := aws.ToString(in.NextToken)
	if out := k.pages[token]; out != nil {
		return out, nil
	}
	out, err := k.API.DescribeSecurityGroups(ctx, in, opts...)
	if k.pages == nil {
		k.pages = map[string]*ec2.DescribeSecurityGroupsOutput{}
	}
	k.pages[token] = out
	return out, err
}
