package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/fatih/color"
)

const (
	pageWidth = 100
	indent    = "   "
)

// A page is what the demo is written on.
type page struct {
	out                   io.Writer
	strong, quiet, accent func(...any) string
	steps                 int
	err                   error // the first of writing
}

func newPage(out io.Writer, colored bool) *page {
	style := func(attributes ...color.Attribute) func(...any) string {
		c := color.New(attributes...)
		c.DisableColor()
		if colored {
			c.EnableColor()
		}
		return c.SprintFunc()
	}
	return &page{out: out, strong: style(color.Bold), quiet: style(color.Faint), accent: style(color.FgGreen, color.Bold)}
}

// line writes one line, without trailing spaces.
func (p *page) line(parts ...string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, strings.TrimRight(strings.Join(parts, ""), " "))
	}
}

// step begins the next step with what happens in the world.
func (p *page) step(headline string) {
	p.steps++
	p.line()
	number := fmt.Sprintf("%-*d", len(indent), p.steps)
	for _, line := range wrap(strings.Fields(headline), " ", pageWidth-len(indent)) {
		p.line(p.strong(number + line))
		number = indent
	}
}

// say writes a paragraph.
func (p *page) say(format string, args ...any) {
	for _, line := range wrap(strings.Fields(fmt.Sprintf(format, args...)), " ", pageWidth-len(indent)) {
		p.line(indent, line)
	}
}

// fact writes words after a label.
func (p *page) fact(label, separator string, words ...string) {
	const labelWidth = 7
	for i, line := range wrap(words, separator, pageWidth-len(indent)-labelWidth) {
		if i > 0 {
			label = ""
		}
		p.line(indent, p.quiet(fmt.Sprintf("%-*s", labelWidth, label)), line)
	}
}

// table writes rows below a header, in columns, after an empty line.
func (p *page) table(header []string, rows [][]string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a Builder takes anything
	p.line()
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		if i == 0 {
			line = p.quiet(line)
		}
		p.line(indent, line)
	}
}

// wrap joins words to lines of at most width characters.
func wrap(words []string, separator string, width int) []string {
	var lines []string
	line := ""
	for i, word := range words {
		if i < len(words)-1 {
			word += separator
		}
		if line != "" && utf8.RuneCountInString(line+strings.TrimRight(word, " ")) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += word
	}
	return append(lines, line)
}
