package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// What the function and the command are linked from is listed with its licence
// in docs/dependencies.md, as `make dependencies` writes it.
func TestDependenciesAreListed(t *testing.T) {
	listed, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := writeTable(&table, []string{"../../lambda", "../../cmd/cfsg"}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(listed), "\n\n"+table.String()) {
		t.Errorf("docs/dependencies.md is out of date, run make dependencies; it should end with\n%s", table.String())
	}
}

// The bill of this test's own binary names the modules it has with their
// versions, checksums and licences.
func TestBill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(&out, false, []string{exe}); err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Spec != "1.6" || len(b.Components) == 0 || b.Components[0].Name != "stdlib" {
		t.Errorf("bill %+v", b)
	}
	for _, c := range b.Components[1:] {
		if c.Version == "" || len(c.Licenses) != 1 || c.Licenses[0].License.ID == "" || !strings.HasPrefix(c.Properties[0].Value, "h1:") {
			t.Errorf("component %+v", c)
		}
	}
}

func TestIdentify(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                             "Apache-2.0",
		"Permission is hereby granted, free\nof charge, to":                        "MIT",
		"Mozilla Public License, version 2.0":                                      "MPL-2.0",
		"Redistribution and use in source and binary forms,":                       "BSD-2-Clause",
		"Redistribution and use in source and binary forms, … Neither the name of": "BSD-3-Clause",
		"All rights reserved.":                                                     "",
	} {
		if got := identify([]byte(text)); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}
