package ec2sim

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A filter is a condition on a resource: one of its values matches one of the filter's.
type filter struct {
	Name   string   `query:"Name"`
	Values []string `query:"Value"`
}

// attributes says, for each filter a resource has, what values it is held against.
type attributes[T any] map[string]func(T) []string

// maxFilterValues is how many values the filters of a call may have.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
// https://github.com/gjbae1212/gossm/issues/31 (the error, and that it is for all filters together)
const maxFilterValues = 200

// compileFilters returns a function that reports whether a resource matches all filters. The filters tag:KEY, tag-key
// and tag-value are known for every kind of resource that can be tagged.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func compileFilters[T any](filters []filter, k *kind[T]) (func(T) bool, error) {
	conditions := make([]func(T) bool, 0, len(filters))
	var given int
	for _, f := range filters {
		if given += len(f.Values); given > maxFilterValues {
			return nil, errorf("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxFilterValues)
		}
		values, ok := k.filters[f.Name]
		if !ok && k.tags != nil {
			values, ok = tagAttribute(f.Name, k.tags)
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

// tagAttribute returns what the filters tag:KEY, tag-key and tag-value are held against.
func tagAttribute[T any](name string, tags func(T) *Tags) (values func(T) []string, ok bool) {
	if key, ok := strings.CutPrefix(name, "tag:"); ok {
		return func(t T) []string {
			if v, ok := (*tags(t))[key]; ok {
				return []string{v}
			}
			return nil
		}, true
	}
	switch name {
	case "tag-key":
		return func(t T) []string { return slices.Collect(maps.Keys(*tags(t))) }, true
	case "tag-value":
		return func(t T) []string { return slices.Collect(maps.Values(*tags(t))) }, true
	}
	return nil, false
}

// anyPattern returns a function that reports whether one of the patterns matches a string. An asterisk matches zero or
// more characters, a question mark zero or one, and a backslash takes the meaning from the character after it.
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
