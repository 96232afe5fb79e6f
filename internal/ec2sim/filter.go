package ec2sim

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// A filter is a condition on a resource: one of its values matches one of the filter's.
type filter struct {
	Name   string   `json:"Name"`
	Values []string `json:"Value"`
}

// compileFilters returns a function that reports whether a resource matches all filters.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
// https://github.com/gjbae1212/gossm/issues/31 (the limit is for all filters together)
func compileFilters(filters []filter, resource reflect.Type) func(reflect.Value) bool {
	const maxFilterValues = 200
	var conditions []func(reflect.Value) bool
	var given int
	for _, f := range filters {
		if given += len(f.Values); given > maxFilterValues {
			refuse("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxFilterValues)
		}
		values := attribute(resource, f.Name)
		switch {
		case values == nil:
			refuseInvalid("The filter '%s' is invalid", f.Name)
		case len(f.Values) == 0:
			refuseInvalid("The filter '%s' has no values", f.Name)
		}
		match := anyPattern(f.Values)
		conditions = append(conditions, func(v reflect.Value) bool { return slices.ContainsFunc(values(v), match) })
	}
	return func(v reflect.Value) bool {
		return !slices.ContainsFunc(conditions, func(holds func(reflect.Value) bool) bool { return !holds(v) })
	}
}

// attribute returns a function from a resource to the values that a filter matches, nil if there is no such filter. The
// tag `filter:"…"` of a field names its filters. Every resource has the filters tag:KEY, tag-key and tag-value.
func attribute(t reflect.Type, name string) func(reflect.Value) []string {
	for _, f := range reflect.VisibleFields(t) {
		if slices.Contains(strings.Split(f.Tag.Get("filter"), ","), name) {
			return func(v reflect.Value) []string { return texts(v.FieldByIndex(f.Index)) }
		}
	}
	if name == "ip-permission.prefix-list-id" && t == reflect.TypeFor[Group]() {
		return func(v reflect.Value) (lists []string) {
			for _, r := range v.FieldByName("Ingress").Interface().([]Rule) {
				lists = append(lists, r.Source.Reference)
			}
			return lists
		}
	}
	key, one := strings.CutPrefix(name, "tag:")
	if !one && name != "tag-key" && name != "tag-value" {
		return nil
	}
	return func(v reflect.Value) (values []string) {
		for k, value := range v.FieldByName("Tags").Interface().(Tags) {
			switch {
			case name == "tag-key":
				values = append(values, k)
			case !one || k == key:
				values = append(values, value)
			}
		}
		return values
	}
}

// texts returns a field as filters see it: nothing for the zero value, except that false is false.
func texts(v reflect.Value) []string {
	if list, ok := reflect.TypeAssert[[]string](v); ok {
		return list
	}
	if v.IsZero() && v.Kind() != reflect.Bool {
		return nil
	}
	return []string{fmt.Sprint(v.Interface())}
}

// anyPattern returns a function that reports whether one of the patterns matches a string. An asterisk matches zero or
// more characters, a question mark zero or one, and a backslash takes the meaning from the character after it.
func anyPattern(patterns []string) func(string) bool {
	var literals []string
	var wild []*regexp.Regexp
	for _, p := range patterns {
		if strings.ContainsAny(p, `*?\`) {
			wild = append(wild, regexp.MustCompile(`(?s)\A`+wildcards.Replace(regexp.QuoteMeta(p))+`\z`))
		} else {
			literals = append(literals, p)
		}
	}
	return func(s string) bool {
		return slices.Contains(literals, s) ||
			slices.ContainsFunc(wild, func(re *regexp.Regexp) bool { return re.MatchString(s) })
	}
}

// wildcards makes a regular expression of a pattern in which every special character has a backslash before it.
var wildcards = strings.NewReplacer(`\\\*`, `\*`, `\\\?`, `\?`, `\\\\`, `\\`, `\*`, `.*`, `\?`, `.?`)
