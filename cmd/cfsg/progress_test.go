package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// What takes long is said, and wiped away when it is done; what does not take
// long is not, and nothing is said where nobody reads it.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name   string
		person bool
		takes  time.Duration
		want   string
	}{
		{"long", true, patience + time.Millisecond, "reading …\r\x1b[K"},
		{"short", true, patience - time.Millisecond, ""},
		{"into a file", false, time.Hour, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				done := newProgress(&out, c.person, "reading …")
				time.Sleep(c.takes)
				done()
				time.Sleep(time.Hour)
				if got := out.String(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}
