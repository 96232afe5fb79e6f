package main

import (
	"encoding/xml"
	"flag"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"
)

var update = flag.Bool("update", false, "draw docs/terminal-light.svg and docs/terminal-dark.svg again")

// The picture of a terminal in README shows what cfsg prints there: on the groups of docs/example-groups.json, with the
// settings of the compact cover.
func TestTerminalPicture(t *testing.T) {
	t.Chdir("../..")
	ranges := httptest.NewServer(http.FileServer(http.Dir("internal/demo")))
	t.Cleanup(ranges.Close)
	startEndpoint(t, "docs/example-groups.json")
	for name, value := range map[string]string{
		"IP_RANGES_URL": ranges.URL + "/ip-ranges.json", "SERVICES": "CLOUDFRONT_ORIGIN_FACING", "WITHIN": "CLOUDFRONT",
		"TERM": "xterm", "NO_COLOR": "",
	} {
		t.Setenv(name, value)
	}
	var shown strings.Builder
	for _, command := range []string{"status", "plan"} {
		s := newScreen(t, 120)
		code := run(t.Context(), []string{command}, terminal{strings.NewReader(""), s.File, io.Discard})
		out := s.read()
		if code != exitOK {
			t.Fatalf("cfsg %s: exit code %d\n%s", command, code, out)
		}
		shown.WriteString("\x1b[2m$\x1b[0m \x1b[1mcfsg " + command + "\x1b[0m\n" + out + "\n")
	}
	for theme := range themes {
		file, svg := "docs/terminal-"+theme+".svg", draw(t, "cfsg status and cfsg plan, on a terminal", shown.String(), theme)
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
			t.Fatalf("no viewer can draw %s: %v", file, err)
		}
		if *update {
			if err := os.WriteFile(file, []byte(svg), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if drawn, err := os.ReadFile(file); err != nil || string(drawn) != svg {
			t.Errorf("run make terminal (error %v); - %s, + what cfsg prints:\n%s", err, file, cmp.Diff(string(drawn), svg))
		}
	}
}

// The drawing, in pixels. Advance is the width of a character, 0.6 of the font's size in nearly every monospaced font.
const fontSize, advance, leading, margin = 13, 7.8, 19, 18

// themes are the colours of GitHub's two (https://primer.style/primitives/colors): each has a contrast of at least 4.5
// with the page.
var themes = map[string]struct{ page, border, text, faint, red, green, yellow string }{
	"light": {"#f6f8fa", "#d1d9e0", "#1f2328", "#59636e", "#cf222e", "#1a7f37", "#8a6100"},
	"dark":  {"#0d1117", "#3d444d", "#f0f6fc", "#9198a1", "#ff7b72", "#3fb950", "#d29922"},
}

const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title">
<title id="title">%[3]s</title>
<style>
text { font: %[4]dpx ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: %[5]s }
.bold { font-weight: 700 } .faint { fill: %[6]s } .red { fill: %[7]s } .green { fill: %[8]s } .yellow { fill: %[9]s }
</style>
<rect x="0.5" y="0.5" width="%[10]d" height="%[11]d" rx="8" fill="%[12]s" stroke="%[13]s"/>
%[14]s</svg>
`

// Text in a style is between its attributes and the one that ends all, as internal/page writes it. See ECMA-48, SGR.
var (
	styled  = regexp.MustCompile("((?:\x1b\\[[0-9]+m)+)([^\x1b]*)(?:\x1b\\[0m)+")
	classes = strings.NewReplacer("\x1b[1m", " bold", "\x1b[2m", " faint", "\x1b[31m", " red", "\x1b[32m", " green", "\x1b[33m", " yellow")
)

// draw returns the picture of what a terminal shows, with its escape sequences: text that can be searched, copied and
// read aloud.
func draw(t *testing.T, title, shown, theme string) string {
	var body strings.Builder
	lines := strings.Split(strings.Trim(shown, "\n"), "\n")
	columns := 0
	for i, line := range lines {
		columns = max(columns, len([]rune(text.StripEscape(line))))
		drawn := styled.ReplaceAllStringFunc(html.EscapeString(line), func(part string) string {
			found := styled.FindStringSubmatch(part)
			return fmt.Sprintf(`<tspan class="%s">%s</tspan>`, strings.TrimSpace(classes.Replace(found[1])), found[2])
		})
		if strings.Contains(drawn, "\x1b") {
			t.Fatalf("line %d: no picture of %q", i+1, line)
		}
		fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", margin, margin+fontSize+leading*i, drawn)
	}
	width, height := int(advance*float64(columns))+2*margin, leading*(len(lines)-1)+fontSize+2*margin+4
	c := themes[theme]
	return fmt.Sprintf(svg, width, height, title, fontSize, c.text, c.faint, c.red, c.green, c.yellow, width-1, height-1,
		c.page, c.border, &body)
}
