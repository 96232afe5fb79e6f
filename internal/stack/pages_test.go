package stack

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A page is a Markdown file: what can be linked to in it, where it links to, its blocks by their language, and its
// words in code.
type page struct {
	text         string
	anchors      map[string]bool
	links, spans []string
	blocks       map[string][]string
}

var (
	fence   = regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)^ *```$")
	code    = regexp.MustCompile("`([^`\n]+)`")
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|srcset|href)="([^"\s]+)"`)
)

// readPage reads a page as GitHub shows it.
func readPage(t *testing.T, name string) page {
	t.Helper()
	p := page{text: read(t, name), anchors: map[string]bool{}, blocks: map[string][]string{}}
	for _, found := range fence.FindAllStringSubmatch(p.text, -1) {
		block := strings.ReplaceAll("\n"+found[3], "\n"+found[1], "\n")
		p.blocks[found[2]] = append(p.blocks[found[2]], block[1:])
	}
	text := fence.ReplaceAllString(p.text, "")
	for _, found := range code.FindAllStringSubmatch(text, -1) {
		p.spans = append(p.spans, found[1])
	}
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		p.anchors[anchor(found[1])] = true
	}
	for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
		p.links = append(p.links, found[1]+found[2])
	}
	return p
}

// anchor returns what a heading can be linked to by: its letters, digits, hyphens and underscores, with hyphens for
// spaces.
func anchor(heading string) string {
	heading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	heading = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(heading, " ", "-")
}

// readPages reads all pages, by their paths.
func readPages(t *testing.T) map[string]page {
	t.Helper()
	pages := map[string]page{}
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/terraform/*.md"} {
		names, _ := filepath.Glob("../../" + pattern)
		for _, name := range names {
			name = strings.TrimPrefix(filepath.ToSlash(name), "../../")
			pages[name] = readPage(t, name)
		}
	}
	return pages
}

// Every link of a page leads to a file or a heading that is there, and the map of the documentation has every page of
// it.
func TestLinks(t *testing.T) {
	pages := readPages(t)
	for name, p := range pages {
		for _, target := range p.links {
			if strings.Contains(target, "://") {
				continue
			}
			file, fragment, hasFragment := strings.Cut(target, "#")
			to := name
			if file != "" {
				to = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat("../../" + to); err != nil || hasFragment && !pages[to].anchors[fragment] {
				t.Errorf("%s links to %s", name, target)
			}
		}
		file, inDocs := strings.CutPrefix(name, "docs/")
		listed := slices.ContainsFunc(pages["docs/README.md"].links, func(to string) bool {
			to, _, _ = strings.Cut(to, "#")
			return to == file
		})
		if inDocs && file != "README.md" && !listed {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
	}
}

// Each command of the README is run here or in .ci/run, or says that it needs AWS. TestDocumentedParameters checks what
// those set.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	_, reproduce, _ := strings.Cut(read(t, "Makefile"), "\nreproduce:")
	checked, readme, commands := read(t, ".ci/run")+reproduce, readPage(t, "README.md"), []string{}
	for _, span := range readme.spans {
		if strings.HasPrefix(span, "make ") {
			commands = append(commands, span)
		}
	}
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
		"# needs AWS\n", "# needs a release\n",
	}
	for name, page := range readPages(t) {
		for _, block := range page.blocks[""] {
			if !slices.ContainsFunc(run, func(start string) bool { return strings.HasPrefix(block, start) }) {
				t.Errorf("%s: nothing runs this, and it does not say that it needs AWS:\n%s", name, block)
			}
		}
	}
}
