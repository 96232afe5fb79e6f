package ec2sim

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// decodeQuery fills the struct that into points to from the parameters of the EC2 Query protocol, in which lists and
// structures are spelled out:
//
//	Filter.1.Name=tag-key&Filter.1.Value.1=a&Filter.1.Value.2=b
//
// A field takes the parameter its tag `query:"…"` names. Fields may be strings, integers, structs, pointers
// to and slices of these; the fields of an embedded struct count as the outer one's. A parameter that has no field is
// refused, so nothing a caller asks for is silently ignored. Ids is the parameter for the field "*", if any.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
func decodeQuery(params url.Values, ids string, into any) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		values := params[name]
		if name == "Action" || name == "Version" || name == "DryRun" { // which are for all actions
			continue
		}
		if len(values) != 1 {
			return errorf("InvalidQueryParameter", "The parameter %s appears more than once", name)
		}
		path := strings.Split(name, ".")
		if path[0] == ids {
			path[0] = "*"
		}
		if err := setParameter(reflect.ValueOf(into).Elem(), path, name, values[0]); err != nil {
			return err
		}
	}
	return nil
}

// maxListIndex bounds the number of an element of a list, and so the memory that a request can ask for.
const maxListIndex = 2000

// setParameter stores the value of a parameter where the rest of its path leads from v.
func setParameter(v reflect.Value, path []string, name, value string) error {
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return setParameter(v.Elem(), path, name, value)
	case v.Kind() != reflect.Struct && v.Kind() != reflect.Slice:
		if len(path) > 0 {
			return unknownParameter(name)
		}
		return setScalar(v, name, value)
	case len(path) == 0:
		return invalid("The parameter %s is a structure or a list, not a value", name)
	case v.Kind() == reflect.Struct:
		index, ok := fieldsOf(v.Type())[path[0]]
		if !ok {
			return unknownParameter(name)
		}
		return setParameter(v.FieldByIndex(index), path[1:], name, value)
	}
	n, err := strconv.Atoi(path[0])
	if err != nil || n < 1 || n > maxListIndex || strconv.Itoa(n) != path[0] {
		return unknownParameter(name)
	}
	if n > v.Len() {
		v.Grow(n - v.Len())
		v.SetLen(n)
	}
	return setParameter(v.Index(n-1), path[1:], name, value)
}

func setScalar(v reflect.Value, name, value string) error {
	if v.Kind() == reflect.String {
		v.SetString(value)
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return invalid("Value (%s) for parameter %s is invalid. It must be an integer.", value, name)
	}
	v.SetInt(n)
	return nil
}

// fieldCache holds what fieldsOf has found out, by type.
var fieldCache sync.Map

// fieldsOf maps the parameter names of a struct to its fields.
func fieldsOf(t reflect.Type) map[string][]int {
	if fields, ok := fieldCache.Load(t); ok {
		return fields.(map[string][]int)
	}
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if name, ok := f.Tag.Lookup("query"); ok {
			fields[name] = f.Index
		}
	}
	fieldCache.Store(t, fields)
	return fields
}

func unknownParameter(name string) error {
	return errorf("UnknownParameter", "The parameter %s is not recognized", name)
}
