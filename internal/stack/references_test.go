package stack

import (
	"slices"
	"strings"
	"testing"
)

// generated are the resources that SAM makes of the function, which a template may refer to. See
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources-function.html
var generated = []string{"SyncFunctionEventInvokeConfig"}

// used is what a template refers to.
type used struct{ refs, attributes, conditions, mappings map[string]bool }

// usedIn collects what the values refer to.
func usedIn(values ...any) used {
	u := used{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
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
	case "Condition", "RuleCondition":
		if name, ok := argument.(string); ok { // otherwise the condition of a policy's statement
			u.conditions[name] = true
		}
	case "Fn::If":
		u.conditions[list[0].(string)] = true
	case "Fn::FindInMap":
		u.mappings[list[0].(string)] = true
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

// noteSub notes what a !Sub refers to, but for the variables of its own.
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
	for name := range own {
		if !strings.Contains(text.(string), "${"+name+"}") {
			u.refs["${"+name+"}, which its text does not use"] = true
		}
	}
}

// checkReferences finds references to what does not exist, and what exists and is not referred to.
func checkReferences(t *testing.T, f files, report func(string, ...any)) {
	for _, name := range []string{mainFile, memberFile, starterFile} {
		s := f.template(t, name)
		resources, parameters := s.section("Resources"), s.section("Parameters")
		u := usedIn(s.section("Resources"), s.section("Outputs"), s.section("Conditions"), s.section("Rules"))
		for id := range u.refs {
			if resources[id] == nil && parameters[id] == nil && !strings.HasPrefix(id, "AWS::") {
				report("%s refers to %s, which is neither resource nor parameter", name, id)
			}
		}
		for id := range u.attributes {
			if resources[id] == nil && !slices.Contains(generated, id) {
				report("%s refers to the resource %s, which there is none of", name, id)
			}
		}
		for parameter := range parameters {
			if !u.refs[parameter] {
				report("%s does not use its parameter %s", name, parameter)
			}
		}
		checkNames(report, name, "condition", u.conditions, s.section("Conditions"))
		checkNames(report, name, "mapping", u.mappings, s.section("Mappings"))
	}
}

func checkNames(report func(string, ...any), file, kind string, used map[string]bool, defined map[string]any) {
	for name := range used {
		if defined[name] == nil {
			report("%s refers to the %s %s, which there is none of", file, kind, name)
		}
	}
	for name := range defined {
		if !used[name] {
			report("%s does not use its %s %s", file, kind, name)
		}
	}
}

// checkInterface finds parameters that the console would show without a group, a label or a description, and bounds
// without a word on them.
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
	for name, parameter := range s.section("Parameters") {
		if listed[name] != 1 {
			report("parameter %s is in %d groups", name, listed[name])
		}
		if get(labels[name], "default") == nil {
			report("parameter %s has no label", name)
		}
		if get(parameter, "Description") == nil {
			report("parameter %s has no description", name)
		}
		if get(parameter, "AllowedPattern") != nil && get(parameter, "ConstraintDescription") == nil {
			report("parameter %s has a pattern and no words for it", name)
		}
		value, ok := get(parameter, "Default").(string)
		if !ok {
			report("parameter %s has no default", name)
		} else if !s.accepts(name, value) {
			report("parameter %s refuses its own default %q", name, value)
		}
	}
	for name := range listed {
		if s.section("Parameters")[name] == nil {
			report("a group of parameters lists %s, which there is none of", name)
		}
	}
}
