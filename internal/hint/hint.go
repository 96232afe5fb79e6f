// Package hint keeps a problem and its remedy apart. A log has both on one line, a terminal on two.
//
// An error with a remedy has a method Hint() string, which may return nothing. Its text is the problem and the hint,
// with "; " between them.
package hint

import (
	"errors"
	"slices"
	"strings"
)

type hinted struct {
	error
	hint string
}

// New returns an error with a problem and its remedy.
func New(problem, hint string) error { return With(errors.New(problem), hint) }

// With adds a remedy to an error.
func With(err error, hint string) error { return &hinted{err, hint} }

func (h *hinted) Error() string { return h.error.Error() + "; " + h.hint }
func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

// A Line is one line of an error's text.
type Line struct {
	Problem string
	Hints   []string
}

// Lines returns the lines of an error's text with their hints taken out. A hint that several lines have is returned
// with the last of them.
func Lines(err error) []Line {
	hints := collect(err, nil)
	// The longest first, as one may begin as another does.
	slices.SortStableFunc(hints, func(a, b string) int { return len(b) - len(a) })
	var lines []Line
	for text := range strings.SplitSeq(err.Error(), "\n") {
		line := Line{Problem: text}
		for _, hint := range hints {
			if problem := strings.ReplaceAll(line.Problem, "; "+hint, ""); problem != line.Problem {
				line.Problem = problem
				line.Hints = append(line.Hints, hint)
			}
		}
		for i := range lines {
			again := func(hint string) bool { return slices.Contains(line.Hints, hint) }
			lines[i].Hints = slices.DeleteFunc(lines[i].Hints, again)
		}
		slices.SortFunc(line.Hints, func(a, b string) int {
			return strings.Index(text, "; "+a) - strings.Index(text, "; "+b)
		})
		lines = append(lines, line)
	}
	return lines
}

// Problem returns the first line of an error's text, without hints.
func Problem(err error) string { return Lines(err)[0].Problem }

// collect adds the different hints of an error and of those that it wraps.
func collect(err error, hints []string) []string {
	// errors.As would stop at the first error of the tree.
	if e, ok := err.(interface{ Hint() string }); ok && e.Hint() != "" && !slices.Contains(hints, e.Hint()) {
		hints = append(hints, e.Hint())
	}
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at
	case interface{ Unwrap() error }:
		return collect(e.Unwrap(), hints)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			hints = collect(inner, hints)
		}
	}
	return hints
}
