package page_test

import (
	"errors"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/page"

	"github.com/google/go-cmp/cmp"
)

func write(p *page.Page) {
	p.Line(p.Strong("Groups"), "  ")
	p = p.In(2)
	p.Table([]string{"group", "rules", "state"}, [][]string{
		{"web-1", "60", p.Good("right")},
		{"a", "7", p.Bad("short")},
		{"b", "", ""},
	})
	p.Fact("calls", 7, " → ", "describe", "authorize")
	p.Say("%s", strings.Repeat("word ", 25))
}

func TestPage(t *testing.T) {
	var plain, colored strings.Builder
	write(page.New(&plain, false))
	write(page.New(&colored, true))
	want := `Groups
  group   rules   state
  web-1      60   right
  a           7   short
  b
  calls  describe → authorize
  ` + strings.TrimSpace(strings.Repeat("word ", 19)) + `
  word word word word word word
`
	if diff := cmp.Diff(want, plain.String()); diff != "" {
		t.Error(diff)
	}
	for _, code := range []string{"\x1b[1mGroups\x1b", "\x1b[32mright\x1b", "\x1b[31mshort\x1b"} {
		if !strings.Contains(colored.String(), code) {
			t.Errorf("no %q in %q", code, colored.String())
		}
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestPageKeepsTheFirstError(t *testing.T) {
	p := page.New(full{}, false)
	p.Line("a")
	p.Say("b")
	if !errors.Is(p.Err(), errFull) {
		t.Errorf("error %v", p.Err())
	}
}
