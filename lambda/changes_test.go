package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

const queue = "arn:aws:sqs:us-east-1:111122223333:changes.fifo"

// byQueue returns the event of a queue whose records have these bodies.
func byQueue(bodies ...string) string {
	var records []string
	for _, body := range bodies {
		records = append(records, fmt.Sprintf(`{"eventSource":"aws:sqs","eventSourceARN":%q,"body":%q}`, queue, body))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

// A change of tags or rules starts a run, by itself or by the queue. Of the failures of such a run only those that may
// pass are Lambda's business; the others are told by a metric.
func TestFunctionFollowsChanges(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	f := w.start(map[string]string{"EVENT_QUEUE_ARN": queue})
	tagChange, apiCall := sample(t, "tag-change.json"), sample(t, "api-call.json")

	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	if rep := f.succeed(byQueue(tagChange)); rep.Summary.Added != 3 {
		t.Errorf("after a tag: %+v", rep)
	}
	repaired := func(event string) {
		t.Helper()
		f.succeed(event)
		w.checkOwned(web, description, counts{2, 1})
	}
	revoke := func() {
		t.Helper()
		gone := ec2sim.TCP(443, 443, netip.MustParsePrefix("18.64.0.0/14"))
		if err := w.sim.Region("", "us-east-1").RemoveRules(web, gone); err != nil {
			t.Fatal(err)
		}
	}
	revoke()
	repaired(byQueue(tagChange, apiCall))
	repaired(byQueue(apiCall))
	revoke()
	repaired(sample(t, "schedule.json"))

	w.sim.ResetCalls()
	const user = "arn:aws:iam::123456789012:role/ops"
	own := strings.Replace(apiCall, user, "arn:aws:iam::222233334444:role/cloudfront-sg-sync", 1)
	hub := w.start(map[string]string{"EVENT_QUEUE_ARN": queue, "MEMBER_ACCOUNTS": "222233334444"})
	a := hub.invoke(byQueue(own))
	if a.failed || !strings.Contains(string(a.body), "of the function itself") || strings.Contains(w.calls(), "Describe") {
		t.Errorf("the function's own call in a member: failed %t, %s", a.failed, a.body)
	}

	w.group("mistyped", map[string]string{"cloudfront-ingress": "htp"})
	if a := f.invoke(byQueue(tagChange)); a.failed || !strings.Contains(string(a.body), `tag cloudfront-ingress`) {
		t.Errorf("a mistyped tag: failed %t, %s", a.failed, a.body)
	}
	if message := f.fail(tagChange); !strings.Contains(message, "tag cloudfront-ingress") {
		t.Errorf("a mistyped tag, without the queue: %s", message)
	}
	broken := ec2sim.Fault{Kind: ec2sim.ErrorBefore, Code: "InternalError", Count: ec2sim.Forever}
	broken.Action = "DescribeSecurityGroups"
	w.sim.Inject(broken)
	f.fail(byQueue(tagChange))
	log := f.wholeLog()
	for metric, want := range map[string]int{`"DriftRepaired":1`: 1, `"RunFailed":1`: 3} {
		if got := strings.Count(log, metric); got != want {
			t.Errorf("%s is told %d times, want %d", metric, got, want)
		}
	}
}
