package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// The drawing, in pixels: the plot, and room beside it for the axes and the names of the lines.
const (
	width, height = 880, 360
	left, right   = 44, 264
	top, bottom   = 44, 32

	quota = 60 // rules that a security group holds by default, for each family
	step  = 30 // between the lines of the grid
)

// A scale maps times and rules to the plot.
type scale struct {
	from, to time.Time
	most     int
}

func (s scale) x(t time.Time) float64 {
	return left + (width-left-right)*float64(t.Sub(s.from))/float64(s.to.Sub(s.from))
}

func (s scale) y(rules int) float64 {
	return height - bottom - (height-top-bottom)*float64(rules)/float64(s.most)
}

// newScale returns a scale that all points fit on. It begins with a year and ends on a line of the grid.
func newScale(lists []list) scale {
	var s scale
	for _, l := range lists {
		first, last := l.points[0].at, l.points[len(l.points)-1].at
		if s.from.IsZero() || first.Before(s.from) {
			s.from = first
		}
		if last.After(s.to) {
			s.to = last
		}
		for _, p := range l.points {
			s.most = max(s.most, quota, (p.rules()+step-1)/step*step)
		}
	}
	s.from = time.Date(s.from.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	return s
}

// colors are those of a page that the drawing is to be seen on. A page picks one by <picture>: GitHub makes that follow
// the theme that the reader has chosen there, and a media query inside of the image would follow the system's.
type colors struct{ theme, text, quiet, grid, every, exact, compact, quota string }

var (
	light = colors{"light", "#1f2328", "#59636e", "#d1d9e0", "#0969da", "#bc4c00", "#1a7f37", "#cf222e"}
	dark  = colors{"dark", "#f0f6fc", "#9198a1", "#3d444d", "#4493f8", "#f0883e", "#3fb950", "#f85149"}
)

// head says in words what the drawing shows, for those who cannot see it.
const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title desc">
<title id="title">IPv4 rules that one port needs</title>
<desc id="desc">%[3]s</desc>
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: %[4]s }
.heading { font-size: 15px; font-weight: 600 }
.quiet { fill: %[5]s }
.grid { stroke: %[6]s; stroke-width: 1 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.unknown { stroke-dasharray: 2 5 }
.every { stroke: %[7]s } text.every { fill: %[7]s; stroke: none }
.exact { stroke: %[8]s } text.exact { fill: %[8]s; stroke: none }
.compact { stroke: %[9]s } text.compact { fill: %[9]s; stroke: none }
.quota { stroke: %[10]s; stroke-width: 1.5; stroke-dasharray: 7 4 } text.quota { fill: %[10]s; stroke: none }
.name { font-weight: 600 }
</style>
`

// draw returns the picture.
func draw(lists []list, c colors) []byte {
	s := newScale(lists)
	var b bytes.Buffer
	fmt.Fprintf(&b, head, width, height, inWords(lists), c.text, c.quiet, c.grid, c.every, c.exact, c.compact, c.quota)
	fmt.Fprintf(&b, "<text class=\"heading\" x=\"%d\" y=\"20\">IPv4 rules that one port needs, merged without loss</text>\n", left-32)
	for n := 0; n <= s.most; n += step {
		if n != quota {
			fmt.Fprintf(&b, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", left, s.y(n), width-right)
			fmt.Fprintf(&b, "<text class=\"quiet\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", left-8, s.y(n)+4.5, n)
		}
	}
	for year := s.from; year.Before(s.to); year = year.AddDate(1, 0, 0) {
		fmt.Fprintf(&b, "<text class=\"quiet\" x=\"%.1f\" y=\"%d\">%d</text>\n", s.x(year), height-10, year.Year())
	}
	for _, l := range lists {
		drawList(&b, s, l)
	}
	fmt.Fprintf(&b, "<path class=\"quota\" d=\"M%d %.1fH%d\"/>\n", left, s.y(quota), width-right)
	fmt.Fprintf(&b, "<text class=\"quota name\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", left-8, s.y(quota)+4.5, quota)
	fmt.Fprintf(&b, "<text class=\"quota\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">a security group holds %d by default</text>\n", width-right, s.y(quota)-7, quota)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// longestGap is the time between two publications beyond which some are missing from the files: there have been several
// each year.
const longestGap = 300 * 24 * time.Hour

// drawList draws a line of steps, dotted where nothing is known, and its name at the end.
func drawList(b *bytes.Buffer, s scale, l list) {
	line := func(class string, d string) {
		fmt.Fprintf(b, "<path class=\"line %s%s\" d=\"%s\"/>\n", l.class, class, d)
	}
	at := func(p point) string { return fmt.Sprintf("M%.1f %.1f", s.x(p.at), s.y(p.rules())) }
	var d strings.Builder
	last := l.points[0]
	d.WriteString(at(last))
	for _, p := range l.points[1:] {
		switch {
		case p.at.Sub(last.at) > longestGap:
			line("", d.String())
			line(" unknown", fmt.Sprintf("%sL%.1f %.1f", at(last), s.x(p.at), s.y(p.rules())))
			d.Reset()
			d.WriteString(at(p))
		case p.rules() != last.rules():
			fmt.Fprintf(&d, "H%.1fV%.1f", s.x(p.at), s.y(p.rules()))
		default:
			fmt.Fprintf(&d, "H%.1f", s.x(p.at))
		}
		last = p
	}
	line("", d.String()+"h3") // so that a last point by itself is seen
	y := s.y(last.rules())
	fmt.Fprintf(b, "<text class=\"%s name\" x=\"%d\" y=\"%.1f\">%d  %s</text>\n", l.class, width-right+12, y+2, last.rules(), l.name)
	for i, words := range wrap(l.note) {
		fmt.Fprintf(b, "<text class=\"quiet\" x=\"%d\" y=\"%.1f\">%s</text>\n", width-right+12, y+17+15*float64(i), words)
	}
}

// wrap breaks what does not fit beside the plot.
func wrap(note string) []string {
	if before, after, ok := strings.Cut(note, " within "); ok {
		return []string{before, "within " + after}
	}
	return []string{note}
}

// inWords says what the lines show.
func inWords(lists []list) string {
	var words []string
	for _, l := range lists {
		first, last := l.points[0], l.points[len(l.points)-1]
		most := 0
		for _, p := range l.points {
			most = max(most, p.rules())
		}
		words = append(words, fmt.Sprintf("%s: %d in %s, %d in %s, at most %d.",
			l.name, first.rules(), first.at.Format("January 2006"), last.rules(), last.at.Format("January 2006"), most))
	}
	return strings.Join(words, " ") + fmt.Sprintf(" A security group holds %d by default. Lines are dotted where publications are missing from the files that this is drawn from.", quota)
}
