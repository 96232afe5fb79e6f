package stack

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Each command of the README is run here or in .ci/run, or says that it needs AWS. TestDocumentedParameters checks what
// those set.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	_, reproduce, _ := strings.Cut(read(t, makeFile), "\nreproduce:")
	checked, readme := read(t, ".ci/run")+reproduce, readPage(t, "README.md")
	commands := slices.DeleteFunc(slices.Clone(readme.spans),
		func(span string) bool { return !strings.HasPrefix(span, "make ") })
	for _, block := range slices.Concat(slices.Collect(maps.Values(readme.blocks))...) {
		if !strings.HasPrefix(block, "# needs AWS\n") {
			commands = append(commands, strings.Split(strings.TrimSpace(block), "\n")...)
		}
	}
	for _, command := range commands {
		target := strings.Fields(command + " ?")[1]
		if command == "make demo" || command == "make help" || command == "make cfsg" {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", command+" CFSG="+t.TempDir()+"/cfsg")
			cmd.Dir, cmd.Env = "../..", append(os.Environ(), "MAKEFLAGS=")
			if out, err := cmd.CombinedOutput(); err != nil || len(out) < 100 {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
		} else if target != "picture" && !strings.Contains(checked, "make "+target) &&
			!strings.Contains(checked, " "+target+" VERSION=") {
			t.Errorf("nothing runs %q, and it does not say that it needs AWS", command)
		}
	}
	if len(commands) < 4 {
		t.Errorf("only the commands %q were found", commands)
	}
}

// Each block of commands on a page is run by a test, or says what it needs. cmd/cfsg runs the blocks in console.
func TestPagesMarkCommands(t *testing.T) {
	run := []string{
		"make demo",                           // above
		"{ echo '[DEFAULT]'; echo \"ignoreip", // cmd/cfsg/testdata/fail2ban.txt
		"cfsg export nginx-realip",            // TestDocumentedCommands, and internal/export loads its output
		"cfsg follow nginx",                   // cmd/cfsg/testdata/follow.txt
	}
	for name, page := range readPages(t) {
		for _, block := range page.blocks[""] {
			known := func(start string) bool { return strings.HasPrefix(block, start) }
			if !slices.ContainsFunc(append(run, "# needs AWS\n", "# needs a release\n"), known) {
				t.Errorf("%s: nothing runs this, and it does not say that it needs AWS:\n%s", name, block)
			}
		}
	}
}
