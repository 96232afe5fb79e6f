// Command picture draws how many rules a port has needed over the years, from the files that AWS has published, for
// light and dark pages: docs/rules-light.svg and docs/rules-dark.svg. It prints the numbers of README.md as well.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// run draws the history that files hold, into files that begin with the first argument.
func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("name the files with the published documents: make picture HISTORY='FILE …'")
	}
	const facing, all = iprange.CloudFrontOriginFacing, iprange.CloudFront
	lists := []*list{
		{name: all, class: "every", note: []string{"every range"}, services: []string{all}},
		{name: facing, class: "exact", note: []string{"exactly"}, services: []string{facing}},
		{
			name: "the compact cover", class: "compact", note: []string{"of " + facing, "within " + all},
			services: []string{facing}, within: []string{all},
		},
	}
	for _, name := range args[1:] {
		if err := addFile(lists, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, l := range lists {
		if len(l.points) == 0 {
			return fmt.Errorf("no document has a range for %s", l.name)
		}
		slices.SortStableFunc(l.points, func(a, b *iprange.Publication) int { return a.Published.Compare(b.Published) })
		for _, p := range l.points {
			l.most = max(l.most, len(p.IPv4))
			l.most6 = max(l.most6, len(p.IPv6))
		}
	}
	for _, c := range []colors{light, dark} {
		if err := os.WriteFile(args[0]+"-"+c.theme+".svg", draw(lists, c), 0o644); err != nil {
			return err
		}
	}
	return printNumbers(out, lists)
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

// addFile adds the lists of all documents in a file, one after the other, unpacked if its name ends with .gz. A
// document may be from before AWS published a service.
func addFile(lists []*list, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var plain io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if plain, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	documents := json.NewDecoder(plain)
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
			l.points = append(l.points, p)
		}
	}
}

// printNumbers prints the numbers of README.md for each list. Changes count since all lists are published, and only
// between files that are not too far apart.
func printNumbers(out io.Writer, lists []*list) error {
	from := lists[1].points[0].Published
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "list\tIPv4 rules\tat most\tIPv6 rules\tat most\tIPv4 addresses\tchanges a year")
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
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%.1f\n", l.name, len(l.last().IPv4), l.most,
			len(l.last().IPv6), l.most6, ipspace.Size(l.last().IPv4), float64(changes)/years) // NaN without such files
	}
	fmt.Fprintf(table, "changes: from %s on, without times of more than %d days between two files\n",
		from.Format(time.DateOnly), longestGap/(24*time.Hour))
	return table.Flush()
}
