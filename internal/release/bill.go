package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// tidyBill makes a bill of materials of cyclonedx-gomod the same on every machine, by leaving out the hashes of the
// cyclonedx-gomod that wrote it, and adds the licences of docs/dependencies.md. Those that cyclonedx-gomod detects are
// wrong for golang.org/x, BSD-Source-Code, and missing for the standard library. See
// https://cyclonedx.org/docs/1.6/json/
func tidyBill(bill []byte, licenses map[string]string) ([]byte, error) {
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
	for _, c := range components {
		component, _ := c.(map[string]any)
		name, _ := component["name"].(string)
		id, ok := licenses[name]
		if !ok {
			return nil, fmt.Errorf("docs/dependencies.md lists no licence of %q: run make dependencies", name)
		}
		component["licenses"] = []any{map[string]any{"license": map[string]any{"id": id}}}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // package URLs have an &
	encoder.SetIndent("", "  ")
	err := encoder.Encode(document)
	return out.Bytes(), err
}

// readLicenses returns the licence of each module in the table of a page, and that of Go's standard library.
func readLicenses(path string) (map[string]string, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	licenses := map[string]string{"std": "BSD-3-Clause"} // https://go.dev/LICENSE
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			licenses[strings.TrimPrefix(cells[0], "| ")] = strings.TrimSuffix(strings.TrimSpace(cells[2]), " |")
		}
	}
	return licenses, nil
}

// tidyBills tidies the bills of materials in files.
func tidyBills(files []string) error {
	licenses, err := readLicenses("docs/dependencies.md")
	if err != nil {
		return err
	}
	for _, file := range files {
		bill, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if bill, err = tidyBill(bill, licenses); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(file, bill, 0o644); err != nil {
			return err
		}
	}
	return nil
}
