package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"cloudfront-sg-sync/internal/hint"
)

// canAsk fails if nobody can answer a question: the result goes to a program, or stdin is not a terminal. The hint
// names another way.
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

var (
	// errDeclined says that the answer was no.
	errDeclined = errors.New("not applied: nothing was changed")
	// errInterrupted says that Ctrl-C was the answer, or came before anything was done.
	errInterrupted = errors.New("interrupted: nothing was changed")
)

// ask asks a question. It returns nil if the answer is yes, and does not wait for one once the context ends.
func ask(ctx context.Context, t terminal, answers *bufio.Reader, format string, args ...any) error {
	fmt.Fprintf(t.out, "\n%s Type yes to continue: ", fmt.Sprintf(format, args...))
	read := make(chan string, 1)
	go func() {
		answer, err := answers.ReadString('\n')
		if err != nil {
			fmt.Fprintln(t.out) // as Enter would have
		}
		read <- strings.TrimSpace(answer)
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(t.out)
		return errInterrupted
	case answer := <-read:
		if answer != "yes" {
			return errDeclined
		}
		return nil
	}
}
