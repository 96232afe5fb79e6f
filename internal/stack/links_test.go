package stack

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A page is a Markdown file: what can be linked to in it, where it links to, its blocks by their language, and its words
// in code.
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
		names, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
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
