package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/hint"

	"golang.org/x/term"
)

// A terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// isTerminal reports whether a person is at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colorful reports whether output may have colours: on a terminal, unless its user does not want any.
// See https://no-color.org
func colorful(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// patience is how long a task may take before it is named.
const patience = time.Second

// eraseLine has a terminal erase the line that the cursor is on: ECMA-48, EL.
const eraseLine = "\r\x1b[K"

// A liveLine is the last line of stderr, which names the task under way, if a person is there to read it.
type liveLine struct {
	out io.Writer // nil if nobody reads

	mu    sync.Mutex
	text  string
	shown bool
	timer *time.Timer
}

func (t terminal) liveLine() *liveLine {
	if !isTerminal(t.err) {
		return &liveLine{}
	}
	return &liveLine{out: t.err}
}

// progress names the task under way until done is called.
func (t terminal) progress(what string) (done func()) {
	l := t.liveLine()
	l.set(what)
	return l.clear
}

// set names the task under way. It is shown if it takes long.
func (l *liveLine) set(text string) {
	if l.out == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = text
	if l.shown {
		fmt.Fprint(l.out, eraseLine, text)
	} else if l.timer == nil {
		l.timer = time.AfterFunc(patience, l.show)
	}
}

// show writes the text, unless it was cleared in the meantime.
func (l *liveLine) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		fmt.Fprint(l.out, l.text)
		l.shown = true
	}
}

// clear wipes the line away.
func (l *liveLine) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.shown {
		fmt.Fprint(l.out, eraseLine)
	}
	l.timer, l.shown = nil, false
}

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
