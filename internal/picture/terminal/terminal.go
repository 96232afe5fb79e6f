// Package terminal draws what a program prints on a terminal, as an SVG of text that can be searched, copied and read
// aloud.
package terminal

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The drawing, in pixels. Advance is the width of a character, 0.6 of the font's size in nearly every monospaced font.
const (
	size, advance, leading = 13, 7.8, 19
	margin                 = 18
)

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

// A piece of a line is an escape sequence, or text up to the next one.
var piece = regexp.MustCompile("\x1b\\[[0-9;]*m|[^\x1b]+|\x1b")

// A class is what an attribute looks like, and which others it ends. See ECMA-48, SGR.
var classes = map[string]struct{ name, ends string }{
	"0": {"", "bold faint red green yellow"}, "22": {"", "bold faint"}, "39": {"", "red green yellow"},
	"1": {"bold", ""}, "2": {"faint", ""}, "31": {"red", "green yellow"}, "32": {"green", "red yellow"}, "33": {"yellow", "red green"},
}

// Draw returns the picture of what a terminal shows, with its escape sequences.
func Draw(title, shown string, c Colors) ([]byte, error) {
	var body bytes.Buffer
	lines := strings.Split(strings.Trim(shown, "\n"), "\n")
	columns := 0
	for i, line := range lines {
		length := 0
		var look []string // the classes of what follows
		fmt.Fprintf(&body, `<text x="%d" y="%d" xml:space="preserve">`, margin, margin+size+leading*i)
		for _, part := range piece.FindAllString(line, -1) {
			if !strings.HasPrefix(part, "\x1b") {
				length += utf8.RuneCountInString(part)
				write(&body, strings.Join(look, " "), part)
				continue
			}
			for code := range strings.SplitSeq(strings.Trim(part, "\x1b[m"), ";") {
				class, known := classes[code]
				if !known {
					return nil, fmt.Errorf("line %d: no picture of %q", i+1, part)
				}
				ends := strings.Fields(class.ends + " " + class.name)
				look = slices.DeleteFunc(look, func(c string) bool { return slices.Contains(ends, c) })
				if class.name != "" {
					look = append(look, class.name)
				}
			}
		}
		body.WriteString("</text>\n")
		columns = max(columns, length)
	}
	width, height := int(advance*float64(columns))+2*margin, leading*(len(lines)-1)+size+2*margin+4
	var b bytes.Buffer
	fmt.Fprintf(&b, head, width, height, title, size, c.text, c.faint, c.red, c.green, c.yellow, width-1, height-1, c.page, c.border)
	_, _ = body.WriteTo(&b)
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

// write writes text of a class.
func write(b *bytes.Buffer, class, text string) {
	if class != "" {
		fmt.Fprintf(b, `<tspan class="%s">`, class)
		defer b.WriteString("</tspan>")
	}
	_ = xml.EscapeText(b, []byte(text)) // a buffer takes all
}
