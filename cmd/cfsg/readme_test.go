package main

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// simURL is where docs/cfsg.md has the endpoint.
const simURL = "http://127.0.0.1:4566"

// cfsg prints what the documents show: the commands of all console blocks of one are run in order, on one endpoint.
// `cfsg sim --seed FILE` starts another. A line "…" stands for any lines.
func TestReadme(t *testing.T) {
	t.Chdir("../..")
	for _, document := range []string{"docs/cfsg.md", "docs/check.md", "docs/deploy.md"} {
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
	url := startEndpoint(t, seedFile)
	ran := 0
	for _, shown := range consoleCommands(string(text)) {
		args := strings.Fields(shown.command)
		if args[0] != "cfsg" {
			continue // builds cfsg, and sets the endpoint
		}
		if args[1] == "sim" {
			url = startEndpoint(t, args[3])
			continue
		}
		ran++
		var out bytes.Buffer
		run(t.Context(), args[1:], terminal{strings.NewReader(""), &out, &out})
		got := strings.ReplaceAll(out.String(), url, simURL)
		if want := shown.output; !matchesElided(got, want) {
			t.Errorf("%s shows of %q what it does not print; - %[1]s, + cfsg:\n%[3]s", document, shown.command, cmp.Diff(want, got))
		}
	}
	if ran == 0 {
		t.Errorf("%s shows nothing of cfsg", document)
	}
}

// startEndpoint starts an endpoint for the commands from now on, and returns its URL.
func startEndpoint(t *testing.T, seedFile string) string {
	t.Helper()
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
	return server.URL
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

// The permissions that docs/cfsg.md lists are those that status, plan and check need, and apply in addition: no others.
func TestReadPermissions(t *testing.T) {
	page := readPage(t, "docs/cfsg.md")
	row := regexp.MustCompile("(?m)^\\| `apply` \\|.*$").FindString(page)
	listed := policyOf(t, page)
	for _, found := range regexp.MustCompile("`(ec2:\\w+)`").FindAllStringSubmatch(row, -1) {
		listed = append(listed, found[1])
	}
	seeds, err := filepath.Glob("../../internal/ec2sim/testdata/doors/*.json")
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, name := range append(seeds, "") {
		seed := []byte(permissionsSeed)
		if name != "" {
			if seed, err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		o := newOperator(t, string(seed))
		for _, command := range []string{"status", "plan", "check --load-balancer shop", "apply --yes --force --service CLOUDFRONT"} {
			o.cfsg(t.Context(), strings.Fields(command)...)
		}
		for _, c := range o.Calls() {
			called[c.Service+":"+c.Action] = true
		}
	}
	checkPermissions(t, listed, called)
}

// permissionsSeed has rules that are to be revoked and others to be described again, a prefix list, and a rule that
// refers to one.
const permissionsSeed = `{
  "prefixLists": [{"name": "cloudfront", "maxEntries": 40, "tags": {"cloudfront-ingress": "ranges"}}],
  "groups": [{"name": "web", "tags": {"cloudfront-ingress": "443"}, "ingress": [
    {"protocol": "tcp", "ports": "443", "source": "18.64.0.0/14", "description": "cloudfront-ingress: CLOUDFRONT 2020-01-01T00:00:00Z"},
    {"protocol": "tcp", "ports": "443", "source": "192.0.2.0/24", "description": "cloudfront-ingress: CLOUDFRONT 2020-01-01T00:00:00Z"},
    {"protocol": "tcp", "ports": "80", "source": "list:cloudfront"}
  ]}],
  "loadBalancers": [{"name": "shop", "groups": ["web"], "listeners": ["HTTPS:443"], "interfaces": [{"publicIp": "198.51.100.7"}]}]
}`

// Every command of cfsg that a page shows or mentions has flags and values that cfsg takes.
func TestDocumentedCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	commandLine := regexp.MustCompile("(?m)(?:^ *(?:[$#] )?|`)(cfsg [a-z]+[^`\n|>&;()]*)")
	parsed := 0
	for _, name := range append(pages, "../../README.md", "../../deploy/terraform/README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		joined := strings.ReplaceAll(string(text), "\\\n", "")
		for _, found := range commandLine.FindAllStringSubmatch(joined, -1) {
			command, _, _ := strings.Cut(found[1], "#")
			args := splitWords(strings.ReplaceAll(command, "-…", "-0123456789abcdef0"))
			if len(args) == 2 || slices.Contains(args, "…") || strings.HasPrefix(args[1], "sim") {
				continue // names the command, or is not shown whole
			}
			parsed++
			if err := takes(t.Context(), args[1:]); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(name), command, err)
			}
		}
	}
	if parsed < 60 {
		t.Errorf("only %d commands were found", parsed)
	}
}

// splitWords splits a command as a shell does that knows single quotes only.
func splitWords(command string) []string {
	var args []string
	for _, found := range regexp.MustCompile(`'([^']*)'|\S+`).FindAllStringSubmatch(command, -1) {
		args = append(args, strings.Trim(found[0], "'"))
	}
	return args
}

// takes returns why cfsg refuses arguments before it does anything.
func takes(ctx context.Context, args []string) error {
	var c commands
	parser, err := kong.New(&c, kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(terminal{strings.NewReader(""), io.Discard, io.Discard}))
	if err != nil {
		return err
	}
	_, err = parser.Parse(args)
	return err
}
