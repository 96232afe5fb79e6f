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
	region     string
	partition  string
	parameters map[string]string // those that are not at their defaults
}

// deploy returns a deployment to us-east-1.
func deploy(t template, parameters map[string]string) *deployment {
	return &deployment{template: t, region: "us-east-1", partition: "aws", parameters: parameters}
}

const (
	accountID = "111122223333"
	stackName = "cloudfront-sg-sync"
)

// noValue is what AWS::NoValue evaluates to: what is set to it is not there.
type noValue struct{}

// value returns a parameter's value.
func (d *deployment) value(name string) (string, bool) {
	parameter := d.template.section("Parameters")[name]
	value, ok := d.parameters[name]
	if !ok {
		value, _ = get(parameter, "Default").(string)
	}
	return value, parameter != nil
}

// ref returns what !Ref does. Of a resource it returns its logical ID in angle brackets.
func (d *deployment) ref(name string) any {
	switch name {
	case "AWS::NoValue":
		return noValue{}
	case "AWS::Region":
		return d.region
	case "AWS::Partition":
		return d.partition
	case "AWS::AccountId":
		return accountID
	case "AWS::StackId":
		return "arn:aws:cloudformation:us-east-1:" + accountID + ":stack/" + stackName +
			"/51af3dc0-da77-11e4-872e-1234567db123"
	case "AWS::StackName":
		return stackName
	}
	if value, ok := d.value(name); ok {
		return value
	}
	return "<" + name + ">"
}

// eval evaluates the functions in a value.
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
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return d.call(name, argument)
				}
			}
		}
		object := map[string]any{}
		for name, item := range v {
			if item := d.eval(item); item != (noValue{}) {
				object[name] = item
			}
		}
		return object
	}
	return v
}

// call evaluates a function.
func (d *deployment) call(name string, argument any) any {
	list, _ := argument.([]any)
	switch name {
	case "Ref":
		return d.ref(argument.(string))
	case "Fn::GetAtt":
		return fmt.Sprintf("<%s.%s>", list...)
	case "Fn::If":
		if d.condition(list[0].(string)) {
			return d.eval(list[1])
		}
		return d.eval(list[2])
	case "Fn::Join":
		var items []string
		for _, item := range d.eval(list[1]).([]any) {
			items = append(items, item.(string))
		}
		return strings.Join(items, list[0].(string))
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
	case "Fn::Sub":
		return d.substitute(argument)
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
		if id, attribute, ok := strings.Cut(name, "."); ok {
			return fmt.Sprintf("<%s.%s>", id, attribute)
		}
		return d.ref(name).(string)
	})
}

// condition reports whether a condition of the template holds.
func (d *deployment) condition(name string) bool {
	condition, ok := d.template.section("Conditions")[name]
	if !ok {
		panic("there is no condition " + name)
	}
	return d.holds(condition)
}

// holds evaluates a condition or the assertion of a rule.
func (d *deployment) holds(v any) bool {
	for name, argument := range v.(map[string]any) {
		list, _ := argument.([]any)
		switch name {
		case "Condition":
			return d.condition(argument.(string))
		case "Fn::Not":
			return !d.holds(list[0])
		case "Fn::And":
			return !slices.ContainsFunc(list, func(v any) bool { return !d.holds(v) })
		case "Fn::Or":
			return slices.ContainsFunc(list, d.holds)
		case "Fn::Equals":
			return d.eval(list[0]) == d.eval(list[1])
		case "Fn::Contains":
			return slices.Contains(list[0].([]any), d.eval(list[1]))
		}
	}
	panic(fmt.Sprintf("condition %v is not evaluated here", v))
}

// exists reports whether a resource or an output is made.
func (d *deployment) exists(item any) bool {
	name, ok := get(item, "Condition").(string)
	return !ok || d.condition(name)
}

// property returns the value of a property of a resource.
func (d *deployment) property(id string, path ...string) any {
	return get(d.eval(d.template.resource(id, "Properties")), path...)
}

// refusal returns why a rule refuses the deployment, or nothing.
func (d *deployment) refusal() string {
	for _, rule := range d.template.section("Rules") {
		if condition := get(rule, "RuleCondition"); condition != nil && !d.holds(condition) {
			continue
		}
		for _, assertion := range get(rule, "Assertions").([]any) {
			if !d.holds(get(assertion, "Assert")) {
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
