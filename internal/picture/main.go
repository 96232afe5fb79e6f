// Command picture draws how many rules a port has needed over the years, from the files that AWS has published:
// docs/rules.svg.
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
	"time"

	"cloudfront-sg-sync/iprange"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// run draws the history that files hold.
func run(files []string, out io.Writer) error {
	if len(files) == 0 {
		return errors.New("name the files with the published documents: make picture HISTORY='FILE …'")
	}
	lists := newLists()
	for _, name := range files {
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
	_, err := out.Write(draw(lists))
	return err
}

// A list is one of the lists that an origin can let in, and what it took.
type list struct {
	name, note string // beside its line
	class      string // of its line
	selection  iprange.Selection
	points     []point
}

// A point is how many IPv4 rules a port needed from a time on. IPv4 is what a group runs out of: the quota holds for
// each family apart.
type point struct {
	at    time.Time
	rules int
}

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
	selection.IPv4 = true
	p, err := iprange.Decode(bytes.NewReader(document), selection)
	if _, missing := errors.AsType[*iprange.MissingServiceError](err); missing {
		return nil
	}
	if err != nil {
		return err
	}
	l.points = append(l.points, point{p.Published, len(p.IPv4)})
	return nil
}
