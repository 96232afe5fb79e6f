// Package terminal draws what a program prints on a terminal, as an SVG of text that can be searched, copied and read
// aloud.
package terminal

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The drawing, in pixels. Advance is the width of a character, 0.6 of the font's size in nearly every monospaced font.
const size, advance, leading, margin = 13, 7.8, 19, 18

// Colors are those of a page, light or dark, that the drawing is to be seen on.
type Colors struct{ page, border, text, faint, red, green, yellow string }

// The colours of GitHub's two themes (https://primer.style/primitives/colors): each has a contrast of at least 4.5 with
// the page.
var (
	Light = Colors{"#f6f8fa", "#d1d9e0", "#1f2328", "#59636e", "#cf222e", "#1a7f37", "#8a6100"}
	Dark  = Colors{"#0d1117", "#3d444d", "#f0f6fc", "#9198a1", "#ff7b72", "#3fb950", "#d29922"}
)

const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title">
<title id="title">%[3]s</title>
<style>
text { font: %[4]dpx ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: %[5]s }
.bold { font-weight: 700 } .faint { fill: %[6]s } .red { fill: %[7]s } .green { fill: %[8]s } .yellow { fill: %[9]s }
</style>
<rect x="0.5" y="0.5" width="%[10]d" height="%[11]d" rx="8" fill="%[12]s" stroke="%[13]s"/>
`

// Text in a style is between its attributes and the one that ends all, as internal/page writes it. See ECMA-48, SGR.
var (
	styled  = regexp.MustCompile("((?:\x1b\\[[0-9]+m)+)([^\x1b]*)(?:\x1b\\[0m)+")
	classes = strings.NewReplacer("\x1b[1m", " bold", "\x1b[2m", " faint", "\x1b[31m", " red", "\x1b[32m", " green", "\x1b[33m", " yellow")
)

// Draw returns the picture of what a terminal shows, with its escape sequences.
func Draw(title, shown string, c Colors) ([]byte, error) {
	var body bytes.Buffer
	lines := strings.Split(strings.Trim(shown, "\n"), "\n")
	columns := 0
	for i, line := range lines {
		columns = max(columns, utf8.RuneCountInString(styled.ReplaceAllString(line, "$2")))
		drawn := styled.ReplaceAllStringFunc(html.EscapeString(line), func(part string) string {
			found := styled.FindStringSubmatch(part)
			return fmt.Sprintf(`<tspan class="%s">%s</tspan>`, strings.TrimSpace(classes.Replace(found[1])), found[2])
		})
		if strings.Contains(drawn, "\x1b") {
			return nil, fmt.Errorf("line %d: no picture of %q", i+1, line)
		}
		fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", margin, margin+size+leading*i, drawn)
	}
	width, height := int(advance*float64(columns))+2*margin, leading*(len(lines)-1)+size+2*margin+4
	var b bytes.Buffer
	fmt.Fprintf(&b, head, width, height, title, size, c.text, c.faint, c.red, c.green, c.yellow, width-1, height-1, c.page, c.border)
	_, _ = body.WriteTo(&b)
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}
