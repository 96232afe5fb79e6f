// Package page writes what a person reads on a terminal: paragraphs, facts and
// tables, no wider than a page, with colours where they are wanted.
package page

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Width is what a page has room for, in characters. Tables may be wider.
const Width = 100

// A Page is written from top to bottom.
type Page struct {
	out     io.Writer
	colored bool
	indent  int
	err     error // the first of writing
}

// New returns a page written to out, with colours if colored is set.
func New(out io.Writer, colored bool) *Page { return &Page{out: out, colored: colored} }

// Err returns the first error of writing. What was to be written after it is
// lost.
func (p *Page) Err() error { return p.err }

// Indent sets how many spaces stand before the lines that follow.
func (p *Page) Indent(n int) { p.indent = n }

// Strong returns s in bold.
func (p *Page) Strong(s string) string { return p.style(s, color.Bold) }

// Quiet returns s as what need not be read.
func (p *Page) Quiet(s string) string { return p.style(s, color.Faint) }

// Good returns s in the colour of what is as it should be, or is added.
func (p *Page) Good(s string) string { return p.style(s, color.FgGreen) }

// Warn returns s in the colour of what needs a look.
func (p *Page) Warn(s string) string { return p.style(s, color.FgYellow) }

// Bad returns s in the colour of what is wrong, or is taken away.
func (p *Page) Bad(s string) string { return p.style(s, color.FgRed) }

func (p *Page) style(s string, attributes ...color.Attribute) string {
	if !p.colored || s == "" {
		return s
	}
	c := color.New(attributes...)
	c.EnableColor()
	return c.Sprint(s)
}

// Line writes one line, without trailing spaces.
func (p *Page) Line(parts ...string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, strings.TrimRight(strings.Repeat(" ", p.indent)+strings.Join(parts, ""), " "))
	}
}

// Say writes a paragraph.
func (p *Page) Say(format string, args ...any) {
	for _, line := range Wrap(strings.Fields(fmt.Sprintf(format, args...)), " ", Width-p.indent) {
		p.Line(line)
	}
}

// Fact writes words after a label, which takes width characters.
func (p *Page) Fact(label string, width int, separator string, words ...string) {
	for _, line := range Wrap(words, separator, Width-p.indent-width) {
		p.Line(p.Quiet(fmt.Sprintf("%-*s", width, label)), line)
		label = ""
	}
}

// Table writes rows below a header, in columns. Columns of numbers are aligned
// to the right.
func (p *Page) Table(header []string, rows [][]string) {
	t := table.NewWriter()
	t.SetStyle(table.Style{Box: table.BoxStyle{PaddingRight: "   "}})
	t.SuppressTrailingSpaces()
	t.AppendHeader(tableRow(header))
	var columns []table.ColumnConfig
	for i := range header {
		if isNumeric(rows, i) {
			columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(columns)
	for _, row := range rows {
		t.AppendRow(tableRow(row))
	}
	for i, line := range strings.Split(t.Render(), "\n") {
		if i == 0 {
			line = p.Quiet(strings.TrimRight(line, " "))
		}
		p.Line(line)
	}
}

func tableRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i, cell := range cells {
		row[i] = cell
	}
	return row
}

// isNumeric reports whether the cells of a column are numbers, or empty.
func isNumeric(rows [][]string, column int) bool {
	found := false
	for _, row := range rows {
		if column >= len(row) || row[column] == "" {
			continue
		}
		cell := text.StripEscape(row[column])
		if strings.Trim(cell, "0123456789,.%+-") != "" {
			return false
		}
		found = true
	}
	return found
}

// Wrap joins words to lines of at most width characters.
func Wrap(words []string, separator string, width int) []string {
	var lines []string
	line := ""
	for i, word := range words {
		if i < len(words)-1 {
			word += separator
		}
		if line != "" && utf8.RuneCountInString(text.StripEscape(line+strings.TrimRight(word, " "))) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += word
	}
	return append(lines, line)
}
