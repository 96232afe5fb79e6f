package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Ctrl-C shows what is known.
func TestDoctorInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"doctor", server.URL}, terminal{strings.NewReader(""), &out, &errs})
	if code != exitError {
		t.Errorf("exit code %d", code)
	}
	for _, line := range []string{"✓ connect     port ", "- answer      interrupted", "- keep-alive  interrupted"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in\n%s", line, out.String())
		}
	}
	if got, want := errs.String(), "cfsg: interrupted; the origin fails: name\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

// A number of seconds may have its unit.
func TestSeconds(t *testing.T) {
	for text, want := range map[string]seconds{"1": 1, "30": 30, "30s": 30} {
		var s seconds
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5", "1m", "s", "99999999999999999999"} {
		if err := new(seconds).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
