package stack

import (
	"encoding/json"
	"fmt"
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
func checkMetric(t *testing.T, d *deployment, where string, metric ...any) {
	t.Helper()
	namespace, name := metric[0].(string), metric[1].(string)
	dimension, known := ofAWS[namespace+" "+name]
	if namespace == d.variables()["METRICS_NAMESPACE"] {
		known = slices.ContainsFunc(function.Metrics, func(m function.Metric) bool { return m.Name == name })
		dimension = function.MetricsDimension
	}
	of := map[string]string{"FunctionName": "<SyncFunction>", "QueueName": "<FailedEvents.QueueName>"}[dimension]
	if !known || metric[2] != dimension || metric[3] != of {
		t.Errorf("%s uses %v, which nobody emits", where, metric)
	}
}

// TestAlarms finds alarms on metrics that nobody emits, alarms that tell nobody, and runs that nobody is alarmed by.
func TestAlarms(t *testing.T) {
	s := mainTemplate(t)
	d, watched := withEverything(s), map[string]string{}
	none := deploy(s, map[string]string{"MetricsNamespace": "none", "WatchChanges": "true"})
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		p := d.property(id)
		for _, m := range metricsOf(p) {
			checkMetric(t, d, "alarm "+id, get(m, "Namespace"), get(m, "MetricName"),
				get(m, "Dimensions", "0", "Name"), get(m, "Dimensions", "0", "Value"))
			watched[get(m, "MetricName").(string)] = fmt.Sprintf("%v %v %v %v", get(m, "Statistic"),
				get(p, "ComparisonOperator"), get(p, "Threshold"), get(p, "TreatMissingData"))
		}
		for _, m := range metricsOf(none.property(id)) {
			if ofAWS := strings.HasPrefix(get(m, "Namespace").(string), "AWS/"); none.exists(s.resource(id)) != ofAWS {
				t.Errorf("alarm %s is made without the function's metrics: %t", id, !ofAWS)
			}
		}
		checkTold(t, s, id)
	}
	same(t, "the alarms", map[string]string{
		"Errors":                             "Sum GreaterThanOrEqualToThreshold 1 notBreaching",
		"RunFailed":                          "Sum GreaterThanOrEqualToThreshold 1 notBreaching",
		"OpenToWorld":                        "Maximum GreaterThanOrEqualToThreshold 1 notBreaching",
		"DriftRepaired":                      "Sum GreaterThanOrEqualToThreshold 3 notBreaching",
		"ApproximateNumberOfMessagesVisible": "Maximum GreaterThanOrEqualToThreshold 1 notBreaching",
		"PoolsShort":                         "Maximum GreaterThanOrEqualToThreshold 1 ignore",
		"InterfacesIncomplete":               "Maximum GreaterThanOrEqualToThreshold 1 ignore",
		"FreeSlots":                          "Minimum LessThanThreshold 5 ignore",
		"RunSucceeded":                       "Maximum LessThanThreshold 1 breaching",
	}, watched)
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
			metric["Statistic"], metric["Period"] = get(q, "MetricStat", "Stat"), get(q, "MetricStat", "Period")
			metrics = append(metrics, metric)
			sum = append(sum, "FILL("+get(q, "Id").(string)+", 0)")
		}
	}
	if get(queries, "0", "Expression") != strings.Join(sum, " + ") {
		return nil
	}
	return metrics
}

// checkTold checks whom an alarm tells.
func checkTold(t *testing.T, s template, id string) {
	t.Helper()
	const ops = "arn:aws:sns:us-east-1:111122223333:ops"
	for told, parameters := range map[string]map[string]string{
		"": nil, "<AlarmTopic>": {"AlarmEmail": "ops@example.com"}, ops: {"AlarmTopicArn": ops},
	} {
		d := deploy(s, parameters)
		same(t, "whom "+id+" tells", told, strings.Join(texts(d.property(id, "AlarmActions")), " "))
		same(t, "a topic for alarms is made", told == "<AlarmTopic>", d.exists(s.resource("AlarmTopic")))
	}
}

// TestDashboard finds a dashboard that CloudWatch could not read, or that shows what nobody emits, or not all. See
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func TestDashboard(t *testing.T) {
	s := mainTemplate(t)
	d := deploy(s, map[string]string{
		"MetricsNamespace": "Edge/Origins#1", "FreeSlotsThreshold": "0", "WatchChanges": "true",
	})
	text := d.property("SyncDashboard", "DashboardBody").(string)
	var body any
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("the dashboard cannot be read: %v", err)
	}
	walk(body, func(v any) {
		metrics, _ := get(v, "metrics").([]any)
		for _, metric := range metrics {
			checkMetric(t, d, "the dashboard", metric.([]any)...)
		}
		if query, ok := get(v, "query").(string); ok && !strings.HasPrefix(query, "SOURCE '<SyncLogGroup>' | ") {
			t.Errorf("the dashboard searches another log: %s", query)
		}
	})
	var shown []string
	for _, m := range function.Metrics {
		shown = append(shown, `"Edge/Origins#1", "`+m.Name+`"`)
	}
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		shown = append(shown, `"<`+id+`.Arn>"`)
	}
	for _, name := range shown {
		if !strings.Contains(text, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	for parameter, value := range map[string]string{"MetricsNamespace": "none", "Dashboard": "false"} {
		without := deploy(s, map[string]string{parameter: value})
		if without.exists(s.resource("SyncDashboard")) || without.exists(s.section("Outputs")["DashboardUrl"]) ||
			!d.exists(s.resource("SyncDashboard")) {
			t.Errorf("there is a dashboard with %s=%s, or none without", parameter, value)
		}
	}
	for partition, domain := range map[string]string{
		"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com",
	} {
		d.parameters["AWS::Partition"] = partition
		same(t, "the dashboard's page in "+partition, "https://us-east-1.console."+domain+
			"/cloudwatch/home?region=us-east-1#dashboards/dashboard/<SyncDashboard>",
			d.eval(get(s.section("Outputs"), "DashboardUrl", "Value")))
	}
}
