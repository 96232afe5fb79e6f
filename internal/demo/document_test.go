package demo

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"cloudfront-sg-sync/iprange"
)

// The next document differs by one rule more and one less, and re-cuts a range.
func TestRevise(t *testing.T) {
	before, err := parseDocument(sample)
	if err != nil {
		t.Fatal(err)
	}
	after, change, err := before.revise()
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(slices.Clone(before.publication.IPv4), func(p netip.Prefix) bool { return p == change.withdrawn })
	want = iprange.Merge(append(want, change.added))
	if !slices.Equal(after.publication.IPv4, want) || !slices.Equal(after.publication.IPv6, before.publication.IPv6) {
		t.Errorf("rules %v, want %v", after.publication.IPv4, want)
	}
	low, high := halves(change.recut)
	for prefix, published := range map[netip.Prefix]bool{
		change.added: true, change.withdrawn: false, change.recut: false, low: true, high: true,
	} {
		if slices.Contains(after.publication.Prefixes, prefix) != published {
			t.Errorf("%s is published: %v", prefix, !published)
		}
	}
	if age := after.publication.Published.Sub(before.publication.Published); age != 26*time.Hour {
		t.Errorf("it is published %s later", age)
	}
}

// The sample is such that the demo has something to show.
func TestSampleDocument(t *testing.T) {
	d, err := parseDocument(sample)
	if err != nil {
		t.Fatal(err)
	}
	ipv4, ipv6 := d.rules()
	if ipv4 <= 60 || groupsNeeded(d) != 2 || len(d.publication.Prefixes) <= ipv4+ipv6 || ipv6 == 0 {
		t.Errorf("%d prefixes, %d IPv4 and %d IPv6 rules", len(d.publication.Prefixes), ipv4, ipv6)
	}
}
