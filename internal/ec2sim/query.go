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
// A field takes the parameter its tag `query:"…"` names. Fields may be strings, booleans, integers, structs, pointers
// to and slices of these; the fields of an embedded struct count as the outer one's. A parameter that has no field is
// refused, so nothing a caller asks for is silently ignored. Ids is the parameter that stands for the field "*", if any.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
func decodeQuery(params url.Values, ids string, into any) error {
	var root param
	for name, values := range params {
		if name == "Action" || name == "Version" {
			continue
		}
		if len(values) != 1 {
			return errorf("InvalidQueryParameter", "The parameter %s appears more than once", name)
		}
		if first, rest, dots := strings.Cut(name, "."); first == ids && dots {
			name = "*." + rest
		} else if first == ids {
			name = "*"
		}
		root.insert(name, values[0])
	}
	return root.decode(reflect.ValueOf(into).Elem(), "")
}

// A param is a node of the tree that the dots in parameter names make.
type param struct {
	value    *string // nil where only longer names exist
	children map[string]*param
}

func (p *param) insert(name, value string) {
	for part := range strings.SplitSeq(name, ".") {
		if p.children == nil {
			p.children = map[string]*param{}
		}
		child := p.children[part]
		if child == nil {
			child = new(param)
			p.children[part] = child
		}
		p = child
	}
	p.value = &value
}

// decode stores what is at and below p in v; name is the parameter's full name.
func (p *param) decode(v reflect.Value, name string) error {
	switch v.Kind() {
	case reflect.Struct:
		return p.decodeStruct(v, name)
	case reflect.Slice:
		return p.decodeList(v, name)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return p.decode(v.Elem(), name)
	}
	for part := range p.children {
		return unknownParameter(name + "." + part)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(*p.value)
	case reflect.Bool:
		b, err := strconv.ParseBool(*p.value)
		if err != nil {
			return errorf("InvalidParameterValue", "Value (%s) for parameter %s is invalid. It must be true or false.", *p.value, name)
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int32:
		n, err := strconv.ParseInt(*p.value, 10, 32)
		if err != nil {
			return errorf("InvalidParameterValue", "Value (%s) for parameter %s is invalid. It must be an integer.", *p.value, name)
		}
		v.SetInt(n)
	default:
		panic("ec2sim: no parameter decodes into " + v.Type().String())
	}
	return nil
}

func (p *param) decodeStruct(v reflect.Value, name string) error {
	if p.value != nil {
		return errorf("InvalidParameterValue", "The parameter %s is a structure, not a value", name)
	}
	fields := fieldsOf(v.Type())
	for _, part := range slices.Sorted(maps.Keys(p.children)) {
		full := strings.TrimPrefix(name+"."+part, ".")
		index, ok := fields[part]
		if !ok {
			return unknownParameter(full)
		}
		if err := p.children[part].decode(v.FieldByIndex(index), full); err != nil {
			return err
		}
	}
	return nil
}

// decodeList decodes the children 1, 2, … in the order of their numbers, which need not be without gaps.
func (p *param) decodeList(v reflect.Value, name string) error {
	if p.value != nil {
		return errorf("InvalidParameterValue", "The parameter %s is a list: its elements are %s.1, %s.2 and so on", name, name, name)
	}
	numbers := make([]int, 0, len(p.children))
	for part := range p.children {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || strconv.Itoa(n) != part {
			return unknownParameter(name + "." + part)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	list := reflect.MakeSlice(v.Type(), len(numbers), len(numbers))
	for i, n := range numbers {
		part := strconv.Itoa(n)
		if err := p.children[part].decode(list.Index(i), name+"."+part); err != nil {
			return err
		}
	}
	v.Set(list)
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
