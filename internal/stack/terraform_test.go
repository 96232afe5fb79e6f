package stack

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// module is a Terraform module: its files, and the blocks of all of them.
type module struct {
	sources map[string][]byte
	blocks  []*hclsyntax.Block
}

func readModule(t *testing.T) module {
	t.Helper()
	m := module{sources: map[string][]byte{}}
	paths, err := filepath.Glob("../../deploy/terraform/*.tf")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there is no module: %v", err)
	}
	parser := hclparse.NewParser()
	for _, path := range paths {
		file, diags := parser.ParseHCLFile(path)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		m.sources[path] = file.Bytes
		m.blocks = append(m.blocks, file.Body.(*hclsyntax.Body).Blocks...)
	}
	return m
}

// block returns the body of a block by its type and labels.
func (m module) block(t *testing.T, name ...string) *hclsyntax.Body {
	t.Helper()
	for _, b := range m.blocks {
		if slices.Equal(append([]string{b.Type}, b.Labels...), name) {
			return b.Body
		}
	}
	t.Fatalf("the module has no %q", name)
	return nil
}

// text returns an attribute as it is written, without quotes.
func (m module) text(body *hclsyntax.Body, name string) string {
	attribute := body.Attributes[name]
	if attribute == nil {
		return ""
	}
	r := attribute.Expr.Range()
	return strings.Trim(string(r.SliceBytes(m.sources[r.Filename])), `"`)
}

// inner returns the blocks of a type within a body, and those that a dynamic block makes.
func inner(body *hclsyntax.Body, kind string) []*hclsyntax.Body {
	var found []*hclsyntax.Body
	for _, b := range body.Blocks {
		switch {
		case b.Type == kind:
			found = append(found, b.Body)
		case b.Type == "dynamic" && b.Labels[0] == kind:
			found = append(found, inner(b.Body, "content")...)
		}
	}
	return found
}

// constant returns a value that depends on nothing as a string.
func constant(t *testing.T, e hcl.Expression) string {
	t.Helper()
	value, diags := e.Value(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	text, err := convert.Convert(value, cty.String)
	if err != nil {
		t.Fatal(err)
	}
	return text.AsString()
}

func snake(name string) string {
	return strings.ToLower(strings.TrimPrefix(regexp.MustCompile(`[A-Z]`).ReplaceAllString(name, "_$0"), "_"))
}

// notInModule are the parameters of what the module does not make: a topic with an address, a dashboard, and the sync
// at deployment.
var notInModule = []string{"AlarmEmail", "Dashboard", "OnDelete", "Release"}

// The module's variables have the template's defaults, and take the same values.
func TestModuleVariables(t *testing.T) {
	m, parameters := readModule(t), readFiles(t).template(t, mainFile).section("Parameters")
	for name, parameter := range parameters {
		if slices.Contains(notInModule, name) {
			continue
		}
		v := m.block(t, "variable", snake(name))
		if got, want := constant(t, v.Attributes["default"].Expr), get(parameter, "Default"); got != want {
			t.Errorf("the default of %s is %q, the template's %q", snake(name), got, want)
		}
		pattern, _ := get(parameter, "AllowedPattern").(string)
		values, _ := get(parameter, "AllowedValues").([]any)
		condition := ""
		for _, validation := range inner(v, "validation") {
			condition += m.text(validation, "condition")
		}
		pattern = strings.ReplaceAll(strings.Replace(pattern, "alarms|", "", 1), `\`, `\\`) // the module makes no topic
		if !strings.Contains(condition, pattern) {
			t.Errorf("%s is checked by %s, the template's by %s", snake(name), condition, pattern)
		}
		for _, value := range values {
			if m.text(v, "type") != "bool" && !strings.Contains(condition, value.(string)) {
				t.Errorf("%s does not take %v: %s", snake(name), value, condition)
			}
		}
	}
	for _, b := range m.blocks {
		if b.Type != "variable" || slices.Contains([]string{"name", "filename", "architecture"}, b.Labels[0]) {
			continue
		}
		if !slices.ContainsFunc(keys(parameters), func(name string) bool { return snake(name) == b.Labels[0] }) {
			t.Errorf("variable %s is no parameter of the template", b.Labels[0])
		}
	}
}

func keys(m map[string]any) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

// The module's function has the template's environment and settings, its role the template's statements.
func TestModuleFunction(t *testing.T) {
	m, s := readModule(t), readFiles(t).template(t, mainFile)
	variables := s.resource("SyncFunction", "Properties", "Environment", "Variables").(map[string]any)
	locals := m.block(t, "locals")
	environment := m.text(locals, "environment")
	for name := range variables {
		if !regexp.MustCompile(`(?m)^\s*` + name + `\s+= `).MatchString(environment) {
			t.Errorf("the module does not set %s", name)
		}
	}
	if set := strings.Count(environment, " = "); set != len(variables) {
		t.Errorf("the module sets %d variables, the template %d", set, len(variables))
	}
	function := m.block(t, "resource", "aws_lambda_function", "sync")
	for attribute, property := range map[string]string{"timeout": "Timeout", "runtime": "Runtime", "handler": "Handler", "description": "Description"} {
		if got, want := constant(t, function.Attributes[attribute].Expr), s.resource("SyncFunction", "Properties", property); got != want {
			t.Errorf("%s is %q, the template's %q", attribute, got, want)
		}
	}

	want := statements(t, withEverything(s), "SyncRole")
	for _, body := range inner(m.block(t, "data", "aws_iam_policy_document", "sync"), "statement") {
		sid := m.text(body, "sid")
		if m.text(body, "effect") == "Deny" {
			continue
		}
		actions := regexp.MustCompile(`[a-z0-9]+:\w+`).FindAllString(m.text(body, "actions"), -1)
		if !slices.Equal(actions, want[sid].actions) {
			t.Errorf("statement %s allows %v, the template's %v", sid, actions, want[sid].actions)
		}
		if wants := want[sid].condition != nil; wants != (len(inner(body, "condition")) > 0) {
			t.Errorf("statement %s has conditions: %t, the template's: %t", sid, !wants, wants)
		}
		if wide := slices.Equal(want[sid].resources, []string{"*"}); wide != (m.text(body, "resources") == `["*"]`) {
			t.Errorf("statement %s is on %s, the template's on %v", sid, m.text(body, "resources"), want[sid].resources)
		}
		delete(want, sid)
	}
	for _, region := range get(s.section("Rules"), "AnnouncementsReachTheFunction", "Assertions").([]any)[0].(map[string]any)["Assert"].(map[string]any)["Fn::Contains"].([]any)[0].([]any) {
		if !strings.Contains(m.text(locals, "announced_regions"), `"`+region.(string)+`"`) {
			t.Errorf("the module refuses announcements in %s", region)
		}
	}
	for sid := range want {
		t.Errorf("the module's role has no statement %s", sid)
	}
}

// evaluate returns what a local value of the module is, with names for values that are unknown until apply.
func (m module) evaluate(t *testing.T, name string) map[string]cty.Value {
	t.Helper()
	variables := map[string]cty.Value{}
	for _, b := range m.blocks {
		if b.Type == "variable" {
			variables[b.Labels[0]] = cty.StringVal("var." + b.Labels[0])
		}
	}
	object := func(name string, v cty.Value) cty.Value { return cty.ObjectVal(map[string]cty.Value{name: v}) }
	known := &hcl.EvalContext{Variables: map[string]cty.Value{
		"var": cty.ObjectVal(variables),
		"local": cty.ObjectVal(map[string]cty.Value{
			"alarm_actions": cty.TupleVal([]cty.Value{cty.StringVal("var.alarm_topic_arn")}), "emits_metrics": cty.True,
		}),
		"aws_lambda_function": object("sync", object("function_name", cty.StringVal("<SyncFunction>"))),
		"aws_sqs_queue":       object("failed_events", object("name", cty.StringVal("<FailedEvents.QueueName>"))),
		"aws_iam_role":        object("sync", object("arn", cty.StringVal("<SyncRole.Arn>"))),
	}, Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc}}
	for _, b := range m.blocks {
		if b.Type != "locals" || b.Body.Attributes[name] == nil {
			continue
		}
		value, diags := b.Body.Attributes[name].Expr.Value(known)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return value.AsValueMap()
	}
	t.Fatalf("the module has no local value %s", name)
	return nil
}

// alarmAttributes are the properties of an alarm, as Terraform calls them.
var alarmAttributes = map[string]string{
	"metric_name": "MetricName", "statistic": "Statistic", "period": "Period", "threshold": "Threshold", "evaluation_periods": "EvaluationPeriods",
	"comparison_operator": "ComparisonOperator", "treat_missing_data": "TreatMissingData", "namespace": "Namespace", "alarm_description": "AlarmDescription",
}

// The module's alarms are the template's.
func TestModuleAlarms(t *testing.T) {
	m, s := readModule(t), readFiles(t).template(t, mainFile)
	usual, alarms := m.evaluate(t, "usual_alarm"), m.evaluate(t, "alarms")
	d, ids := withEverything(s), s.ofType("AWS::CloudWatch::Alarm")
	if len(alarms) != len(ids) {
		t.Errorf("the module has %d alarms, the template %d", len(alarms), len(ids))
	}
	for _, id := range ids {
		name := strings.ReplaceAll(snake(strings.TrimSuffix(id, "Alarm")), "_", "-")
		alarm := maps.Clone(usual)
		own, ok := alarms[name]
		if !ok {
			t.Errorf("the module has no alarm %s", name)
			continue
		}
		maps.Copy(alarm, own.AsValueMap())
		metrics := metricsOf(d.property(id))
		for attribute, property := range alarmAttributes {
			want := s.resource(id, "Properties", property)
			switch {
			case len(metrics) > 1 && property == "Period":
				want = "300"
			case len(metrics) > 1 && want == nil:
				want = get(metrics[0], property)
			}
			if parameter, ok := get(want, "Ref").(string); ok {
				want = "var." + snake(parameter)
			}
			if got, err := convert.Convert(alarm[attribute], cty.String); err != nil || got.AsString() != want {
				t.Errorf("%s of %s is %#v, the template's %v", attribute, name, alarm[attribute], want)
			}
		}
		if len(metrics) > 1 && alarm["plus"].AsValueSlice()[0].AsString() != get(metrics[1], "MetricName") {
			t.Errorf("%s adds %#v, the template's %v", name, alarm["plus"], metrics[1])
		}
		dimension := get(metrics[0], "Dimensions").([]any)[0]
		if got := alarm["dimensions"].AsValueMap()[get(dimension, "Name").(string)]; got != cty.StringVal(get(dimension, "Value").(string)) {
			t.Errorf("%s is of %#v, the template's of %v", name, alarm["dimensions"], dimension)
		}
		if told := alarm["ok_actions"].LengthInt() > 0; told != (d.property(id, "OKActions") != nil) {
			t.Errorf("that %s is over is told: %t, in the template: %t", name, told, !told)
		}
		if own := own.Type().HasAttribute("namespace"); own != (get(s.resource(id), "Condition") == nil) {
			t.Errorf("alarm %s is made in any case: %t, in the template: %t", name, own, !own)
		}
	}
	resource := m.block(t, "resource", "aws_cloudwatch_metric_alarm", "sync")
	for _, attribute := range append(slices.Collect(maps.Keys(alarmAttributes)), "dimensions", "ok_actions") {
		if got := m.text(resource, attribute); !strings.HasSuffix(got, "each.value."+attribute) {
			t.Errorf("%s of an alarm is %s", attribute, got)
		}
	}
	if got := m.text(resource, "for_each"); !strings.Contains(got, `if(local.emits_metrics || can(alarm.namespace)) && (var.watch_changes || name != "drift")`) {
		t.Errorf("the alarms are %s", got)
	}
}

// The module's queues, and the patterns of the events that start a run, are the template's.
func TestModuleQueues(t *testing.T) {
	m, s := readModule(t), readFiles(t).template(t, mainFile)
	for _, test := range []struct{ queue, attribute, id, property string }{
		{"failed_events", "message_retention_seconds", "FailedEvents", "MessageRetentionPeriod"},
		{"changes", "message_retention_seconds", "Changes", "MessageRetentionPeriod"},
		{"changes", "visibility_timeout_seconds", "Changes", "VisibilityTimeout"},
		{"changes", "delay_seconds", "Changes", "DelaySeconds"},
		{"changes", "fifo_queue", "Changes", "FifoQueue"},
		{"changes", "content_based_deduplication", "Changes", "ContentBasedDeduplication"},
	} {
		got, want := m.text(m.block(t, "resource", "aws_sqs_queue", test.queue), test.attribute), s.resource(test.id, "Properties", test.property)
		if got != want {
			t.Errorf("%s of the queue %s is %s, the template's %v", test.attribute, test.queue, got, want)
		}
	}
	d := deploy(s, map[string]string{"TagKey": "var.tag_key"})
	for name, id := range map[string]string{"tag-change": "TagChange", "api-call": "ApiCall"} {
		change := m.evaluate(t, "changes")[name].AsValueMap()
		var got any
		if err := json.Unmarshal([]byte(change["pattern"].AsString()), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(patternOf(d, id), got); diff != "" {
			t.Errorf("the rule %s has another pattern: -template +module\n%s", name, diff)
		}
		if got, want := change["description"].AsString(), s.resource(id, "Properties", "Description"); got != want {
			t.Errorf("the rule %s is described %q, the template's %q", name, got, want)
		}
	}
}

// Terraform and the provider accept the examples in the module's README.
func TestModuleValidates(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	readme, err := os.ReadFile("../../deploy/terraform/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(readme), "```hcl\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("the README shows no example")
	}
	module, err := filepath.Abs("../../deploy/terraform")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	example = regexp.MustCompile(`source += ".*"`).ReplaceAllString(example, `source = "./module"`)
	if err := os.CopyFS(filepath.Join(dir, "module"), os.DirFS(module)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(example), 0o644); err != nil {
		t.Fatal(err)
	}
	inDir := func(args ...string) ([]byte, error) {
		cmd := exec.Command(terraform, append([]string{"-chdir=" + dir}, args...)...)
		return cmd.CombinedOutput()
	}
	if out, err := exec.Command(terraform, "fmt", "-check", "-diff", module).Output(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
	init := []string{"init", "-backend=false", "-input=false"}
	if mirror := os.Getenv("TERRAFORM_PROVIDERS"); mirror != "" { // a folder to take them from, instead of the registry
		init = append(init, "-plugin-dir="+mirror)
	}
	if out, err := inDir(init...); err != nil {
		t.Skipf("terraform cannot get the provider here:\n%s", out)
	}
	if out, err := inDir("validate", "-no-color"); err != nil {
		t.Errorf("terraform validate: %v\n%s", err, out)
	}
}

// The README's tables are what the variables and outputs say.
func TestModuleReadme(t *testing.T) {
	readme, err := os.ReadFile("../../deploy/terraform/README.md")
	if err != nil {
		t.Fatal(err)
	}
	m, want := readModule(t), map[string]string{}
	for _, b := range m.blocks {
		if b.Type != "variable" && b.Type != "output" {
			continue
		}
		row := "| `" + b.Labels[0] + "` | "
		switch fallback := b.Body.Attributes["default"]; {
		case b.Type == "variable" && fallback == nil:
			row += "required | "
		case b.Type == "variable" && constant(t, fallback.Expr) == "":
			row += "none | "
		case b.Type == "variable":
			row += "`" + constant(t, fallback.Expr) + "` | "
		}
		want[b.Type] += row + constant(t, b.Body.Attributes["description"].Expr) + " |\n"
	}
	for kind, header := range map[string]string{"variable": "| name | default | |\n|---|---|---|\n", "output": "| name | |\n|---|---|\n"} {
		_, table, _ := strings.Cut(string(readme), header)
		table, _, _ = strings.Cut(table, "\n\n")
		if diff := cmp.Diff(strings.Split(strings.TrimSpace(want[kind]), "\n"), strings.Split(strings.TrimSpace(table), "\n")); diff != "" {
			t.Errorf("the table of each %s: -module +README\n%s", kind, diff)
		}
	}
}
