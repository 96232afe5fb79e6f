package function

import (
	"bytes"
	"encoding/json"
	"errors"
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

func TestMetrics(t *testing.T) {
	now := time.Date(2026, 9, 21, 15, 13, 20, 0, time.UTC)
	report := func(change func(*engine.Report)) *engine.Report {
		r := &engine.Report{
			SyncToken: "1790000000", PublishedAt: now.Add(-time.Hour),
			Summary:  engine.Summary{Groups: 4, Changed: 3, Failed: 1, Added: 211, Revoked: 7},
			Errors:   []string{"a", "b"},
			Capacity: engine.Capacity{Wanted: 422, Measured: 2, Free: 3, Short: 1},
		}
		change(r)
		return r
	}
	values := func(change func(map[string]float64)) map[string]float64 {
		v := map[string]float64{
			"RulesAdded": 211, "RulesRevoked": 7, "RulesWanted": 422, "GroupsManaged": 4, "GroupsChanged": 3, "GroupsFailed": 1,
			"FreeSlots": 3, "PoolsShort": 1, "RunSucceeded": 1, "RunFailed": 0, "PublicationAge": 3600, "Duration": 1500,
		}
		change(v)
		return v
	}
	for _, test := range []struct {
		name   string
		report *engine.Report
		req    task
		err    error
		want   map[string]float64
	}{
		{"success", report(func(*engine.Report) {}), task{}, nil, values(func(map[string]float64) {})},
		{"failure", report(func(*engine.Report) {}), task{}, errors.New("x"), values(func(v map[string]float64) { v["RunSucceeded"], v["RunFailed"] = 0, 1 })},
		{
			"some groups", report(func(*engine.Report) {}),
			task{Request: engine.Request{GroupIDs: []string{"sg-1"}}},
			errors.New("x"),
			map[string]float64{"RulesAdded": 211, "RulesRevoked": 7, "GroupsChanged": 3, "Duration": 1500},
		},
		{
			"no pool", report(func(r *engine.Report) { r.Capacity = engine.Capacity{} }),
			task{},
			nil,
			values(func(v map[string]float64) { v["RulesWanted"], v["PoolsShort"] = 0, 0; delete(v, "FreeSlots") }),
		},
		{
			"interfaces were looked at", report(func(r *engine.Report) { r.Looked, r.Incomplete = true, 2 }),
			task{},
			nil,
			values(func(v map[string]float64) { v["InterfacesIncomplete"] = 2 }),
		},
		{
			"full pool", report(func(r *engine.Report) { r.Capacity.Free = 0 }),
			task{},
			nil,
			values(func(v map[string]float64) { v["FreeSlots"] = 0 }),
		},
		{
			"nothing fetched", report(func(r *engine.Report) { r.PublishedAt = time.Time{} }),
			task{},
			nil,
			values(func(v map[string]float64) { delete(v, "PublicationAge") }),
		},
		{
			"clocks that differ", report(func(r *engine.Report) { r.PublishedAt = now.Add(time.Second) }),
			task{},
			nil,
			values(func(v map[string]float64) { v["PublicationAge"] = 0 }),
		},
		{
			"the world was looked for", report(func(r *engine.Report) { r.OpenToWorld = new(int) }),
			task{},
			nil,
			values(func(v map[string]float64) { v["OpenToWorld"] = 0 }),
		},
		{"drift that changed nothing", report(func(*engine.Report) {}), task{drift: true}, nil, values(func(map[string]float64) {})},
		{
			"drift", report(func(r *engine.Report) { r.Changed = true }),
			task{drift: true},
			nil,
			values(func(v map[string]float64) { v["DriftRepaired"] = 1 }),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			m := &metrics{out: &out, namespace: "Edge", level: "INFO"}
			if err := m.emit(test.report, test.err, test.req, now.Add(-1500*time.Millisecond), now); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 || !bytes.HasSuffix(out.Bytes(), []byte("}\n")) {
				t.Errorf("not one line: %q", out.String())
			}
			if diff := cmp.Diff(test.want, readMetrics(t, out.Bytes())); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for _, part := range []string{`"Namespace":"Edge"`, `"Dimensions":[["FunctionName"]]`, `"level":"INFO"`, `"timestamp":"2026-09-21T15:13:20Z"`, `"Timestamp":1790003600000`} {
				if !strings.Contains(out.String(), part) {
					t.Errorf("no %s in %s", part, out.String())
				}
			}
		})
	}
}

// Each run that is not a dry run writes one line, a failed one too; a refused event and a dry run write none.
func TestMetricsOfRuns(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, group := newTestHandler(t, sim, serve(goodDocument))
	var out bytes.Buffer
	h.metrics = &metrics{out: &out, namespace: "Edge"}
	for _, test := range []struct {
		name, payload string
		deny          string // an action
		want          map[string]float64
	}{
		{"dry run", `{"dryRun":true}`, "", nil},
		{"refused", `{"dryrun":true}`, "", nil},
		{"not to be described", `{}`, "DescribeSecurityGroups", map[string]float64{"RunFailed": 1, "RunSucceeded": 0, "RulesAdded": 0, "GroupsManaged": 0}},
		{"not to be changed", `{}`, "AuthorizeSecurityGroupIngress", map[string]float64{"RunFailed": 1, "RulesAdded": 0, "GroupsManaged": 1, "GroupsFailed": 1, "FreeSlots": 60}},
		{"first", `{}`, "", map[string]float64{"RunSucceeded": 1, "RunFailed": 0, "RulesAdded": 2, "RulesWanted": 2, "GroupsChanged": 1, "FreeSlots": 59}},
		{"of a group", `{"groupIds":["` + group + `"]}`, "", map[string]float64{"RulesAdded": 0, "GroupsChanged": 0}},
		{"second", `{}`, "", map[string]float64{"RunSucceeded": 1, "RulesAdded": 0, "RulesWanted": 2, "GroupsChanged": 0, "FreeSlots": 59}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out.Reset()
			sim.ClearFaults()
			if test.deny != "" {
				sim.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: test.deny, Count: ec2sim.Forever, Code: "UnauthorizedOperation"})
			}
			_, _ = h.Invoke(t.Context(), []byte(test.payload))
			if test.want == nil {
				if out.Len() > 0 {
					t.Errorf("metrics %s", out.String())
				}
				return
			}
			got := readMetrics(t, out.Bytes())
			if _, ok := got["RunSucceeded"]; ok == strings.Contains(test.payload, "groupIds") {
				t.Errorf("metrics %v", got)
			}
			for name, want := range test.want {
				if value, ok := got[name]; !ok || value != want {
					t.Errorf("%s is %v, not %v", name, value, want)
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
