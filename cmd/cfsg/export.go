package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/export"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
)

// hostFlags say what a firewall or a server reads.
type hostFlags struct {
	rangeFlags
	Port []string `placeholder:"PORTS" help:"The ports that are opened to the ranges, and to nobody else (default 443)."`
}

type exportCommand struct {
	Format string `arg:"" optional:"" predictor:"format" help:"What the firewall or server reads."`
	hostFlags
}

// Run writes the ranges for a firewall or a server.
func (c *exportCommand) Run(ctx context.Context, t terminal) error {
	if c.Format == "" {
		return listFormats(t)
	}
	format, in, err := c.input(c.Format)
	if err != nil {
		return err
	}
	config, r, err := c.load(ctx, t)
	if err != nil {
		return err
	}
	return export.Write(t.out, format.Name, in.With(config, r.Publication))
}

// input returns a format, and what the flags say of it.
func (f hostFlags) input(name string) (export.Format, export.Input, error) {
	format, err := formatOf(name)
	if err != nil {
		return format, export.Input{}, err
	}
	ports, err := parsePorts(f.Port)
	switch {
	case err != nil:
		return format, export.Input{}, err
	case ports == nil:
		ports = https
	case !format.HasPorts:
		return format, export.Input{}, hint.New(fmt.Sprintf("--port=%s: %s is not about ports", strings.Join(f.Port, " "), format.Name), "leave --port out")
	}
	return format, export.Input{Ports: ports}, nil
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
