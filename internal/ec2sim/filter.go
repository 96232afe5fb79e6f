package ec2sim

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A filter is a condition on a resource: one of its values matches one of the
// filter's.
type filter struct {
	Name   string   `query:"Name"`
	Values []string `query:"Value"`
}

// attributes says, for each filter a resource has, what values it is held against.
type attributes[T any] map[string]func(T) []string

// compileFilters returns a function that reports whether a resource matches
// all filters. The filters tag:KEY, tag-key and tag-value are known for every
// resource.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func compileFilters[T any](filters []filter, known attributes[T], tags func(T) map[string]string) (func(T) bool, error) {
	conditions := make([]func(T) bool, 0, len(filters))
	for _, f := range filters {
		values, ok := known[f.Name]
		if key, isTag := strings.CutPrefix(f.Name, "tag:"); isTag {
			values, ok = func(t T) []string { return tagValue(tags(t), key) }, true
		}
		switch f.Name {
		case "tag-key":
			values, ok = func(t T) []string { return slices.Collect(maps.Keys(tags(t))) }, true
		case "tag-value":
			values, ok = func(t T) []string { return slices.Collect(maps.Values(tags(t))) }, true
		}
		if !ok {
			return nil, errorf("InvalidParameterValue", "The filter '%s' is invalid", f.Name)
		}
		if len(f.Values) == 0 {
			return nil, errorf("InvalidParameterValue", "The filter '%s' has no values", f.Name)
		}
		match := anyPattern(f.Values)
		conditions = append(conditions, func(t T) bool { return slices.ContainsFunc(values(t), match) })
	}
	return func(t T) bool {
		for _, holds := range conditions {
			if !holds(t) {
				return false
			}
		}
		return true
	}, nil
}

func tagValue(tags map[string]string, key string) []string {
	if v, ok := tags[key]; ok {
		return []string{v}
	}
	return nil
}

// anyPattern returns a function that reports whether one of the patterns
// matches a string. An asterisk matches zero or more characters, a question
// mark zero or one, and a backslash takes the meaning from the character after it.
func anyPattern(patterns []string) func(string) bool {
	literals := make([]string, 0, len(patterns))
	var wild []*regexp.Regexp
	for _, p := range patterns {
		if strings.ContainsAny(p, `*?\`) {
			wild = append(wild, wildcard(p))
		} else {
			literals = append(literals, p)
		}
	}
	return func(s string) bool {
		return slices.Contains(literals, s) ||
			slices.ContainsFunc(wild, func(re *regexp.Regexp) bool { return re.MatchString(s) })
	}
}

func wildcard(pattern string) *regexp.Regexp {
	var expr strings.Builder
	expr.WriteString(`(?s)\A`)
	escaped := false
	for _, c := range pattern {
		switch {
		case escaped:
			expr.WriteString(regexp.QuoteMeta(string(c)))
			escaped = false
		case c == '\\':
			escaped = true
		case c == '*':
			expr.WriteString(`.*`)
		case c == '?':
			expr.WriteString(`.?`)
		default:
			expr.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	if escaped {
		expr.WriteString(`\\`)
	}
	expr.WriteString(`\z`)
	return regexp.MustCompile(expr.String())
}
