package stack

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The files that have to agree with each other and with the code.
const (
	mainFile    = "template.yaml"
	memberFile  = "docs/member-role.yaml"
	starterFile = "docs/starter-groups.yaml"
	forwardFile = "docs/forward-changes.yaml"
	makeFile    = "Makefile"
	samFile     = "samconfig.toml"

	configurationFile = "docs/configuration.md"
	deployFile        = "docs/deploy.md"
	alarmsFile        = "docs/alarms.md"
	referenceFile     = "docs/reference.md"
	organizationFile  = "docs/organization.md"
)

// files are the contents of these files.
type files map[string]string

// template returns one of the templates.
func (f files) template(t *testing.T, name string) template {
	t.Helper()
	parsed, err := parseTemplate(f[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return parsed
}

func readFiles(t *testing.T) files {
	t.Helper()
	f := files{}
	for _, name := range []string{mainFile, memberFile, starterFile, forwardFile, makeFile, samFile, configurationFile, deployFile, alarmsFile, referenceFile, organizationFile, deployerFile} {
		data, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		f[name] = string(data)
	}
	return f
}

// A check reports where files disagree with each other or with the code.
type check func(t *testing.T, f files, report func(format string, args ...any))

// checks are all there are. They are functions of the files, so that TestChecksFindMistakes can see each of them fail.
var checks = map[string]check{
	"interface":   checkInterface,
	"environment": checkEnvironment,
	"parameters":  checkParameters,
	"actions":     checkActions,
	"statements":  checkStatements,
	"member role": checkMemberRole,
	"triggers":    checkTriggers,
	"order":       checkOrder,
	"patience":    checkPatience,
	"rules":       checkRules,
	"alarms":      checkAlarms,
	"dashboard":   checkDashboard,
	"build":       checkBuild,
	"starter":     checkStarterGroups,
	"docs":        checkDocs,
	"deployer":    checkDeployer,
}

// problems returns what a check reports.
func problems(t *testing.T, c check, f files) []string {
	t.Helper()
	var found []string
	c(t, f, func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) })
	slices.Sort(found)
	return found
}

func TestStack(t *testing.T) {
	f := readFiles(t)
	for name, c := range checks {
		t.Run(name, func(t *testing.T) {
			for _, problem := range problems(t, c, f) {
				t.Error(problem)
			}
		})
	}
}

// Each check finds the mistakes that it is there for.
func TestChecksFindMistakes(t *testing.T) {
	original := readFiles(t)
	tried := map[string]bool{}
	for _, m := range mistakes {
		tried[m.check] = true
		t.Run(m.check+"/"+m.name, func(t *testing.T) {
			if !strings.Contains(original[m.file], m.old) {
				t.Fatalf("%s does not contain %q", m.file, m.old)
			}
			f := maps.Clone(original)
			f[m.file] = strings.ReplaceAll(f[m.file], m.old, m.new)
			found := problems(t, checks[m.check], f)
			if !slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, m.want) }) {
				t.Errorf("the check reports %q, want one with %q", found, m.want)
			}
		})
	}
	for name := range checks {
		if !tried[name] {
			t.Errorf("no mistake is tried on the check %s", name)
		}
	}
}
