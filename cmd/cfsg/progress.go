package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// patience is how long something may take before a person is told what it is.
const patience = time.Second

// progress says on stderr what is being done, if it takes long and a person is
// there to read it. The function that it returns wipes the line away.
func (t terminal) progress(what string) (done func()) {
	return newProgress(t.err, isTerminal(t.err), what)
}

func newProgress(out io.Writer, person bool, what string) (done func()) {
	if !person {
		return func() {}
	}
	var mu sync.Mutex
	shown, over := false, false
	timer := time.AfterFunc(patience, func() {
		mu.Lock()
		defer mu.Unlock()
		if shown = !over; shown {
			fmt.Fprint(out, what)
		}
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		if over = true; shown {
			fmt.Fprint(out, "\r\x1b[K") // erase the line: ECMA-48, EL
		}
	}
}

// isTerminal reports whether a person is at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colorful reports whether what is written there may have colours: on a
// terminal, unless its user does not want any. See https://no-color.org
func colorful(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
