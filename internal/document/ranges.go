package document

import (
	"net/netip"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"go4.org/netipx"
)

// Ranges is the document of cfsg ranges: docs/schema/ranges.schema.json.
type Ranges struct {
	SyncToken   string       `json:"syncToken"`
	PublishedAt time.Time    `json:"publishedAt"`
	Services    []string     `json:"services"`
	Within      []string     `json:"within"`
	IPv4        rangesFamily `json:"ipv4"`
	IPv6        rangesFamily `json:"ipv6"`
	Ports       []string     `json:"ports"`
	Quota       int          `json:"rulesPerGroup"`
	Groups      int          `json:"groupsNeeded"`
	// Compact counts the rules of each port that the compact cover of CloudFront takes; it is nil where that is not to
	// be offered.
	Compact *engine.PerFamily `json:"compactCover"`
	Ranges  []netip.Prefix    `json:"ranges"`
}

// A rangesFamily counts the ranges of an address family.
type rangesFamily struct {
	familyCount
	Rules int `json:"rules"` // for all ports
	// Beyond is the part of Size that is not of the services, but taken in, and BeyondEC2 the part of that which is in
	// ranges of EC2.
	Beyond    uint64 `json:"beyond"`
	BeyondEC2 uint64 `json:"beyondEc2"`
}

// NewRanges returns the document of a publication, with the prefixes to show and the rules that ports take.
func NewRanges(p *iprange.Publication, selection iprange.Selection, prefixes []netip.Prefix, ports []secgroup.PortRange, quota int) *Ranges {
	published4, published6 := ipspace.Split(Published(p))
	beyond4, beyond6 := ipspace.Split(p.Beyond)
	ec2v4, ec2v6 := ipspace.Split(p.BeyondEC2)
	family := func(published, merged, beyond, ec2 []netip.Prefix) rangesFamily {
		return rangesFamily{count(published, merged), len(merged) * len(ports), ipspace.Size(beyond), ipspace.Size(ec2)}
	}
	d := &Ranges{
		SyncToken: p.SyncToken, PublishedAt: p.Published,
		Services: selection.Services, Within: append([]string{}, selection.Within...),
		IPv4: family(published4, p.IPv4, beyond4, ec2v4), IPv6: family(published6, p.IPv6, beyond6, ec2v6),
		Ports: secgroup.PortNames(ports), Quota: quota, Ranges: prefixes,
	}
	if compact := p.Compact(); len(compact) > 0 {
		ipv4, ipv6 := ipspace.Split(compact)
		d.Compact = &engine.PerFamily{IPv4: len(ipv4), IPv6: len(ipv6)}
	}
	d.Groups = d.GroupsFor(d.IPv4.Rules, d.IPv6.Rules)
	return d
}

// GroupsFor returns how many groups hold that many rules of each family. The quota holds for each apart, and a pool's
// groups share the rules of all ports.
func (d *Ranges) GroupsFor(ipv4, ipv6 int) int {
	return (max(ipv4, ipv6) + d.Quota - 1) / d.Quota
}

// Published returns the selected ranges as published, sorted. One that two services share comes once.
func Published(p *iprange.Publication) []netip.Prefix {
	return slices.Compact(slices.SortedFunc(slices.Values(p.Prefixes), netip.Prefix.Compare)) // IPv4 first
}

// A Services names all services of a file, in JSON: docs/schema/services.schema.json.
type Services struct {
	Services []serviceCount `json:"services"`
}

type serviceCount struct {
	Name string      `json:"name"`
	IPv4 familyCount `json:"ipv4"`
	IPv6 familyCount `json:"ipv6"`
}

type familyCount struct {
	Published int `json:"published"`
	Merged    int `json:"merged"`
	// Size counts addresses of IPv4, and /64 networks of IPv6.
	Size uint64 `json:"size"`
}

func count(published, merged []netip.Prefix) familyCount {
	return familyCount{len(published), len(merged), ipspace.Size(merged)}
}

// NewServices returns the document of all services of a file.
func NewServices(services []iprange.Service) Services {
	d := Services{Services: []serviceCount{}}
	for _, s := range services {
		merged4, merged6 := ipspace.Split(iprange.Merge(slices.Concat(s.IPv4, s.IPv6)))
		d.Services = append(d.Services, serviceCount{s.Name, count(s.IPv4, merged4), count(s.IPv6, merged6)})
	}
	return d
}

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
