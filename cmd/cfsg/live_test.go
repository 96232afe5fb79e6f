package main

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Long waits show a line that is wiped away afterwards; short ones show none, and there is no line where
// nobody reads it. What comes after it takes its place.
func TestLiveLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		person bool
		takes  []time.Duration
		want   string
	}{
		{"long", true, []time.Duration{patience + time.Millisecond}, "part 1" + eraseLine},
		{"short", true, []time.Duration{patience - time.Millisecond}, ""},
		{"into a file", false, []time.Duration{time.Hour}, ""},
		{"two parts", true, []time.Duration{patience + time.Millisecond, patience}, "part 1" + eraseLine + "part 2" + eraseLine},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				line := &liveLine{}
				if c.person {
					line.out = &out
				}
				for i, takes := range c.takes {
					line.set(fmt.Sprintf("part %d", i+1))
					time.Sleep(takes)
				}
				line.clear()
				time.Sleep(time.Hour)
				if got := out.String(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}
