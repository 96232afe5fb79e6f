package ec2sim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"cloudfront-sg-sync/internal/ec2sim"
)

// EC2's own words refuse requests that never become a call.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func TestRefusals(t *testing.T) {
	const signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260822/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
	s := ec2sim.New(ec2sim.Options{})
	for _, c := range []struct {
		name, authorization, body string
		status                    int
		code                      string
	}{
		{"unsigned", "", "Action=DescribeVpcs", 400, "MissingAuthenticationToken"},
		{"no such region", strings.Replace(signed, "us-east-1", "us-east-9", 1), "Action=DescribeVpcs", 401, "AuthFailure"},
		{"unknown action", signed, "Action=RunInstances", 400, "InvalidAction"},
		{"unknown parameter", signed, "Action=DescribeVpcs&Colour=red", 400, "UnknownParameter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			body, _ := io.ReadAll(w.Body)
			if want := "<Response><Errors><Error><Code>" + c.code + "</Code>"; w.Code != c.status || !strings.Contains(string(body), want) {
				t.Errorf("got %d: %s", w.Code, body)
			}
		})
	}
}

// Accounts and regions have nothing in common.
func TestAccountsAndRegions(t *testing.T) {
	const role = "arn:aws:iam::444455556666:role/sync"
	s := start(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: role, ExternalID: "x"}}})
	config := awsConfig("eu-west-1")
	authority := sts.NewFromConfig(config, func(o *sts.Options) { o.BaseEndpoint = &s.url })
	assume := func(arn, externalID string) *stscreds.AssumeRoleProvider {
		return stscreds.NewAssumeRoleProvider(authority, arn, func(o *stscreds.AssumeRoleOptions) { o.ExternalID = &externalID })
	}
	for _, p := range []*stscreds.AssumeRoleProvider{assume(role, "y"), assume("arn:aws:iam::444455556666:role/admin", "x")} {
		_, err := p.Retrieve(t.Context())
		wantCode(t, err, "AccessDenied")
	}
	config.Credentials = aws.NewCredentialsCache(assume(role, "x"))
	there := ec2.NewFromConfig(config, func(o *ec2.Options) { o.BaseEndpoint = &s.url })
	out, err := there.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{GroupName: aws.String("web"), Description: aws.String("web")})
	wantCode(t, err, "")
	for place, want := range map[[2]string]bool{{"444455556666", "eu-west-1"}: true, {"", "eu-west-1"}: false, {"444455556666", "us-east-1"}: false} {
		if _, ok := s.Region(place[0], place[1]).Group(*out.GroupId); ok != want {
			t.Errorf("the group is in %v: %t", place, ok)
		}
	}
	who, err := sts.NewFromConfig(config, func(o *sts.Options) { o.BaseEndpoint = &s.url }).GetCallerIdentity(t.Context(), nil)
	wantCode(t, err, "")
	if *who.Account != "444455556666" || !strings.HasPrefix(*who.Arn, "arn:aws:sts::444455556666:assumed-role/sync/") {
		t.Errorf("got %+v", who)
	}
}

// https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
func TestServiceQuotas(t *testing.T) {
	s := start(t, ec2sim.Options{RulesPerGroup: 100})
	quotas := servicequotas.NewFromConfig(awsConfig(region), func(o *servicequotas.Options) { o.BaseEndpoint = &s.url })
	want := func(quota string, value float64, code string) {
		t.Helper()
		out, err := quotas.GetServiceQuota(t.Context(), &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String("vpc"), QuotaCode: &quota})
		wantCode(t, err, code)
		if err == nil && *out.Quota.Value != value {
			t.Errorf("%s is %v, want %v", quota, *out.Quota.Value, value)
		}
	}
	want("L-0EA8095F", 100, "")
	s.here.SetQuota(75)
	want("L-0EA8095F", 75, "")
	want("L-2AFB9258", 5, "")
	want("L-00000000", 0, "NoSuchResourceException")
	s.Deny("GetServiceQuota")
	want("L-0EA8095F", 0, "AccessDeniedException")
}

func TestCalls(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	_ = s.authorize(id, tcp(443, v4(3)...))
	_ = s.authorize(id, tcp(443, v4(1)...))
	_, _ = s.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}})
	one := ec2sim.Call{Seq: 1, Account: ec2sim.DefaultAccount, Region: region, Service: "ec2", Resource: id, Action: "AuthorizeSecurityGroupIngress", Rules: 3, Mutating: true, Effective: true}
	two, three := one, one
	two.Seq, two.Rules, two.Effective, two.Error = 2, 1, false, "InvalidPermission.Duplicate"
	three.Seq, three.Action, three.Rules, three.Mutating, three.Effective = 3, "DescribeSecurityGroups", 0, false, false
	if diff := cmp.Diff([]ec2sim.Call{one, two, three}, s.ResetCalls()); diff != "" || len(s.Calls()) != 0 {
		t.Error(diff, s.Calls())
	}
}

func TestObserve(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	var seen []string
	s.Observe(func(c ec2sim.Change) {
		for _, g := range c.Groups {
			seen = append(seen, fmt.Sprintf("%s: %s has %d rules", c.Call.Action, g.Name, len(g.Ingress)))
		}
		for _, i := range c.Interfaces {
			seen = append(seen, fmt.Sprintf("%s: an interface has %d groups", c.Call.Action, len(i.Groups)))
		}
		for _, id := range c.Deleted {
			seen = append(seen, c.Call.Action+": deleted "+id[:3])
		}
	})
	before, _ := s.here.Group(id)
	_ = s.authorize(id, tcp(443, v4(3)...))
	_ = s.authorize(id, tcp(443, v4(1)...)) // refused: not seen
	_, _ = s.DescribeSecurityGroups(t.Context(), nil)
	if err := s.here.RemoveRules(id, s.rules(id)[1].Permission); err != nil {
		t.Fatal(err)
	}
	s.Inject(ec2sim.Fault{Kind: ec2sim.CutAfter, Action: "DeleteSecurityGroup"})
	_, _ = s.DeleteSecurityGroup(t.Context(), &ec2.DeleteSecurityGroupInput{GroupId: &id})
	i, err := s.here.CreateInterface(ec2sim.Interface{})
	wantCode(t, err, "")
	wantCode(t, s.here.Attach(i.ID, s.group("", "a"), s.group("", "b")), "")
	_, err = s.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &i.ID, Groups: i.Groups})
	wantCode(t, err, "")
	wantCode(t, s.here.DeleteInterface(i.ID), "")
	want := []string{
		"AuthorizeSecurityGroupIngress: web has 3 rules", ": web has 2 rules", "DeleteSecurityGroup: deleted sg-",
		": an interface has 1 groups", ": a has 0 rules", ": b has 0 rules", ": an interface has 2 groups",
		"ModifyNetworkInterfaceAttribute: an interface has 1 groups", ": deleted eni",
	}
	if !slices.Equal(seen, want) || len(before.Ingress) > 0 { // nobody's snapshot changes
		t.Errorf("got %q, want %q; before %+v", seen, want, before)
	}
}

// A region can be changed by hand, and nothing of it counts as a call or for a quota.
func TestByHand(t *testing.T) {
	s := start(t, ec2sim.Options{RulesPerGroup: 2})
	id := s.group("", "web", rule(443, "192.0.2.0/24", "a"), rule(443, "198.51.100.0/24", "b"))
	rules := slices.Clone(s.rules(id))
	rules[0].Description = "changed"
	wantCode(t, s.here.SetRules(id, append(rules, rule(80, "192.0.2.0/24", ""))...), "")
	if got := s.rules(id); len(got) != 3 || got[0].ID != rules[0].ID || got[0].Description != "changed" || got[2].ID == "" {
		t.Errorf("got %+v", got)
	}
	wantCode(t, s.here.SetTags(id, map[string]string{"cloudfront-ingress": "443"}), "")
	wantCode(t, s.here.SetTags(id, map[string]string{"Name": "web"}), "")
	if g, _ := s.here.Group(id); len(g.Tags) != 1 {
		t.Errorf("tags %v", g.Tags)
	}
	for name, err := range map[string]error{
		"a rule twice":  s.here.AddRules(id, rules[0]),
		"no such group": s.here.AddRules("sg-00000000000000000", rules[0]),
		"no source":     s.here.AddRules(id, ec2sim.Rule{Permission: ec2sim.Permission{Protocol: "-1"}}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if calls := s.Calls(); len(calls) != 0 {
		t.Errorf("recorded %+v", calls)
	}
}

// Calls from many sides at once take effect one after the other.
func TestConcurrentCalls(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.group("", "web")
	s.Observe(func(c ec2sim.Change) {
		if n := len(c.Groups[0].Ingress); n > ec2sim.DefaultRulesPerGroup {
			t.Errorf("%d rules", n)
		}
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				_ = s.authorize(id, tcp(int32(1000*(i+1)+j), "192.0.2.0/24"))
				wantCode(t, s.here.SetTags(id, map[string]string{"round": fmt.Sprint(j)}), "")
				_, err := s.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{}) // not changed while it is written
				wantCode(t, err, "")
				_ = s.Calls()
			}
		})
	}
	wg.Wait()
	if n := len(s.rules(id)); n != ec2sim.DefaultRulesPerGroup {
		t.Errorf("%d rules", n)
	}
}
