package stack

import (
	"regexp"
	"strings"
	"testing"
)

// checkBuild finds what would keep `sam build`, `sam deploy` and `make invoke` from working with the template.
func checkBuild(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
	for _, id := range s.ofType("AWS::Serverless::Function") {
		if method := s.resource(id, "Metadata", "BuildMethod"); method != "makefile" {
			report("function %s is built by %v", id, method)
		}
		recipe := regexp.MustCompile(`(?m)^build-` + id + `:.*\n\t(.*)$`).FindStringSubmatch(f[makeFile])
		handler := s.resource(id, "Properties", "Handler").(string)
		if recipe == nil || !strings.Contains(recipe[1], "'$(BOOTSTRAP)'") || !strings.Contains(f[makeFile], "\nBOOTSTRAP = build/"+handler+"\n") || !strings.Contains(recipe[1], "$(ARTIFACTS_DIR)") {
			report("the Makefile has no target build-%s that leaves %s", id, handler)
		}
		machine := map[string]string{"arm64": "arm64", "x86_64": "amd64"}[s.resource(id, "Properties", "Architectures").([]any)[0].(string)]
		if !regexp.MustCompile(`(?m)^ARCH = ` + machine + `$`).MatchString(f[makeFile]) {
			report("function %s runs on %s, and the Makefile builds for another machine", id, machine)
		}
	}
	asked := regexp.MustCompile(`OutputKey=='(\w+)'`).FindStringSubmatch(f[makeFile])
	if asked == nil || get(s.section("Outputs"), asked[1], "Value", "Ref") != "SyncFunction" {
		report("make invoke asks for an output that does not name the function: %v", asked)
	}
	stack := regexp.MustCompile(`(?m)^STACK = (.*)$`).FindStringSubmatch(f[makeFile])
	name := regexp.MustCompile(`(?m)^stack_name = "(.*)"$`).FindStringSubmatch(f[samFile])
	if stack == nil || name == nil || stack[1] != name[1] {
		report("the Makefile's stack is %v, that of samconfig.toml %v", stack, name)
	}
	// A role with a name of its own would need CAPABILITY_NAMED_IAM.
	capability := regexp.MustCompile(`(?m)^capabilities = "(.*)"$`).FindStringSubmatch(f[samFile])
	named := false
	for _, id := range s.ofType("AWS::IAM::Role") {
		named = named || s.resource(id, "Properties", "RoleName") != nil
	}
	if want := map[bool]string{true: "CAPABILITY_NAMED_IAM", false: "CAPABILITY_IAM"}[named]; capability == nil || capability[1] != want {
		report("samconfig.toml gives %v, the template needs %s", capability, want)
	}
	overrides := regexp.MustCompile(`(?m)^parameter_overrides = "(.*)"$`).FindStringSubmatch(f[samFile])
	if overrides != nil {
		for override := range strings.FieldsSeq(overrides[1]) {
			if name, _, _ := strings.Cut(override, "="); s.section("Parameters")[name] == nil {
				report("samconfig.toml sets %s, which is no parameter", name)
			}
		}
	}
}
