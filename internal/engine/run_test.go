package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// withoutChanges compares reports by their counts.
var withoutChanges = cmpopts.IgnoreTypes([]Change{})

func TestRun(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA, rangeB)
	web := s.group(s.here, "web", "443")
	s.calls()
	dry, err := s.Run(t.Context(), Request{DryRun: true})
	if err != nil || s.calls()["mutating"] > 0 {
		t.Fatalf("a dry run changes something, or fails: %v", err)
	}
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
	if diff := cmp.Diff(want, report, withoutChanges); diff != "" {
		t.Error(diff)
	}
	want.DryRun = true
	if diff := cmp.Diff(want, dry, withoutChanges); diff != "" {
		t.Error(diff)
	}
	if got := s.sources(s.here, web); got != rangeA+" "+rangeB {
		t.Errorf("rules from %s", got)
	}
}

// A failure in one group, region or account stops no other, whatever it is. A role that may not be assumed is told by
// its name and the likely cause, once for its account.
func TestFailureIsLocal(t *testing.T) {
	const (
		member   = "arn:aws:iam::222233334444:role/sync"
		asksMore = "arn:aws:iam::333344445555:role/sync"
		stranger = "arn:aws:iam::555566667777:role/sync"
	)
	regions := []string{"us-east-1", "eu-west-1", "eu-nowhere-1"}
	assumable := []ec2sim.Role{{ARN: member}, {ARN: asksMore, ExternalID: "hub-7"}}
	s := newScene(t, ec2sim.Options{Roles: assumable}, regions, []string{member, asksMore, stranger}, rangeA)
	europe, theirs := s.sim.Region("", "eu-west-1"), s.sim.Region("222233334444", "eu-west-1")
	fine, elsewhere := s.group(s.here, "fine", "443"), s.group(theirs, "web", "443")
	denied, panics := s.group(s.here, "denied", "443"), s.group(s.here, "panics", "443")
	badTag := s.group(s.here, "bad", "https,")
	s.group(europe, "web", "443")
	s.refuse(ec2sim.Fault{Action: "AuthorizeSecurityGroupIngress", Resource: denied})
	s.refuse(ec2sim.Fault{Action: "DescribeSecurityGroups", Account: ec2sim.DefaultAccount, Region: "eu-west-1"})
	s.Targets[0].EC2 = &tampered{API: s.Targets[0].EC2, authorize: func(id string) {
		if id == panics {
			panic("boom")
		}
	}}
	s.Targets[3].EC2 = nil // us-east-1 of the member
	report, err := s.Run(t.Context(), Request{})
	if err == nil {
		t.Fatal("the run did not fail")
	}
	if s.sources(s.here, fine) != rangeA || s.sources(theirs, elsewhere) != rangeA {
		t.Error("a group that could be synchronised was not")
	}
	for _, want := range []string{
		denied + ": ", "grant the permission ec2:AuthorizeSecurityGroupIngress",
		badTag + `: tag cloudfront-ingress="https,"`, "us-east-1: panic: boom", "account 222233334444 in us-east-1: panic: ",
		"eu-west-1: describe the security groups", "ec2:DescribeSecurityGroups", "eu-nowhere-1: ",
		"account 555566667777: role " + stranger + " cannot be assumed", "AssumeRole",
		"account 333344445555: role " + asksMore + " cannot be assumed", "trust policy", "EXTERNAL_ID",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	for _, e := range report.Errors {
		if strings.Contains(e, "AssumeRole") && regexp.MustCompile("grant the permission|east|west").MatchString(e) {
			t.Errorf("a role is told with a region or a permission: %s", e)
		}
	}
	if len(report.Errors) != 9 || report.Summary.Failed != 3 || report.Summary.Changed != 2 {
		t.Errorf("summary %+v, errors:\n%s", report.Summary, strings.Join(report.Errors, "\n"))
	}
	for _, g := range report.Groups {
		if strings.Contains(g.Error, "boom") != (g.GroupID == panics) {
			t.Errorf("%s: error %q", g.GroupID, g.Error)
		}
	}
}

// A file without the service changes nothing, and hides no other failure.
func TestFileWithoutService(t *testing.T) {
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1"}, nil) // no range at all
	s.group(s.here, "web", "443")
	for _, errs := range []int{1, 3} {
		s.calls()
		report, err := s.Run(t.Context(), Request{})
		if err == nil || !strings.Contains(report.Errors[0], "CLOUDFRONT") || len(report.Errors) != errs || s.calls()["mutating"] > 0 {
			t.Errorf("error %v, report %+v", err, report)
		}
		s.sim.Deny("DescribeSecurityGroups")
	}
}

// A run says that a group asked for does not exist only if it has read all targets: otherwise it may be there.
func TestUnknownGroupIsToldOnlyAfterALook(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*scene)
		missing bool
	}{
		"all is well":            {func(*scene) {}, true},
		"describing lists fails": {func(s *scene) { s.sim.Deny("DescribeManagedPrefixLists") }, true},
		"describing fails":       {func(s *scene) { s.sim.Deny("DescribeSecurityGroups") }, false},
		"describing fails in another region": {func(s *scene) {
			s.refuse(ec2sim.Fault{Action: "DescribeSecurityGroups", Region: "eu-west-1", Code: "InternalError"})
		}, false},
		"planning panics": {func(s *scene) { s.Targets[1].Quota = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1"}, nil, rangeA)
			here, left := s.group(s.here, "web", "443"), s.group(s.here, "left", "443")
			there := s.group(s.sim.Region("", "eu-west-1"), "web", "443")
			c.arrange(s)
			report, err := s.Run(t.Context(), Request{GroupIDs: []string{here, there, "pl-0bad", "sg-0bad"}})
			says := fmt.Sprint(err)
			const missing = "sg-0bad: no security group tagged cloudfront-ingress has this ID in us-east-1, eu-west-1"
			if strings.Contains(says, missing) != c.missing ||
				strings.Contains(says, here+": no ") || strings.Contains(says, there+": no ") {
				t.Errorf("error %v, want one about the group that is not there: %t", err, c.missing)
			}
			if s.sources(s.here, left) != "" || len(report.Groups) > 2 {
				t.Errorf("not only the named groups were changed: %+v", report.Groups)
			}
		})
	}
}

// A report tells whose permissions were in the way, and how much was seen at all: what a deployment of the stack could
// cure, and what it could not.
func TestReportTellsWhatWasDenied(t *testing.T) {
	const member = "222233334444"
	for _, test := range []struct {
		name, account, action string
		described             int
		denied                bool
	}{
		{"nothing", "", "", 2, false},
		{"a look at home", ec2sim.DefaultAccount, "DescribeSecurityGroups", 1, true},
		{"a change at home", ec2sim.DefaultAccount, "AuthorizeSecurityGroupIngress", 2, true},
		{"a look in another account", member, "DescribeSecurityGroups", 1, false},
		{"a change in another account", member, "AuthorizeSecurityGroupIngress", 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			role := "arn:aws:iam::" + member + ":role/sync"
			s := newScene(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: role}}}, []string{"us-east-1"}, []string{role}, rangeA)
			s.group(s.here, "web", "443")
			s.group(s.sim.Region(member, "us-east-1"), "web", "443")
			if test.action != "" {
				s.refuse(ec2sim.Fault{Account: test.account, Action: test.action})
			}
			report, err := s.Run(t.Context(), Request{})
			if report.Described != test.described || report.Denied != test.denied || (err != nil) != (test.action != "") {
				t.Errorf("described %d, denied: %t, error %v", report.Described, report.Denied, err)
			}
		})
	}
}

// RULES_PER_GROUP=auto: Service Quotas is asked once, and only if there is something to do; again if it failed in
// passing, if a pool is too small, or if EC2 refuses for it. If it may not be asked, 60 holds.
func TestQuota(t *testing.T) {
	many := words.Strings(spread(DefaultRulesPerGroup + 1))
	throttled := &smithy.GenericAPIError{Code: "TooManyRequestsException"}
	refused := &smithy.GenericAPIError{Code: "AccessDeniedException"}
	for name, c := range map[string]struct {
		failure error // of the first question
		quotas  []int // of each run
		rules   []int // after each run
		asked   int
	}{
		"raised before":               {nil, []int{100, 100}, []int{61, 61}, 1},
		"raised between runs":         {nil, []int{20, 40, 100}, []int{20, 40, 61}, 3},
		"lowered between runs":        {nil, []int{100, 50}, []int{61, 50}, 2},
		"fails in passing":            {errors.New("connection reset"), []int{100, 100}, []int{60, 61}, 2},
		"too many questions":          {throttled, []int{100, 100}, []int{60, 61}, 2},
		"no permission, and no quota": {refused, []int{100, 100}, []int{60, 60}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, many...)
			web := s.group(s.here, "web", "443")
			ask, asked := s.Targets[0].Quota, 0
			s.Targets[0].Quota = func(ctx context.Context) (int, error) {
				if asked++; asked == 1 && c.failure != nil {
					return 0, c.failure
				}
				return ask(ctx)
			}
			for i, quota := range c.quotas {
				if s.here.SetQuota(quota); i > 0 && quota < c.quotas[i-1] {
					s.must(s.here.SetRules(web))
				}
				_, err := s.Run(t.Context(), Request{})
				short, tooSmall := errors.AsType[*secgroup.ShortageError](err)
				hint := tooSmall && short.RulesPerGroup == 61 && short.MoreGroups > 0
				n := len(strings.Fields(s.sources(s.here, web)))
				if n != c.rules[i] || tooSmall != (n < len(many)) || tooSmall != hint {
					t.Errorf("run %d: %d rules, error %v", i, n, err)
				}
			}
			if asked != c.asked {
				t.Errorf("the quota was asked for %d times, want %d", asked, c.asked)
			}
		})
	}
}

func TestCapacity(t *testing.T) {
	type group struct{ ports, pool string }
	const web = "web"
	for _, test := range []struct {
		name    string
		groups  []group
		foreign bool // a rule in the first group
		want    Capacity
	}{
		{"no group", nil, false, Capacity{}},
		{"one group", []group{{"443", ""}}, false, Capacity{Wanted: 3, Measured: 1, Free: 7}},
		{"a foreign rule takes a slot", []group{{"443", ""}}, true, Capacity{Wanted: 3, Measured: 1, Free: 6}},
		{"a pool adds up", []group{{"443", web}, {"443", web}}, false, Capacity{Wanted: 3, Measured: 1, Free: 17}},
		{
			"the tightest pool",
			[]group{{"80 443", ""}, {"443", web}, {"443", web}},
			false,
			Capacity{Wanted: 9, Measured: 2, Free: 4},
		},
		{"the tightest port", []group{{"80 443", web}, {"443", web}}, false, Capacity{Wanted: 6, Measured: 1, Free: 4}},
		{"short", []group{{"1 2 3 4", ""}, {"443", ""}}, false, Capacity{Wanted: 15, Measured: 2, Free: 0, Short: 1}},
		{"nothing to hold", []group{{"none", ""}}, false, Capacity{}},
		{"a tag that cannot be read", []group{{"44three", ""}}, false, Capacity{}},
		{"a pool without a common port", []group{{"80", web}, {"443", web}}, false, Capacity{Wanted: 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			regions := []string{"us-east-1", "eu-west-1"}
			s := newScene(t, ec2sim.Options{RulesPerGroup: 10}, regions, nil, rangeA, rangeB, "130.176.0.0/17")
			for i, g := range test.groups {
				var tags []string
				if g.pool != "" {
					tags = []string{"-pool", g.pool}
				}
				id := s.group(s.here, fmt.Sprint("web-", i), g.ports, tags...)
				if test.foreign {
					s.add(id, "office", "192.0.2.0/24")
				}
			}
			for _, run := range []string{"first", "second"} {
				report, _ := s.Run(t.Context(), Request{})
				if report.Capacity != test.want {
					t.Errorf("%s run: %+v, not %+v", run, report.Capacity, test.want)
				}
			}
		})
	}
	// That of several regions is that of all their pools.
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1", "eu-west-1", "us-west-2"}, nil, rangeA)
	s.group(s.here, "web", "443")
	s.group(s.sim.Region("", "eu-west-1"), "web", "80 443")
	report, err := s.Run(t.Context(), Request{})
	if want := (Capacity{Wanted: 3, Measured: 2, Free: 58}); err != nil || report.Capacity != want {
		t.Errorf("%+v, not %+v, error %v", report.Capacity, want, err)
	}
}
