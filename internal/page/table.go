package page

import (
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// table returns rows below a header as lines, without trailing spaces. Each column is as wide as the widest of its
// cells.
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
		numeric := isNumeric(cells[1:])
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

// isNumeric reports whether the cells of a column are numbers, or empty.
func isNumeric(cells []string) bool {
	found := false
	for _, cell := range cells {
		if cell == "" {
			continue
		}
		if strings.Trim(text.StripEscape(cell), "0123456789,.%+-") != "" {
			return false
		}
		found = true
	}
	return found
}

// withoutEmpty returns a table without the columns in which no row has anything.
func withoutEmpty(header []string, rows [][]string) (kept []string, lean [][]string) {
	lean = make([][]string, len(rows))
	for column, name := range header {
		if !slices.ContainsFunc(rows, func(row []string) bool { return column < len(row) && row[column] != "" }) {
			continue
		}
		kept = append(kept, name)
		for i, row := range rows {
			if column < len(row) {
				lean[i] = append(lean[i], row[column])
			}
		}
	}
	return kept, lean
}
