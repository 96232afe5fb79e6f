// Package page writes pages for a terminal: paragraphs, facts and tables, no wider than the terminal, with
// colours where they are wanted.
package page

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Width is the most that a paragraph takes, in characters: longer lines are hard to read. A file or a pipe has pages of
// this width, and tables may be wider.
const Width = 100

// usualColumns is the width of a terminal that does not tell its own.
const usualColumns = 80

// Columns returns the width of the terminal that out is, or 0 if it is none.
func Columns(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		return columns
	}
	return usualColumns
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

// width returns how wide the paragraphs of the page may be.
func (p *Page) width() int {
	if p.columns > 0 {
		return min(p.columns, Width)
	}
	return Width
}

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
	if p.columns == 0 || widthOf(line) <= p.columns {
		p.write(line)
		return
	}
	const hanging = 2
	lead := len(line) - len(strings.TrimLeft(line, " "))
	for i, part := range wrap(strings.Fields(line), " ", p.columns-lead-hanging) {
		if i == 1 {
			lead += hanging
		}
		p.write(strings.Repeat(" ", lead) + part)
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
		width = p.columns - p.indent - len(`  \`)
	}
	lines := wrap(words, " ", width)
	for i, line := range lines {
		if i > 0 {
			line = "  " + line
		}
		line = p.Strong(line)
		if i < len(lines)-1 {
			line += ` \`
		}
		p.write(strings.Repeat(" ", p.indent) + line)
	}
}

// Say writes a paragraph.
func (p *Page) Say(format string, args ...any) {
	p.hang("", plainText, strings.Fields(fmt.Sprintf(format, args...)), " ")
}

// Marked writes a paragraph after a mark.
func (p *Page) Marked(mark, text string) { p.hang(mark+" ", plainText, strings.Fields(text), " ") }

// Fact writes words after a label, which takes width characters.
func (p *Page) Fact(label string, width int, separator string, words ...string) {
	p.hang(p.Quiet(fmt.Sprintf("%-*s", width, label)), plainText, words, separator)
}

// Change lists what comes, goes or changes: its label begins with +, - or ~.
func (p *Page) Change(label string, words ...string) {
	style := map[byte]func(string) string{'+': p.Good, '-': p.Bad, '~': p.Warn}[label[0]]
	p.hang(label+" ", style, words, "  ")
}

func plainText(s string) string { return s }

// hang writes words after a label. Further lines begin where the first word does.
func (p *Page) hang(label string, style func(string) string, words []string, separator string) {
	width := widthOf(label)
	for _, line := range wrap(words, separator, p.width()-p.indent-width) {
		p.Line(style(label + line))
		label = strings.Repeat(" ", width)
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
	header, rows = withoutEmpty(header, rows)
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

// lists writes each row as a list of its cells.
func (p *Page) lists(header []string, rows [][]string) {
	const hanging = 2
	for _, row := range rows {
		var words []string
		for i, cell := range row {
			if cell != "" {
				words = append(words, strings.TrimLeft(p.Quiet(header[i])+" "+cell, " "))
			}
		}
		lead := ""
		for _, line := range wrap(words, "  ", p.columns-p.indent-hanging) {
			p.Line(lead, line)
			lead = strings.Repeat(" ", hanging)
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

// entry is a line of a help text that explains something, in two columns.
var entry = regexp.MustCompile(`^( +)(\S.*?)( {2,})(\S.*)$`)

// token is a word of a help text, or several that are quoted for a shell.
var token = regexp.MustCompile(`'[^']*'\S*|\S+`)

// Reflow fits a text of paragraphs, of entries in two columns, and of commands that are indented, to a width, if it is
// wider.
func Reflow(text string, width int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if !wider(lines, width) {
		return text
	}
	var out []string
	for i := 0; i < len(lines); {
		n := block(lines[i:])
		out = append(out, reflow(lines[i:i+n], width)...)
		i += n
	}
	return strings.Join(out, "\n") + "\n"
}

func wider(lines []string, width int) bool {
	for _, line := range lines {
		if widthOf(line) > width {
			return true
		}
	}
	return false
}

// block returns how many lines, from the first on, are one paragraph, entry or command.
func block(lines []string) int {
	more := func(string) bool { return false }
	if m := entry.FindStringSubmatch(lines[0]); m != nil {
		column := len(m[1]) + len(m[2]) + len(m[3])
		more = func(line string) bool { return strings.HasPrefix(line, strings.Repeat(" ", column)) }
	} else if indentOf(lines[0]) == 0 && lines[0] != "" {
		more = func(line string) bool { return line != "" && indentOf(line) == 0 }
	}
	n := 1
	for n < len(lines) && more(lines[n]) {
		n++
	}
	return n
}

// reflow fits a block to a width.
func reflow(lines []string, width int) []string {
	if !wider(lines, width) {
		return lines
	}
	all := strings.Join(lines, " ")
	lead, hanging := strings.Repeat(" ", indentOf(all)), indentOf(all)+4
	if indentOf(all) == 0 {
		hanging = 0
	}
	var out []string
	if m := entry.FindStringSubmatch(all); m != nil {
		lead, hanging, all = m[1]+m[2]+m[3], len(m[1])+len(m[2])+len(m[3]), m[4]
		if hanging > width/2 { // there is more room in lines of its own
			for _, line := range wrap(strings.Fields(m[2]), " ", width-len(m[1])) {
				out = append(out, m[1]+line)
			}
			hanging = len(m[1]) + 4
			lead = strings.Repeat(" ", hanging)
		}
	}
	for _, line := range wrap(token.FindAllString(all, -1), " ", width-hanging) {
		out = append(out, lead+line)
		lead = strings.Repeat(" ", hanging)
	}
	return out
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
