package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
)

// writeLines writes prefixes to stdout, and nothing else.
func writeLines(t terminal, prefixes []netip.Prefix) error {
	w := bufio.NewWriter(t.out)
	for _, p := range prefixes {
		fmt.Fprintln(w, p)
	}
	return w.Flush()
}

// writeSummary says on stderr how many rules the ranges take: stdout is for the ranges. The command compact shows those
// of the compact cover.
func writeSummary(t terminal, d *document.Ranges, strangers string, compact []string) error {
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
	w.Say("For %s: %d IPv4 and %d IPv6 rules, which take %s of %d rules per family.", words.Ports(d.Ports),
		d.IPv4.Rules, d.IPv6.Rules, words.Count(d.Groups, "group"), d.Quota)
	if strangers != "" {
		w.Say("%s%s", w.Warn("! "), strangers)
	}
	if d.Compact != nil {
		ipv4, ipv6 := d.Compact.IPv4*len(d.Ports), d.Compact.IPv6*len(d.Ports)
		w.Line()
		w.Say("The compact cover lets in all servers that connect to origins, and nobody but CloudFront, with %d IPv4 and %d IPv6 rules, which take %s:",
			ipv4, ipv6, words.Count(d.GroupsFor(ipv4, ipv6), "group"))
		w.Indent(2)
		w.Command(shellWords(compact)...)
	}
	return w.Err()
}

func addresses(n uint64) string { return thousands(n) + " addresses" }

func networks(n uint64) string { return thousands(n) + " /64 networks" }

// writeServices shows all services.
func writeServices(t terminal, d document.Services) error {
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
