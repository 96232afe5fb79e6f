package document

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"net/netip"
	"os"
	"slices"
	"testing"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
)

// A diff turns the old rules into the new ones, and so with the addresses, for all that AWS
// published in seven years.
func TestDiffHistory(t *testing.T) {
	f, err := os.Open("../../../shared/data/cloudfront-history-2017-2024.jsonl.gz")
	if err != nil {
		t.Skipf("the history is not here: %v", err)
	}
	defer f.Close()
	lines, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, iprange.MaxSize)
	all := iprange.Selection{Services: []string{iprange.CloudFront}, IPv4: true, IPv6: true}
	var before *iprange.Publication
	states, redrawn := 0, 0
	for scanner.Scan() {
		after, err := iprange.Decode(bytes.NewReader(scanner.Bytes()), all)
		if err != nil {
			t.Fatal(err)
		}
		if states++; states > 1 {
			d := NewDiff(before, after)
			if got := patched(before.Merged(), d.Rules.Added, d.Rules.Removed); !slices.Equal(got, after.Merged()) {
				t.Errorf("%s: the rules become %v, want %v", after.SyncToken, got, after.Merged())
			}
			opened := slices.Concat(before.Merged(), d.Addresses.Opened.Ranges)
			if got := ipspace.Minus(ipspace.Of(opened), ipspace.Of(d.Addresses.Closed.Ranges)).Prefixes(); !slices.Equal(got, after.Merged()) {
				t.Errorf("%s: the addresses become %v, want %v", after.SyncToken, got, after.Merged())
			}
			if len(d.Published.Added) > 0 && len(d.Rules.Added)+len(d.Rules.Removed) == 0 {
				redrawn++
			}
		}
		before = after
	}
	if states != 110 || redrawn == 0 {
		t.Errorf("%d states; in %d AWS only redrew its blocks", states, redrawn)
	}
}

// patched returns a list with what is added and without what is removed, sorted.
func patched(list, added, removed []netip.Prefix) []netip.Prefix {
	list = slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool { return slices.Contains(removed, p) })
	list = append(list, added...)
	slices.SortFunc(list, netip.Prefix.Compare)
	return list
}
