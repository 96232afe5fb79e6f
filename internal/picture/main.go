// Command picture draws how many rules a port has needed over the years, from the files that AWS has published, for
// light and dark pages: docs/rules-light.svg and docs/rules-dark.svg. It prints the numbers of README.md as well.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

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
	lists := newLists()
	for _, name := range args[1:] {
		if err := addFile(lists, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for i := range lists {
		if len(lists[i].points) == 0 {
			return fmt.Errorf("no document has a range for %s", lists[i].selection)
		}
		slices.SortStableFunc(lists[i].points, func(a, b point) int { return a.at.Compare(b.at) })
	}
	for _, c := range []colors{light, dark} {
		if err := os.WriteFile(args[0]+"-"+c.theme+".svg", draw(lists, c), 0o644); err != nil {
			return err
		}
	}
	return printNumbers(out, lists)
}

// printNumbers prints what README.md says of each list. Changes count from when all lists are known.
func printNumbers(out io.Writer, lists []list) error {
	var from time.Time
	for _, l := range lists {
		if first := l.points[0].at; first.After(from) {
			from = first
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "list\tIPv4 rules\tat most\tIPv6 rules\tat most\tIPv4 addresses\tchanges a year")
	for _, l := range lists {
		last := l.points[len(l.points)-1]
		most, most6, addresses := 0, 0, uint64(0)
		for _, p := range l.points {
			most, most6 = max(most, p.rules()), max(most6, len(p.ranges.IPv6))
		}
		for _, prefix := range last.ranges.IPv4 {
			addresses += 1 << (32 - prefix.Bits())
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", l.name, last.rules(), most, len(last.ranges.IPv6), most6, addresses, l.changes(from))
	}
	fmt.Fprintf(table, "changes: from %s on, without times of more than %d days between two files\n", from.Format(time.DateOnly), longestGap/(24*time.Hour))
	return table.Flush()
}

// A list is one of the lists that an origin can let in, and what it took.
type list struct {
	name, note string // beside its line
	class      string // of its line
	selection  iprange.Selection
	points     []point
}

// changes returns how often the rules changed in a year since a time: changes between two files that are too far apart
// are unknown, and that time does not count.
func (l list) changes(from time.Time) string {
	n, known := 0, time.Duration(0)
	for i, p := range l.points[1:] {
		before := l.points[i]
		if before.at.Before(from) || p.at.Sub(before.at) > longestGap {
			continue
		}
		known += p.at.Sub(before.at)
		if !slices.Equal(p.ranges.IPv4, before.ranges.IPv4) || !slices.Equal(p.ranges.IPv6, before.ranges.IPv6) {
			n++
		}
	}
	if known == 0 {
		return "unknown"
	}
	return strconv.FormatFloat(float64(n)/(known.Hours()/24/365.25), 'f', 1, 64)
}

// A point is what a port needed from a time on.
type point struct {
	at     time.Time
	ranges *iprange.Publication
}

// rules counts IPv4 rules. IPv4 is what a group runs out of: the quota holds for each family apart.
func (p point) rules() int { return len(p.ranges.IPv4) }

func newLists() []list {
	return []list{
		{name: "CLOUDFRONT", note: "every range", class: "every", selection: iprange.Selection{Services: []string{iprange.CloudFront}}},
		{
			name: "CLOUDFRONT_ORIGIN_FACING", note: "exactly", class: "exact",
			selection: iprange.Selection{Services: []string{iprange.CloudFrontOriginFacing}},
		},
		{
			name: "the compact cover", note: "of CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT", class: "compact",
			selection: iprange.Selection{Services: []string{iprange.CloudFrontOriginFacing}, Within: []string{iprange.CloudFront}},
		},
	}
}

// addFile adds what all documents of a file say, one after the other. The file may be gzipped.
func addFile(lists []list, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	var plain io.Reader = in
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) { // RFC 1952
		if plain, err = gzip.NewReader(in); err != nil {
			return err
		}
	}
	documents := json.NewDecoder(plain)
	for n := 1; ; n++ {
		var document json.RawMessage
		switch err := documents.Decode(&document); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("document %d: %w", n, err)
		}
		for i := range lists {
			if err := lists[i].add(document); err != nil {
				return fmt.Errorf("document %d: %w", n, err)
			}
		}
	}
}

// add adds what one document says. It may be from before AWS published the service.
func (l *list) add(document []byte) error {
	selection := l.selection
	selection.IPv4, selection.IPv6 = true, true
	p, err := iprange.Decode(bytes.NewReader(document), selection)
	if _, missing := errors.AsType[*iprange.MissingServiceError](err); missing {
		return nil
	}
	if err != nil {
		return err
	}
	l.points = append(l.points, point{p.Published, p})
	return nil
}
