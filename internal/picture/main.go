// Command picture draws how many rules a port has needed over the years, for light and dark pages:
// docs/rules-light.svg and docs/rules-dark.svg. It reads the files that AWS has published from stdin, one after the
// other, and prints the numbers of README.md.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
)

func main() {
	if err := run("docs/rules", os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// A list is one of the lists that an origin can let in, and its publications.
type list struct {
	name, class      string   // of its line
	note             []string // beside its line
	services, within []string
	points           []*iprange.Publication
	most, most6      int // rules of a publication. IPv4 and IPv6 have separate quotas; groups run out of IPv4 first
}

func (l *list) last() *iprange.Publication { return l.points[len(l.points)-1] }

// run draws the history that documents tell, into files whose names begin with drawing.
func run(drawing string, documents io.Reader, out io.Writer) error {
	const facing, all = iprange.CloudFrontOriginFacing, iprange.CloudFront
	lists := []*list{
		{name: all, class: "every", note: []string{"every range"}, services: []string{all}},
		{name: facing, class: "exact", note: []string{"exactly"}, services: []string{facing}},
		{
			name: "the compact cover", class: "compact", note: []string{"of " + facing, "within " + all},
			services: []string{facing}, within: []string{all},
		},
	}
	if err := read(lists, json.NewDecoder(documents)); err != nil {
		return err
	}
	for _, l := range lists {
		if len(l.points) == 0 {
			return fmt.Errorf("no document has a range for %s: make picture HISTORY='FILE …'", l.name)
		}
		slices.SortStableFunc(l.points, func(a, b *iprange.Publication) int { return a.Published.Compare(b.Published) })
	}
	light := draw(lists)
	for theme, svg := range map[string]string{"-light.svg": light, "-dark.svg": dark.Replace(light)} {
		if err := os.WriteFile(drawing+theme, []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return printNumbers(out, lists)
}

// read adds all documents to the lists. A document may be from before AWS published a service.
func read(lists []*list, documents *json.Decoder) error {
	for n := 1; ; n++ {
		var document json.RawMessage
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
		for _, l := range lists {
			selection := iprange.Selection{Services: l.services, Within: l.within, IPv4: true, IPv6: true}
			p, err := iprange.Decode(bytes.NewReader(document), selection)
			if _, missing := errors.AsType[*iprange.MissingServiceError](err); missing {
				continue
			} else if err != nil {
				return fmt.Errorf("document %d: %w", n, err)
			}
			l.points, l.most, l.most6 = append(l.points, p), max(l.most, len(p.IPv4)), max(l.most6, len(p.IPv6))
		}
	}
}

// longestGap is how far two files may be apart. Beyond it, publications are missing: there were several each year.
const longestGap = 300 * 24 * time.Hour

// printNumbers prints the numbers of README.md for each list. Changes count since all lists are published, and only
// between files that are not too far apart.
func printNumbers(out io.Writer, lists []*list) error {
	from := lists[1].points[0].Published
	fmt.Fprintln(out, "list                      IPv4 rules  at most  IPv6 rules  at most  IPv4 addresses  changes a year")
	for _, l := range lists {
		changes, years := 0, 0.0
		for i, p := range l.points[1:] {
			before := l.points[i]
			if gap := p.Published.Sub(before.Published); !before.Published.Before(from) && gap <= longestGap {
				years += gap.Hours() / 24 / 365.25
				if !slices.Equal(p.Merged(), before.Merged()) {
					changes++
				}
			}
		}
		fmt.Fprintf(out, "%-24s  %10d  %7d  %10d  %7d  %14d  %.1f\n", l.name, len(l.last().IPv4), l.most,
			len(l.last().IPv6), l.most6, ipspace.Size(l.last().IPv4), float64(changes)/years) // NaN without such files
	}
	_, err := fmt.Fprintf(out, "changes: from %s on, without times of more than %d days between two files\n",
		from.Format(time.DateOnly), longestGap/(24*time.Hour))
	return err
}

// The drawing, in pixels: the plot, and room beside it for the axes and the names of the lines.
const (
	width, height            = 880, 360
	left, right, top, bottom = 44, 264, 44, 32

	quota = 60 // rules that a security group holds by default, for each family
	step  = 30 // between the lines of the grid
)

// head is the beginning of a drawing on a light page. README.md describes it in words for those who cannot see it.
const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title">
<title id="title">IPv4 rules that one port needs</title>
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.heading { font-size: 15px; font-weight: 600 }
.quiet { fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.unknown { stroke-dasharray: 2 5 }
.every { stroke: #0969da } text.every { fill: #0969da; stroke: none }
.exact { stroke: #bc4c00 } text.exact { fill: #bc4c00; stroke: none }
.compact { stroke: #1a7f37 } text.compact { fill: #1a7f37; stroke: none }
.quota { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 7 4 } text.quota { fill: #cf222e; stroke: none }
.name { font-weight: 600 }
</style>
`

// dark turns the colours into those for a dark page. README.md picks a file by <picture>: GitHub makes that follow the
// theme that the reader has chosen there, and a media query inside of the image would follow the system's.
var dark = strings.NewReplacer("#1f2328", "#f0f6fc", "#59636e", "#9198a1", "#d1d9e0", "#3d444d",
	"#0969da", "#4493f8", "#bc4c00", "#f0883e", "#1a7f37", "#3fb950", "#cf222e", "#f85149")

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

// draw returns the picture for a light page. It begins with a year and ends on a line of the grid.
func draw(lists []*list) string {
	all := lists[0] // no other list was published before it, or without it
	s := plot{from: time.Date(all.points[0].Published.Year(), 1, 1, 0, 0, 0, 0, time.UTC), to: all.last().Published}
	for _, l := range lists {
		s.most = max(quota, s.most, (l.most+step-1)/step*step)
	}
	fmt.Fprintf(&s, head, width, height)
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
	return s.String()
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
