package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/export"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
)

// hostFlags say what a firewall or a server reads.
type hostFlags struct {
	rangeFlags
	Port          []string `placeholder:"PORTS" help:"The ports that are opened to the ranges, and to nobody else (default 443)."`
	Via           []string `placeholder:"CIDR" help:"Addresses that the load balancer in front of the host connects from."`
	ProxyProtocol bool     `help:"The load balancer names CloudFront's address by the PROXY protocol."`
}

type exportCommand struct {
	Format string `arg:"" optional:"" predictor:"format" help:"What the firewall or server reads."`
	hostFlags
}

// Run writes the ranges for a firewall or a server.
func (c *exportCommand) Run(ctx context.Context, t terminal) error {
	if c.Format == "" {
		return outputFlags{}.print(t, nil, listFormats)
	}
	format, in, err := c.input(c.Format)
	if err != nil {
		return err
	}
	if in.Admits(format) {
		return format.Write(t.out, in) // CloudFront's ranges are not in it
	}
	config, r, err := c.load(ctx, t)
	if err != nil {
		return err
	}
	in.Publication, in.Selection, in.TagKey = r.Publication, config.Selection, config.TagKey
	return format.Write(t.out, in)
}

// input returns a format, and what the flags say of it.
func (f hostFlags) input(name string) (export.Format, export.Input, error) {
	format, err := formatOf(name)
	if err != nil {
		return format, export.Input{}, err
	}
	ports, err := parsePorts(f.Port)
	if err != nil {
		return format, export.Input{}, err
	}
	via, err := parseVia(f.Via)
	switch {
	case err != nil:
	case ports != nil && !format.HasPorts:
		problem := fmt.Sprintf("--port=%s: %s is not about ports", strings.Join(f.Port, " "), format.Name)
		err = hint.New(problem, "leave --port out")
	case via != nil && format.NotForHosts:
		err = hint.New("--via: "+format.Name+" is not for a host behind a load balancer", "leave --via out")
	case f.ProxyProtocol && !format.HasProxy:
		err = hint.New("--proxy-protocol: not for "+format.Name,
			"nginx and haproxy have it; for others, --via lets in the load balancer")
	}
	if ports == nil {
		ports = https
	}
	return format, export.Input{Ports: ports, Via: via, ProxyProtocol: f.ProxyProtocol}, err
}

// parseVia reads where a load balancer connects from. The whole Internet is not a load balancer.
func parseVia(flag []string) (via []netip.Prefix, err error) {
	for word := range strings.FieldsSeq(strings.ReplaceAll(strings.Join(flag, " "), ",", " ")) {
		p, err := netip.ParsePrefix(word)
		if a, isAddress := netip.ParseAddr(word); isAddress == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p != p.Masked() || p.Bits() == 0 {
			return nil, hint.New("--via="+word+": not a range of a load balancer", "name its subnets, such as 10.0.0.0/16")
		}
		via = append(via, p)
	}
	return via, nil
}

// listFormats shows all formats.
func listFormats(w *page.Page) {
	var rows [][]string
	for _, f := range export.Formats {
		rows = append(rows, []string{f.Name, f.Summary})
	}
	w.Table([]string{"format", "what it is"}, rows)
}

func formatNames() []string {
	var names []string
	for _, f := range export.Formats {
		names = append(names, f.Name)
	}
	return names
}

// formatOf returns the format of a name.
func formatOf(name string) (export.Format, error) {
	names := formatNames()
	if i := slices.Index(names, name); i >= 0 {
		return export.Formats[i], nil
	}
	err := suggest(fmt.Errorf("%q is not a format", name), name, names)
	return export.Format{}, hint.With(err, "the formats are "+strings.Join(names, ", "))
}
