package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// cloudFormation is a fake of the response URL of a custom resource.
type cloudFormation struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	accepted []string
}

// secret is the part of the response URL that nobody may see.
const secret = "Signature=5UN54F3C7"

// answerPath is escaped as CloudFormation's are; the signature is for these very characters.
const answerPath = "/arn%3Aaws%3Acloudformation%3Aus-east-1%3A111122223333%3Astack/edge/8%7CSync%7Cunique?" + secret

func newCloudFormation(t *testing.T) *cloudFormation {
	c := &cloudFormation{t: t}
	c.server = httptest.NewServer(c)
	t.Cleanup(func() {
		c.server.CloseClientConnections()
		c.server.Close()
	})
	return c
}

// ServeHTTP takes an answer as Amazon S3 does for a presigned URL: by PUT, with the very query, without content type.
func (c *cloudFormation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if kind := r.Header.Get("Content-Type"); err != nil || r.Method != http.MethodPut || r.RequestURI != answerPath ||
		kind != "" || r.ContentLength != int64(len(body)) {
		c.t.Errorf("%s %s of %q, %d of %d bytes, error %v", r.Method, r.URL, kind, len(body), r.ContentLength, err)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	c.accepted = append(c.accepted, string(body))
}

// request returns a request of the type, with the custom resource's physical ID unless it is to be created.
func (c *cloudFormation) request(requestType, physicalID, onDelete string) string {
	event := map[string]any{
		"RequestType": requestType, "ResponseURL": c.server.URL + answerPath,
		"StackId": stack, "RequestId": "unique", "LogicalResourceId": "SyncAtDeploy", "ResourceType": "Custom::Sync",
		"ResourceProperties": map[string]any{"OnDelete": onDelete, "Services": "CLOUDFRONT"},
	}
	if physicalID != "" {
		event["PhysicalResourceId"] = physicalID
	}
	b, err := json.Marshal(event)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

const stack = "arn:aws:cloudformation:us-east-1:111122223333:stack/edge/86ac7dd0-d735-11e8-9b9e-503aca4a5835"

// A stackAnswer is what CloudFormation reads of an answer:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
type stackAnswer struct {
	Status             string
	Reason             string
	PhysicalResourceID string `json:"PhysicalResourceId"`
	StackID            string `json:"StackId"`
	RequestID          string `json:"RequestId"`
	LogicalResourceID  string `json:"LogicalResourceId"`
}

// answer returns the one answer there must be since the last call.
func (c *cloudFormation) answer() stackAnswer {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.accepted) != 1 {
		c.t.Fatalf("%d answers: %q", len(c.accepted), c.accepted)
	}
	body := c.accepted[0]
	c.accepted = nil
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	var a stackAnswer
	if err := dec.Decode(&a); err != nil {
		c.t.Fatalf("answer %s: %v", body, err)
	}
	if len(body) > 4096 || a.StackID != stack || a.RequestID != "unique" || a.LogicalResourceID != "SyncAtDeploy" ||
		a.PhysicalResourceID == "" || a.Reason == "" || a.Status != "SUCCESS" && a.Status != "FAILED" {
		c.t.Errorf("answer %s", body)
	}
	return a
}

// deliver invokes the function with a request, which must leave nothing for Lambda to try again, and returns its
// answer.
func (c *cloudFormation) deliver(f *runtime, request string) stackAnswer {
	c.t.Helper()
	if a := f.invoke(request); a.failed {
		c.t.Fatalf("the function fails: %s", a.body)
	}
	if strings.Contains(f.log.String(), secret) {
		c.t.Errorf("the response URL is in the log")
	}
	return c.answer()
}

// The life of a stack: created, updated, deleted with its rules left or withdrawn.
func TestStack(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	c := newCloudFormation(t)
	f := w.start(nil)

	created := c.deliver(f, c.request("Create", "", "keep"))
	if created.Status != "SUCCESS" || created.Reason != "1 security group made equal to the published ranges" {
		t.Errorf("answer %+v", created)
	}
	w.checkOwned(web, description, counts{2, 1})
	updated := c.deliver(f, c.request("Update", created.PhysicalResourceID, "withdraw"))
	if updated.Status != "SUCCESS" || updated.PhysicalResourceID != created.PhysicalResourceID {
		t.Errorf("answer %+v after %+v: another ID makes CloudFormation delete the resource", updated, created)
	}
	w.sim.ResetCalls()
	kept := c.deliver(f, c.request("Delete", created.PhysicalResourceID, "keep"))
	if calls := w.calls(); kept.Status != "SUCCESS" || calls != "" {
		t.Errorf("answer %+v after the calls %s", kept, calls)
	}
	w.checkOwned(web, description, counts{2, 1})
	withdrawn := c.deliver(f, c.request("Delete", created.PhysicalResourceID, "withdraw"))
	if withdrawn.Status != "SUCCESS" || withdrawn.Reason != "3 rules withdrawn" {
		t.Errorf("answer %+v", withdrawn)
	}
	w.checkOwned(web, description, counts{})
	if n := len(metricLines(f.wholeLog())); n != 3 {
		t.Errorf("metrics of %d runs, not of create, update and the withdrawal", n)
	}
}

// noTimeForARefusal is a timeout of the function within which it does not try again where its role is refused.
const noTimeForARefusal = 15 * time.Second

// A failure that no deployment can fix fails neither an update nor its rollback: the answer says what is wrong, and the
// function fails, which alarms and makes Lambda try again.
func TestStackIsNotFailedByData(t *testing.T) {
	const member = "arn:aws:iam::222233334444:role/sync"
	tag := func(ports string) func(*world) {
		return func(w *world) { w.group("another", map[string]string{"cloudfront-ingress": ports}) }
	}
	older := strings.Replace(document, "1790000000", "1780000000", 1)
	for _, test := range []struct {
		name    string
		env     map[string]string
		trouble func(*world)
		reason  string
	}{
		{"mistyped tag", nil, tag("44three"), "44three"},
		{"short pool", map[string]string{"RULES_PER_GROUP": "1"}, tag("443"), "is too small"},
		{"another account", map[string]string{"ROLE_ARNS": member}, tag("443"), member + " cannot be assumed"},
		{"another region", map[string]string{"REGIONS": "us-east-1 eu-nowhere-1"}, tag("443"), "eu-nowhere-1"},
		{"older file", nil, func(w *world) { w.document.Store(&older) }, "made from a newer one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, ec2sim.Options{}, document)
			w.group("web", map[string]string{"cloudfront-ingress": "443"})
			c := newCloudFormation(t)
			id := c.deliver(w.start(nil), c.request("Create", "", "keep")).PhysicalResourceID
			test.trouble(w)
			f := w.start(test.env)
			f.timeout = noTimeForARefusal
			for _, request := range []string{c.request("Create", "", "keep"), c.request("Update", id, "keep")} {
				msg, a := f.fail(request), c.answer()
				if !strings.Contains(msg, test.reason) || a.Status != "SUCCESS" || !strings.Contains(a.Reason, test.reason) ||
					a.PhysicalResourceID != id {
					t.Errorf("error %s, answer %+v", msg, a)
				}
			}
		})
	}
}
