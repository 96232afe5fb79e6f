package main

import (
	"bufio"
	"fmt"
	"strings"

	"cloudfront-sg-sync/internal/hint"
)

// canAsk fails if nobody can answer a question: the result goes to a program, or stdin is not a person's. The hint says
// what to do instead.
func canAsk(t terminal, output outputFlags, ranges rangeFlags, instead string) error {
	switch {
	case output.json():
		return hint.New("-o json does not ask", instead)
	case ranges.IPRanges == "-":
		return hint.New("the ranges come from stdin, so cfsg cannot ask", "read them from a file, or "+instead)
	case !isTerminal(t.in):
		return hint.New("stdin is not a terminal, so cfsg cannot ask", instead)
	}
	return nil
}

// ask asks a question and reports whether the answer is yes.
func ask(t terminal, answers *bufio.Reader, format string, args ...any) bool {
	fmt.Fprintf(t.out, "\n%s Only yes is taken for yes: ", fmt.Sprintf(format, args...))
	answer, err := answers.ReadString('\n')
	if err != nil {
		fmt.Fprintln(t.out) // as Enter would have
	}
	return strings.TrimSpace(answer) == "yes"
}
