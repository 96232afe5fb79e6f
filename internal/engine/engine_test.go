package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
)

const key = "cloudfront-ingress"

// scene is an engine on an embedded endpoint, with a feed of some ranges.
type scene struct {
	*Engine
	fetcher *iprange.Fetcher
	t       testing.TB
	sim     *ec2sim.Server
	here    ec2sim.Region
	cfg     aws.Config
}

func newScene(t testing.TB, o ec2sim.Options, regions, roles []string, ranges ...string) *scene {
	t.Helper()
	// A fake clock starts in 2000, and files from the future are refused.
	time.Sleep(time.Until(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	s := &scene{t: t, sim: ec2sim.New(o)}
	s.here = s.sim.Region("", "us-east-1")
	s.cfg = aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: &http.Client{Transport: s.sim},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
		},
	}
	log := slog.New(slog.DiscardHandler)
	s.fetcher = &iprange.Fetcher{
		Selection: iprange.Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true},
		Transport: transport(func() string { return document(1790000000, ranges...) }),
	}
	s.Engine = &Engine{
		Fetch:            s.fetcher.Fetch,
		Services:         s.fetcher.Selection.Services,
		Targets:          Targets(s.cfg, regions, roles, ""),
		TagKey:           key,
		MaxRevokePercent: 50,
		Log:              log,
		pause:            time.Millisecond,
	}
	for _, t := range s.Targets {
		t.EC2 = t.EC2.(*paced).API // as fast as the endpoint answers
	}
	return s
}

// document returns a file with the ranges.
func document(syncToken int, ranges ...string) string {
	var entries []string
	for _, r := range ranges {
		entries = append(entries, fmt.Sprintf(`{"ip_prefix":%q,"region":"GLOBAL","service":"CLOUDFRONT"}`, r))
	}
	return fmt.Sprintf(`{"syncToken":"%d","createDate":"x","prefixes":[%s],"ipv6_prefixes":[]}`, syncToken, strings.Join(entries, ","))
}

// group makes a group with tags, given as key suffix and value in turn.
func (s *scene) group(at ec2sim.Region, name, ports string, more ...string) string {
	s.t.Helper()
	tags := map[string]string{key: ports}
	for i := 0; i < len(more); i += 2 {
		tags[key+more[i]] = more[i+1]
	}
	g, err := at.CreateGroup(ec2sim.Group{Name: name, VPC: at.OtherVPC(), Tags: tags})
	if err != nil {
		s.t.Fatal(err)
	}
	return g.ID
}

// sources returns the sources of a group's rules, in order.
func (s *scene) sources(at ec2sim.Region, id string) string {
	s.t.Helper()
	g, ok := at.Group(id)
	if !ok {
		s.t.Fatalf("there is no group %s", id)
	}
	var sources []string
	for _, r := range g.Ingress {
		sources = append(sources, r.Source.String())
	}
	return strings.Join(sources, " ")
}

func (s *scene) mutations() int {
	n := 0
	for _, c := range s.sim.ResetCalls() {
		if c.Mutating {
			n++
		}
	}
	return n
}

const (
	rangeA = "18.64.0.0/14"
	rangeB = "52.222.128.0/17"
)

func TestRun(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	web := s.group(s.here, "web", "443")
	report, err := s.Run(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{
		SyncToken: "1790000000", PublishedAt: time.Unix(1790000000, 0).UTC(), Changed: true,
		Ranges:   PerFamily{IPv4: 2},
		Summary:  Summary{Groups: 1, Changed: 1, Added: 2},
		Groups:   []GroupReport{{Region: "us-east-1", GroupID: web, Name: "web", Ports: []string{"443"}, Added: 2}},
		Warnings: []string{}, Errors: []string{}, PrefixLists: []PrefixListReport{},

		Capacity:  Capacity{Wanted: 2, Measured: 1, Free: 58},
		Described: 1,
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	if got := s.sources(s.here, web); got != rangeA+" "+rangeB {
		t.Errorf("rules from %s", got)
	}
}

func TestDryRun(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	s.group(s.here, "web", "443")
	s.sim.ResetCalls()
	report, err := s.Run(t.Context(), Request{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if !report.DryRun || !report.Changed || report.Summary.Added != 2 {
		t.Errorf("report %+v", report)
	}
	if n := s.mutations(); n != 0 {
		t.Errorf("%d mutating calls", n)
	}
}

// A failure in one group, region or account stops no other.
func TestFailureIsLocal(t *testing.T) {
	const member = "arn:aws:iam::222233334444:role/sync"
	const stranger = "arn:aws:iam::555566667777:role/sync"
	s := newScene(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: member}}}, []string{"us-east-1", "eu-west-1"}, []string{member, stranger}, rangeA)
	europe, theirs := s.sim.Region("", "eu-west-1"), s.sim.Region("222233334444", "eu-west-1")
	fine := s.group(s.here, "fine", "443")
	denied := s.group(s.here, "denied", "443")
	badTag := s.group(s.here, "bad", "https,")
	s.group(europe, "web", "443")
	elsewhere := s.group(theirs, "web", "443")
	s.sim.Inject(
		ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", Resource: denied, Count: ec2sim.Forever, Code: "UnauthorizedOperation"},
		ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "DescribeSecurityGroups", Account: ec2sim.DefaultAccount, Region: "eu-west-1", Count: ec2sim.Forever, Code: "UnauthorizedOperation"},
	)
	report, err := s.Run(t.Context(), Request{})
	if err == nil {
		t.Fatal("the run did not fail")
	}
	if s.sources(s.here, fine) != rangeA || s.sources(theirs, elsewhere) != rangeA {
		t.Error("a group that could be synchronised was not")
	}
	for _, want := range []string{
		denied + ": ", "grant the permission ec2:AuthorizeSecurityGroupIngress",
		badTag + `: tag cloudfront-ingress="https,"`,
		"eu-west-1: describe the security groups", "ec2:DescribeSecurityGroups",
		"account 555566667777: role " + stranger, "AssumeRole",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if len(report.Errors) != 4 || report.Summary.Failed != 2 || report.Summary.Changed != 2 {
		t.Errorf("summary %+v, errors:\n%s", report.Summary, strings.Join(report.Errors, "\n"))
	}
}

// A region that does not exist is an error of its own.
func TestUnknownRegion(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-nowhere-1"}, nil, rangeA)
	web := s.group(s.here, "web", "443")
	report, err := s.Run(t.Context(), Request{})
	if err == nil || len(report.Errors) != 1 || !strings.HasPrefix(report.Errors[0], "eu-nowhere-1: ") {
		t.Errorf("error %v", err)
	}
	if s.sources(s.here, web) != rangeA {
		t.Error("the region that exists was not synchronised")
	}
}

// Someone else adds the very rule between the describe and the authorize: the run looks again and plans again.
func TestConflictIsPlannedAgain(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	web := s.group(s.here, "web", "443")
	target := s.Targets[0]
	target.EC2 = &interloper{API: target.EC2, before: func() {
		err := s.here.AddRules(web, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix(rangeA)), Description: "mine"})
		if err != nil {
			t.Error(err)
		}
	}}
	report, err := s.Run(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.sources(s.here, web); got != rangeA+" "+rangeB {
		t.Errorf("rules from %s", got)
	}
	if report.Summary.Added != 1 {
		t.Errorf("summary %+v", report.Summary)
	}
}

// interloper does something once, right before the first authorize.
type interloper struct {
	secgroup.API
	before func()
}

func (i *interloper) AuthorizeSecurityGroupIngress(ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	if i.before != nil {
		i.before()
		i.before = nil
	}
	return i.API.AuthorizeSecurityGroupIngress(ctx, in, opts...)
}

// A conflict that no look explains is an error after a bounded number of looks, and the call is not made again.
func TestConflictThatStays(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	s.group(s.here, "web", "443")
	s.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", Count: ec2sim.Forever, Code: "InvalidPermission.Duplicate"})
	s.sim.ResetCalls()
	report, err := s.Run(t.Context(), Request{})
	if err == nil || len(report.Errors) != 1 || !strings.Contains(report.Errors[0], "InvalidPermission.Duplicate") {
		t.Errorf("error %v", err)
	}
	if n := s.mutations(); n != 1 {
		t.Errorf("%d authorizes", n)
	}
}

// The run is killed at each call in turn, before and after its effect, and started again: the second run brings the
// exact state.
func TestRunIsResumable(t *testing.T) {
	for _, kind := range []ec2sim.FaultKind{ec2sim.CutBefore, ec2sim.CutAfter, ec2sim.ErrorAfter} {
		for call := range 6 {
			t.Run(fmt.Sprintf("%s/%d", kind, call), func(t *testing.T) {
				s := newScene(t, ec2sim.Options{RulesPerGroup: 2}, []string{"us-east-1"}, nil, "18.64.0.0/15", rangeB, "99.86.0.0/16")
				s.RulesPerGroup = 2
				var ids []string
				for i := range 2 {
					ids = append(ids, s.group(s.here, fmt.Sprint("web-", i), "443", "-pool", "web"))
				}
				old := []ec2sim.Rule{
					{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("18.64.0.0/16")), Description: key + ": CLOUDFRONT 2026-01-01T00:00:00Z"},
					{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("18.65.0.0/16")), Description: key + ": CLOUDFRONT 2026-01-01T00:00:00Z"},
				}
				if err := s.here.AddRules(ids[0], old...); err != nil {
					t.Fatal(err)
				}
				ctx, kill := context.WithCancel(t.Context())
				defer kill()
				s.sim.Inject(ec2sim.Fault{Kind: kind, Action: ec2sim.AnyAction, After: call, Count: ec2sim.Forever, Code: "UnauthorizedOperation"})
				s.sim.Observe(func(ec2sim.Change) { kill() })
				_, _ = s.Run(ctx, Request{})
				s.sim.ClearFaults()
				if _, err := s.Run(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, id := range ids {
					n += len(strings.Fields(s.sources(s.here, id)))
				}
				if n != 3 {
					t.Errorf("%d rules", n)
				}
				s.sim.ResetCalls()
				if report, err := s.Run(t.Context(), Request{}); err != nil || report.Changed || s.mutations() != 0 {
					t.Errorf("a third run: %v, %+v", err, report)
				}
			})
		}
	}
}

func TestUnknownGroupID(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	web := s.group(s.here, "web", "443")
	left := s.group(s.here, "left", "443")
	report, err := s.Run(t.Context(), Request{GroupIDs: []string{web, "sg-0bad"}})
	if err == nil || !strings.Contains(err.Error(), "sg-0bad: no security group tagged cloudfront-ingress") {
		t.Errorf("error %v", err)
	}
	if s.sources(s.here, web) != rangeA || s.sources(s.here, left) != "" {
		t.Error("not the named group, or not only that, was changed")
	}
	if len(report.Groups) != 1 {
		t.Errorf("groups %+v", report.Groups)
	}
}

// A run out of time stops between two steps and says so.
func TestOutOfTime(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
	s.group(s.here, "web", "443")
	s.sim.ResetCalls()
	ctx, cancel := context.WithTimeout(t.Context(), stepReserve)
	defer cancel()
	_, err := s.Run(ctx, Request{})
	if err == nil || !strings.Contains(err.Error(), "0 of 1 steps taken: deadline too close to start another step; the next run continues") {
		t.Errorf("error %v", err)
	}
	if n := s.mutations(); n != 0 {
		t.Errorf("%d mutating calls", n)
	}
}

// RULES_PER_GROUP=auto: Service Quotas is asked once, and only if there is something to do; where it may not be asked,
// 60 holds.
func TestQuota(t *testing.T) {
	quotaCalls := func(s *scene) int {
		n := 0
		for _, c := range s.sim.ResetCalls() {
			if c.Action == "GetServiceQuota" {
				n++
			}
		}
		return n
	}
	var many []string
	for i := range 61 {
		many = append(many, fmt.Sprintf("52.%d.0.0/16", 2*i))
	}
	t.Run("raised", func(t *testing.T) {
		s := newScene(t, ec2sim.Options{RulesPerGroup: 100}, []string{"us-east-1"}, nil, many...)
		s.group(s.here, "web", "443")
		for i, want := range []int{1, 0} {
			if _, err := s.Run(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
			if n := quotaCalls(s); n != want {
				t.Errorf("run %d asks for the quota %d times", i, n)
			}
		}
	})
	t.Run("not to be asked", func(t *testing.T) {
		s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, many...)
		s.sim.Deny("GetServiceQuota")
		web := s.group(s.here, "web", "443")
		_, err := s.Run(t.Context(), Request{})
		var short *secgroup.ShortageError
		if !errors.As(err, &short) || short.RulesPerGroup != 61 || short.MoreGroups != 1 {
			t.Errorf("error %v", err)
		}
		if n := len(strings.Fields(s.sources(s.here, web))); n != 60 {
			t.Errorf("%d rules", n)
		}
	})
}

// The fetch fails: no target is touched, and the error is the fetch's alone.
func TestFetchFails(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1"}, nil) // no range at all
	s.group(s.here, "web", "443")
	s.sim.ResetCalls()
	report, err := s.Run(t.Context(), Request{})
	var missing *iprange.MissingServiceError
	if !errors.As(err, &missing) || len(report.Errors) != 1 {
		t.Errorf("error %v, report %+v", err, report)
	}
	if n := s.mutations(); n != 0 {
		t.Errorf("%d mutating calls", n)
	}
}
