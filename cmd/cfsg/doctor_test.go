package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	if code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	for _, line := range []string{"✓ connect     port ", "- answer      interrupted", "- timing      interrupted", "- keep-alive  interrupted"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in\n%s", line, out.String())
		}
	}
	if !strings.Contains(out.String(), "\n✗ interrupted; viewers get errors from this origin: name\n") {
		t.Errorf("no judgement in\n%s", out.String())
	}
	if got, want := errs.String(), "cfsg: interrupted; viewers get errors from this origin: name\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

// A number of seconds may have its unit.
func TestSeconds(t *testing.T) {
	for text, want := range map[string]seconds{"1": 1, "30": 30, "30s": 30, "8 s": 8, "1m30s": 90, "2000ms": 2} {
		var s seconds
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5", "500ms", "s", "99999999999999999999"} {
		if err := new(seconds).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// The output in docs/504.md is that of the command, except for numbers, on a network where its names lead to origins
// that are broken as it says. Timeouts are shorter here.
func TestDoctorGuide(t *testing.T) {
	if !hasNamespaces() {
		t.Skip("needs root, unshare and ip")
	}
	guide, err := os.ReadFile("../../docs/504.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var script strings.Builder
	var shown []consoleCommand
	for _, c := range consoleCommands(string(guide)) {
		if !strings.HasPrefix(c.command, "cfsg doctor ") {
			continue
		}
		fmt.Fprintf(&script, "%s --connection-timeout 1 --response-timeout 2 --keepalive-timeout 1 >%s/%d 2>&1\n", c.command, dir, len(shown))
		shown = append(shown, c)
	}
	if len(shown) < 5 {
		t.Fatalf("the guide shows %d runs", len(shown))
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "sh", internet, "sh", "-c", script.String()+"true").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	numbers := regexp.MustCompile(`\d+(\.\d+)?`)
	blurred := func(text string) string {
		return strings.Join(strings.Fields(numbers.ReplaceAllString(text, "N")), " ")
	}
	for i, c := range shown {
		out, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		shorter := strings.NewReplacer(" --connection-timeout 1", "", " --response-timeout 2", "", " --keepalive-timeout 1", "")
		got, want := blurred(shorter.Replace(string(out))), blurred(c.output)
		for i, piece := range strings.Split(want, "…") { // with anything in between
			at := strings.Index(got, piece)
			if at < 0 || i == 0 && at > 0 {
				t.Errorf("the guide shows of %q what it does not print; - guide, + cfsg:\n%s", c.command, cmp.Diff(piece, got))
				break
			}
			got = got[at+len(piece):]
		}
		if strings.TrimSpace(got) != "" && !strings.HasSuffix(want, "…") {
			t.Errorf("the guide does not show the end of %q: %s", c.command, got)
		}
	}
}
