// Command sbom lists what a Go program was linked from: as a CycloneDX bill of
// materials of a binary, or as the table of docs/dependencies.md.
//
//	sbom BINARY
//	sbom -table PACKAGE...
package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	table := flag.Bool("table", false, "write a Markdown table of the modules that packages are linked from")
	flag.Parse()
	if err := run(os.Stdout, *table, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, table bool, args []string) error {
	switch {
	case table && len(args) > 0:
		return writeTable(w, args)
	case !table && len(args) == 1:
		return writeBill(w, args[0])
	}
	return errors.New("usage: sbom BINARY, or sbom -table PACKAGE…")
}

// A module is one that a program is linked from.
type module struct {
	path, version string
	sum           string // as go.sum has it; empty where it is not known
	license       string // SPDX identifier
}

// bill is a CycloneDX document, as far as it is used here. See
// https://cyclonedx.org/docs/1.6/json/
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	URL        string     `json:"purl,omitempty"`
	Licenses   []license  `json:"licenses,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// writeBill writes the bill of materials of a binary.
func writeBill(w io.Writer, binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	b := bill{Format: "CycloneDX", Spec: "1.6", Version: 1}
	b.Metadata.Component = component{Type: "application", Name: info.Path}
	b.Components = []component{{Type: "library", Name: "stdlib", Version: info.GoVersion, URL: "pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")}}
	for _, dep := range info.Deps {
		m := module{path: dep.Path, version: dep.Version, sum: dep.Sum}
		if dep.Replace != nil {
			m = module{path: dep.Replace.Path, version: dep.Replace.Version, sum: dep.Replace.Sum}
		}
		if m.license, err = licenseOf(m.path, m.version); err != nil {
			return err
		}
		c := component{Type: "library", Name: m.path, Version: m.version, URL: "pkg:golang/" + m.path + "@" + m.version}
		var l license
		l.License.ID = m.license
		c.Licenses = []license{l}
		c.Properties = []property{{"go.sum", m.sum}}
		b.Components = append(b.Components, c)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

// writeTable writes a table of the modules that packages are linked from.
func writeTable(w io.Writer, packages []string) error {
	modules, err := modulesOf(packages)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "| module | version | licence |")
	fmt.Fprintln(w, "|---|---|---|")
	for _, m := range modules {
		fmt.Fprintf(w, "| %s | %s | %s |\n", m.path, m.version, m.license)
	}
	return nil
}

// modulesOf returns the modules that packages are linked from, but for the main
// module, in the order of their paths.
func modulesOf(packages []string) ([]module, error) {
	args := append([]string{"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}"}, packages...)
	out, err := goCommand("linux", args...)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	var modules []module
	for _, line := range slices.Compact(lines) {
		path, version, found := strings.Cut(line, " ")
		if !found {
			continue
		}
		l, err := licenseOf(path, version)
		if err != nil {
			return nil, err
		}
		modules = append(modules, module{path: path, version: version, license: l})
	}
	return modules, nil
}

// licenseOf returns the SPDX identifier of the licence that a module comes with.
func licenseOf(path, version string) (string, error) {
	out, err := goCommand("", "mod", "download", "-json", path+"@"+version)
	if err != nil {
		return "", err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return "", err
	}
	var files []string
	for _, name := range []string{"LICEN[SC]E*", "COPYING*"} {
		found, err := filepath.Glob(filepath.Join(downloaded.Dir, name))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s@%s has no licence file", path, version)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return "", err
	}
	id := identify(text)
	if id == "" {
		return "", fmt.Errorf("%s@%s: %s is none of the licences known here", path, version, files[0])
	}
	return id, nil
}

// identify tells a licence by sentences that only it has. It returns its SPDX
// identifier, see https://spdx.org/licenses/, or nothing.
func identify(text []byte) string {
	words := []byte(strings.Join(strings.Fields(string(text)), " "))
	has := func(s string) bool { return bytes.Contains(words, []byte(s)) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0"
	case has("Mozilla Public License") && has("2.0"):
		return "MPL-2.0"
	case has("Permission is hereby granted, free of charge"):
		return "MIT"
	case has("Redistribution and use in source and binary forms") && has("Neither the name"):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	}
	return ""
}

// goCommand runs the go command, for an operating system if one is named.
func goCommand(goos string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Env = os.Environ()
	if goos != "" {
		cmd.Env = append(cmd.Env, "GOOS="+goos)
	}
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, failed.Stderr)
	}
	return out, err
}
