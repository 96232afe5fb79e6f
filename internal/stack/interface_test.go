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
			object, ok := v.(map[string]any)
			if !ok {
				return
			}
			for name, argument := range object {
				u.note(name, argument)
			}
		})
	}
	return u
}

func (u used) note(name string, argument any) {
	list, _ := argument.([]any)
	switch name {
	case "Ref":
		u.refs[argument.(string)] = true
	case "Fn::GetAtt":
		u.attributes[list[0].(string)] = true
	case "DependsOn":
		if one, ok := argument.(string); ok {
			list = []any{one}
		}
		for _, id := range list {
			u.attributes[id.(string)] = true
		}
	case "Fn::Sub":
		u.noteSub(argument)
	}
}

// noteSub notes the references of a !Sub, except its own variables.
func (u used) noteSub(argument any) {
	text, own := argument, map[string]any{}
	if list, ok := argument.([]any); ok {
		text, own = list[0], list[1].(map[string]any)
	}
	for _, found := range placeholder.FindAllStringSubmatch(text.(string), -1) {
		if id, _, ok := strings.Cut(found[1], "."); ok {
			u.attributes[id] = true
		} else if _, ok := own[found[1]]; !ok {
			u.refs[found[1]] = true
		}
	}
}

// checkInterface finds parameters that the console would show without a group, a label or a description, that nothing
// uses, and bounds without a word on them.
func checkInterface(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
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
		if listed[name] != 1 {
			report("parameter %s is in %d groups", name, listed[name])
		}
		if get(labels[name], "default") == nil {
			report("parameter %s has no label", name)
		}
		if !used[name] {
			report("nothing uses the parameter %s", name)
		}
		if get(parameter, "Description") == nil {
			report("parameter %s has no description", name)
		}
		if get(parameter, "AllowedPattern") != nil && get(parameter, "ConstraintDescription") == nil {
			report("parameter %s has a pattern and no words for it", name)
		}
		if get(parameter, "Default") == nil {
			report("parameter %s has no default", name)
		}
	}
}
