package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/google/go-cmp/cmp"
)

// simURL is where docs/cfsg.md has the endpoint.
const simURL = "http://127.0.0.1:4566"

// cfsg prints what the documents show: the commands of all console blocks of one are run in order, on one
// endpoint. A line "…" stands for any lines.
func TestReadme(t *testing.T) {
	t.Chdir("../..")
	for _, document := range []string{"docs/cfsg.md", "docs/check.md"} {
		t.Run(document, func(t *testing.T) { testConsole(t, document, "docs/example-groups.json") })
	}
	t.Run("docs/setup.md", func(t *testing.T) { testConsole(t, "docs/setup.md", "docs/example-origin.json") })
}

func testConsole(t *testing.T, document, seedFile string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := os.Open(seedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer seed.Close()
	endpoint := ec2sim.New(ec2sim.Options{})
	if err := endpoint.Seed(seed); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(endpoint)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_REGION", "us-east-1")
	ran := 0
	for _, shown := range consoleCommands(string(text)) {
		args := strings.Fields(shown.command)
		if args[0] != "cfsg" || args[1] == "sim" {
			continue // installs cfsg, and starts the endpoint that is here already
		}
		ran++
		var out bytes.Buffer
		run(t.Context(), args[1:], terminal{strings.NewReader(""), &out, &out})
		got := strings.ReplaceAll(out.String(), server.URL, simURL)
		if want := shown.output; !matchesElided(got, want) {
			t.Errorf("%s shows of %q what it does not print; - %[1]s, + cfsg:\n%[3]s", document, shown.command, cmp.Diff(want, got))
		}
	}
	if ran == 0 {
		t.Errorf("%s shows nothing of cfsg", document)
	}
}

// A consoleCommand is a command and what a reader is shown of its output.
type consoleCommand struct{ command, output string }

// consoleCommands returns the commands of all console blocks of a document.
func consoleCommands(markdown string) []consoleCommand {
	var commands []consoleCommand
	for _, block := range strings.Split(markdown, "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, output, _ := strings.Cut(part, "\n")
			command, _, _ = strings.Cut(command, "#")
			if output != "" && !strings.HasSuffix(output, "\n") {
				output += "\n"
			}
			commands = append(commands, consoleCommand{strings.TrimSpace(command), output})
		}
	}
	return commands
}

// matchesElided reports whether a text is as shown, with any lines in place of each line of dots.
func matchesElided(got, shown string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(strings.Trim(shown, "\n") + "\n") {
		if line == "…\n" {
			pattern.WriteString("(?:.*\n)*")
		} else {
			pattern.WriteString(regexp.QuoteMeta(line))
		}
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(strings.Trim(got, "\n") + "\n")
}
