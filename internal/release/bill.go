package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// tidyBill makes a bill of materials of cyclonedx-gomod the same on every machine, by leaving out the hashes of the
// cyclonedx-gomod that wrote it, and adds the licences of docs/dependencies.md: cyclonedx-gomod finds few of them, and
// takes golang.org/x for BSD-Source-Code. See https://cyclonedx.org/docs/1.6/json/
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
		delete(component, "licenses")
	}
	addLicense(modules["std"], "BSD-3-Clause") // https://go.dev/LICENSE
	for line := range strings.Lines(page) {
		if cells := strings.Split(strings.Trim(line, "| \n"), " | "); len(cells) == 3 {
			addLicense(modules[moduleOf(modules, cells[0])], cells[2])
		}
	}
	for name, component := range modules {
		if component["licenses"] == nil {
			return nil, fmt.Errorf("docs/dependencies.md lists no licence of %q: run make dependencies", name)
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // package URLs have an &
	encoder.SetIndent("", "  ")
	err := encoder.Encode(document)
	return out.Bytes(), err
}

// moduleOf returns the module that a package is part of, the longest that begins its path, or "".
func moduleOf(modules map[string]map[string]any, path string) string {
	longest := ""
	for name := range modules {
		if len(name) > len(longest) && strings.HasPrefix(path+"/", name+"/") {
			longest = name
		}
	}
	return longest
}

// addLicense adds a licence to a component, if there is one and it has not got it yet.
func addLicense(component map[string]any, id string) {
	if component == nil {
		return
	}
	licenses, _ := component["licenses"].([]any)
	license := map[string]any{"license": map[string]any{"id": id}}
	if !slices.ContainsFunc(licenses, func(l any) bool { return fmt.Sprint(l) == fmt.Sprint(license) }) {
		component["licenses"] = append(licenses, license)
	}
}
