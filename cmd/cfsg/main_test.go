package main

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// Every command and every flag is explained, and each help fits a screen.
func TestHelpIsComplete(t *testing.T) {
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(command string, mentions ...string) {
		text := helpOf(command, io.Discard)
		for _, mention := range mentions {
			if !strings.Contains(text, mention) {
				t.Errorf("help of %q does not mention %s", command, mention)
			}
		}
		lines := strings.Split(text, "\n")
		if len(lines) > 25 {
			t.Errorf("help of %q has %d lines", command, len(lines))
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > 100 {
				t.Errorf("help of %q has a line wider than 100 columns: %s", command, line)
			}
		}
	}
	for _, command := range parser.Model.Children {
		check("", "cfsg "+command.Name)
		check(command.Name, "cfsg "+command.Name)
		for _, flag := range command.Flags {
			check(command.Name, "--"+flag.Name)
		}
	}
}
