package main

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	drawing "cloudfront-sg-sync/internal/picture/terminal"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "draw docs/terminal-light.svg and docs/terminal-dark.svg again")

// The picture of a terminal in README shows what cfsg prints there: on the groups of docs/example-groups.json, with the
// settings of the compact cover.
func TestTerminalPicture(t *testing.T) {
	t.Chdir("../..")
	ranges := httptest.NewServer(http.FileServer(http.Dir("internal/demo")))
	t.Cleanup(ranges.Close)
	startEndpoint(t, "docs/example-groups.json")
	for name, value := range map[string]string{
		"IP_RANGES_URL": ranges.URL + "/ip-ranges.json", "SERVICES": "CLOUDFRONT_ORIGIN_FACING", "WITHIN": "CLOUDFRONT", "TERM": "xterm", "NO_COLOR": "",
	} {
		t.Setenv(name, value)
	}
	var shown strings.Builder
	for _, command := range []string{"status", "plan"} {
		s := newScreen(t, 120)
		code := run(t.Context(), []string{command}, terminal{strings.NewReader(""), s.File, io.Discard})
		out := s.read()
		if code != exitOK {
			t.Fatalf("cfsg %s: exit code %d\n%s", command, code, out)
		}
		shown.WriteString("\x1b[2m$\x1b[0m \x1b[1mcfsg " + command + "\x1b[0m\n" + out + "\n")
	}
	for file, colors := range map[string]drawing.Colors{"docs/terminal-light.svg": drawing.Light, "docs/terminal-dark.svg": drawing.Dark} {
		svg, err := drawing.Draw("cfsg status and cfsg plan, on a terminal", shown.String(), colors)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, svg, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if drawn, err := os.ReadFile(file); err != nil || !bytes.Equal(drawn, svg) {
			t.Errorf("run make terminal (error %v); - %s, + what cfsg prints:\n%s", err, file, cmp.Diff(string(drawn), string(svg)))
		}
	}
}
