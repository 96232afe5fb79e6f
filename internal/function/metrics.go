package function

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"cloudfront-sg-sync/internal/engine"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// MetricsDimension is the one dimension of the metrics. Its value is the name of the function.
const MetricsDimension = "FunctionName"

// A Metric goes to CloudWatch after each run that is not a dry run.
type Metric struct {
	Name string
	Unit string // as CloudWatch names units
	// OfAll marks metrics about all groups. A run for some of them would clear or raise an alarm for groups that it has
	// not seen, so it does not write these.
	OfAll bool `json:"-"`
}

// Metrics are all metrics of a run. A prefix list counts as a group, and its entries as rules, because each metric costs
// money. FreeSlots is missing without a pool, InterfacesIncomplete and OpenToWorld unless the run looked at all
// interfaces, and PublicationAge if the run could not fetch a publication, or withdraws the rules.
var Metrics = []Metric{
	{"RulesAdded", "Count", false},
	{"RulesRevoked", "Count", false},
	{"RulesWanted", "Count", true}, // each range once for each port of each pool
	{"GroupsManaged", "Count", true},
	{"GroupsChanged", "Count", false},
	{"GroupsFailed", "Count", true},
	{"FreeSlots", "Count", true}, // of the tightest pool, in the family and on the port with the fewest
	{"PoolsShort", "Count", true},
	{"InterfacesIncomplete", "Count", true}, // network interfaces that lack wanted ranges; only of runs that look at all, as scheduled ones do
	{"OpenToWorld", "Count", true},          // rules that are open to the world on managed ports; likewise
	{"DriftRepaired", "Count", false},       // 1 for a run that undid somebody else's change
	{"PublicationAge", "Seconds", true},
	{"Duration", "Milliseconds", false},
	{"RunSucceeded", "Count", true}, // 1 or 0, and RunFailed 0 or 1
	{"RunFailed", "Count", true},
}

// metrics writes metrics in the embedded metric format: CloudWatch turns a line of the log in this form into metrics.
// See
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type metrics struct {
	out       io.Writer // the standard output, which Lambda sends to CloudWatch Logs line by line
	namespace string
	level     string // of the log
}

// newMetrics returns metrics for a namespace. Lambda drops lines of the log below the function's log level, and treats a
// line without a level as INFO. So that no metric is dropped, each line has the function's log level. See
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
func newMetrics(namespace string) *metrics {
	return &metrics{out: os.Stdout, namespace: namespace, level: cmp.Or(os.Getenv("AWS_LAMBDA_LOG_LEVEL"), "INFO")}
}

// emit writes the metrics of a run that ended with err.
func (m *metrics) emit(report *engine.Report, err error, req task, began, ended time.Time) error {
	values := valuesOf(report, err, ended)
	values["Duration"] = float64(ended.Sub(began).Milliseconds())
	if req.drift && report.Changed {
		values["DriftRepaired"] = 1
	}
	for _, metric := range Metrics {
		if metric.OfAll && len(req.GroupIDs) > 0 {
			delete(values, metric.Name)
		}
	}
	line, err := json.Marshal(m.document(values, report, ended))
	if err != nil {
		return fmt.Errorf("encode metrics: %w", err)
	}
	if _, err := m.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// valuesOf returns the metrics of a run, except its duration.
func valuesOf(report *engine.Report, err error, now time.Time) map[string]float64 {
	lists := report.Lists()
	values := map[string]float64{
		"RulesAdded":    float64(report.Summary.Added + lists.Added),
		"RulesRevoked":  float64(report.Summary.Revoked + lists.Revoked),
		"RulesWanted":   float64(report.Capacity.Wanted),
		"GroupsManaged": float64(report.Summary.Groups + lists.Groups),
		"GroupsChanged": float64(report.Summary.Changed + lists.Changed),
		"GroupsFailed":  float64(report.Summary.Failed + lists.Failed),
		"PoolsShort":    float64(report.Capacity.Short),
		"RunSucceeded":  1,
		"RunFailed":     0,
	}
	if err != nil {
		values["RunSucceeded"], values["RunFailed"] = 0, 1
	}
	if report.Looked {
		values["InterfacesIncomplete"] = float64(report.Incomplete)
	}
	if report.OpenToWorld != nil {
		values["OpenToWorld"] = float64(*report.OpenToWorld)
	}
	if report.Capacity.Measured > 0 {
		values["FreeSlots"] = float64(report.Capacity.Free)
	}
	if !report.PublishedAt.IsZero() {
		values["PublicationAge"] = max(0, now.Sub(report.PublishedAt).Truncate(time.Second).Seconds())
	}
	return values
}

// document returns the values in the embedded metric format.
func (m *metrics) document(values map[string]float64, report *engine.Report, now time.Time) map[string]any {
	document := map[string]any{
		MetricsDimension: lambdacontext.FunctionName,
		"syncToken":      report.SyncToken,
		"errors":         len(report.Errors),
		// With the log format JSON, Lambda does not change a line that is a JSON object with a level and a timestamp.
		"level":     m.level,
		"timestamp": now.UTC().Format(time.RFC3339Nano),
		"message":   "metrics",
	}
	var definitions []Metric
	for _, metric := range Metrics {
		if value, ok := values[metric.Name]; ok {
			definitions = append(definitions, metric)
			document[metric.Name] = value
		}
	}
	document["_aws"] = map[string]any{
		"Timestamp": now.UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace":  m.namespace,
			"Dimensions": [][]string{{MetricsDimension}},
			"Metrics":    definitions,
		}},
	}
	return document
}
