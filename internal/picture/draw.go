package main

import (
	"bytes"
	"fmt"
	"time"

	"cloudfront-sg-sync/iprange"
)

// The drawing, in pixels: the plot, and room beside it for the axes and the names of the lines.
const (
	width, height            = 880, 360
	left, right, top, bottom = 44, 264, 44, 32

	quota = 60 // rules that a security group holds by default, for each family
	step  = 30 // between the lines of the grid

	longestGap = 300 * 24 * time.Hour // beyond it, publications are missing: there have been several each year
)

// A plot is a drawing that times and rules are mapped to.
type plot struct {
	bytes.Buffer
	from, to time.Time
	most     int
}

func (s *plot) x(t time.Time) float64 {
	return left + (width-left-right)*float64(t.Sub(s.from))/float64(s.to.Sub(s.from))
}

func (s *plot) y(rules int) float64 {
	return height - bottom - (height-top-bottom)*float64(rules)/float64(s.most)
}

// colors are those of a page that the drawing is to be seen on. A page picks one by <picture>: GitHub makes that follow
// the theme that the reader has chosen there, and a media query inside of the image would follow the system's.
type colors struct{ theme, text, quiet, grid, every, exact, compact, quota string }

var (
	light = colors{"light", "#1f2328", "#59636e", "#d1d9e0", "#0969da", "#bc4c00", "#1a7f37", "#cf222e"}
	dark  = colors{"dark", "#f0f6fc", "#9198a1", "#3d444d", "#4493f8", "#f0883e", "#3fb950", "#f85149"}
)

// head is the beginning of a drawing. README.md describes it in words for those who cannot see it.
const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title">
<title id="title">IPv4 rules that one port needs</title>
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: %[3]s }
.heading { font-size: 15px; font-weight: 600 }
.quiet { fill: %[4]s }
.grid { stroke: %[5]s; stroke-width: 1 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.unknown { stroke-dasharray: 2 5 }
.every { stroke: %[6]s } text.every { fill: %[6]s; stroke: none }
.exact { stroke: %[7]s } text.exact { fill: %[7]s; stroke: none }
.compact { stroke: %[8]s } text.compact { fill: %[8]s; stroke: none }
.quota { stroke: %[9]s; stroke-width: 1.5; stroke-dasharray: 7 4 } text.quota { fill: %[9]s; stroke: none }
.name { font-weight: 600 }
</style>
`

// draw returns the picture. It begins with a year and ends on a line of the grid.
func draw(lists []*list, c colors) []byte {
	s := plot{from: lists[0].points[0].Published, most: quota}
	for _, l := range lists {
		if first := l.points[0].Published; first.Before(s.from) {
			s.from = first
		}
		if last := l.last().Published; last.After(s.to) {
			s.to = last
		}
		s.most = max(s.most, (l.most+step-1)/step*step)
	}
	s.from = time.Date(s.from.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	fmt.Fprintf(&s, head, width, height, c.text, c.quiet, c.grid, c.every, c.exact, c.compact, c.quota)
	s.text("heading", left-32, 20, "start", "IPv4 rules that one port needs, merged without loss")
	for n := 0; n <= s.most; n += step {
		if n != quota {
			s.across("grid", n)
			s.text("quiet", left-8, s.y(n)+4.5, "end", n)
		}
	}
	for year := s.from; year.Before(s.to); year = year.AddDate(1, 0, 0) {
		s.text("quiet", s.x(year), height-10, "start", year.Year())
	}
	for _, l := range lists {
		s.drawList(l)
	}
	s.across("quota", quota)
	s.text("quota name", left-8, s.y(quota)+4.5, "end", quota)
	s.text("quota", width-right, s.y(quota)-7, "end", fmt.Sprintf("a security group holds %d by default", quota))
	s.WriteString("</svg>\n")
	return s.Bytes()
}

// text writes words that start or end at a place, as the anchor says.
func (s *plot) text(class string, x, y float64, anchor string, words any) {
	fmt.Fprintf(s, "<text class=%q x=\"%.1f\" y=\"%.1f\" text-anchor=%q>%v</text>\n", class, x, y, anchor, words)
}

// across draws a line across the plot.
func (s *plot) across(class string, rules int) {
	fmt.Fprintf(s, "<path class=%q d=\"M%d %.1fH%d\"/>\n", class, left, s.y(rules), width-right)
}

// drawList draws a line of steps, dotted where publications are missing, and its name at the end.
func (s *plot) drawList(l *list) {
	at := func(p *iprange.Publication) string {
		return fmt.Sprintf("%.1f %.1f", s.x(p.Published), s.y(len(p.IPv4)))
	}
	line := func(class, d string) { fmt.Fprintf(s, "<path class=\"line %s%s\" d=\"M%s\"/>\n", l.class, class, d) }
	last, d := l.points[0], at(l.points[0])
	for _, p := range l.points[1:] {
		if p.Published.Sub(last.Published) > longestGap {
			line("", d)
			line(" unknown", at(last)+"L"+at(p))
			d = at(p)
		} else {
			d += fmt.Sprintf("H%.1fV%.1f", s.x(p.Published), s.y(len(p.IPv4)))
		}
		last = p
	}
	line("", d+"h3") // so that a single last point is seen
	x, y := float64(width-right+12), s.y(len(last.IPv4))
	s.text(l.class+" name", x, y+2, "start", fmt.Sprintf("%d  %s", len(last.IPv4), l.name))
	for i, words := range l.note {
		s.text("quiet", x, y+17+15*float64(i), "start", words)
	}
}
