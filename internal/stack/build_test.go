package stack

import (
	"regexp"
	"strings"
	"testing"
)

// TestBuild finds what would keep `sam build`, `sam deploy` and `make invoke` from working with the template.
func TestBuild(t *testing.T) {
	s, makefile, sam := mainTemplate(t), read(t, makeFile), read(t, samFile)
	first := func(text, pattern string) string {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
			return found[1]
		}
		return "nothing"
	}
	function := func(path ...string) any { return s.resource("SyncFunction", path...) }
	machine := map[any]string{"arm64": "arm64", "x86_64": "amd64"}[function("Properties", "Architectures").([]any)[0]]
	for what, test := range map[string]struct{ got, want any }{
		"the function is built by": {function("Metadata", "BuildMethod"), "makefile"},
		"its target copies": {
			first(makefile, `(?m)^build-SyncFunction: build\n\tcp (.*)$`),
			"'$(BOOTSTRAP)' '$(ARTIFACTS_DIR)'",
		},
		"the Makefile builds": {
			first(makefile, `(?m)^BOOTSTRAP = build/(.*)$`),
			function("Properties", "Handler"),
		},
		"it builds for": {first(makefile, `(?m)^ARCH = (.*)$`), machine},
		"make invoke asks for an output of": {get(s.section("Outputs"), first(makefile, `OutputKey=='(\w+)'`),
			"Value", "Ref"), "SyncFunction"},
		"the stack of samconfig.toml is": {
			first(sam, `(?m)^stack_name = "(.*)"$`),
			first(makefile, `(?m)^STACK = (.*)$`),
		},
		"for RoleName samconfig.toml gives":    {first(sam, `(?m)^capabilities = "(.*)"$`), "CAPABILITY_NAMED_IAM"},
		"samconfig.toml overrides, for nobody": {strings.Contains(sam, "\nparameter_overrides"), false},
	} {
		if test.got != test.want {
			t.Errorf("%s %v, want %v", what, test.got, test.want)
		}
	}
}
