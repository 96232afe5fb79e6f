// Package stack holds the CloudFormation templates and the code together: it has only tests, which fail where one says
// what the other does not. What is wrong in a template by itself, such as a reference to nothing, cfn-lint finds.
package stack

import (
	"fmt"
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
	value, err := plain(document.Content[0])
	if err != nil {
		return nil, err
	}
	return value.(map[string]any), nil
}

// plain returns the value of a YAML node.
func plain(n *yaml.Node) (any, error) {
	value, err := untagged(n)
	if err != nil || !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return value, err
	}
	switch name := n.Tag[1:]; name {
	case "Ref", "Condition":
		return map[string]any{name: value}, nil
	case "GetAtt":
		id, attribute, _ := strings.Cut(value.(string), ".")
		return map[string]any{"Fn::GetAtt": []any{id, attribute}}, nil
	default:
		return map[string]any{"Fn::" + name: value}, nil
	}
}

func untagged(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			value, err := plain(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			value, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			object[key] = value
		}
		return object, nil
	}
	// Among others an alias, which CloudFormation does not take:
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
	return nil, fmt.Errorf("line %d: CloudFormation does not support this kind of YAML node", n.Line)
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
