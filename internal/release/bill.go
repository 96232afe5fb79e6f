package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
)

// A row of docs/dependencies.md is a package, its version and its licence.
var row = regexp.MustCompile(`(?m)^\| (\S+) \| \S+ \| (\S+) \|$`)

// tidyBill makes a bill of materials of cyclonedx-gomod equal on every machine: it removes the hashes of the
// cyclonedx-gomod that wrote it, and the platform of each component, which is this machine's. It adds the licences of
// docs/dependencies.md: cyclonedx-gomod finds few of them, and mistakes golang.org/x for BSD-Source-Code. See
// https://cyclonedx.org/docs/1.6/json/
func tidyBill(file string) error {
	bill, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		return err
	}
	if bill, err = tidied(bill, string(page)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, bill, 0o644)
}

func tidied(bill []byte, page string) ([]byte, error) {
	bill = regexp.MustCompile(`goarch=\w+(&|\\u0026)goos=\w+(&|\\u0026)`).ReplaceAll(bill, nil)
	var document map[string]any
	if err := json.Unmarshal(bill, &document); err != nil {
		return nil, err
	}
	metadata, _ := document["metadata"].(map[string]any)
	tools, _ := metadata["tools"].([]any)
	for _, tool := range tools {
		if tool, ok := tool.(map[string]any); ok {
			delete(tool, "hashes")
		}
	}
	components, _ := document["components"].([]any)
	modules := map[string]map[string]any{}
	for _, c := range components {
		component, _ := c.(map[string]any)
		name, _ := component["name"].(string)
		modules[name] = component
	}
	licenses := map[string][]string{"std": {"BSD-3-Clause"}} // https://go.dev/LICENSE
	for _, cells := range row.FindAllStringSubmatch(page, -1) {
		module := cells[1] // the longest module path that the package path begins with
		for modules[module] == nil && module != "." {
			module = path.Dir(module)
		}
		licenses[module] = append(licenses[module], cells[2])
	}
	for name, component := range modules {
		if licenses[name] == nil {
			return nil, fmt.Errorf("docs/dependencies.md lists no licence of %q: run make dependencies", name)
		}
		var list []any
		for _, id := range slices.Compact(slices.Sorted(slices.Values(licenses[name]))) {
			list = append(list, map[string]any{"license": map[string]any{"id": id}})
		}
		component["licenses"] = list
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // package URLs have an &
	encoder.SetIndent("", "  ")
	err := encoder.Encode(document)
	return out.Bytes(), err
}
