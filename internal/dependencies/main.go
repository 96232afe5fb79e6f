// Command dependencies writes the table of docs/dependencies.md: the modules that packages are linked from, with their
// licences.
//
//	dependencies PACKAGE...
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := writeTable(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dependencies:", err)
		os.Exit(1)
	}
}

// A module is one that a package is linked from.
type module struct {
	path, version string
	license       string // SPDX identifier
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

// modulesOf returns the modules that packages are linked from, but for the main module, in the order of their paths.
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

// identify tells a licence by sentences that only it has. It returns its SPDX identifier, see
// https://spdx.org/licenses/, or nothing.
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
