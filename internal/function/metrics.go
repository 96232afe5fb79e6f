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
	// OfAll marks what speaks of all groups. A run for some of them does not tell it: it would clear, or cause, an
	// alarm for groups that it has not seen.
	OfAll bool `json:"-"`
}

// Metrics are all that a run may tell. A prefix list counts as a group, and its entries as rules: each metric costs,
// and who has both watches them as one. FreeSlots is missing without a pool, InterfacesIncomplete and OpenToWorld
// unless the run looked at all interfaces, PublicationAge without a publication: in a run that could not fetch it, or
// that withdraws the rules.
var Metrics = []Metric{
	{"RulesAdded", "Count", false},
	{"RulesRevoked", "Count", false},
	{"RulesWanted", "Count", true}, // each range once for each port of each pool
	{"GroupsManaged", "Count", true},
	{"GroupsChanged", "Count", false},
	{"GroupsFailed", "Count", true},
	{"FreeSlots", "Count", true}, // of the tightest pool, in the family and on the port that has the fewest
	{"PoolsShort", "Count", true},
	{"InterfacesIncomplete", "Count", true}, // network interfaces that lack wanted ranges; of runs that look at all, the scheduled ones
	{"OpenToWorld", "Count", true},          // rules that are open to the world on managed ports; as well
	{"DriftRepaired", "Count", false},       // 1 for a run that somebody else's change started and that undid it; else nothing
	{"PublicationAge", "Seconds", true},
	{"Duration", "Milliseconds", false},
	{"RunSucceeded", "Count", true}, // 1 or 0, and RunFailed 0 or 1
	{"RunFailed", "Count", true},
}

// metrics writes metrics in the embedded metric format: CloudWatch makes metrics of a line of the log that is a JSON
// object of this form. See
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type metrics struct {
	out       io.Writer // the standard output, which Lambda sends to CloudWatch Logs line by line
	namespace string
	level     string // of the log
}

// newMetrics returns metrics for a namespace. Lambda drops lines of the log below the level that the function is set
// to, and takes a line without a level for one of level INFO. So that no metric is lost by it, they have that very
// level, which Lambda tells the function. See
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
		"RulesRevoked":  float64(report.Summary.Revoked + lists.Removed),
		"RulesWanted":   float64(report.Capacity.Wanted),
		"GroupsManaged": float64(report.Summary.Groups + lists.Lists),
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

// document returns the values as the format has them.
func (m *metrics) document(values map[string]float64, report *engine.Report, now time.Time) map[string]any {
	document := map[string]any{
		MetricsDimension: lambdacontext.FunctionName,
		"syncToken":      report.SyncToken,
		"errors":         len(report.Errors),
		// With the log format JSON, Lambda leaves a line as it is that is a JSON object with a level and a timestamp,
		// and may otherwise add to it.
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
