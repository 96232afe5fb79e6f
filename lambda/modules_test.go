package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var updateSizes = flag.Bool("update-sizes", false, "record how much code of each module is in bootstrap, in testdata/sizes.json")

// sizesFile holds the bytes of code of each module in bootstrap as they were when they were last looked at: go test
// ./lambda -run BootstrapIsSmall -update-sizes.
var sizesFile = filepath.Join("testdata", "sizes.json")

// moduleSizes returns the bytes of code that each module brings into bootstrap, built for this machine with its
// symbols. Data and the tables of the runtime, which grow with the code, are not told apart by module.
func moduleSizes(t *testing.T) map[string]int64 {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.Command("go", "build", "-tags", "lambda.norpc,nethttpomithttp2", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	symbols, err := exec.Command("go", "tool", "nm", "-size", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(string(list))))
	sizes := map[string]int64{}
	for lines := bufio.NewScanner(bytes.NewReader(symbols)); lines.Scan(); {
		// address, size, kind, name; undefined symbols have no address
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.EqualFold(fields[2], "t") {
			continue
		}
		size, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		sizes[moduleOf(fields[3], modules)] += size
	}
	return sizes
}

// moduleOf returns the module that a symbol comes from.
func moduleOf(symbol string, modules []string) string {
	symbol = strings.TrimPrefix(strings.TrimPrefix(symbol, "type:."), "eq.")
	longest := "standard library and runtime"
	for _, m := range modules {
		if strings.HasPrefix(symbol, m+".") || strings.HasPrefix(symbol, m+"/") {
			longest = m // of a module and one nested in it the latter comes later
		}
	}
	return longest
}

// grown lists the modules that are larger than before, the worst first.
func grown(before, now map[string]int64) string {
	var b strings.Builder
	worst := slices.SortedFunc(maps.Keys(now), func(x, y string) int {
		return cmp.Compare(now[y]-before[y], now[x]-before[x])
	})
	for _, m := range worst {
		if more := now[m] - before[m]; more > 0 {
			fmt.Fprintf(&b, "  %+9d bytes, now %8d: %s\n", more, now[m], m)
		}
	}
	return b.String()
}

func recordedSizes(t *testing.T) map[string]int64 {
	t.Helper()
	text, err := os.ReadFile(sizesFile)
	if err != nil {
		t.Fatal(err)
	}
	var sizes map[string]int64
	if err := json.Unmarshal(text, &sizes); err != nil {
		t.Fatal(err)
	}
	return sizes
}

func recordSizes(t *testing.T, sizes map[string]int64) {
	t.Helper()
	text, err := json.MarshalIndent(sizes, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sizesFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGrown(t *testing.T) {
	got := grown(map[string]int64{"a": 100, "b": 50, "gone": 9}, map[string]int64{"a": 110, "b": 40, "new": 70})
	if want := "        +70 bytes, now       70: new\n        +10 bytes, now      110: a\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	modules := []string{"example.com/a", "example.com/a/b"}
	for symbol, want := range map[string]string{
		"example.com/a.F": "example.com/a", "example.com/a/c.(*T).F": "example.com/a", "example.com/a/b/d.F": "example.com/a/b",
		"type:.eq.example.com/a/b.T": "example.com/a/b", "example.com/abc.F": "standard library and runtime", "runtime.main": "standard library and runtime",
	} {
		if got := moduleOf(symbol, modules); got != want {
			t.Errorf("%s is of %s, not %s", symbol, got, want)
		}
	}
}
