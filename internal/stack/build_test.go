package stack

import (
	"regexp"
	"strings"
	"testing"
)

// TestBuild finds what would keep `sam build`, `sam deploy` and `make invoke` from working with the template.
func TestBuild(t *testing.T) {
	s, makefile, sam := mainTemplate(t), read(t, "Makefile"), read(t, "samconfig.toml")
	first := func(text, pattern string) string {
		if found := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(text); found != nil {
			return found[1]
		}
		return "nothing"
	}
	function := func(path ...string) any { return s.resource("SyncFunction", path...) }
	machine := map[any]string{"arm64": "arm64", "x86_64": "amd64"}[function("Properties", "Architectures", "0")]
	invoked := first(makefile, `OutputKey=='(\w+)'`)
	for what, values := range map[string]struct{ want, got any }{
		"the function is built by": {"makefile", function("Metadata", "BuildMethod")},
		"its target copies": {
			"'$(BOOTSTRAP)' '$(ARTIFACTS_DIR)'", first(makefile, `^build-SyncFunction: build\n\tcp (.*)$`),
		},
		"the Makefile builds": {
			function("Properties", "Handler"), first(makefile, `^BOOTSTRAP = build/(.*)$`),
		},
		"it builds for":                        {machine, first(makefile, `^ARCH = (.*)$`)},
		"make invoke asks for an output of":    {"SyncFunction", get(s.section("Outputs"), invoked, "Value", "Ref")},
		"the stack of samconfig.toml is":       {first(makefile, `^STACK = (.*)$`), first(sam, `^stack_name = "(.*)"$`)},
		"for RoleName samconfig.toml gives":    {"CAPABILITY_NAMED_IAM", first(sam, `^capabilities = "(.*)"$`)},
		"samconfig.toml overrides, for nobody": {false, strings.Contains(sam, "\nparameter_overrides")},
	} {
		same(t, what, values.want, values.got)
	}
}
