package stack

import (
	"os"
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

// read returns the text of a file of the project.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// readTemplate returns a CloudFormation template of the project.
func readTemplate(t *testing.T, name string) template {
	t.Helper()
	parsed, err := parseTemplate(read(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return parsed
}

// mainTemplate returns template.yaml.
func mainTemplate(t *testing.T) template {
	t.Helper()
	return readTemplate(t, mainFile)
}
