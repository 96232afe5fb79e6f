package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// tampered is EC2 with hands on what it is asked and what it answers.
type tampered struct {
	secgroup.API
	authorize func(groupID string)
	described func(*ec2.DescribeSecurityGroupsOutput)
}

func (a *tampered) AuthorizeSecurityGroupIngress(
	ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, opts ...func(*ec2.Options),
) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	if a.authorize != nil {
		a.authorize(*in.GroupId)
	}
	return a.API.AuthorizeSecurityGroupIngress(ctx, in, opts...)
}

func (a *tampered) DescribeSecurityGroups(
	ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opts ...func(*ec2.Options),
) (*ec2.DescribeSecurityGroupsOutput, error) {
	out, err := a.API.DescribeSecurityGroups(ctx, in, opts...)
	if err == nil && a.described != nil {
		a.described(out)
	}
	return out, err
}

// One group of five may not be changed: the other four are filled, and the message names the one that was left alone. A
// conflict that no look explains is not tried again either, and the looks end.
func TestRefusedGroupIsLeftAlone(t *testing.T) {
	for _, c := range []struct {
		code, says string
		looks      int
	}{
		{"UnauthorizedOperation", "grant the permission ec2:AuthorizeSecurityGroupIngress", 2},
		{"RulesPerSecurityGroupLimitExceeded", "quota", 2},
		{"InvalidPermission.Duplicate", "InvalidPermission.Duplicate", maxPlans + 1},
	} {
		t.Run(c.code, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{RulesPerGroup: 10}, []string{"us-east-1"}, nil, words.Strings(spread(40))...)
			var ids []string
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				ids = append(ids, s.group(s.here, name, "443", "-pool", "web"))
			}
			s.refuse(ec2sim.Fault{Action: "AuthorizeSecurityGroupIngress", Resource: ids[0], Code: c.code})
			s.calls()
			report, err := s.Run(t.Context(), Request{})
			said := fmt.Sprint(err)
			if !strings.Contains(said, ids[0]) || !strings.Contains(said, c.says) || report.Summary.Added != 40 {
				t.Errorf("error %v, %+v", err, report.Summary)
			}
			tries, looks := 0, 0
			for _, call := range s.sim.Calls() {
				if call.Resource == ids[0] {
					tries++
				}
				if call.Action == "DescribeSecurityGroups" {
					looks++
				}
			}
			if tries != 1 || looks != c.looks {
				t.Errorf("the refused call was made %d times, with %d looks", tries, looks)
			}
		})
	}
}

// A gap that a run has opened is closed: after Ctrl-C and at the end of its time, when the call that closes it fails in
// passing, and when it fails for good, by what was there before. A step that was undone is not reported as done.
func TestGapIsNeverLeftOpen(t *testing.T) {
	refuse := func(count int, code string) func(*scene, func()) {
		return func(s *scene, _ func()) {
			f := ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", After: 1}
			f.Count, f.Code = count, code
			s.sim.Inject(f)
		}
	}
	for _, c := range []struct {
		name    string
		arrange func(s *scene, cancel func())
		limit   time.Duration
		want    string // what is open in the end
		fails   string
	}{
		{"nothing happens", func(*scene, func()) {}, time.Minute, "18.64.0.0/16", ""},
		{"Ctrl-C in the gap, and closing fails in passing", func(s *scene, cancel func()) {
			refuse(4, "InternalError")(s, cancel)
			s.sim.Observe(func(c ec2sim.Change) {
				if c.Call.Action == "RevokeSecurityGroupIngress" {
					cancel()
				}
			})
		}, time.Minute, "18.64.0.0/16", ""},
		{"closing fails in passing", refuse(4, "InternalError"), time.Minute, "18.64.0.0/16", ""},
		{"closing fails for good", refuse(1, "UnauthorizedOperation"), time.Minute, "18.64.0.0/14", "its gap is closed"},
		{
			"nothing may be authorized any more", refuse(ec2sim.Forever, "UnauthorizedOperation"), time.Minute, "",
			"CLOSED until the next run reopens it: 18.6",
		},
		{
			"no time for both", func(*scene, func()) {}, 3 * time.Second, "18.64.0.0/14",
			"1 of 3 steps taken: deadline too close to start another step; the next run continues",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A group that is full to its last slot with a rule that is cut in two: there is no way without a gap.
			s := newScene(t, ec2sim.Options{RulesPerGroup: 3}, []string{"us-east-1"}, nil, "18.64.0.0/16", "18.66.0.0/16")
			s.MaxRevokePercent = 100
			web := s.group(s.here, "web", "443")
			s.add(web, "office", "198.51.100.0/24")
			s.add(web, staleStamp, "18.64.0.0/14")
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			c.arrange(s, cancel)
			added, removed, before := 0, 0, strings.Count(s.sources(s.here, web), "/")
			report, err := s.Run(ctx, Request{OnStep: func(_ *Target, step secgroup.Step) {
				added += len(step.Add)
				removed += len(step.Remove)
			}})
			now := s.sources(s.here, web)
			sum, grown := report.Summary, strings.Count(now, "/")-before
			if sum.Added-sum.Revoked != grown || added != sum.Added || removed != sum.Revoked {
				t.Errorf("reported %+v, told of %d and %d; the group had %d rules, and has %s", sum, added, removed, before, now)
			}
			if (err == nil) != (c.fails == "") || !strings.Contains(fmt.Sprint(err), c.fails) || !strings.Contains(now, c.want) {
				t.Errorf("error %v, want %q; the group has %s, want %s", err, c.fails, now, c.want)
			}
		})
	}
}

// What an approved plan proposes is done and nothing else: not if the groups have changed since, and not after a step
// that runs into somebody else's change.
func TestApprovedPlanMeetsAChange(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-nowhere-1"}, nil, rangeA, rangeB)
	a, b := s.group(s.here, "a", "443"), s.group(s.here, "b", "443")
	s.group(s.here, "bad", "https,")
	propose := func() Request {
		p, err := s.Propose(t.Context(), Request{})
		s.must(err)
		if p.Previews[1].Err == nil || len(p.Failures) != 2 {
			t.Errorf("failures of a region and of a group are not shown: %v", p.Failures)
		}
		return p.Approved()
	}
	approved := propose()
	s.add(a, "mine", rangeA)
	if _, err := s.Run(t.Context(), approved); !errors.Is(err, ErrOutdated) || s.sources(s.here, b) != "" {
		t.Errorf("changed before: %v", err)
	}
	s.Targets[0].EC2 = &tampered{API: s.Targets[0].EC2, authorize: func(id string) {
		if id == b {
			s.add(b, "mine", rangeA)
		}
	}}
	report, err := s.Run(t.Context(), propose())
	duplicate := strings.Contains(fmt.Sprint(err), "InvalidPermission.Duplicate")
	if !duplicate || errors.Is(err, ErrOutdated) || report.Summary.Added != 1 {
		t.Errorf("changed meanwhile: error %v, summary %+v", err, report.Summary)
	}
}

// What EC2 shows of others is left alone and told: a group and a list that another account shares, a list that is being
// deleted, a rule that refers to a list which is gone. A group that goes during a run has not failed. None of it keeps
// the others from being synced, or a plan from being applied.
func TestWhatIsNotOurs(t *testing.T) {
	s := newScene(t, ec2sim.Options{PrefixListDelay: time.Hour}, []string{"us-east-1"}, nil, rangeA)
	web, goes := s.group(s.here, "web", "443"), s.group(s.here, "goes", "443")
	hub := s.sim.Region("999988887777", "us-east-1")
	theirs := s.list(hub, "ranges", 5, entry("18.70.0.0/16", staleStamp))
	s.must(hub.SharePrefixList(theirs, ec2sim.DefaultAccount))
	doomed := s.list(s.here, "ranges", 5)
	in := ec2.DeleteManagedPrefixListInput{PrefixListId: &doomed}
	_, err := ec2.NewFromConfig(s.cfg).DeleteManagedPrefixList(t.Context(), &in)
	s.must(err)
	s.Targets[0].EC2 = &tampered{API: s.Targets[0].EC2, described: func(out *ec2.DescribeSecurityGroupsOutput) {
		for i := range out.SecurityGroups {
			out.SecurityGroups[i].IpPermissions = append(out.SecurityGroups[i].IpPermissions, types.IpPermission{
				IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22),
				PrefixListIds: []types.PrefixListId{{PrefixListId: aws.String("pl-0123456789abcdef0")}},
			})
		}
		out.SecurityGroups = append(out.SecurityGroups, types.SecurityGroup{
			GroupId: aws.String("sg-0aaaaaaaaaaaaaaaa"), OwnerId: aws.String("999988887777"),
			Tags: []types.Tag{{Key: aws.String(key), Value: aws.String("443")}},
		})
	}, authorize: func(id string) {
		if id == goes {
			s.must(s.here.DeleteGroup(goes))
		}
	}}
	p, err := s.Propose(t.Context(), Request{GroupIDs: []string{web}})
	s.must(err)
	if _, err := s.Run(t.Context(), p.Approved()); err != nil || s.sources(s.here, web) != rangeA {
		t.Errorf("a plan that was approved: %v", err)
	}
	report, err := s.Run(t.Context(), Request{})
	idle := len(report.PrefixLists) == 0 && report.Summary == (Summary{Groups: 1})
	if err != nil || !idle || s.sources(hub, theirs) != "18.70.0.0/16" {
		t.Errorf("%v %+v", err, report)
	}
	checkWarnings(t, report, "sg-0aaaaaaaaaaaaaaaa is shared by account 999988887777")
}

// Eight regions whose endpoints never answer do not keep the ninth from its turn: each attempt has its own time. The
// clock is a fake one.
func TestEndpointsThatHangStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, ec2sim.Options{}, nil, nil, rangeA)
		regions := strings.Fields(
			"us-east-2 us-west-1 us-west-2 eu-west-1 eu-west-2 eu-west-3 eu-central-1 ap-south-1 us-east-1")
		s.cfg.HTTPClient = &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if strings.Contains(req.Header.Get("Authorization"), "/us-east-1/") {
				return s.sim.RoundTrip(req)
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		})}
		s.cfg.Retryer = nil // the engine's own
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
