package stack

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A deployment is a template with values for its parameters: what CloudFormation makes of it.
type deployment struct {
	template   template
	parameters map[string]any // AWS's own as well
}

const (
	accountID = "111122223333"
	stackName = "cloudfront-sg-sync"
)

// noValue is what AWS::NoValue evaluates to: what is set to it is not there.
type noValue struct{}

// deploy returns a deployment to us-east-1, with the parameters that are not at their defaults.
func deploy(t template, parameters map[string]string) *deployment {
	d := &deployment{t, map[string]any{
		"AWS::Region": "us-east-1", "AWS::Partition": "aws", "AWS::AccountId": accountID, "AWS::NoValue": noValue{},
		"AWS::StackName": stackName,
		"AWS::StackId":   "arn:aws:cloudformation:us-east-1:" + accountID + ":stack/" + stackName + "/51af3dc0",
	}}
	for name, parameter := range t.section("Parameters") {
		d.parameters[name], _ = get(parameter, "Default").(string)
	}
	for name, value := range parameters {
		d.parameters[name] = value
	}
	return d
}

// ref returns what !Ref does. Of a resource it returns its logical ID in angle brackets.
func (d *deployment) ref(name string) any {
	if value, ok := d.parameters[name]; ok {
		return value
	}
	return "<" + name + ">"
}

// eval evaluates the functions and conditions in a value.
func (d *deployment) eval(v any) any {
	switch v := v.(type) {
	case []any:
		list := []any{}
		for _, item := range v {
			if item := d.eval(item); item != (noValue{}) {
				list = append(list, item)
			}
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for name, item := range v {
			if len(v) == 1 && (name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::")) {
				return d.call(name, item)
			}
			if item := d.eval(item); item != (noValue{}) {
				object[name] = item
			}
		}
		return object
	}
	return v
}

// call evaluates a function or a condition.
func (d *deployment) call(name string, argument any) any {
	list, _ := argument.([]any)
	switch name {
	case "Ref":
		return d.ref(argument.(string))
	case "Fn::GetAtt":
		return fmt.Sprintf("<%s.%s>", list...)
	case "Fn::Sub":
		return d.substitute(argument)
	case "Fn::Join":
		return strings.Join(texts(d.eval(list[1])), list[0].(string))
	case "Fn::Split":
		items := []any{}
		for item := range strings.SplitSeq(d.eval(list[1]).(string), list[0].(string)) {
			items = append(items, item)
		}
		return items
	case "Fn::Select":
		return d.eval(list[1]).([]any)[number(list[0].(string))]
	case "Fn::FindInMap":
		return get(d.template.section("Mappings"), list[0].(string), d.eval(list[1]).(string), list[2].(string))
	case "Fn::If":
		if d.call("Condition", list[0]).(bool) {
			return d.eval(list[1])
		}
		return d.eval(list[2])
	case "Condition":
		return d.eval(d.template.section("Conditions")[argument.(string)])
	case "Fn::Not":
		return !d.eval(list[0]).(bool)
	case "Fn::And":
		return !slices.Contains(d.eval(list).([]any), any(false))
	case "Fn::Or":
		return slices.Contains(d.eval(list).([]any), any(true))
	case "Fn::Equals":
		return d.eval(list[0]) == d.eval(list[1])
	case "Fn::Contains":
		return slices.Contains(list[0].([]any), d.eval(list[1]))
	}
	panic("function " + name + " is not evaluated here")
}

var placeholder = regexp.MustCompile(`\$\{([^}!]+)\}`)

// substitute evaluates !Sub, of a text or of a text with variables of its own.
func (d *deployment) substitute(argument any) string {
	text, variables := argument, map[string]any{}
	if list, ok := argument.([]any); ok {
		text, variables = list[0], list[1].(map[string]any)
	}
	return placeholder.ReplaceAllStringFunc(text.(string), func(found string) string {
		name := placeholder.FindStringSubmatch(found)[1]
		if value, ok := variables[name]; ok {
			return d.eval(value).(string)
		}
		return d.ref(name).(string) // of an attribute, <Resource.Attribute>
	})
}

// exists reports whether a resource or an output is made.
func (d *deployment) exists(item any) bool {
	name, ok := get(item, "Condition").(string)
	return !ok || d.call("Condition", name).(bool)
}

// property returns the value of a property of a resource.
func (d *deployment) property(id string, path ...string) any {
	return get(d.eval(d.template.resource(id, "Properties")), path...)
}

// refusal returns why a rule refuses the deployment, or nothing.
func (d *deployment) refusal() string {
	for _, rule := range d.template.section("Rules") {
		if condition := get(rule, "RuleCondition"); condition != nil && !d.eval(condition).(bool) {
			continue
		}
		for _, assertion := range get(rule, "Assertions").([]any) {
			if !d.eval(get(assertion, "Assert")).(bool) {
				return get(assertion, "AssertDescription").(string)
			}
		}
	}
	return ""
}

// accepts reports whether a parameter takes a value.
func (t template) accepts(name, value string) bool {
	parameter := t.section("Parameters")[name]
	if most, ok := get(parameter, "MaxLength").(string); ok && len(value) > number(most) {
		return false
	}
	if allowed, ok := get(parameter, "AllowedValues").([]any); ok && !slices.Contains(allowed, any(value)) {
		return false
	}
	pattern, ok := get(parameter, "AllowedPattern").(string)
	return !ok || regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(value) // the whole value has to match
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
