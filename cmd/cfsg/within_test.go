package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/page"
)

// The figures of README's first screen are what cfsg ranges says of the file of that day.
func TestReadmeFigures(t *testing.T) {
	const file = "../../../shared/data/ip-ranges-2026-08-22.json.gz"
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the real file is not here: %v", err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ flags, fits, more string }{
		{"--service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT", "PORTS", ", all of them CloudFront's"},
		{"--service CLOUDFRONT", "none: a port takes GROUPS groups", ""},
		{"--service CLOUDFRONT_ORIGIN_FACING", "PORTS", ""},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"ranges", "-o", "json", "--ip-ranges", file}, strings.Fields(test.flags)...)
		if code := run(t.Context(), args, terminal{strings.NewReader(""), &out, &errs}); code != exitOK {
			t.Fatalf("%s: %s", test.flags, errs.String())
		}
		var d document.Ranges
		if err := json.Unmarshal(out.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		fits := strings.NewReplacer("PORTS", fmt.Sprint(d.Quota/d.IPv4.Rules), "GROUPS", fmt.Sprint(d.Groups)).Replace(test.fits)
		row := fmt.Sprintf("| %d | %s | %s%s |", d.IPv4.Rules, fits, page.Thousands(d.IPv4.Size), test.more)
		if !strings.Contains(string(readme), row) {
			t.Errorf("%s: README has no %q", test.flags, row)
		}
		if d.IPv4.BeyondEC2+d.IPv6.BeyondEC2 > 0 {
			t.Errorf("%s: %d addresses of EC2", test.flags, d.IPv4.BeyondEC2)
		}
	}
}
