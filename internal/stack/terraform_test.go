package stack

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/moto"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

const moduleReadme = "deploy/terraform/README.md"

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
	m, parameters := readModule(t), mainTemplate(t).section("Parameters")
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
		if !slices.ContainsFunc(slices.Collect(maps.Keys(parameters)), func(name string) bool { return snake(name) == b.Labels[0] }) {
			t.Errorf("variable %s is no parameter of the template", b.Labels[0])
		}
	}
}

// The module's function has the template's environment and settings, its role the template's statements.
func TestModuleFunction(t *testing.T) {
	m, s := readModule(t), mainTemplate(t)
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
	role := map[string]statement{}
	for _, body := range inner(m.block(t, "data", "aws_iam_policy_document", "sync"), "statement") {
		actions := regexp.MustCompile(`[a-z0-9]+:\w+`).FindAllString(m.text(body, "actions"), -1)
		sid := strings.TrimSpace(m.text(body, "effect") + " " + m.text(body, "sid"))
		role[sid] = statement{actions, m.text(body, "resources") == `["*"]`, len(inner(body, "condition")) > 0}
	}
	want := map[string]statement{}
	for sid, of := range statements(t, withEverything(s), "SyncRole") {
		want[sid] = statement{of.actions, of.resources == "*", of.condition != nil}
	}
	if diff := cmp.Diff(want, role, cmp.AllowUnexported(statement{})); diff != "" {
		t.Errorf("the role has other statements: -template +module\n%s", diff)
	}
	for _, region := range get(s.section("Rules"), "AnnouncementsReachTheFunction", "Assertions").([]any)[0].(map[string]any)["Assert"].(map[string]any)["Fn::Contains"].([]any)[0].([]any) {
		if !strings.Contains(m.text(locals, "announced_regions"), `"`+region.(string)+`"`) {
			t.Errorf("the module refuses announcements in %s", region)
		}
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
	"metric_name": "MetricName", "statistic": "Statistic", "period": "Period", "threshold": "Threshold",
	"evaluation_periods":  "EvaluationPeriods",
	"comparison_operator": "ComparisonOperator", "treat_missing_data": "TreatMissingData", "namespace": "Namespace",
	"alarm_description": "AlarmDescription",
}

// The module's alarms are the template's.
func TestModuleAlarms(t *testing.T) {
	m, s := readModule(t), mainTemplate(t)
	d, want, got := withEverything(s), map[string]map[string]any{}, map[string]map[string]any{}
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		metrics := metricsOf(d.property(id))
		dimension := get(metrics[0], "Dimensions").([]any)[0]
		alarm := map[string]any{
			"dimensions": get(dimension, "Name").(string) + "=" +
				get(dimension, "Value").(string), "plus": len(metrics) > 1,
			"told at the end": d.property(id, "OKActions") != nil, "always": get(s.resource(id), "Condition") == nil,
		}
		for attribute, property := range alarmAttributes {
			value := s.resource(id, "Properties", property)
			if value == nil && len(metrics) > 1 {
				value = get(metrics[0], property)
			}
			if parameter, ok := get(value, "Ref").(string); ok {
				value = "var." + snake(parameter)
			}
			alarm[attribute] = value
		}
		if len(metrics) > 1 {
			alarm["period"] = "300"
		}
		want[strings.ReplaceAll(snake(strings.TrimSuffix(id, "Alarm")), "_", "-")] = alarm
	}
	for name, own := range m.evaluate(t, "alarms") {
		all := m.evaluate(t, "usual_alarm")
		maps.Copy(all, own.AsValueMap())
		alarm := map[string]any{
			"plus": own.Type().HasAttribute("plus"), "told at the end": all["ok_actions"].LengthInt() > 0,
			"always": own.Type().HasAttribute("namespace"),
		}
		for dimension, value := range all["dimensions"].AsValueMap() {
			alarm["dimensions"] = dimension + "=" + value.AsString()
		}
		for attribute := range alarmAttributes {
			value, err := convert.Convert(all[attribute], cty.String)
			if err != nil {
				t.Fatal(err)
			}
			alarm[attribute] = value.AsString()
		}
		got[name] = alarm
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-template +module\n%s", diff)
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

// The module's queues, its function, and the patterns of the events that start a run, are the template's.
func TestModuleResources(t *testing.T) {
	m, s := readModule(t), mainTemplate(t)
	for _, test := range []struct{ kind, name, id, attributes string }{
		{"aws_sqs_queue", "failed_events", "FailedEvents", "message_retention_seconds:MessageRetentionPeriod"},
		{
			"aws_sqs_queue", "changes", "Changes", "message_retention_seconds:MessageRetentionPeriod visibility_timeout_seconds:VisibilityTimeout " +
				"delay_seconds:DelaySeconds fifo_queue:FifoQueue content_based_deduplication:ContentBasedDeduplication",
		},
		{
			"aws_lambda_function", "sync", "SyncFunction",
			"timeout:Timeout runtime:Runtime handler:Handler description:Description",
		},
	} {
		for pair := range strings.FieldsSeq(test.attributes) {
			attribute, property, _ := strings.Cut(pair, ":")
			got, want := m.text(m.block(t, "resource", test.kind, test.name), attribute),
				s.resource(test.id, "Properties", property)
			if got != want {
				t.Errorf("%s of %s is %s, the template's %v", attribute, test.name, got, want)
			}
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

// Terraform and the provider accept the example in the module's README, and after an apply of it nothing is left to do.
// The provider comes from the folder that TERRAFORM_PROVIDERS names, a filesystem mirror
// (https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories). It never talks to
// AWS: AWS_ENDPOINT_URL has it talk to moto_server.
func TestModuleApplies(t *testing.T) {
	t.Parallel()
	terraform, err := exec.LookPath("terraform")
	mirror := os.Getenv("TERRAFORM_PROVIDERS")
	if err != nil || mirror == "" {
		t.Skip("skipped: no terraform, or TERRAFORM_PROVIDERS names no folder with its AWS provider, so the module was not applied")
	}
	example := regexp.MustCompile(`source += ".*"`).ReplaceAllString(readPage(t, moduleReadme).blocks["hcl"][0],
		`source = "./module"`)
	dir, module := t.TempDir(), "../../deploy/terraform"
	if err := os.CopyFS(filepath.Join(dir, "module"), os.DirFS(module)); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"main.tf": []byte(example),
		regexp.MustCompile(`filename = "(.*)"`).FindStringSubmatch(example)[1]: zipOf(t, []byte("#!/bin/sh\n")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(terraform, "fmt", "-check", "-diff", module).Output(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
	env := append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_EC2_METADATA_DISABLED=true")
	run := func(arguments ...string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, terraform, append([]string{"-chdir=" + dir}, arguments...)...)
		cmd.Env, cmd.WaitDelay = env, 5*time.Second
		return cmd.CombinedOutput()
	}
	env = append(env, "AWS_ENDPOINT_URL="+moto.Start(t))
	for _, arguments := range [][]string{
		{"init", "-backend=false", "-input=false", "-no-color", "-plugin-dir=" + mirror},
		{"validate", "-no-color"},
		{"plan", "-input=false", "-no-color", "-out=first"},
		{"apply", "-input=false", "-no-color", "first"},
		{"plan", "-input=false", "-no-color", "-detailed-exitcode"}, // which is 2 if there is anything to do
		{"destroy", "-input=false", "-no-color", "-auto-approve"},
	} {
		if out, err := run(arguments...); err != nil {
			t.Fatalf("terraform %s: %v\n%s", strings.Join(arguments, " "), err, out)
		}
	}
}

// The README's tables are what the variables and outputs say.
func TestModuleReadme(t *testing.T) {
	var want []string
	for _, b := range readModule(t).blocks {
		if b.Type != "variable" && b.Type != "output" {
			continue
		}
		fallback, row := b.Body.Attributes["default"], "| `"+b.Labels[0]+"` | "
		switch {
		case b.Type == "output":
		case fallback == nil:
			row += "required | "
		case constant(t, fallback.Expr) == "":
			row += "none | "
		default:
			row += "`" + constant(t, fallback.Expr) + "` | "
		}
		want = append(want, row+constant(t, b.Body.Attributes["description"].Expr)+" |")
	}
	got := regexp.MustCompile("(?m)^\\| `.*").FindAllString(read(t, moduleReadme), -1)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-module +README\n%s", diff)
	}
}
