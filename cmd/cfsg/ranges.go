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
	d := newRangesDocument(r, config.Selection.Services, prefixes, ports, cmp.Or(int(c.RulesPerGroup), engine.DefaultRulesPerGroup))
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
	SyncToken   string         `json:"syncToken"`
	PublishedAt time.Time      `json:"publishedAt"`
	Services    []string       `json:"services"`
	IPv4        rangesFamily   `json:"ipv4"`
	IPv6        rangesFamily   `json:"ipv6"`
	Ports       []string       `json:"ports"`
	Quota       int            `json:"rulesPerGroup"`
	Groups      int            `json:"groupsNeeded"`
	Ranges      []netip.Prefix `json:"ranges"`
}

type rangesFamily struct {
	Published int `json:"published"`
	Merged    int `json:"merged"`
	// Size counts addresses of IPv4, and /64 networks of IPv6.
	Size  uint64 `json:"size"`
	Rules int    `json:"rules"` // for all ports
}

func newRangesDocument(r ipRanges, services []string, prefixes []netip.Prefix, ports []secgroup.PortRange, quota int) rangesDocument {
	published4, published6 := ipspace.Split(r.published())
	family := func(published, merged []netip.Prefix) rangesFamily {
		return rangesFamily{len(published), len(merged), ipspace.Size(merged), len(merged) * len(ports)}
	}
	d := rangesDocument{
		SyncToken: r.SyncToken, PublishedAt: r.Published, Services: services,
		IPv4: family(published4, r.IPv4), IPv6: family(published6, r.IPv6),
		Ports: portNames(ports), Quota: quota, Ranges: prefixes,
	}
	// The quota holds for each family apart, and a pool's groups share the
	// rules of all ports.
	d.Groups = (max(d.IPv4.Rules, d.IPv6.Rules) + quota - 1) / quota
	return d
}

// writeSummary says on stderr what the ranges take: stdout is for the ranges.
func (d rangesDocument) writeSummary(t terminal) error {
	w := page.New(t.err, colorful(t.err))
	w.Line()
	w.Line(w.Strong(strings.Join(d.Services, ", ")), fmt.Sprintf(" as published %s, sync token %s", d.PublishedAt.Format(time.RFC3339), d.SyncToken))
	w.Line()
	w.Table([]string{"", "published", "merged", "covering"}, [][]string{
		{"IPv4", fmt.Sprint(d.IPv4.Published), fmt.Sprint(d.IPv4.Merged), addresses(d.IPv4.Size)},
		{"IPv6", fmt.Sprint(d.IPv6.Published), fmt.Sprint(d.IPv6.Merged), networks(d.IPv6.Size)},
	})
	w.Line()
	w.Say("For port %s: %d IPv4 and %d IPv6 rules, which take %s of %d rules per family.", strings.Join(d.Ports, " "),
		d.IPv4.Rules, d.IPv6.Rules, countOf(d.Groups, "group", "groups"), d.Quota)
	return w.Err()
}

func addresses(n uint64) string { return thousands(n) + " addresses" }
func networks(n uint64) string  { return thousands(n) + " /64 networks" }

// list prints all services.
func (c *rangesCommand) list(ctx context.Context, t terminal) error {
	if c.Raw || c.RulesPerGroup > 0 || len(c.Service)+len(c.Family)+len(c.Port) > 0 {
		return usageError{errors.New("list takes no flags but --ip-ranges and --output: it names all services, with both families")}
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
