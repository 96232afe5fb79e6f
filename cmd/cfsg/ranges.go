package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

type rangesCommand struct {
	What string `arg:"" optional:"" enum:"list," default:"" help:"list: name all services."`
	rangeFlags
	outputFlags
	Raw           bool     `help:"The ranges as published, not merged."`
	Port          []string `placeholder:"PORTS" help:"Reckon with these ports (default 443)."`
	RulesPerGroup quota    `placeholder:"N" help:"Reckon with this quota (default 60)."`
}

// Run prints the ranges, and what they take.
func (c *rangesCommand) Run(ctx context.Context, t terminal) error {
	if c.What == "list" {
		return c.list(ctx, t)
	}
	ports, err := parsePorts(c.Port)
	if err != nil {
		return err
	}
	if ports == nil {
		ports = https
	}
	config, r, err := c.load(ctx, t)
	if err != nil {
		return err
	}
	prefixes := r.Merged()
	if c.Raw {
		prefixes = r.published()
	}
	d := newRangesDocument(r, config.Selection, prefixes, ports, cmp.Or(int(c.RulesPerGroup), engine.DefaultRulesPerGroup))
	if c.json() {
		return writeJSON(t.out, d)
	}
	if err := writeLines(t, prefixes); err != nil {
		return err
	}
	return d.writeSummary(t)
}

// writeLines writes prefixes to stdout, and nothing else.
func writeLines(t terminal, prefixes []netip.Prefix) error {
	w := bufio.NewWriter(t.out)
	for _, p := range prefixes {
		fmt.Fprintln(w, p)
	}
	return w.Flush()
}

// A rangesDocument is what cfsg ranges knows, in JSON: docs/schema/ranges.schema.json.
type rangesDocument struct {
	SyncToken   string       `json:"syncToken"`
	PublishedAt time.Time    `json:"publishedAt"`
	Services    []string     `json:"services"`
	Within      []string     `json:"within"`
	IPv4        rangesFamily `json:"ipv4"`
	IPv6        rangesFamily `json:"ipv6"`
	Ports       []string     `json:"ports"`
	Quota       int          `json:"rulesPerGroup"`
	Groups      int          `json:"groupsNeeded"`
	// Compact counts the rules of each port that the compact cover of CloudFront
	// takes; it is nil where that is not to be offered.
	Compact *engine.PerFamily `json:"compactCover"`
	Ranges  []netip.Prefix    `json:"ranges"`

	strangers string
}

type rangesFamily struct {
	Published int `json:"published"`
	Merged    int `json:"merged"`
	// Size counts addresses of IPv4, and /64 networks of IPv6.
	Size  uint64 `json:"size"`
	Rules int    `json:"rules"` // for all ports
	// Beyond is the part of Size that is not of the services, but taken in, and
	// BeyondEC2 the part of that which is in ranges of EC2.
	Beyond    uint64 `json:"beyond"`
	BeyondEC2 uint64 `json:"beyondEc2"`
}

func newRangesDocument(r ipRanges, selection iprange.Selection, prefixes []netip.Prefix, ports []secgroup.PortRange, quota int) rangesDocument {
	published4, published6 := ipspace.Split(r.published())
	beyond4, beyond6 := ipspace.Split(r.Beyond)
	ec2v4, ec2v6 := ipspace.Split(r.BeyondEC2)
	family := func(published, merged, beyond, ec2 []netip.Prefix) rangesFamily {
		return rangesFamily{
			len(published), len(merged), ipspace.Size(merged), len(merged) * len(ports), ipspace.Size(beyond), ipspace.Size(ec2),
		}
	}
	d := rangesDocument{
		SyncToken: r.SyncToken, PublishedAt: r.Published,
		Services: selection.Services, Within: append([]string{}, selection.Within...),
		IPv4: family(published4, r.IPv4, beyond4, ec2v4), IPv6: family(published6, r.IPv6, beyond6, ec2v6),
		Ports: portNames(ports), Quota: quota, Ranges: prefixes,
		strangers: engine.Strangers(r.Publication),
	}
	if compact := r.Compact(); len(compact) > 0 {
		ipv4, ipv6 := ipspace.Split(compact)
		d.Compact = &engine.PerFamily{IPv4: len(ipv4), IPv6: len(ipv6)}
	}
	d.Groups = d.groupsFor(d.IPv4.Rules, d.IPv6.Rules)
	return d
}

// groupsFor returns how many groups hold that many rules of each family. The
// quota holds for each apart, and a pool's groups share the rules of all ports.
func (d rangesDocument) groupsFor(ipv4, ipv6 int) int {
	return (max(ipv4, ipv6) + d.Quota - 1) / d.Quota
}

// writeSummary says on stderr what the ranges take: stdout is for the ranges.
func (d rangesDocument) writeSummary(t terminal) error {
	w := page.New(t.err, colorful(t.err))
	w.Line()
	selection := iprange.Selection{Services: d.Services, Within: d.Within}
	w.Line(w.Strong(selection.String()), fmt.Sprintf(" as published %s, sync token %s", d.PublishedAt.Format(time.RFC3339), d.SyncToken))
	w.Line()
	head := []string{"", "published", "merged", "covering"}
	rows := [][]string{
		{"IPv4", fmt.Sprint(d.IPv4.Published), fmt.Sprint(d.IPv4.Merged), addresses(d.IPv4.Size)},
		{"IPv6", fmt.Sprint(d.IPv6.Published), fmt.Sprint(d.IPv6.Merged), networks(d.IPv6.Size)},
	}
	if len(d.Within) > 0 {
		head[2] = "rules a port"
		head = append(head, "beyond "+strings.Join(d.Services, ", "))
		rows[0] = append(rows[0], addresses(d.IPv4.Beyond))
		rows[1] = append(rows[1], networks(d.IPv6.Beyond))
	}
	w.Table(head, rows)
	w.Line()
	w.Say("For port %s: %d IPv4 and %d IPv6 rules, which take %s of %d rules per family.", strings.Join(d.Ports, " "),
		d.IPv4.Rules, d.IPv6.Rules, countOf(d.Groups, "group", "groups"), d.Quota)
	if d.strangers != "" {
		w.Say("%s%s", w.Warn("! "), d.strangers)
	}
	if d.Compact != nil {
		ipv4, ipv6 := d.Compact.IPv4*len(d.Ports), d.Compact.IPv6*len(d.Ports)
		w.Line()
		w.Say("The compact cover lets in all servers that connect to origins, and nobody but CloudFront, with %d IPv4 and %d IPv6 rules, which take %s:",
			ipv4, ipv6, countOf(d.groupsFor(ipv4, ipv6), "group", "groups"))
		w.Line("  cfsg ranges --service ", iprange.CloudFrontOriginFacing, " --within ", iprange.CloudFront)
	}
	return w.Err()
}

func addresses(n uint64) string { return thousands(n) + " addresses" }
func networks(n uint64) string  { return thousands(n) + " /64 networks" }

// list prints all services.
func (c *rangesCommand) list(ctx context.Context, t terminal) error {
	if c.Raw || c.RulesPerGroup > 0 || len(c.Service)+len(c.Within)+len(c.Family)+len(c.Port) > 0 {
		return errors.New("list takes only --ip-ranges and --output: it lists all services, with both families")
	}
	_, r, err := c.load(ctx, t)
	if _, missing := errors.AsType[*iprange.MissingServiceError](err); err != nil && !missing {
		return err
	}
	services, err := iprange.Services(bytes.NewReader(r.document))
	if err != nil {
		return fmt.Errorf("read the ranges: %w", err)
	}
	d := servicesDocument{Services: []serviceCount{}}
	for _, s := range services {
		merged4, merged6 := ipspace.Split(iprange.Merge(slices.Concat(s.IPv4, s.IPv6)))
		d.Services = append(d.Services, serviceCount{
			s.Name,
			familyCount{len(s.IPv4), len(merged4), ipspace.Size(merged4)},
			familyCount{len(s.IPv6), len(merged6), ipspace.Size(merged6)},
		})
	}
	if c.json() {
		return writeJSON(t.out, d)
	}
	return d.write(t)
}

// A servicesDocument names all services of a file, in JSON:
// docs/schema/services.schema.json.
type servicesDocument struct {
	Services []serviceCount `json:"services"`
}

type serviceCount struct {
	Name string      `json:"name"`
	IPv4 familyCount `json:"ipv4"`
	IPv6 familyCount `json:"ipv6"`
}

type familyCount struct {
	Published int    `json:"published"`
	Merged    int    `json:"merged"`
	Size      uint64 `json:"size"`
}

func (d servicesDocument) write(t terminal) error {
	w := page.New(t.out, colorful(t.out))
	var rows [][]string
	for _, s := range d.Services {
		rows = append(rows, []string{
			s.Name, fmt.Sprint(s.IPv4.Published), fmt.Sprint(s.IPv4.Merged), thousands(s.IPv4.Size),
			fmt.Sprint(s.IPv6.Published), fmt.Sprint(s.IPv6.Merged), thousands(s.IPv6.Size),
		})
	}
	w.Table([]string{"service", "IPv4", "merged", "addresses", "IPv6", "merged", "/64 networks"}, rows)
	return w.Err()
}
