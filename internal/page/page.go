// Package page writes pages for a terminal: paragraphs, facts and tables, no wider than the terminal, with
// colours where they are wanted.
package page

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Width is the most that a paragraph takes, in characters: longer lines are hard to read. A file or a pipe has pages of
// this width, and tables may be wider.
const Width = 100

// Columns returns the width of the terminal that out is, or 0 if it is none.
func Columns(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		return columns
	}
	return 80 // it does not report its own
}

// A Page is written from top to bottom.
type Page struct {
	*sink
	indent int
}

// A sink is where a page goes, and all parts of it.
type sink struct {
	out     io.Writer
	colored bool
	columns int   // no line is wider, unless it is 0
	err     error // the first of writing
}

// New returns a page written to out, with colours if colored is set. It fits the terminal that out is.
func New(out io.Writer, colored bool) *Page {
	return &Page{sink: &sink{out: out, colored: colored, columns: Columns(out)}}
}

// In returns the same page, with n more spaces before each line.
func (p *Page) In(n int) *Page { return &Page{p.sink, p.indent + n} }

// Err returns the first error of writing. Later lines are lost.
func (p *Page) Err() error { return p.err }

// Strong returns s in bold.
func (p *Page) Strong(s string) string { return p.style(s, bold) }

// Quiet returns s in faint letters.
func (p *Page) Quiet(s string) string { return p.style(s, faint) }

// Good returns s in the colour of success and of additions.
func (p *Page) Good(s string) string { return p.style(s, green) }

// Warn returns s in the colour of warnings.
func (p *Page) Warn(s string) string { return p.style(s, yellow) }

// Bad returns s in the colour of failure and of removals.
func (p *Page) Bad(s string) string { return p.style(s, red) }

// Escape sequences that change how a terminal writes, and the one that ends that (ECMA-48, Select Graphic Rendition).
const (
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

func (p *Page) style(s, style string) string {
	if !p.colored || s == "" {
		return s
	}
	return style + s + plain
}

// Line writes one line, without trailing spaces. A line wider than the terminal is wrapped between words.
func (p *Page) Line(parts ...string) {
	line := strings.TrimRight(strings.Repeat(" ", p.indent)+strings.Join(parts, ""), " ")
	lines := []string{line}
	if p.columns > 0 && widthOf(line) > p.columns {
		lead := indentOf(line)
		lines = hang(line[:lead], lead+2, strings.Fields(line), " ", p.columns)
	}
	for _, line := range lines {
		p.write(line)
	}
}

func (p *Page) write(line string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, line)
	}
}

// Command writes a command to paste into a shell, given as quoted words. One that is wider than the terminal is
// continued with backslashes.
func (p *Page) Command(words ...string) {
	width := Width * Width // as one line
	if p.columns > 0 {
		width = p.columns - p.indent - len(` \`)
	}
	lines := hang("", 2, words, " ", width)
	for i, line := range lines {
		line = strings.Repeat(" ", p.indent) + p.Strong(line)
		if i < len(lines)-1 {
			line += ` \`
		}
		p.write(line)
	}
}

// Say writes a paragraph.
func (p *Page) Say(format string, args ...any) {
	p.paragraph("", plainText, strings.Fields(fmt.Sprintf(format, args...)), " ")
}

// Marked writes a paragraph after a mark.
func (p *Page) Marked(mark, text string) { p.paragraph(mark+" ", plainText, strings.Fields(text), " ") }

// Fact writes words after a label, which takes width characters.
func (p *Page) Fact(label string, width int, separator string, words ...string) {
	p.paragraph(p.Quiet(fmt.Sprintf("%-*s", width, label)), plainText, words, separator)
}

// Change lists what comes, goes or changes: its label begins with +, - or ~.
func (p *Page) Change(label string, words ...string) {
	style := map[byte]func(string) string{'+': p.Good, '-': p.Bad, '~': p.Warn}[label[0]]
	p.paragraph(label+" ", style, words, "  ")
}

func plainText(s string) string { return s }

// paragraph writes words after a label. Further lines begin where the first word does.
func (p *Page) paragraph(label string, style func(string) string, words []string, separator string) {
	for _, line := range hang(label, widthOf(label), words, separator, min(Width, cmp.Or(p.columns, Width))-p.indent) {
		p.Line(style(line))
	}
}

// Row returns the cells of a table as a reader expects numbers, times and lists.
func Row(values ...any) []string {
	var cells []string
	for _, value := range values {
		switch v := value.(type) {
		case uint64:
			cells = append(cells, Thousands(v))
		case time.Time:
			cells = append(cells, v.Format(time.RFC3339))
		case []string:
			cells = append(cells, strings.Join(v, " "))
		default:
			cells = append(cells, fmt.Sprint(v))
		}
	}
	return cells
}

// Thousands writes a number in groups of three digits.
func Thousands(n uint64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Table writes rows below a header, in columns, without those in which no row has anything. Columns of numbers are
// aligned to the right. If the table is wider than the terminal, each row becomes a list of its cells.
func (p *Page) Table(header []string, rows [][]string) {
	lines := table(header, rows)
	for _, line := range lines {
		if p.columns > 0 && p.indent+widthOf(line) > p.columns {
			p.lists(header, rows)
			return
		}
	}
	for i, line := range lines {
		if i == 0 {
			line = p.Quiet(line)
		}
		p.Line(line)
	}
}

// Section writes an empty line and a table, if the table has any row.
func (p *Page) Section(header []string, rows [][]string) {
	if len(rows) > 0 {
		p.Line()
		p.Table(header, rows)
	}
}

// table returns rows below a header as lines, without columns that are empty and without trailing spaces. Each column is
// as wide as the widest of its cells.
func table(header []string, rows [][]string) []string {
	all := slices.Insert(slices.Clone(rows), 0, header)
	lines := make([]string, len(all))
	for column := range header {
		cells, width := make([]string, len(all)), 0
		for i, row := range all {
			if column < len(row) {
				cells[i] = row[column]
			}
			width = max(width, widthOf(cells[i]))
		}
		content := strings.Join(cells[1:], "")
		if content == "" {
			continue
		}
		numeric := strings.Trim(text.StripEscape(content), "0123456789,.%+-") == ""
		for i, cell := range cells {
			padding := strings.Repeat(" ", width-widthOf(cell))
			if numeric {
				lines[i] += padding + cell + "   "
			} else {
				lines[i] += cell + padding + "   "
			}
		}
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

// lists writes each row as a list of its cells.
func (p *Page) lists(header []string, rows [][]string) {
	for _, row := range rows {
		var words []string
		for i, cell := range row {
			if cell != "" {
				words = append(words, strings.TrimLeft(p.Quiet(header[i])+" "+cell, " "))
			}
		}
		for _, line := range hang("", 2, words, "  ", p.columns-p.indent) {
			p.Line(line)
		}
	}
}

// widthOf returns how many columns a line takes.
func widthOf(line string) int { return text.StringWidthWithoutEscSequences(line) }

// wrap joins words to lines of at most width characters.
func wrap(words []string, separator string, width int) []string {
	var lines []string
	line := ""
	for i, word := range words {
		if i < len(words)-1 {
			word += separator
		}
		if line != "" && widthOf(line+strings.TrimRight(word, " ")) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += word
	}
	return append(lines, line)
}

// hang joins words to lines of at most width characters: the first after a lead, the others after spaces.
func hang(lead string, spaces int, words []string, separator string, width int) []string {
	lines := wrap(words, separator, width-spaces)
	for i, line := range lines {
		lines[i] = lead + line
		lead = strings.Repeat(" ", spaces)
	}
	return lines
}

// label matches the first column of an entry of a help text, with the spaces around it.
var label = regexp.MustCompile(`^ +\S.*? {2,}`)

// token is a word of a help text, or several that are quoted for a shell.
var token = regexp.MustCompile(`'[^']*'\S*|\S+`)

// Reflow fits a text of paragraphs, of entries in two columns, and of commands that are indented, to a width, if it is
// wider.
func Reflow(text string, width int) string {
	var out []string
	for lines := strings.Split(strings.TrimRight(text, "\n"), "\n"); len(lines) > 0; {
		label, n := label.FindString(lines[0]), 1
		more := regexp.MustCompile(fmt.Sprintf(`^ {%d}\S`, len(label))) // of the paragraph, or of the entry
		if label != "" || more.MatchString(lines[0]) {
			for n < len(lines) && more.MatchString(lines[n]) {
				n++
			}
		}
		block := lines[:n]
		if slices.ContainsFunc(block, func(line string) bool { return widthOf(line) > width }) {
			block = reflow(label, strings.Join(block, " "), width)
		}
		out, lines = append(out, block...), lines[n:]
	}
	return strings.Join(out, "\n") + "\n"
}

// reflow fits a paragraph, an entry with a label, or a command to a width.
func reflow(label, text string, width int) []string {
	indent, spaces := indentOf(text), len(label)
	words := token.FindAllString(text[len(label):], -1)
	switch {
	case label == "":
		if label = text[:indent]; indent > 0 {
			spaces = indent + 4
		}
	case spaces > width/2: // there is more room in lines of its own
		lines := hang(text[:indent], indent, strings.Fields(label), " ", width)
		spaces = indent + 4
		return append(lines, hang(strings.Repeat(" ", spaces), spaces, words, " ", width)...)
	}
	return hang(label, spaces, words, " ", width)
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
