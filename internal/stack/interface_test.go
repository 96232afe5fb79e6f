package stack

import (
	"strings"
	"testing"
)

// used is what a template refers to: by name, and as another resource or its attribute.
type used struct{ refs, attributes map[string]bool }

// usedIn collects what the values refer to.
func usedIn(values ...any) used {
	u := used{map[string]bool{}, map[string]bool{}}
	for _, v := range values {
		walk(v, func(v any) {
			if ref, ok := get(v, "Ref").(string); ok {
				u.refs[ref] = true
			}
			if attribute, ok := get(v, "Fn::GetAtt").([]any); ok {
				u.attributes[attribute[0].(string)] = true
			}
			for _, id := range texts(get(v, "DependsOn")) {
				u.attributes[id] = true
			}
			text, own := get(v, "Fn::Sub"), map[string]any{}
			if list, ok := text.([]any); ok {
				text, own = list[0], list[1].(map[string]any)
			}
			if text == nil {
				return
			}
			for _, found := range placeholder.FindAllStringSubmatch(text.(string), -1) {
				if id, _, ok := strings.Cut(found[1], "."); ok {
					u.attributes[id] = true
				} else if own[found[1]] == nil {
					u.refs[found[1]] = true
				}
			}
		})
	}
	return u
}

// TestParametersAreShown finds parameters that the console would show without a group, a label or a description, that nothing
// uses, and bounds without a word on them.
func TestParametersAreShown(t *testing.T) {
	s := mainTemplate(t)
	interfaceOf := get(map[string]any(s), "Metadata", "AWS::CloudFormation::Interface")
	listed := map[string]int{}
	for _, group := range get(interfaceOf, "ParameterGroups").([]any) {
		for _, name := range get(group, "Parameters").([]any) {
			listed[name.(string)]++
		}
	}
	labels := get(interfaceOf, "ParameterLabels").(map[string]any)
	used := usedIn(s.section("Resources"), s.section("Outputs"), s.section("Conditions"), s.section("Rules")).refs
	for name, parameter := range s.section("Parameters") {
		for problem, found := range map[string]bool{
			"is not in one group": listed[name] != 1,
			"has no label":        get(labels[name], "default") == nil,
			"is used by nothing":  !used[name],
			"has no description":  get(parameter, "Description") == nil,
			"has a pattern but no words": get(parameter, "AllowedPattern") != nil &&
				get(parameter, "ConstraintDescription") == nil,
			"has no default, so must be set": get(parameter, "Default") == nil,
		} {
			if found {
				t.Errorf("parameter %s %s", name, problem)
			}
		}
	}
}
