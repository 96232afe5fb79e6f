package stack

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// A page is a Markdown file: what can be linked to in it, and where it links to.
type page struct {
	anchors map[string]bool
	links   []string
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code    = regexp.MustCompile("`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|srcset|href)="([^"\s]+)"`)
)

// readPage reads a page as GitHub shows it.
func readPage(text string) page {
	text = fence.ReplaceAllString(text, "")
	p := page{anchors: map[string]bool{}}
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

// brokenLinks returns the links of the pages of a tree that lead nowhere in it.
func brokenLinks(tree fs.FS, pages map[string]page) []string {
	var broken []string
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
			_, err := fs.Stat(tree, to)
			if err != nil || hasFragment && !pages[to].anchors[fragment] {
				broken = append(broken, name+" links to "+target)
			}
		}
	}
	slices.Sort(broken)
	return broken
}

// readPages reads all pages of a tree.
func readPages(t *testing.T, tree fs.FS) map[string]page {
	t.Helper()
	pages := map[string]page{}
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/terraform/*.md"} {
		names, err := fs.Glob(tree, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				t.Fatal(err)
			}
			pages[name] = readPage(string(text))
		}
	}
	return pages
}

// Every link of a page leads to a file or a heading that is there, and the map of the documentation has every page of
// it.
func TestLinks(t *testing.T) {
	tree := os.DirFS("../..")
	pages := readPages(t, tree)
	for _, broken := range brokenLinks(tree, pages) {
		t.Error(broken)
	}
	for name := range pages {
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

// A link to a file or a heading that is not there is found, one in code is none.
func TestBrokenLinks(t *testing.T) {
	tree := fstest.MapFS{
		"README.md": {Data: []byte("# What's `new`?\n[a](docs/a.md#b-c) [b](#whats-new) [c](https://example.com/#x) `[d](none)`\n" +
			"```\n# in code\n[e](none)\n```\n<img src=\"none.svg\"> [f](docs/none.md) [g](docs/a.md#d) [h](#in-code)\n")},
		"docs/a.md": {Data: []byte("## B c\n[i](../README.md) [j](README.md)\n")},
	}
	want := []string{
		"README.md links to #in-code", "README.md links to docs/a.md#d", "README.md links to docs/none.md",
		"README.md links to none.svg", "docs/a.md links to README.md",
	}
	if diff := cmp.Diff(want, brokenLinks(tree, readPages(t, tree))); diff != "" {
		t.Errorf("-want +found\n%s", diff)
	}
}
