package function

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
)

const (
	stackID     = "arn:aws:cloudformation:eu-west-1:111122223333:stack/edge/86ac7dd0-d735-11e8-9b9e-503aca4a5835"
	physicalID  = "SyncAtDeploy-86ac7dd0-d735-11e8-9b9e-503aca4a5835"
	neverMade   = physicalID + "-not-created"
	signature   = "SECRETSIGNATURE"
	responseURL = "https://cloudformation-custom-resource-response-euwest1.s3-eu-west-1.amazonaws.com/x?" + signature
)

// request returns a request of CloudFormation with members changed; one that is nil is left out.
func request(changes object) string {
	members := object{
		"RequestType": "Create", "ResponseURL": responseURL, "StackId": stackID, "RequestId": "req-1",
		"LogicalResourceId": "SyncAtDeploy", "ResourceType": "Custom::Sync",
		// These count for nothing.
		"OldResourceProperties": object{"OnDelete": "withdraw"}, "Anything": 1,
	}
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	return encode(members)
}

// An answer never has more than 4,096 bytes, whatever is in the reason.
func TestResourceAnswerIsBounded(t *testing.T) {
	long := strings.Repeat("i", maxID)
	for _, piece := range []string{"x", "é", "\"", "\x01", "<", "\xff", "日"} {
		for _, n := range []int{0, 1, 1000, 4000, 5000, 100000} {
			a := resourceAnswer{
				Status: "FAILED", Reason: strings.Repeat(piece, n),
				PhysicalResourceID: long + long, StackID: long, RequestID: long, LogicalResourceID: long,
			}
			body, err := a.encode()
			if err != nil || len(body) > maxAnswer {
				t.Fatalf("%d of %q: %d bytes, error %v", n, piece, len(body), err)
			}
			var got resourceAnswer
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if n == 100000 && !strings.HasSuffix(got.Reason, "…") || n > 0 && got.Reason == "" {
				t.Errorf("%d of %q: reason %q", n, piece, got.Reason)
			}
		}
	}
	impossible := resourceAnswer{StackID: strings.Repeat("\x01", 2*maxID)}
	if _, err := impossible.encode(); err == nil {
		t.Error("an answer without room for its IDs")
	}
}

// A request is done once and answered in one line, whatever comes of it.
func TestHandleResource(t *testing.T) {
	const describe, revoke = "DescribeSecurityGroups", "RevokeSecurityGroupIngress"
	property := func(choice any) object { return object{"OnDelete": choice} }
	withdraw, mistyped, other := property("withdraw"), property("x"), object{"onDelete": "withdraw"}
	for _, test := range []struct {
		name, kind, id     string
		properties         any
		fault              string // an action that is denied, or a panic
		feed               http.HandlerFunc
		status, answeredID string
		reason             string // a part of it
	}{
		{"create", "Create", "", nil, "", nil, "SUCCESS", physicalID, "1 security group made equal"},
		{"create, denied", "Create", "", nil, describe, nil, "FAILED", neverMade, "grant the permission ec2:" + describe},
		{"create, no ranges", "Create", "", nil, "", status(404), "FAILED", neverMade, "404 Not Found"},
		{"create, two errors", "Create", "", nil, describe, status(404), "FAILED", neverMade, "404 Not Found"},
		{"create, panic", "Create", "", nil, "panic", nil, "FAILED", neverMade, "panic: "},
		{"update", "Update", physicalID, nil, "", nil, "SUCCESS", physicalID, "made equal"},
		{"update of what was not created", "Update", neverMade, nil, "", nil, "SUCCESS", physicalID, "made equal"},
		{"update, denied", "Update", physicalID, nil, describe, nil, "FAILED", physicalID, "grant the permission"},
		{"another kind", "Replace", "", nil, "", nil, "FAILED", neverMade, "none of Create, Update and Delete"},

		{"mistyped property", "Create", "", mistyped, "", nil, "FAILED", neverMade, `is "x"; write keep or withdraw`},
		{"empty property", "Create", "", property(""), "", nil, "FAILED", neverMade, `is ""; write keep or withdraw`},
		{"property of no text", "Create", "", property(true), "", nil, "FAILED", neverMade, "is not a string"},
		{"properties of text", "Create", "", "x", "", nil, "FAILED", neverMade, "ResourceProperties cannot be read"},

		{"keep", "Delete", physicalID, property("keep"), "*", status(500), "SUCCESS", physicalID, "left as they are"},
		{"no properties", "Delete", physicalID, nil, "", nil, "SUCCESS", physicalID, "left as they are"},
		{"another property", "Delete", physicalID, other, "", nil, "SUCCESS", physicalID, "left as they are"},
		{"mistyped deletion", "Delete", physicalID, mistyped, "", nil, "SUCCESS", physicalID, "some rules are left; revoke"},
		{"withdraw", "Delete", physicalID, withdraw, "", status(500), "SUCCESS", physicalID, "2 rules withdrawn"},
		{"withdraw, denied", "Delete", physicalID, withdraw, revoke, nil, "SUCCESS", physicalID, "or set the tag to none: "},
		{"withdraw, panic", "Delete", physicalID, withdraw, "panic", nil, "SUCCESS", physicalID, "rules are left"},
		{"delete what was not created", "Delete", neverMade, withdraw, "", nil, "SUCCESS", neverMade, "never created"},
		{"delete without an ID", "Delete", "", withdraw, "", nil, "SUCCESS", neverMade, "never created"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := ec2sim.New(ec2sim.Options{})
			feed := &switchable{feed: serve(goodDocument)}
			h, group := newTestHandler(t, sim, feed)
			if _, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			h.log = slog.New(slog.NewTextHandler(&log, nil))
			h.engine.Log = h.log
			if test.feed != nil {
				feed.feed = test.feed
			}
			if test.fault == "panic" {
				h.engine.Targets[0].EC2 = nil
			} else if test.fault != "" {
				denied := ec2sim.Fault{Kind: ec2sim.ErrorBefore, Count: ec2sim.Forever, Code: "UnauthorizedOperation"}
				denied.Action = test.fault
				sim.Inject(denied)
			}
			b := newBucket(t)
			changes := object{"RequestType": test.kind, "ResponseURL": b.url(t).String(), "ResourceProperties": test.properties}
			if test.id != "" {
				changes["PhysicalResourceId"] = test.id
			}
			answer, err := h.Invoke(t.Context(), []byte(request(changes)))
			if err != nil {
				t.Fatalf("it is answered, but Lambda would try again: %v", err)
			}
			if diff := cmp.Diff([]string{"PUT  " + string(answer)}, b.sent()); diff != "" {
				t.Errorf("-want +sent\n%s", diff)
			}
			var got resourceAnswer
			if err := json.Unmarshal(answer, &got); err != nil {
				t.Fatal(err)
			}
			want := resourceAnswer{test.status, test.reason, test.answeredID, stackID, "req-1", "SyncAtDeploy"}
			if strings.Contains(got.Reason, test.reason) && !strings.Contains(got.Reason, "\n") {
				want.Reason = got.Reason
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if n := rulesOf(t, sim, group); (n == 0) != (test.name == "withdraw") || n != 0 && n != 2 {
				t.Errorf("%d rules", n)
			}
			if strings.Contains(log.String(), signature) {
				t.Errorf("the response URL is in the log:\n%s", log.String())
			}
		})
	}
}

// A role that AWS refuses for a while does not fail a deployment, nor leave anything out with a mere warning. A refusal
// that stays is reported after two minutes, or when time runs out. The topic hears of each change once, whichever run
// made it.
func TestDeploymentWaitsForItsRole(t *testing.T) {
	const forever = ec2sim.Forever
	for _, test := range []struct {
		name    string
		refused string // an action
		times   int
		kind    string
		limit   time.Duration // of the function
		status  string
		pauses  string
	}{
		{"at once", "", 0, "Create", 0, "SUCCESS", "[]"},
		{"groups", "DescribeSecurityGroups", 3, "Create", 0, "SUCCESS", "[2s 4s 8s]"},
		{"rules", "AuthorizeSecurityGroupIngress", 2, "Update", 0, "SUCCESS", "[2s 4s]"},
		{"lists, which would only be a warning", "DescribeManagedPrefixLists", 2, "Update", 0, "SUCCESS", "[2s 4s]"},
		{"quota, which would be guessed", "GetServiceQuota", 1, "Create", 0, "SUCCESS", "[2s]"},
		{"for good", "DescribeSecurityGroups", forever, "Create", 0, "FAILED", "[2s 4s 8s 16s 32s 58s]"},
		{"for good, except lists", "AuthorizeSecurityGroupIngress", forever, "Create", 0, "FAILED", "[2s 4s 8s 16s 32s 58s]"},
		{"no time", "DescribeSecurityGroups", forever, "Create", 60 * time.Second, "FAILED", "[2s 4s 8s]"},
		{"deletion", "RevokeSecurityGroupIngress", forever, "Delete", 0, "SUCCESS", "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := ec2sim.New(ec2sim.Options{})
			h, group := newTestHandler(t, sim, serve(goodDocument))
			s := &topic{}
			h.notifier = newTestNotifier(t, s)
			region, tags := sim.Region("", "us-east-1"), map[string]string{"cloudfront-ingress": "ranges"}
			list, err := region.CreatePrefixList(ec2sim.PrefixList{Name: "web", Family: "IPv4", MaxEntries: 5, Tags: tags})
			if err != nil {
				t.Fatal(err)
			}
			if test.refused != "" {
				service := "ec2"
				if test.refused == "GetServiceQuota" {
					service = "servicequotas"
				}
				sim.Inject(ec2sim.Fault{Kind: ec2sim.Refused, Service: service, Action: test.refused, Count: test.times})
			}
			began, pauses := time.Now(), []time.Duration{}
			clock := began
			h.now = func() time.Time { return clock }
			h.sleep = func(_ context.Context, d time.Duration) error {
				clock, pauses = clock.Add(d), append(pauses, d)
				return nil
			}
			ctx := t.Context()
			if test.limit > 0 {
				limited, cancel := context.WithDeadline(ctx, began.Add(test.limit))
				defer cancel()
				ctx = limited
			}
			changes := object{
				"RequestType": test.kind, "ResponseURL": newBucket(t).url(t).String(),
				"ResourceProperties": object{"OnDelete": "withdraw"},
			}
			if test.kind != "Create" {
				changes["PhysicalResourceId"] = physicalID
			}
			answer, err := h.Invoke(ctx, []byte(request(changes)))
			if err != nil || !strings.Contains(string(answer), test.status) || fmt.Sprint(pauses) != test.pauses {
				t.Errorf("answer %s, error %v, pauses %v", answer, err, pauses)
			}
			filled := slices.ContainsFunc(region.PrefixLists(), func(l ec2sim.PrefixList) bool {
				return l.ID == list.ID && len(l.Entries) == 1
			})
			wanted := test.status == "SUCCESS" && test.kind != "Delete"
			if rules := rulesOf(t, sim, group); (rules == 2 && filled) != wanted {
				t.Errorf("%d rules, list in sync: %t", rules, filled)
			}
			told := ""
			for _, form := range s.published {
				told += form.Get("Message")
			}
			n := strings.Count(told, "    + ")
			if (n == 3) != wanted || strings.Contains(told, "The run failed") != (n > 0 && test.status == "FAILED") {
				t.Errorf("%d changes are told:\n%s", n, told)
			}
		})
	}
}

// A refusal of another account is for that account to fix, and no reason to wait.
func TestDeploymentDoesNotWaitForOtherAccounts(t *testing.T) {
	r := refusals{}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>")
	}))
	defer endpoint.Close()
	cfg := r.watch(t.Context(), awsConfig(endpoint.URL))
	for key, want := range map[string]int64{"THEIRS": 0, "AKIDEXAMPLE": 1} {
		r.count.Store(0)
		cfg.Credentials = credentials.NewStaticCredentialsProvider(key, "secret", "")
		if _, err := ec2.NewFromConfig(cfg).DescribeSecurityGroups(t.Context(), nil); err == nil || r.count.Load() != want {
			t.Errorf("%d refusals of %s, want %d; error %v", r.count.Load(), key, want, err)
		}
	}
}

// Without an answer Lambda has to try again.
func TestUnansweredResource(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	h.responder.pause = time.Millisecond
	b := newBucket(t, status(500))
	_, err := h.Invoke(t.Context(), []byte(request(object{"ResponseURL": b.url(t).String()})))
	if err == nil || strings.Contains(err.Error(), signature) || rulesOf(t, sim, group) != 2 {
		t.Errorf("error %v, %d rules", err, rulesOf(t, sim, group))
	}
}
