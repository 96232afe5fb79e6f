package terminal

import (
	"encoding/xml"
	"strings"
	"testing"
)

// The text of a drawing is that of the terminal, spaces and all, and each piece has its colour.
func TestDraw(t *testing.T) {
	const shown = "\n$ cfsg \x1b[1mplan\x1b[0m\n  <a> & \x1b[31m\x1b[1m! \x1b[0m\x1b[31m\"b\"\x1b[0m end\n\n\x1b[32m✓\x1b[0m done\n"
	svg, err := Draw("a title", shown, Dark)
	if err != nil {
		t.Fatal(err)
	}
	var drawing struct {
		Title string `xml:"title"`
		Lines []struct {
			Y    int    `xml:"y,attr"`
			Text string `xml:",innerxml"`
		} `xml:"text"`
	}
	if err := xml.Unmarshal(svg, &drawing); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`$ cfsg <tspan class="bold">plan</tspan>`,
		`  &lt;a&gt; &amp; <tspan class="red bold">! </tspan><tspan class="red">&#34;b&#34;</tspan> end`,
		``,
		`<tspan class="green">✓</tspan> done`,
	}
	if len(drawing.Lines) != len(want) || drawing.Title != "a title" {
		t.Fatalf("%d lines, title %q", len(drawing.Lines), drawing.Title)
	}
	for i, line := range drawing.Lines {
		if line.Text != want[i] || i > 0 && line.Y <= drawing.Lines[i-1].Y {
			t.Errorf("line %d at %d is %s, want %s", i, line.Y, line.Text, want[i])
		}
	}
}

// An unknown character is an error, not a hole in the picture.
func TestDrawRefuses(t *testing.T) {
	for _, shown := range []string{"\x1b[2Kerased", "\x1b[35mmagenta\x1b[0m", "cut \x1b"} {
		if svg, err := Draw("", shown, Light); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: error %v, drawing %s", shown, err, svg)
		}
	}
}
