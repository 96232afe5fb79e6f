// Package stack holds the CloudFormation templates and the code together: it has only tests, which fail where one says
// what the other does not. What is wrong in a template by itself, such as a reference to nothing, cfn-lint finds.
package stack

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// A template is a CloudFormation template. Its scalars are strings, and its functions have their long form: !Ref X is
// {"Ref": "X"}, !Sub X is {"Fn::Sub": "X"}.
type template map[string]any

// parseTemplate parses a template.
func parseTemplate(text string) (template, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, err
	}
	expand(&document)
	var parsed map[string]any
	err := document.Decode(&parsed)
	return parsed, err
}

// expand gives functions their long form, and makes all scalars strings.
func expand(n *yaml.Node) {
	for _, inner := range n.Content {
		expand(inner)
	}
	name, short := strings.CutPrefix(n.Tag, "!")
	short = short && !strings.HasPrefix(name, "!")
	if n.Kind == yaml.ScalarNode {
		n.Tag = "!!str"
	} else if short {
		n.Tag = ""
	}
	if !short {
		return
	}
	argument := *n
	switch name {
	case "Ref", "Condition":
	case "GetAtt":
		id, attribute, _ := strings.Cut(n.Value, ".")
		argument = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{scalar(id), scalar(attribute)}}
		fallthrough
	default:
		name = "Fn::" + name
	}
	*n = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar(name), &argument}}
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// section returns a top-level section, such as Resources; it may be missing.
func (t template) section(name string) map[string]any {
	section, _ := t[name].(map[string]any)
	return section
}

// get returns the value at a path, or nil.
func get(v any, path ...string) any {
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
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
