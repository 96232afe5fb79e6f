package main

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// document returns a file of a day of 2023 or later with as many ranges of CLOUDFRONT; all but the last have a server
// that connects to origins: none where there is one range only.
func document(day, ranges int) string {
	var entries []string
	for i := range ranges {
		entries = append(entries, fmt.Sprintf(`{"ip_prefix":"18.%d.0.0/16","service":"CLOUDFRONT"}`, 2*i))
		if i < ranges-1 {
			for _, third := range []int{1, 3} {
				entries = append(entries,
					fmt.Sprintf(`{"ip_prefix":"18.%d.%d.0/24","service":"CLOUDFRONT_ORIGIN_FACING"}`, 2*i, third))
			}
		}
	}
	return fmt.Sprintf(`{"syncToken":"%d","prefixes":[%s],"ipv6_prefixes":[]}`,
		1672531200+day*86400, strings.Join(entries, ","))
}

// The picture and the numbers agree with the documents, in any order.
func TestPicture(t *testing.T) {
	var out bytes.Buffer
	drawing := filepath.Join(t.TempDir(), "rules")
	documents := document(1000, 3) + document(0, 1) + "\n" + document(10, 70) + "\n" + document(20, 4) + "\n"
	if err := run(drawing, strings.NewReader(documents), &out); err != nil {
		t.Fatal(err)
	}
	svg := readFile(t, drawing+"-light.svg")
	if other := readFile(t, drawing+"-dark.svg"); colorless(other) != colorless(svg) || other == svg {
		t.Error("the pictures for light and dark pages differ in more than colours, or not at all")
	}
	numbers := strings.Join(strings.Fields(out.String()), " ")
	for text, wanted := range map[string][]string{
		// 70 ranges became 4 in ten days; the next file is too far away to count.
		numbers: {"CLOUDFRONT 3 70 0 0 196608 36.5", "the compact cover 2 69 0 0 131072 36.5", "from 2023-01-11 on"},
		svg: {
			">3  CLOUDFRONT<", ">4  CLOUDFRONT_ORIGIN_FACING<", ">2  the compact cover<",
			">2023<", ">2025<", ">0<", ">150<",
		},
	} {
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in %s", want, text)
			}
		}
	}
	// A year without a publication is not drawn as if nothing had happened.
	if n := strings.Count(svg, ` unknown"`); n != 3 {
		t.Errorf("%d dotted lines, want one for each list", n)
	}
	if strings.Contains(svg, ">2026<") || strings.Contains(svg, ">180<") {
		t.Error("an axis is longer than what is drawn")
	}
	checkDrawing(t, svg)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func colorless(svg string) string {
	return regexp.MustCompile("#[0-9a-f]{6}").ReplaceAllString(svg, "#")
}

// checkDrawing finds what no viewer could draw.
func checkDrawing(t *testing.T, svg string) {
	t.Helper()
	var drawing struct {
		Paths []struct{} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(svg), &drawing); err != nil || len(drawing.Paths) == 0 {
		t.Fatalf("%d lines are drawn, %v", len(drawing.Paths), err)
	}
}

// The pictures that are checked in are what the program draws from the published history, and README.md has its
// numbers.
func TestPictureIsCurrent(t *testing.T) {
	drawing := filepath.Join(t.TempDir(), "rules")
	var history []io.Reader
	for _, name := range []string{"cloudfront-history-2017-2024.jsonl.gz", "ip-ranges-2026-08-22.json.gz"} {
		file, err := os.Open("../../../shared/data/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skipf("the published history is not here: %v", err)
		}
		defer file.Close()
		unpacked, err := gzip.NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		history = append(history, unpacked)
	}
	var out bytes.Buffer
	if err := run(drawing, io.MultiReader(history...), &out); err != nil {
		t.Fatal(err)
	}
	for _, theme := range []string{"-light.svg", "-dark.svg"} {
		checkedIn := readFile(t, "../../docs/rules"+theme)
		if diff := cmp.Diff(checkedIn, readFile(t, drawing+theme)); diff != "" {
			t.Errorf("run make picture; - docs/rules%s, + what is drawn:\n%s", theme, diff)
		}
		checkDrawing(t, checkedIn)
	}
	readme := readFile(t, "../../README.md")
	for _, number := range regexp.MustCompile(`(?m)[\d.]+$`).FindAllString(strings.TrimSpace(out.String()), -1) {
		if !strings.Contains(readme, " | "+number+" | ") {
			t.Errorf("README.md does not have %s changes a year:\n%s", number, out.String())
		}
	}
}
