package document

import (
	"net/netip"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"

	"go4.org/netipx"
)

// A Diff has the differences between two files, in JSON: docs/schema/diff.schema.json.
type Diff struct {
	Old       diffSide  `json:"old"`
	New       diffSide  `json:"new"`
	Published DiffLists `json:"published"`
	Rules     DiffLists `json:"rules"`
	Addresses struct {
		Opened DiffSpace `json:"opened"`
		Closed DiffSpace `json:"closed"`
	} `json:"addresses"`
}

type diffSide struct {
	SyncToken   string    `json:"syncToken"`
	PublishedAt time.Time `json:"publishedAt"`
	Published   int       `json:"published"`
	Rules       int       `json:"rules"`
}

// DiffLists compares lists of ranges as they are written.
type DiffLists struct {
	Added   []netip.Prefix `json:"added"`
	Removed []netip.Prefix `json:"removed"`
}

// A DiffSpace is address space that one file covers and the other does not.
type DiffSpace struct {
	Ranges []netip.Prefix `json:"ranges"`
	// IPv4 counts addresses, IPv6 counts /64 networks.
	IPv4 uint64 `json:"ipv4Addresses"`
	IPv6 uint64 `json:"ipv6Networks"`
}

// NewDiff compares two publications.
func NewDiff(before, after *iprange.Publication) Diff {
	d := Diff{
		Old: side(before), New: side(after),
		Published: lists(Published(before), Published(after)), Rules: lists(before.Merged(), after.Merged()),
	}
	was, is := ipspace.Of(before.Merged()), ipspace.Of(after.Merged())
	d.Addresses.Opened, d.Addresses.Closed = space(ipspace.Minus(is, was)), space(ipspace.Minus(was, is))
	return d
}

func side(p *iprange.Publication) diffSide {
	return diffSide{p.SyncToken, p.Published, len(Published(p)), len(p.IPv4) + len(p.IPv6)}
}

func lists(before, after []netip.Prefix) DiffLists {
	added, removed := ipspace.Change(before, after)
	return DiffLists{notNil(added), notNil(removed)}
}

func space(set *netipx.IPSet) DiffSpace {
	prefixes := set.Prefixes()
	ipv4, ipv6 := ipspace.Split(prefixes)
	return DiffSpace{notNil(prefixes), ipspace.Size(ipv4), ipspace.Size(ipv6)}
}

// notNil makes an empty list of none, as JSON has it.
func notNil(prefixes []netip.Prefix) []netip.Prefix {
	return append([]netip.Prefix{}, prefixes...)
}
