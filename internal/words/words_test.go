package words

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCount(t *testing.T) {
	for _, test := range []struct {
		n    int
		noun string
		want string
	}{
		{0, "rule", "0 rules"},
		{1, "rule", "1 rule"},
		{2, "more group", "2 more groups"},
		{1, "IPv4 entry", "1 IPv4 entry"},
		{2, "IPv4 entry", "2 IPv4 entries"},
	} {
		if got := Count(test.n, test.noun); got != test.want {
			t.Errorf("Count(%d, %q) = %q, want %q", test.n, test.noun, got, test.want)
		}
	}
}

func TestPorts(t *testing.T) {
	for want, ports := range map[string][]string{"port 443 is": {"443"}, "ports 80, 443 are": {"80", "443"}, "ports 8000-8080 are": {"8000-8080"}} {
		if got := PortsAre(ports); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFew(t *testing.T) {
	for want, names := range map[string][]string{
		"":                   nil,
		"a":                  {"a"},
		"a, b, c":            {"a", "b", "c"},
		"a, b, c and 2 more": {"a", "b", "c", "d", "e"},
	} {
		if got := Few(names); got != want {
			t.Errorf("Few(%q) = %q, want %q", names, got, want)
		}
	}
}

func TestLongTextIsCutBetweenCharacters(t *testing.T) {
	text := strings.Repeat("é", 5)
	for most := range len(text) {
		short := Shorten(text, most)
		if !utf8.ValidString(short) || most > 0 && !strings.HasSuffix(short, "…") ||
			len(strings.TrimSuffix(short, "…")) > most {
			t.Errorf("Shorten(%q, %d) = %q", text, most, short)
		}
		if quoted := Quote(text, most); strings.Contains(quoted, `\x`) || !strings.HasSuffix(quoted, `"…`) {
			t.Errorf("Quote(%q, %d) = %s", text, most, quoted)
		}
	}
	if Shorten(text, len(text)) != text || Quote(text, len(text)) != `"ééééé"` {
		t.Error("a text that fits is cut")
	}
}
