package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The patterns by which the SAM CLI finds settings in each argument of --parameter-overrides, the first that matches at
// all counting alone. https://github.com/aws/aws-sam-cli/blob/develop/samcli/cli/types.py
const (
	samKey   = `([A-Za-z0-9\\"']+)`
	samValue = `("(?:\\.|[^"\\]+)*"|'(?:\\.|[^'\\]+)*'|(?:\\.|[^ "\\]+)+)`
)

var samPairs = []*regexp.Regexp{
	regexp.MustCompile("(?s)ParameterKey=" + samKey + ",ParameterValue=" + samValue),
	regexp.MustCompile("(?s) " + samKey + "=" + samValue),
}

// samOverrides returns the settings that SAM finds in the arguments, and what it drops in silence.
func samOverrides(arguments ...string) (settings map[string]string, dropped string) {
	unquote := func(s string) string {
		if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[0] == s[len(s)-1] {
			s = s[1 : len(s)-1]
		}
		return strings.NewReplacer(`\ `, " ", `\"`, `"`, `\'`, "'").Replace(s)
	}
	settings = map[string]string{}
	for _, argument := range arguments {
		argument = " " + strings.TrimSpace(argument)
		pair := samPairs[1]
		if samPairs[0].MatchString(argument) {
			pair = samPairs[0]
		}
		for _, found := range pair.FindAllStringSubmatch(argument, -1) {
			settings[unquote(found[1])] = unquote(found[2])
		}
		dropped += strings.TrimSpace(pair.ReplaceAllString(argument, ""))
	}
	return settings, dropped
}

// A shell has the programs that the documented commands call, except that they only note what they are called with.
type shell struct{ folder, called string }

func newShell(t *testing.T) shell {
	t.Helper()
	s := shell{folder: t.TempDir()}
	s.called = filepath.Join(s.folder, "called")
	for name, script := range map[string]string{
		"sam":     `[ "$1" = deploy ] && printf '%s\0' "$@" > '` + s.called + `'`,
		"aws":     `printf '%s\0' "$@" > '` + s.called + `'`,
		"git":     "echo 0123abc",
		"openssl": "echo 0123abc",
	} {
		script = "#!/bin/sh\n" + script + "\nexit 0\n"
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// overrides runs a command from the root of the project and returns the arguments after --parameter-overrides that SAM,
// or the AWS CLI, is called with.
func (s shell) overrides(t *testing.T, command string) (arguments []string, output string, err error) {
	t.Helper()
	_ = os.Remove(s.called)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "PATH="+s.folder+":"+os.Getenv("PATH"), "MAKEFLAGS=")
	out, err := cmd.CombinedOutput()
	called, _ := os.ReadFile(s.called)
	after := false
	for argument := range strings.SplitSeq(strings.TrimSuffix(string(called), "\x00"), "\x00") {
		if strings.HasPrefix(argument, "--") {
			after = argument == "--parameter-overrides"
		} else if after {
			arguments = append(arguments, argument)
		}
	}
	return arguments, string(out), err
}

// Values given to make arrive at SAM whole, or nothing is deployed.
func TestMakeDeployParameters(t *testing.T) {
	s := newShell(t)
	for parameters, want := range map[string]map[string]string{ // nil where it is refused
		`Services="CLOUDFRONT ROUTE53_HEALTHCHECKS" IpFamilies="ipv4 ipv6"`: {
			"Services": "CLOUDFRONT ROUTE53_HEALTHCHECKS", "IpFamilies": "ipv4 ipv6",
		},
		`ScheduleExpression='rate(1 hour)' Within=""`: {"ScheduleExpression": "rate(1 hour)", "Within": ""},
		`  Regions=eu-west-1,us-east-1   TagKey=a `:   {"Regions": "eu-west-1,us-east-1", "TagKey": "a"},
		`Release="it's \"it\"" OnDelete=keep`:         {"Release": `it's "it"`, "OnDelete": "keep"},
		`Release=two\ words`:                          {"Release": "two words"},
		`Services=CLOUDFRONT ROUTE53_HEALTHCHECKS`:    nil,
		`ScheduleExpression=rate(1 hour)`:             nil,
		`Regions=eu-west-1, us-east-1`:                nil,
		`Release="one"TagKey=a`:                       nil,
		`Release="one`:                                nil,
		`Within= TagKey=a`:                            nil,
		`CLOUDFRONT`:                                  nil,
	} {
		quoted := "'" + strings.ReplaceAll(parameters, "'", `'\''`) + "'"
		arguments, output, err := s.overrides(t, "make deploy PARAMETERS="+quoted)
		if want == nil {
			if err == nil || arguments != nil || !strings.Contains(output, "quote a value") {
				t.Errorf("%s: not refused: %q, %v\n%s", parameters, arguments, err, output)
			}
			continue
		}
		got, dropped := samOverrides(arguments...)
		if diff := cmp.Diff(want, got); err != nil || diff != "" || dropped != "" {
			t.Errorf("%s: error %v, SAM drops %q, -want +got\n%s%s", parameters, err, dropped, diff, output)
		}
	}
}

var (
	deploying = regexp.MustCompile(`^(make deploy|sam deploy|aws cloudformation deploy)\b`)
	mentioned = regexp.MustCompile(`\b([A-Z][a-z]+(?:[A-Z][a-z0-9]+)*)=` + samValue)
)

// notParameters are what the AWS CLI sets in the same way, the parameters of a release's template alone, and a tag.
var notParameters = map[string]bool{
	"CodeBucket": true, "CodePrefix": true, "Architecture": true, "ManagedBy": true,
	"ParameterKey": true, "ParameterValue": true, "Enabled": true, "AttributeKey": true, "AttributeValue": true,
	"Key": true, "Value": true, "OrganizationalUnitIds": true, "RetainStacksOnAccountRemoval": true,
}

// commands returns the commands on a page, in its blocks and between backquotes.
func (p page) commands() []string {
	commands := slices.Clone(p.spans)
	for _, blocks := range p.blocks {
		for line := range strings.Lines(strings.ReplaceAll(strings.Join(blocks, "\n"), "\\\n", "")) {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	return commands
}

// Every command line of the pages that sets parameters sets them to values that arrive whole and that the template
// takes, and so does every parameter that a page or a template tells a person to set.
func TestDocumentedParameters(t *testing.T) {
	s, commands, told := newShell(t), 0, map[string][]string{}
	var templates []template
	for _, name := range []string{mainFile, memberFile, starterFile, forwardFile} {
		templates = append(templates, readTemplate(t, name))
		told[name] = descriptions(readTemplate(t, name))
	}
	takes := func(name, value string) bool {
		return notParameters[name] || slices.ContainsFunc(templates, func(s template) bool {
			return s.section("Parameters")[name] != nil && s.accepts(name, strings.ReplaceAll(value, "…", "x"))
		})
	}
	for name, page := range readPages(t) {
		told[name] = page.commands()
		for _, command := range told[name] {
			if !deploying.MatchString(command) || !strings.Contains(command, "=") {
				continue
			}
			commands++
			arguments, output, err := s.overrides(t, command)
			got, dropped := samOverrides(arguments...)
			if err != nil || len(got) == 0 || dropped != "" {
				t.Errorf("%s: %s\nerror %v, SAM takes %q, drops %q\n%s", name, command, err, got, dropped, output)
			}
			for parameter, value := range got {
				if !takes(parameter, value) {
					t.Errorf("%s: %s\nno template takes %s=%q", name, command, parameter, value)
				}
			}
		}
	}
	if commands < 8 {
		t.Errorf("only %d commands were found", commands)
	}
	for name, spans := range told {
		for _, span := range spans {
			if deploying.MatchString(span) || strings.HasPrefix(span, "aws ") {
				continue // above, or not for SAM
			}
			for _, found := range mentioned.FindAllStringSubmatch(span, -1) {
				got, _ := samOverrides(found[0])
				value := got[found[1]]
				if !takes(found[1], value) && !takes(found[1], strings.TrimRight(value, ".,;)")) {
					t.Errorf("%s: no template takes %s", name, found[0])
				}
			}
		}
	}
}

// descriptions returns what a template says to people.
func descriptions(s template) []string {
	var found []string
	walk(map[string]any(s), func(v any) {
		for _, key := range []string{"Description", "AssertDescription", "ConstraintDescription"} {
			if text, ok := get(v, key).(string); ok {
				found = append(found, text)
			}
		}
	})
	return found
}
