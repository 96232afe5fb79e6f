package main

import (
	"fmt"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// byQueue returns the event of a queue whose records have these bodies.
func byQueue(bodies ...string) string {
	var records []string
	for _, body := range bodies {
		records = append(records, fmt.Sprintf(`{"messageId":"1","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:us-east-1:111122223333:changes.fifo","body":%q}`, body))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

// A change of tags or rules starts a run, by itself or by the queue. Of the failures of such a run only those that may
// pass are Lambda's business; the others are told by a metric.
func TestFunctionFollowsChanges(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	f := w.start(map[string]string{"EVENT_QUEUE_ARN": "arn:aws:sqs:us-east-1:111122223333:changes.fifo"})
	tagChange, apiCall := sample(t, "tag-change.json"), sample(t, "api-call.json")

	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	if rep := f.succeed(byQueue(tagChange)); rep.Summary.Added != 3 {
		t.Errorf("after a tag: %+v", rep)
	}
	repaired := func(when, event string) {
		t.Helper()
		f.succeed(event)
		if v4, v6 := w.owned(web, 443, description); v4 != 2 || v6 != 1 {
			t.Errorf("%s: %d IPv4 and %d IPv6 rules", when, v4, v6)
		}
	}
	revoke := func() {
		t.Helper()
		from, cidr, tcp := int32(443), "18.64.0.0/14", "tcp"
		if _, err := w.ec2.RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{
			{IpProtocol: &tcp, FromPort: &from, ToPort: &from, IpRanges: []types.IpRange{{CidrIp: &cidr}}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	revoke()
	repaired("a revoked rule", byQueue(tagChange, apiCall))
	repaired("nothing to do", byQueue(apiCall))
	revoke()
	repaired("by the schedule", sample(t, "schedule.json"))

	w.sim.ResetCalls()
	const user = "arn:aws:iam::123456789012:role/ops"
	own := strings.Replace(apiCall, user, "arn:aws:iam::222233334444:role/cloudfront-sg-sync", 1)
	hub := w.start(map[string]string{"EVENT_QUEUE_ARN": "arn:aws:sqs:us-east-1:111122223333:changes.fifo", "MEMBER_ACCOUNTS": "222233334444"})
	if a := hub.invoke(byQueue(own)); a.failed || !strings.Contains(string(a.body), "of the function itself") || strings.Contains(w.calls(), "Describe") {
		t.Errorf("the function's own call in a member: failed %t, %s", a.failed, a.body)
	}

	w.group("mistyped", map[string]string{"cloudfront-ingress": "htp"})
	if a := f.invoke(byQueue(tagChange)); a.failed || !strings.Contains(string(a.body), `tag cloudfront-ingress`) {
		t.Errorf("a mistyped tag: failed %t, %s", a.failed, a.body)
	}
	if message := f.fail(tagChange); !strings.Contains(message, "tag cloudfront-ingress") {
		t.Errorf("a mistyped tag, without the queue: %s", message)
	}
	w.sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "DescribeSecurityGroups", Code: "InternalError", Count: ec2sim.Forever})
	f.fail(byQueue(tagChange))
	log := f.wholeLog()
	for metric, want := range map[string]int{`"DriftRepaired":1`: 1, `"RunFailed":1`: 3} {
		if got := strings.Count(log, metric); got != want {
			t.Errorf("%s is told %d times, want %d", metric, got, want)
		}
	}
}
