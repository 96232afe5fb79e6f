package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// metricLines returns the lines of the log that CloudWatch makes metrics of, checked against the published format.
func metricLines(t *testing.T, log string) []map[string]any {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "internal", "function", "testdata", "emf.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []map[string]any
	for scanner := bufio.NewScanner(strings.NewReader(log)); scanner.Scan(); {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) != nil || line["_aws"] == nil {
			continue
		}
		if err := schema.Validate(any(line)); err != nil {
			t.Errorf("line %s: %v", scanner.Text(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

// Each run tells CloudWatch what it did, and SNS where it changed rules.
func TestFunctionTells(t *testing.T) {
	var published []url.Values
	sns := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		published = append(published, form)
		_, _ = io.WriteString(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>94f20ce6</MessageId></PublishResult></PublishResponse>`)
	}))
	defer sns.Close()
	w := newWorld(t, ec2sim.Options{}, document)
	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	f := w.start(map[string]string{"NOTIFY_TOPIC_ARN": "arn:aws:sns:us-east-1:111122223333:ops", "AWS_ENDPOINT_URL_SNS": sns.URL, "METRICS_NAMESPACE": "Edge"})
	f.succeed(sample(t, "manual-dry-run.json"))
	f.succeed(`{}`)
	f.succeed(`{}`)
	w.sim.Deny("DescribeSecurityGroups")
	f.fail(`{}`)
	f.fail(`{"dryrun":true}`)

	if len(published) != 1 || !strings.Contains(published[0].Get("Message"), web+` "web": 3 rules added, 0 revoked`) {
		t.Errorf("published %v", published)
	}
	lines := metricLines(t, f.log.String())
	if len(lines) != 3 {
		t.Fatalf("metrics of %d runs, not 3", len(lines))
	}
	for i, want := range []map[string]any{
		{"FunctionName": "sync", "RulesAdded": 3.0, "RulesWanted": 3.0, "GroupsChanged": 1.0, "FreeSlots": 58.0, "RunSucceeded": 1.0, "RunFailed": 0.0, "syncToken": "1790000000"},
		{"RulesAdded": 0.0, "RulesWanted": 3.0, "GroupsManaged": 1.0, "GroupsChanged": 0.0, "FreeSlots": 58.0, "RunSucceeded": 1.0},
		{"RunSucceeded": 0.0, "RunFailed": 1.0, "GroupsManaged": 0.0, "FreeSlots": nil},
	} {
		for name, value := range want {
			if lines[i][name] != value {
				t.Errorf("run %d: %s is %v, not %v", i, name, lines[i][name], value)
			}
		}
	}
	if !strings.Contains(f.log.String(), `"Namespace":"Edge"`) {
		t.Error("the metrics are in another namespace")
	}
}

func TestFunctionWithoutMetrics(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	f := w.start(map[string]string{"METRICS_NAMESPACE": "none"})
	f.succeed(`{}`)
	if n := len(metricLines(t, f.log.String())); n > 0 {
		t.Errorf("metrics of %d runs", n)
	}
}
