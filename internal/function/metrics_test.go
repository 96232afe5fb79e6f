package function

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// readMetrics returns the values in a line of the embedded metric format, by name. It fails unless the line is as
// CloudWatch takes it.
func readMetrics(t *testing.T, line []byte) map[string]float64 {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "emf.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if err := schema.Validate(instance); err != nil {
		t.Errorf("%s: %#v", line, err)
	}
	var root map[string]any
	var directives struct {
		AWS struct {
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []Metric
			}
		} `json:"_aws"`
	}
	if err := errors.Join(json.Unmarshal(line, &root), json.Unmarshal(line, &directives)); err != nil {
		t.Fatal(err)
	}
	// The schema cannot say this: dimensions and metrics refer to members of the root, of a certain type.
	values := map[string]float64{}
	for _, d := range directives.AWS.CloudWatchMetrics {
		for _, set := range d.Dimensions {
			for _, name := range set {
				if _, ok := root[name].(string); !ok {
					t.Errorf("dimension %s is %v", name, root[name])
				}
			}
		}
		for _, m := range d.Metrics {
			value, ok := root[m.Name].(float64)
			if !ok {
				t.Errorf("metric %s is %v", m.Name, root[m.Name])
			}
			values[m.Name] = value
		}
	}
	return values
}

// Each run writes one line, with the metrics that it knows.
func TestMetrics(t *testing.T) {
	const missing = -1
	now := time.Date(2026, 9, 21, 15, 13, 20, 0, time.UTC)
	values := map[string]float64{
		"RulesAdded": 211, "RulesRevoked": 7, "RulesWanted": 422, "GroupsManaged": 4, "GroupsChanged": 3, "GroupsFailed": 1,
		"FreeSlots": 3, "PoolsShort": 1, "RunSucceeded": 1, "RunFailed": 0, "PublicationAge": 3600, "Duration": 1500,
	}
	groups := task{Request: engine.Request{GroupIDs: []string{"sg-1"}}}
	none := func(*engine.Report) {}
	for _, test := range []struct {
		name   string
		change func(*engine.Report)
		req    task
		err    error
		want   map[string]float64 // what differs
	}{
		{"success", none, task{}, nil, nil},
		{"failure", none, task{}, errors.New("x"), map[string]float64{"RunSucceeded": 0, "RunFailed": 1}},
		{"some groups", none, groups, errors.New("x"), map[string]float64{
			"RulesWanted": missing, "GroupsManaged": missing, "GroupsFailed": missing, "FreeSlots": missing,
			"PoolsShort": missing, "RunSucceeded": missing, "RunFailed": missing, "PublicationAge": missing,
		}},
		{
			"no pool", func(r *engine.Report) { r.Capacity = engine.Capacity{} },
			task{},
			nil,
			map[string]float64{"RulesWanted": 0, "PoolsShort": 0, "FreeSlots": missing},
		},
		{
			"interfaces were looked at", func(r *engine.Report) { r.Looked, r.Incomplete = true, 2 },
			task{},
			nil,
			map[string]float64{"InterfacesIncomplete": 2},
		},
		{"full pool", func(r *engine.Report) { r.Capacity.Free = 0 }, task{}, nil, map[string]float64{"FreeSlots": 0}},
		{
			"nothing fetched", func(r *engine.Report) { r.PublishedAt = time.Time{} },
			task{},
			nil,
			map[string]float64{"PublicationAge": missing},
		},
		{
			"clocks that differ", func(r *engine.Report) { r.PublishedAt = now.Add(time.Second) },
			task{},
			nil,
			map[string]float64{"PublicationAge": 0},
		},
		{
			"the world was looked for", func(r *engine.Report) { r.OpenToWorld = new(int) },
			task{},
			nil,
			map[string]float64{"OpenToWorld": 0},
		},
		{"drift that changed nothing", none, task{drift: true}, nil, nil},
		{
			"drift", func(r *engine.Report) { r.Changed = true },
			task{drift: true},
			nil,
			map[string]float64{"DriftRepaired": 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := &engine.Report{
				SyncToken: "1790000000", PublishedAt: now.Add(-time.Hour),
				Summary:  engine.Summary{Groups: 4, Changed: 3, Failed: 1, Added: 211, Revoked: 7},
				Errors:   []string{"a", "b"},
				Capacity: engine.Capacity{Wanted: 422, Measured: 2, Free: 3, Short: 1},
			}
			test.change(report)
			want := maps.Clone(values)
			maps.Copy(want, test.want)
			maps.DeleteFunc(want, func(_ string, value float64) bool { return value == missing })
			var out bytes.Buffer
			m := &metrics{out: &out, namespace: "Edge", level: "INFO"}
			if err := m.emit(report, test.err, test.req, now.Add(-1500*time.Millisecond), now); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 || !bytes.HasSuffix(out.Bytes(), []byte("}\n")) {
				t.Errorf("not one line: %q", out.String())
			}
			if diff := cmp.Diff(want, readMetrics(t, out.Bytes())); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for _, part := range []string{
				`"Namespace":"Edge"`, `"Dimensions":[["FunctionName"]]`, `"level":"INFO"`, `"timestamp":"2026-09-21T15:13:20Z"`,
				`"Timestamp":1790003600000`,
			} {
				if !strings.Contains(out.String(), part) {
					t.Errorf("no %s in %s", part, out.String())
				}
			}
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// Metrics that cannot be written fail no run.
func TestMetricsLost(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	h.metrics = &metrics{out: brokenWriter{}, namespace: "Edge"}
	if _, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil || rulesOf(t, sim, group) != 2 {
		t.Errorf("error %v, %d rules", err, rulesOf(t, sim, group))
	}
}
