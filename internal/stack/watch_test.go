package stack

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/function"
)

// ofAWS are the metrics of AWS's own that alarms and dashboard use, with their dimension. See
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
var ofAWS = map[string]string{
	"AWS/Lambda Invocations":                     "FunctionName",
	"AWS/Lambda Errors":                          "FunctionName",
	"AWS/Lambda Throttles":                       "FunctionName",
	"AWS/SQS ApproximateNumberOfMessagesVisible": "QueueName",
}

// checkMetric reports a metric that nobody emits: not with that name and dimension, in the function's namespace.
func checkMetric(t *testing.T, d *deployment, where, namespace, name, dimension, value string) {
	wantDimension, known := ofAWS[namespace+" "+name]
	if namespace == d.variables()["METRICS_NAMESPACE"] {
		known = slices.ContainsFunc(function.Metrics, func(m function.Metric) bool { return m.Name == name })
		wantDimension = function.MetricsDimension
	}
	wantValue := map[string]string{
		"FunctionName": "<SyncFunction>",
		"QueueName":    "<FailedEvents.QueueName>",
	}[wantDimension]
	if !known || dimension != wantDimension || value != wantValue {
		t.Errorf("%s uses %s %s of %s=%s, which nobody emits", where, namespace, name, dimension, value)
	}
}

// TestAlarms finds alarms on metrics that nobody emits, alarms that tell nobody, and runs that nobody is alarmed by.
func TestAlarms(t *testing.T) {
	s := mainTemplate(t)
	d := withEverything(s)
	watched := map[string]string{}
	none := deploy(s, map[string]string{"MetricsNamespace": "none", "WatchChanges": "true"})
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		p, isOwn := d.property(id), false
		for _, m := range metricsOf(p) {
			namespace, name, dimension := get(m, "Namespace").(string), get(m, "MetricName").(string),
				get(m, "Dimensions").([]any)[0]
			checkMetric(t, d, "alarm "+id, namespace, name, get(dimension, "Name").(string),
				get(dimension, "Value").(string))
			watched[name] = strings.Join([]string{
				get(m, "Statistic").(string), get(p, "ComparisonOperator").(string), get(p, "Threshold").(string),
				get(p, "TreatMissingData").(string),
			}, " ")
			isOwn = !strings.HasPrefix(namespace, "AWS/")
		}
		checkTold(t, s, id)
		if expressions := get(p, "Metrics"); expressions != nil {
			// Those of the function's own are left out.
			for _, m := range metricsOf(none.property(id)) {
				isOwn = !strings.HasPrefix(get(m, "Namespace").(string), "AWS/")
			}
		}
		if none.exists(s.resource(id)) == isOwn {
			t.Errorf("alarm %s is made without the function's metrics: %t", id, isOwn)
		}
	}
	for name, want := range map[string]string{
		"Errors":                             "Sum GreaterThanOrEqualToThreshold 1 notBreaching",
		"RunFailed":                          "Sum GreaterThanOrEqualToThreshold 1 notBreaching",
		"OpenToWorld":                        "Maximum GreaterThanOrEqualToThreshold 1 notBreaching",
		"DriftRepaired":                      "Sum GreaterThanOrEqualToThreshold 3 notBreaching",
		"ApproximateNumberOfMessagesVisible": "Maximum GreaterThanOrEqualToThreshold 1 notBreaching",
		"PoolsShort":                         "Maximum GreaterThanOrEqualToThreshold 1 ignore",
		"InterfacesIncomplete":               "Maximum GreaterThanOrEqualToThreshold 1 ignore",
		"FreeSlots":                          "Minimum LessThanThreshold 5 ignore",
		"RunSucceeded":                       "Maximum LessThanThreshold 1 breaching",
	} {
		if watched[name] != want {
			t.Errorf("the alarm on %s is %q, want %q", name, watched[name], want)
		}
	}
}

// metricsOf returns the metrics that an alarm watches: its one, or those of its expression, which adds them up.
func metricsOf(alarm any) []any {
	queries, ok := get(alarm, "Metrics").([]any)
	if !ok {
		return []any{alarm}
	}
	var metrics []any
	var sum []string
	for _, q := range queries {
		if metric, ok := get(q, "MetricStat", "Metric").(map[string]any); ok {
			metric["Statistic"] = get(q, "MetricStat", "Stat")
			metrics = append(metrics, metric)
			sum = append(sum, "FILL("+get(q, "Id").(string)+", 0)")
		}
	}
	if get(queries[0], "Expression") != strings.Join(sum, " + ") {
		return nil
	}
	return metrics
}

// checkTold checks whom an alarm tells.
func checkTold(t *testing.T, s template, id string) {
	const ops = "arn:aws:sns:us-east-1:111122223333:ops"
	for _, test := range []struct {
		parameters map[string]string
		told       []string
	}{
		{nil, nil},
		{map[string]string{"AlarmEmail": "ops@example.com"}, []string{"<AlarmTopic>"}},
		{map[string]string{"AlarmTopicArn": ops}, []string{ops}},
	} {
		d := deploy(s, test.parameters)
		if told := texts(d.property(id, "AlarmActions")); !slices.Equal(told, test.told) {
			t.Errorf("alarm %s tells %v with %v", id, told, test.parameters)
		}
		if email := test.parameters["AlarmEmail"]; d.exists(s.resource("AlarmTopic")) != (email != "") {
			t.Errorf("the topic for alarms is not made for an address, and only for one")
		}
	}
}

// TestDashboard finds a dashboard that CloudWatch could not read, or that shows what nobody emits, or not all. See
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func TestDashboard(t *testing.T) {
	s := mainTemplate(t)
	d := deploy(s, map[string]string{
		"MetricsNamespace":   "Edge/Origins#1",
		"FreeSlotsThreshold": "0", "WatchChanges": "true",
	})
	text := d.property("SyncDashboard", "DashboardBody").(string)
	var body any
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Errorf("the dashboard cannot be read: %v", err)
		return
	}
	shown := map[string]bool{}
	walk(body, func(v any) {
		metrics, _ := get(v, "metrics").([]any)
		for _, metric := range metrics {
			m := texts(metric)
			checkMetric(t, d, "the dashboard", m[0], m[1], m[2], m[3])
			shown[m[1]] = true
		}
		if query := get(v, "query"); query != nil && !strings.HasPrefix(query.(string), "SOURCE '<SyncLogGroup>' | ") {
			t.Errorf("the dashboard searches another log: %s", query)
		}
	})
	for _, m := range function.Metrics {
		if !shown[m.Name] {
			t.Errorf("the dashboard does not show %s", m.Name)
		}
	}
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		if !strings.Contains(text, `"<`+id+`.Arn>"`) {
			t.Errorf("the dashboard does not show the alarm %s", id)
		}
	}
	for parameter, value := range map[string]string{"MetricsNamespace": "none", "Dashboard": "false"} {
		without := deploy(s, map[string]string{parameter: value})
		if without.exists(s.resource("SyncDashboard")) || without.exists(s.section("Outputs")["DashboardUrl"]) ||
			!d.exists(s.resource("SyncDashboard")) {
			t.Errorf("there is a dashboard with %s=%s, or none without", parameter, value)
		}
	}
	for partition, domain := range map[string]string{"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"} {
		d.partition = partition
		url := "https://us-east-1.console." + domain +
			"/cloudwatch/home?region=us-east-1#dashboards/dashboard/<SyncDashboard>"
		if got := d.eval(get(s.section("Outputs"), "DashboardUrl", "Value")); got != url {
			t.Errorf("in %s the dashboard is at %v", partition, got)
		}
	}
}
