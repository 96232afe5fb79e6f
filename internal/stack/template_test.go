// Package stack holds the CloudFormation templates and the code together: it has only tests, which fail where one says
// what the other does not. What is wrong in a template by itself, such as a reference to nothing, cfn-lint finds.
package stack

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// The files that have to agree with each other and with the code.
const (
	mainFile    = "template.yaml"
	memberFile  = "docs/member-role.yaml"
	starterFile = "docs/starter-groups.yaml"
	forwardFile = "docs/forward-changes.yaml"

	alarmsFile       = "docs/alarms.md"
	referenceFile    = "docs/reference.md"
	organizationFile = "docs/organization.md"
)

// read returns the text of a file of the project.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// same reports how what there is differs from what is wanted.
func same(t *testing.T, what string, want, got any, options ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Errorf("%s: -want +got\n%s", what, diff)
	}
}

// A template is a CloudFormation template. Its scalars are strings, and its functions have their long form: !Ref X is
// {"Ref": "X"}, !Sub X is {"Fn::Sub": "X"}.
type template map[string]any

// readTemplate returns a template of the project.
func readTemplate(t *testing.T, name string) template {
	t.Helper()
	return parseTemplate(t, read(t, name))
}

func mainTemplate(t *testing.T) template {
	t.Helper()
	return readTemplate(t, mainFile)
}

func parseTemplate(t *testing.T, text string) template {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return decode(document.Content[0]).(map[string]any)
}

// decode returns the value of a node.
func decode(n *yaml.Node) any {
	var value any = n.Value
	switch n.Kind {
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, decode(item))
		}
		value = list
	case yaml.MappingNode:
		object := map[string]any{}
		for pair := range slices.Chunk(n.Content, 2) {
			object[pair[0].Value] = decode(pair[1])
		}
		value = object
	}
	name, short := strings.CutPrefix(n.Tag, "!")
	switch {
	case !short || strings.HasPrefix(name, "!"):
		return value
	case name == "GetAtt":
		id, attribute, _ := strings.Cut(n.Value, ".")
		value = []any{id, attribute}
	}
	if name != "Ref" && name != "Condition" {
		name = "Fn::" + name
	}
	return map[string]any{name: value}
}

// get returns the value at a path, where a number leads into a list, or nil.
func get(v any, path ...string) any {
	for _, step := range path {
		switch outer := v.(type) {
		case map[string]any:
			v = outer[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(outer) {
				return nil
			}
			v = outer[i]
		default:
			return nil
		}
	}
	return v
}

// section returns a top-level section, such as Resources; it may be missing.
func (t template) section(name string) map[string]any {
	section, _ := t[name].(map[string]any)
	return section
}

// resource returns a resource, or a property of it.
func (t template) resource(id string, path ...string) any {
	return get(t.section("Resources")[id], path...)
}

// ofType returns the logical IDs of the resources of a type.
func (t template) ofType(kind string) []string {
	var ids []string
	for id, r := range t.section("Resources") {
		if get(r, "Type") == kind {
			ids = append(ids, id)
		}
	}
	return ids
}

// walk visits every value of a document, the outer before the inner.
func walk(v any, visit func(any)) {
	visit(v)
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			walk(inner, visit)
		}
	case []any:
		for _, inner := range v {
			walk(inner, visit)
		}
	}
}

// texts returns a string, or a list of strings, as a list.
func texts(v any) []string {
	if one, ok := v.(string); ok {
		return []string{one}
	}
	items, _ := v.([]any)
	var list []string
	for _, item := range items {
		list = append(list, item.(string))
	}
	return list
}

// usedIn collects the parameters and resources that a value refers to.
func usedIn(v any) map[string]bool {
	used := map[string]bool{}
	walk(v, func(v any) {
		for _, names := range []any{get(v, "Ref"), get(v, "Fn::GetAtt", "0"), get(v, "DependsOn")} {
			for _, name := range texts(names) {
				used[name] = true
			}
		}
		text := get(v, "Fn::Sub")
		if _, ok := text.([]any); ok {
			text = get(text, "0")
		}
		for _, text := range texts(text) {
			for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
				name, _, _ := strings.Cut(found[1], ".")
				used[name] = true
			}
		}
	})
	return used
}
