package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// What the function and the command are linked from is listed with its licence in docs/dependencies.md, as `make
// dependencies` writes it.
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
