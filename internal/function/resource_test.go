package function

import (
	"context"
	"encoding/json"
	"errors"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
)

const (
	stackID     = "arn:aws:cloudformation:eu-west-1:111122223333:stack/edge/86ac7dd0-d735-11e8-9b9e-503aca4a5835"
	physicalID  = "SyncAtDeploy-86ac7dd0-d735-11e8-9b9e-503aca4a5835"
	signature   = "SECRETSIGNATURE"
	responseURL = "https://cloudformation-custom-resource-response-euwest1.s3-eu-west-1.amazonaws.com/x?Signature=" + signature
)

// request returns a request of CloudFormation with members changed; one that is nil is left out.
func request(changes map[string]any) string {
	members := map[string]any{
		"RequestType": "Create", "ResponseURL": responseURL, "StackId": stackID, "RequestId": "req-1",
		"LogicalResourceId": "SyncAtDeploy", "ResourceType": "Custom::Sync",
		"ResourceProperties": map[string]any{"ServiceToken": "arn:aws:lambda:eu-west-1:111122223333:function:sync"},
	}
	for name, value := range changes {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func properties(onDelete any) map[string]any { return map[string]any{"OnDelete": onDelete} }

// checkSampleRequest checks a sample event of CloudFormation.
func checkSampleRequest(t *testing.T, name string, r *resourceRequest) {
	t.Helper()
	if r == nil || r.err != nil {
		t.Fatalf("%s: request %+v", name, r)
	}
	if err := newResponder(false).check(r.responseURL); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	want := strings.TrimSuffix(strings.TrimPrefix(name, "custom-resource-"), ".json")
	if strings.ToLower(r.kind) != want {
		t.Errorf("%s: request to %s", name, r.kind)
	}
	if r.kind == "Delete" && !r.wasMade() {
		t.Errorf("%s: resource %s is not one that was made, such as %s", name, r.physicalID, r.id())
	}
}

func TestParseResourceRequest(t *testing.T) {
	for _, test := range []struct {
		name     string
		changes  map[string]any
		withdraw bool
		err      string // in the answer
	}{
		{"create", nil, false, ""},
		{"keep", map[string]any{"ResourceProperties": properties("keep")}, false, ""},
		{"withdraw", map[string]any{"ResourceProperties": properties("withdraw")}, true, ""},
		{"no properties", map[string]any{"ResourceProperties": nil}, false, ""},
		{"old properties count for nothing", map[string]any{"OldResourceProperties": properties("withdraw")}, false, ""},
		{"other properties count for nothing", map[string]any{"ResourceProperties": map[string]any{"onDelete": "withdraw", "Services": []string{"S3"}}}, false, ""},
		{"what else CloudFormation may send", map[string]any{"ServiceToken": "arn:…", "Anything": 1}, false, ""},
		{"mistyped", map[string]any{"ResourceProperties": properties("withdrawn")}, false, `property OnDelete is "withdrawn"; write keep or withdraw`},
		{"empty", map[string]any{"ResourceProperties": properties("")}, false, `property OnDelete is ""; write keep or withdraw`},
		{"not a string", map[string]any{"ResourceProperties": properties(true)}, false, "property OnDelete is not a string"},
		{"properties not an object", map[string]any{"ResourceProperties": "x"}, false, "ResourceProperties cannot be read"},
		{"another request type", map[string]any{"RequestType": "Replace"}, false, `RequestType "Replace" is none of Create, Update and Delete`},
	} {
		t.Run(test.name, func(t *testing.T) {
			event, err := parseEvent([]byte(request(test.changes)), accepted)
			if err != nil {
				t.Fatal(err)
			}
			r := event.resource
			if r.withdraw != test.withdraw || r.stackID != stackID || r.requestID != "req-1" || r.id() != physicalID || r.responseURL.String() != responseURL {
				t.Errorf("request %+v", r)
			}
			if test.err == "" && r.err != nil || test.err != "" && (r.err == nil || !strings.Contains(r.err.Error(), test.err)) {
				t.Errorf("error %v, want %q", r.err, test.err)
			}
		})
	}
}

// A request that cannot be answered is refused, and the response URL is in no error.
func TestParseResourceRequestRefused(t *testing.T) {
	for _, test := range []struct{ name, payload, want string }{
		{"no response URL", request(map[string]any{"ResponseURL": nil}), "no ResponseURL"},
		{"response URL empty", request(map[string]any{"ResponseURL": ""}), "no ResponseURL"},
		{"response URL a list", request(map[string]any{"ResponseURL": []string{responseURL}}), "no ResponseURL"},
		{"response URL no URL", request(map[string]any{"ResponseURL": "https://\x7f" + signature}), "no URL"},
		{"request type null", strings.Replace(request(nil), `"Create"`, "null", 1), "no RequestType"},
		{"no stack", request(map[string]any{"StackId": nil}), "no StackId"},
		{"no request", request(map[string]any{"RequestId": 7}), "no RequestId"},
		{"no logical ID", request(map[string]any{"LogicalResourceId": ""}), "no LogicalResourceId"},
		{"physical ID empty", request(map[string]any{"PhysicalResourceId": ""}), "no PhysicalResourceId"},
		{"long ID", request(map[string]any{"StackId": strings.Repeat("x", 513)}), "513 bytes"},
		{"cut", request(nil)[:400], "not a JSON object"},
		{"a member twice", strings.Replace(request(nil), "{", `{"ResponseURL":"`+responseURL+`",`, 1), "duplicate"},
		{"trailing data", request(nil) + "{}", "more data follows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseEvent([]byte(test.payload), accepted)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), signature) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestResourceAnswer(t *testing.T) {
	failed := errors.New("us-east-1: pool \"web\" is too small\nus-west-2: no")
	for _, test := range []struct {
		name, kind, physicalID string
		err                    error
		want                   resourceAnswer
	}{
		{"created", "Create", "", nil, resourceAnswer{Status: "SUCCESS", Reason: "fine", PhysicalResourceID: physicalID}},
		{
			"not created", "Create", "", failed,
			resourceAnswer{Status: "FAILED", Reason: `us-east-1: pool "web" is too small; us-west-2: no`, PhysicalResourceID: physicalID + "-not-created"},
		},
		{"updated", "Update", physicalID, nil, resourceAnswer{Status: "SUCCESS", Reason: "fine", PhysicalResourceID: physicalID}},
		{
			"not updated", "Update", physicalID, failed,
			resourceAnswer{Status: "FAILED", Reason: `us-east-1: pool "web" is too small; us-west-2: no`, PhysicalResourceID: physicalID},
		},
		{"updated although never created", "Update", physicalID + "-not-created", nil, resourceAnswer{Status: "SUCCESS", Reason: "fine", PhysicalResourceID: physicalID}},
		{"deleted", "Delete", physicalID, nil, resourceAnswer{Status: "SUCCESS", Reason: "fine", PhysicalResourceID: physicalID}},
		{"deleted what was never created", "Delete", "whatever", nil, resourceAnswer{Status: "SUCCESS", Reason: "fine", PhysicalResourceID: "whatever"}},
		{
			"not wholly deleted", "Delete", physicalID, failed,
			resourceAnswer{Status: "SUCCESS", Reason: `some rules are left; revoke them by hand, or set the tag to none: us-east-1: pool "web" is too small; us-west-2: no`, PhysicalResourceID: physicalID},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &resourceRequest{kind: test.kind, stackID: stackID, requestID: "req-1", logicalID: "SyncAtDeploy", physicalID: test.physicalID}
			test.want.StackID, test.want.RequestID, test.want.LogicalResourceID = stackID, "req-1", "SyncAtDeploy"
			if diff := cmp.Diff(&test.want, newResourceAnswer(r, "fine", test.err)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// An answer never has more than 4,096 bytes, whatever is in the reason.
func TestResourceAnswerIsBounded(t *testing.T) {
	long := strings.Repeat("i", maxID)
	for _, piece := range []string{"x", "é", "\"", "\x01", "<", "\xff", "日"} {
		for _, n := range []int{0, 1, 1000, 4000, 5000, 100000} {
			a := resourceAnswer{Status: "FAILED", Reason: strings.Repeat(piece, n), PhysicalResourceID: long + long, StackID: long, RequestID: long, LogicalResourceID: long}
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

// A request is done once and answered, whatever comes of it.
func TestHandleResource(t *testing.T) {
	const denied = "UnauthorizedOperation"
	for _, test := range []struct {
		name    string
		changes map[string]any
		fault   string // an action that is denied
		feed    http.HandlerFunc
		status  string
		reason  string
		rules   int // of two that were there
	}{
		{"create", nil, "", nil, "SUCCESS", "1 security group made equal", 2},
		{"create, denied", nil, "DescribeSecurityGroups", nil, "FAILED", "grant the permission ec2:DescribeSecurityGroups", 2},
		{"create, no ranges", nil, "", status(404), "FAILED", "404 Not Found", 2},
		{"create, panic", nil, "panic", nil, "FAILED", "panic: ", 2},
		{"create, bad property", map[string]any{"ResourceProperties": properties("x")}, "", nil, "FAILED", "write keep or withdraw", 2},
		{"update", map[string]any{"RequestType": "Update", "PhysicalResourceId": physicalID}, "", nil, "SUCCESS", "made equal", 2},
		{"unknown type", map[string]any{"RequestType": "Replace"}, "", nil, "FAILED", "none of Create, Update and Delete", 2},
		{"delete, keep", map[string]any{"RequestType": "Delete", "PhysicalResourceId": physicalID}, "*", status(500), "SUCCESS", "left as they are", 2},
		{"delete, bad property", map[string]any{"RequestType": "Delete", "PhysicalResourceId": physicalID, "ResourceProperties": properties("x")}, "", nil, "SUCCESS", "rules are left", 2},
		{"delete, withdraw", map[string]any{"RequestType": "Delete", "PhysicalResourceId": physicalID, "ResourceProperties": properties("withdraw")}, "", status(500), "SUCCESS", "2 rules withdrawn", 0},
		{"delete, withdraw, denied", map[string]any{"RequestType": "Delete", "PhysicalResourceId": physicalID, "ResourceProperties": properties("withdraw")}, "RevokeSecurityGroupIngress", nil, "SUCCESS", "rules are left", 2},
		{"delete, withdraw, panic", map[string]any{"RequestType": "Delete", "PhysicalResourceId": physicalID, "ResourceProperties": properties("withdraw")}, "panic", nil, "SUCCESS", "rules are left", 2},
		{"delete what was not created", map[string]any{"RequestType": "Delete", "PhysicalResourceId": physicalID + "-not-created", "ResourceProperties": properties("withdraw")}, "", nil, "SUCCESS", "never created", 2},
		{"delete without an ID", map[string]any{"RequestType": "Delete", "ResourceProperties": properties("withdraw")}, "", nil, "SUCCESS", "never created", 2},
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
			switch test.fault {
			case "":
			case "panic":
				h.engine.Targets[0].EC2 = nil
			default:
				sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: test.fault, Count: ec2sim.Forever, Code: denied})
			}
			b := newBucket(t)
			changes := map[string]any{"ResponseURL": b.url(t).String()}
			maps.Copy(changes, test.changes)
			answer, err := h.Invoke(t.Context(), []byte(request(changes)))
			if err != nil {
				t.Fatalf("it is answered, but Lambda would try again: %v", err)
			}
			if sent := b.sent(); len(sent) != 1 || sent[0] != "PUT  "+string(answer) {
				t.Fatalf("it was answered with %q", sent)
			}
			var got resourceAnswer
			if err := json.Unmarshal(answer, &got); err != nil {
				t.Fatal(err)
			}
			if got.Status != test.status || !strings.Contains(got.Reason, test.reason) || got.StackID != stackID || got.RequestID != "req-1" || got.LogicalResourceID != "SyncAtDeploy" || got.PhysicalResourceID == "" {
				t.Errorf("answer %+v", got)
			}
			if n := rulesOf(t, sim, group); n != test.rules {
				t.Errorf("%d rules, not %d", n, test.rules)
			}
			if strings.Contains(log.String(), signature) {
				t.Errorf("the response URL is in the log:\n%s", log.String())
			}
		})
	}
}

// A role that is refused for a while does not fail a deployment, nor is anything left out that it is refused for a
// warning only. A refusal that stays is reported after two minutes, or when there is no more time. The topic is told once
// of each change, whichever run has made it.
func TestDeploymentWaitsForItsRole(t *testing.T) {
	const forever = ec2sim.Forever
	for _, test := range []struct {
		name    string
		refused string // an action
		service string
		times   int
		kind    string
		limit   time.Duration // of the function
		status  string
		pauses  string
	}{
		{"at once", "", "", 0, "Create", 0, "SUCCESS", "[]"},
		{"groups", "DescribeSecurityGroups", "ec2", 3, "Create", 0, "SUCCESS", "[2s 4s 8s]"},
		{"rules", "AuthorizeSecurityGroupIngress", "ec2", 2, "Update", 0, "SUCCESS", "[2s 4s]"},
		{"lists, which would only be a warning", "DescribeManagedPrefixLists", "ec2", 2, "Update", 0, "SUCCESS", "[2s 4s]"},
		{"quota, which would be guessed", "GetServiceQuota", "servicequotas", 1, "Create", 0, "SUCCESS", "[2s]"},
		{"for good", "DescribeSecurityGroups", "ec2", forever, "Create", 0, "FAILED", "[2s 4s 8s 16s 32s 58s]"},
		{"for good, but not for lists", "AuthorizeSecurityGroupIngress", "ec2", forever, "Create", 0, "FAILED", "[2s 4s 8s 16s 32s 58s]"},
		{"no time", "DescribeSecurityGroups", "ec2", forever, "Create", 60 * time.Second, "FAILED", "[2s 4s 8s]"},
		{"deletion", "RevokeSecurityGroupIngress", "ec2", forever, "Delete", 0, "SUCCESS", "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := ec2sim.New(ec2sim.Options{})
			h, group := newTestHandler(t, sim, serve(goodDocument))
			s := &topic{}
			h.notifier = newTestNotifier(t, s)
			region := sim.Region("", "us-east-1")
			list, err := region.CreatePrefixList(ec2sim.PrefixList{Name: "web", Family: "IPv4", MaxEntries: 5, Tags: map[string]string{"cloudfront-ingress": "ranges"}})
			if err != nil {
				t.Fatal(err)
			}
			if test.refused != "" {
				sim.Inject(ec2sim.Fault{Kind: ec2sim.Refused, Service: test.service, Action: test.refused, Count: test.times})
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
			changes := map[string]any{"RequestType": test.kind, "ResponseURL": newBucket(t).url(t).String(), "ResourceProperties": properties("withdraw")}
			if test.kind != "Create" {
				changes["PhysicalResourceId"] = physicalID
			}
			answer, err := h.Invoke(ctx, []byte(request(changes)))
			if err != nil || !strings.Contains(string(answer), test.status) || fmt.Sprint(pauses) != test.pauses {
				t.Errorf("answer %s, error %v, pauses %v", answer, err, pauses)
			}
			found := slices.IndexFunc(region.PrefixLists(), func(l ec2sim.PrefixList) bool { return l.ID == list.ID && len(l.Entries) == 1 })
			if synced := rulesOf(t, sim, group) == 2 && found >= 0; synced != (test.status == "SUCCESS" && test.kind != "Delete") {
				t.Errorf("%d rules, list in sync: %t", rulesOf(t, sim, group), found >= 0)
			}
			told := ""
			for _, form := range s.published {
				told += form.Get("Message")
			}
			if n := strings.Count(told, "    + "); (n == 3) != (test.status == "SUCCESS" && test.kind != "Delete") || strings.Contains(told, "The run failed") != (n > 0 && test.status == "FAILED") {
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
	own := r.watch(t.Context(), aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint.URL, Credentials: credentials.NewStaticCredentialsProvider("OWN", "secret", "")})
	theirs := own.Copy()
	theirs.Credentials = credentials.NewStaticCredentialsProvider("THEIRS", "secret", "")
	for _, test := range []struct {
		cfg  aws.Config
		want int64
	}{{theirs, 0}, {own, 1}} {
		if _, err := ec2.NewFromConfig(test.cfg).DescribeSecurityGroups(t.Context(), nil); err == nil || r.count.Load() != test.want {
			t.Errorf("%d refusals, want %d; error %v", r.count.Load(), test.want, err)
		}
	}
}

// Without an answer Lambda has to try again; at a place that is not CloudFormation's nothing is done.
func TestUnansweredResource(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	h.responder.pause = time.Millisecond
	b := newBucket(t, status(500))
	_, err := h.Invoke(t.Context(), []byte(request(map[string]any{"ResponseURL": b.url(t).String()})))
	if err == nil || strings.Contains(err.Error(), signature) || rulesOf(t, sim, group) != 2 {
		t.Errorf("error %v, %d rules", err, rulesOf(t, sim, group))
	}
	sim.ResetCalls()
	for _, u := range []string{"https://example.com/?Signature=" + signature, "http://x.s3.amazonaws.com/?Signature=" + signature} {
		_, err := h.Invoke(t.Context(), []byte(request(map[string]any{"ResponseURL": u})))
		if err == nil || !strings.Contains(err.Error(), "is refused") || strings.Contains(err.Error(), signature) {
			t.Errorf("error %v", err)
		}
	}
	if n := len(sim.Calls()); n > 0 {
		t.Errorf("%d calls", n)
	}
}
