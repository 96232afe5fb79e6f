package stack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
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

// The module's variables are the template's parameters, with their defaults, and take the same values.
func TestModuleVariables(t *testing.T) {
	m, parameters := readModule(t), mainTemplate(t).section("Parameters")
	names, variables := []string{"name", "filename", "architecture"}, []string{}
	for _, b := range m.blocks {
		if b.Type == "variable" {
			variables = append(variables, b.Labels[0])
		}
	}
	for name, parameter := range parameters {
		if slices.Contains(notInModule, name) {
			continue
		}
		names = append(names, snake(name))
		v, condition := m.block(t, "variable", snake(name)), ""
		same(t, "the default of "+snake(name), get(parameter, "Default"), constant(t, v.Attributes["default"].Expr))
		for _, validation := range inner(v, "validation") {
			condition += m.text(validation, "condition")
		}
		checked := texts(get(parameter, "AllowedValues"))
		if m.text(v, "type") == "bool" {
			checked = nil
		}
		pattern, _ := get(parameter, "AllowedPattern").(string)
		pattern = strings.Replace(pattern, "alarms|", "", 1) // the module makes no topic
		for _, want := range append(checked, strings.ReplaceAll(pattern, `\`, `\\`)) {
			if !strings.Contains(condition, want) {
				t.Errorf("%s is checked by %s, the template's by %s", snake(name), condition, want)
			}
		}
	}
	slices.Sort(names)
	slices.Sort(variables)
	same(t, "variables", names, variables)
}

// The module's function has the template's environment and settings, its role the template's statements.
func TestModuleFunction(t *testing.T) {
	m, s := readModule(t), mainTemplate(t)
	set := regexp.MustCompile(`[A-Z_]+ +=`).FindAllString(m.text(m.block(t, "locals"), "environment"), -1)
	for i, name := range set {
		set[i] = strings.TrimRight(name, " =")
	}
	slices.Sort(set)
	variables := s.resource("SyncFunction", "Properties", "Environment", "Variables").(map[string]any)
	same(t, "variables of the function", slices.Sorted(maps.Keys(variables)), set)
	role, want := map[string]statement{}, map[string]statement{}
	for _, body := range inner(m.block(t, "data", "aws_iam_policy_document", "sync"), "statement") {
		actions := regexp.MustCompile(`[a-z0-9]+:\w+`).FindAllString(m.text(body, "actions"), -1)
		sid := strings.TrimSpace(m.text(body, "effect") + " " + m.text(body, "sid"))
		role[sid] = statement{actions, m.text(body, "resources") == `["*"]`, len(inner(body, "condition")) > 0}
	}
	for sid, of := range statements(t, withEverything(s), "SyncRole") {
		want[sid] = statement{of.Actions, of.Resources == "*", of.Condition != nil}
	}
	same(t, "statements of the role", want, role)
	same(t, "regions that are announced to", get(s.section("Rules"), "AnnouncementsReachTheFunction", "Assertions", "0",
		"Assert", "Fn::Contains", "0"), m.evaluate(t, "announced_regions"))
}

// evaluate returns a local value of the module as JSON has it, with names for values that are unknown until apply.
func (m module) evaluate(t *testing.T, name string) any {
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
		text, err := json.Marshal(ctyjson.SimpleJSONValue{Value: value})
		var parsed any
		if err := errors.Join(err, json.Unmarshal(text, &parsed)); err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	t.Fatalf("the module has no local value %s", name)
	return nil
}

// alarmAttributes are the properties of an alarm, as Terraform calls them.
var alarmAttributes = map[string]string{
	"metric_name": "MetricName", "statistic": "Statistic", "period": "Period", "threshold": "Threshold",
	"evaluation_periods": "EvaluationPeriods", "comparison_operator": "ComparisonOperator",
	"treat_missing_data": "TreatMissingData", "namespace": "Namespace", "alarm_description": "AlarmDescription",
}

// The module's alarms are the template's.
func TestModuleAlarms(t *testing.T) {
	m, s := readModule(t), mainTemplate(t)
	d := deploy(s, map[string]string{
		"MetricsNamespace": "var.metrics_namespace", "FreeSlotsThreshold": "var.free_slots_threshold",
		"HoursWithoutSuccess": "var.hours_without_success", "AlarmTopicArn": "var.alarm_topic_arn",
	})
	want, got := map[string]map[string]any{}, map[string]map[string]any{}
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		p := d.property(id)
		metrics := metricsOf(p)
		alarm := map[string]any{
			"dimension": get(metrics[0], "Dimensions", "0", "Value"), "plus": len(metrics) > 1,
			"told at the end": get(p, "OKActions", "0"), "always": get(s.resource(id), "Condition") == nil,
		}
		for attribute, property := range alarmAttributes {
			alarm[attribute] = cmp.Or(get(p, property), get(metrics[0], property))
		}
		want[strings.ReplaceAll(snake(strings.TrimSuffix(id, "Alarm")), "_", "-")] = alarm
	}
	for name, own := range m.evaluate(t, "alarms").(map[string]any) {
		all := m.evaluate(t, "usual_alarm").(map[string]any)
		maps.Copy(all, own.(map[string]any))
		alarm := map[string]any{
			"dimension":       cmp.Or(get(all, "dimensions", "FunctionName"), get(all, "dimensions", "QueueName")),
			"told at the end": get(all, "ok_actions", "0"),
			"plus":            get(own, "plus") != nil, "always": get(own, "namespace") != nil,
		}
		for attribute := range alarmAttributes {
			alarm[attribute] = fmt.Sprint(all[attribute])
		}
		got[name] = alarm
	}
	same(t, "alarms", want, got)
	resource := m.block(t, "resource", "aws_cloudwatch_metric_alarm", "sync")
	for _, attribute := range append(slices.Collect(maps.Keys(alarmAttributes)), "dimensions", "ok_actions") {
		if got := m.text(resource, attribute); !strings.HasSuffix(got, "each.value."+attribute) {
			t.Errorf("%s of an alarm is %s", attribute, got)
		}
	}
	const made = `if(local.emits_metrics || can(alarm.namespace)) && (var.watch_changes || name != "drift")`
	if got := m.text(resource, "for_each"); !strings.Contains(got, made) {
		t.Errorf("the alarms are %s", got)
	}
}

// The module's queues, its function, and the patterns of the events that start a run, are the template's.
func TestModuleResources(t *testing.T) {
	m, s := readModule(t), mainTemplate(t)
	for _, test := range []struct{ kind, name, id, attributes string }{
		{"aws_sqs_queue", "failed_events", "FailedEvents", "message_retention_seconds:MessageRetentionPeriod"},
		{
			"aws_sqs_queue", "changes", "Changes", "message_retention_seconds:MessageRetentionPeriod " +
				"visibility_timeout_seconds:VisibilityTimeout delay_seconds:DelaySeconds fifo_queue:FifoQueue " +
				"content_based_deduplication:ContentBasedDeduplication",
		},
		{
			"aws_lambda_function", "sync", "SyncFunction",
			"timeout:Timeout runtime:Runtime handler:Handler description:Description",
		},
	} {
		for pair := range strings.FieldsSeq(test.attributes) {
			attribute, property, _ := strings.Cut(pair, ":")
			same(t, attribute+" of "+test.name, s.resource(test.id, "Properties", property),
				m.text(m.block(t, "resource", test.kind, test.name), attribute))
		}
	}
	d, changes := deploy(s, map[string]string{"TagKey": "var.tag_key"}), m.evaluate(t, "changes")
	for name, id := range map[string]string{"tag-change": "TagChange", "api-call": "ApiCall"} {
		var pattern any
		if err := json.Unmarshal([]byte(get(changes, name, "pattern").(string)), &pattern); err != nil {
			t.Fatal(err)
		}
		same(t, "the pattern of "+name, patternOf(d, id), pattern)
		same(t, "what describes "+name, s.resource(id, "Properties", "Description"), get(changes, name, "description"))
	}
}

// Terraform and the provider accept the example in the module's README, and after an apply of it nothing is left to do.
// The provider comes from the folder that TERRAFORM_PROVIDERS names, a filesystem mirror
// (https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories). It never talks
// to AWS: AWS_ENDPOINT_URL has it talk to moto_server.
func TestModuleApplies(t *testing.T) {
	t.Parallel()
	terraform, err := exec.LookPath("terraform")
	mirror := os.Getenv("TERRAFORM_PROVIDERS")
	if err != nil || mirror == "" {
		t.Skip("skipped: no terraform, or TERRAFORM_PROVIDERS names no folder with its AWS provider: module not applied")
	}
	example := regexp.MustCompile(`source += ".*"`).ReplaceAllString(readPage(t, moduleReadme).blocks["hcl"][0],
		`source = "./module"`)
	zip := regexp.MustCompile(`filename = "(.*)"`).FindStringSubmatch(example)[1]
	dir, module := t.TempDir(), "../../deploy/terraform"
	if err := errors.Join(os.CopyFS(filepath.Join(dir, "module"), os.DirFS(module)),
		os.WriteFile(filepath.Join(dir, "main.tf"), []byte(example), 0o600),
		os.WriteFile(filepath.Join(dir, zip), zipOf(t, fstest.MapFS{"bootstrap": {}}), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(terraform, "fmt", "-check", "-diff", module).Output(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
	url := serveMoto(t, python(t, "moto.server, samtranslator"), t.TempDir())
	env := append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_ENDPOINT_URL="+url)
	run := func(arguments ...string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, terraform, append([]string{"-chdir=" + dir}, arguments...)...)
		cmd.Env, cmd.WaitDelay = env, 5*time.Second
		return cmd.CombinedOutput()
	}
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
	same(t, "the README's tables", want, got)
}
