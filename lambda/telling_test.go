package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// metricLines returns the lines of the log that CloudWatch makes metrics of. Their format is checked where they are
// written, in internal/function.
func metricLines(log string) []map[string]any {
	var lines []map[string]any
	for text := range strings.Lines(log) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["_aws"] != nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// Each run tells CloudWatch what it did, a failed one too, and SNS where it changed rules. A refused event and a dry
// run tell nothing, and a run for some groups nothing of the others.
func TestFunctionTells(t *testing.T) {
	var published []url.Values
	sns := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		published = append(published, form)
		_, _ = io.WriteString(w, "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>")
	}))
	defer sns.Close()
	w := newWorld(t, ec2sim.Options{}, document)
	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	f := w.start(map[string]string{
		"NOTIFY_TOPIC_ARN": "arn:aws:sns:us-east-1:111122223333:ops", "AWS_ENDPOINT_URL_SNS": sns.URL,
		"METRICS_NAMESPACE": "Edge",
	})
	const describe, authorize = "DescribeSecurityGroups", "AuthorizeSecurityGroupIngress"
	type values map[string]any
	tests := []struct {
		event, deny string // an action
		want        values // of the line, nil where there must be none
	}{
		{sample(t, "manual-dry-run.json"), "", nil},
		{`{"dryrun":true}`, "", nil},
		{`{}`, describe, values{"RunSucceeded": 0.0, "RunFailed": 1.0, "GroupsManaged": 0.0, "FreeSlots": nil}},
		{`{}`, authorize, values{"RunFailed": 1.0, "RulesAdded": 0.0, "GroupsFailed": 1.0, "FreeSlots": 60.0}},
		{`{}`, "", values{
			"FunctionName": "sync", "RulesAdded": 3.0, "RulesWanted": 3.0, "GroupsChanged": 1.0, "FreeSlots": 58.0,
			"RunSucceeded": 1.0, "RunFailed": 0.0, "syncToken": "1790000000",
		}},
		{`{"groupIds":["` + web + `"]}`, "", values{"RulesAdded": 0.0, "GroupsChanged": 0.0, "RunSucceeded": nil}},
		{`{}`, "", values{"RulesAdded": 0.0, "RulesWanted": 3.0, "GroupsManaged": 1.0, "FreeSlots": 58.0}},
	}
	for _, test := range tests {
		if w.sim.ClearFaults(); test.deny != "" {
			w.sim.Deny(test.deny)
		}
		f.invoke(test.event)
	}
	log := f.wholeLog()
	lines := metricLines(log)
	for _, test := range tests {
		if len(test.want) == 0 {
			continue
		}
		if len(lines) == 0 {
			t.Fatal("a run without metrics")
		}
		for name, value := range test.want {
			if lines[0][name] != value {
				t.Errorf("%s, %s denied: %s is %v, not %v", test.event, test.deny, name, lines[0][name], value)
			}
		}
		lines = lines[1:]
	}
	if len(published) != 1 || !strings.Contains(published[0].Get("Message"), web+` "web": 3 rules added, 0 revoked`) {
		t.Errorf("published %v", published)
	}
	if len(lines) > 0 || !strings.Contains(log, `"Namespace":"Edge"`) {
		t.Errorf("the metrics are in another namespace, or there are too many: %v", lines)
	}
}

// Metrics can be turned off. At a log level of WARN they are written, at a level that Lambda does not drop.
func TestMetricsAtWarn(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	for namespace, want := range map[string]int{"": 1, "none": 0} {
		f := w.start(map[string]string{"AWS_LAMBDA_LOG_LEVEL": "WARN", "METRICS_NAMESPACE": namespace})
		f.succeed(`{}`)
		log := f.wholeLog()
		if strings.Count(log, "\n") != want || strings.Count(log, `"level":"WARN"`) != want || len(metricLines(log)) != want {
			t.Errorf("namespace %q: log %s", namespace, log)
		}
	}
}
