package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/export"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/secgroup"
)

type exportCommand struct {
	Format string `arg:"" optional:"" predictor:"format" help:"What the firewall or server reads."`
	rangeFlags
	Port []string `placeholder:"PORTS" help:"The ports that are opened to the ranges, and to nobody else (default 443)."`
}

// Run writes the ranges for a firewall or a server.
func (c *exportCommand) Run(ctx context.Context, t terminal) error {
	if c.Format == "" {
		return listFormats(t)
	}
	format, err := formatOf(c.Format)
	if err != nil {
		return err
	}
	ports, err := c.ports(format)
	if err != nil {
		return err
	}
	config, r, err := c.load(ctx, t)
	if err != nil {
		return err
	}
	return export.Write(t.out, format.Name, export.Input{
		Services: config.Selection.Services, Within: config.Selection.Within, SyncToken: r.SyncToken, Published: r.Published, IPv4: r.IPv4, IPv6: r.IPv6, Ports: ports, TagKey: config.TagKey,
	})
}

// listFormats prints all formats.
func listFormats(t terminal) error {
	w := page.New(t.out, colorful(t.out))
	var rows [][]string
	for _, f := range export.Formats {
		rows = append(rows, []string{f.Name, f.Summary})
	}
	w.Table([]string{"format", "what it is"}, rows)
	return w.Err()
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
	err := fmt.Errorf("%q is not a format", name)
	if near := nearest(name, names); near != "" {
		err = hint.With(err, fmt.Sprintf("did you mean %s?", near))
	}
	return export.Format{}, hint.With(err, "the formats are "+strings.Join(names, ", "))
}

func (c *exportCommand) ports(f export.Format) ([]secgroup.PortRange, error) {
	if !f.HasPorts && c.Port != nil {
		return nil, hint.New(fmt.Sprintf("--port=%s: %s is not about ports", strings.Join(c.Port, " "), f.Name), "leave --port out")
	}
	ports, err := parsePorts(c.Port)
	if ports == nil {
		ports = https
	}
	return ports, err
}
