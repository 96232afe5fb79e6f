package engine

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// One group of five may not be changed: the other four are filled, and the message names the one that was left alone.
func TestRefusedGroupIsLeftAlone(t *testing.T) {
	for code, says := range map[string]string{
		"UnauthorizedOperation":              "grant the permission ec2:AuthorizeSecurityGroupIngress",
		"RulesPerSecurityGroupLimitExceeded": "quota",
	} {
		t.Run(code, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{RulesPerGroup: 10}, []string{"us-east-1"}, nil, spread40()...)
			var ids []string
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				ids = append(ids, s.group(s.here, name, "443", "-pool", "web"))
			}
			s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", Resource: ids[0], Count: ec2sim.Forever, Code: code})
			s.sim.ResetCalls()
			report, err := s.Run(t.Context(), Request{})
			if err == nil || !strings.Contains(err.Error(), ids[0]) || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v", err)
			}
			if report.Summary.Added != 40 {
				t.Errorf("%d of 40 rules were added", report.Summary.Added)
			}
			tries := 0
			for _, c := range s.sim.ResetCalls() {
				if c.Action == "AuthorizeSecurityGroupIngress" && c.Resource == ids[0] {
					tries++
				}
			}
			if tries != 1 {
				t.Errorf("the refused call was made %d times", tries)
			}
		})
	}
}

// spread40 returns 40 ranges that no merging touches.
func spread40() []string {
	var all []string
	for i := range 40 {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{13, byte(2 * i), 0, 0}), 16).String())
	}
	return all
}

// fullPool is a group that is full to its last slot with a rule that is cut in two: there is no way without a gap.
func fullPool(t *testing.T) (*scene, string) {
	s := newScene(t, ec2sim.Options{RulesPerGroup: 2}, []string{"us-east-1"}, nil, "18.64.0.0/16", "18.66.0.0/16")
	web := s.group(s.here, "web", "443")
	if err := s.here.AddRules(web,
		ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.MustParsePrefix("198.51.100.0/24"))},
		ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("18.64.0.0/14")), Description: key + ": CLOUDFRONT 2026-01-01T00:00:00Z"},
	); err != nil {
		t.Fatal(err)
	}
	s.here.SetQuota(3)
	s.MaxRevokePercent = 100
	return s, web
}

// A gap that a run has opened is closed: after Ctrl-C and at the end of its time, when the call that closes it fails in
// passing, and when it fails for good, by what was there before.
func TestGapIsNeverLeftOpen(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(s *scene, cancel context.CancelFunc)
		limit   time.Duration
		want    []string // of what is open in the end, one at least
		fails   string
	}{
		{name: "nothing happens", want: []string{"18.64.0.0/16"}},
		{name: "Ctrl-C in the gap", arrange: func(s *scene, cancel context.CancelFunc) {
			s.sim.Observe(func(c ec2sim.Change) {
				if c.Call.Action == "RevokeSecurityGroupIngress" {
					cancel()
				}
			})
		}, want: []string{"18.64.0.0/16"}},
		{name: "closing fails in passing", arrange: func(s *scene, _ context.CancelFunc) {
			s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", After: 1, Count: 4, Code: "InternalError"})
		}, want: []string{"18.64.0.0/16"}},
		{name: "closing fails for good", arrange: func(s *scene, _ context.CancelFunc) {
			s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", After: 1, Count: 1, Code: "UnauthorizedOperation"})
		}, want: []string{"18.64.0.0/14"}, fails: "its gap is closed again"},
		{name: "nothing may be authorized any more", arrange: func(s *scene, _ context.CancelFunc) {
			s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", After: 1, Count: ec2sim.Forever, Code: "UnauthorizedOperation"})
		}, fails: "CLOSED until the next run reopens it: 18.6"},
		{name: "no time for both", arrange: func(*scene, context.CancelFunc) {}, limit: 3 * time.Second, want: []string{"18.64.0.0/14"}, fails: "deadline too close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, web := fullPool(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.arrange != nil {
				c.arrange(s, cancel)
			}
			if c.limit > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.limit)
				defer cancel()
			}
			var told struct{ added, removed int }
			before := strings.Count(s.sources(s.here, web), "/")
			report, err := s.Run(ctx, Request{OnStep: func(_ *Target, step secgroup.Step) {
				told.added += len(step.Add)
				told.removed += len(step.Remove)
			}})
			// A step that was undone is not reported as done.
			now := strings.Count(s.sources(s.here, web), "/")
			if sum := report.Summary; sum.Added-sum.Revoked != now-before || told.added != sum.Added || told.removed != sum.Revoked {
				t.Errorf("the group had %d rules and has %d, the report says %+v, and told was %v", before, now, sum, told)
			}
			if c.fails == "" && err != nil && !strings.Contains(err.Error(), "stopped between two steps") || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("error %v, want one with %q", err, c.fails)
			}
			for _, want := range c.want {
				if got := s.sources(s.here, web); !strings.Contains(got, want) {
					t.Errorf("the group has %s, without %s", got, want)
				}
			}
		})
	}
}

// Eight regions whose endpoints never answer do not keep the ninth from its turn: each attempt has its own time. The
// clock is a fake one.
func TestEndpointsThatHangStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ec2sim.Options{}, nil, nil, rangeA)
		regions := []string{"us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "ap-south-1", "us-east-1"}
		s.cfg.Retryer = nil // the engine's own
		s.cfg.HTTPClient = &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if strings.Contains(req.Header.Get("Authorization"), "/us-east-1/") {
				return s.sim.RoundTrip(req)
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		})}
		s.Targets = Targets(s.cfg, regions, nil, "")
		s.group(s.here, "web", "443")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		report, err := s.Run(ctx, Request{})
		if err == nil || report.Summary.Added != 1 {
			t.Errorf("error %v, summary %+v", err, report.Summary)
		}
	})
}

// A plan leaves out what another account shares, as a run does, so that it can be applied.
func TestPlanBesideSharedGroupIsApplied(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	s.group(s.here, "web", "443")
	s.Targets[0].EC2 = sharing{s.Targets[0].EC2}
	p, err := s.Propose(t.Context(), Request{})
	if err != nil || p.Count() != 1 {
		t.Fatalf("%d steps, %v", p.Count(), err)
	}
	if warnings := p.Warnings(); len(warnings) != 1 || !strings.Contains(warnings[0], "is shared by account 999988887777") {
		t.Errorf("warnings %q", warnings)
	}
	if report, err := s.Run(t.Context(), p.Approved()); err != nil || report.Summary.Added != 1 {
		t.Errorf("error %v, summary %+v", err, report.Summary)
	}
}

// Groups that another account shares are left alone, and told.
func TestSharedGroupIsLeftAlone(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	s.group(s.here, "web", "443")
	s.Targets[0].EC2 = sharing{s.Targets[0].EC2}
	report, err := s.Run(t.Context(), Request{})
	if err != nil || report.Summary.Groups != 1 || report.Summary.Added != 1 {
		t.Errorf("error %v, summary %+v", err, report.Summary)
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "sg-0aaaaaaaaaaaaaaaa is shared by account 999988887777") {
		t.Errorf("warnings %q", report.Warnings)
	}
}

// sharing is EC2 in which another account shares a tagged group.
type sharing struct{ secgroup.API }

func (s sharing) DescribeSecurityGroups(ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opts ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	out, err := s.API.DescribeSecurityGroups(ctx, in, opts...)
	if err == nil {
		out.SecurityGroups = append(out.SecurityGroups, types.SecurityGroup{
			GroupId: aws.String("sg-0aaaaaaaaaaaaaaaa"), OwnerId: aws.String("999988887777"),
			Tags: []types.Tag{{Key: aws.String(key), Value: aws.String("443")}},
		})
	}
	return out, err
}

// A quota that was raised or lowered is learnt by the next run of a warm instance: where a pool is too small, and where
// EC2 refuses for it.
func TestQuotaThatChanges(t *testing.T) {
	s := newScene(t, ec2sim.Options{RulesPerGroup: 20}, []string{"us-east-1"}, nil, spread40()...)
	web := s.group(s.here, "web", "443")
	if _, err := s.Run(t.Context(), Request{}); err == nil || !strings.Contains(err.Error(), "room for 20") {
		t.Fatalf("error %v", err)
	}
	s.here.SetQuota(40)
	if report, err := s.Run(t.Context(), Request{}); err != nil || report.Summary.Added != 20 {
		t.Errorf("raised: error %v, summary %+v", err, report.Summary)
	}
	if err := s.here.SetRules(web); err != nil {
		t.Fatal(err)
	}
	s.here.SetQuota(30)
	if report, err := s.Run(t.Context(), Request{}); err == nil || !strings.Contains(err.Error(), "room for 30") || report.Summary.Added != 30 {
		t.Errorf("lowered: error %v, summary %+v", err, report.Summary)
	}
}
