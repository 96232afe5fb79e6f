package ec2sim

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// decodeQuery fills the struct that into points to from the parameters of a Query protocol, in which lists and
// structures are spelled out:
//
//	Filter.1.Name=tag-key&Filter.1.Value.1=a&Filter.1.Value.2=b
//
// They are taken for the JSON document that has the same members. A parameter that has no field is refused, so nothing
// a caller asks for is silently ignored. The parameter ids is for the field "ID".
//
// https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
func decodeQuery(params url.Values, ids string, into any) error {
	document := node{}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name == "Action" || name == "Version" || name == "DryRun" { // which are for all actions
			continue
		}
		if len(params[name]) != 1 {
			return errorf("InvalidQueryParameter", "The parameter %s appears more than once", name)
		}
		path := strings.Split(name, ".")
		if path[0] == ids {
			path[0] = "ID"
		}
		if !document.set(path, params[name][0]) {
			return errorf("InvalidParameterValue", "The parameter %s is a value as well as a structure or a list", name)
		}
	}
	data, err := json.Marshal(document.tree(), json.Deterministic(true))
	if err == nil {
		err = json.Unmarshal(data, into, json.RejectUnknownMembers(true), json.StringifyNumbers(true))
	}
	e, _ := errors.AsType[*json.SemanticError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, json.ErrUnknownName):
		return errorf("UnknownParameter", "The parameter %s is not recognized", e.JSONPointer)
	case e != nil:
		return errorf("InvalidParameterValue", "The parameter %s is invalid", e.JSONPointer)
	}
	return errorf("InvalidParameterValue", "The parameters are invalid: %v", err)
}

// A node holds the parameters whose names begin with its own, by the rest of their names: values and other nodes.
type node map[string]any

// set stores a value, and reports false if there is a value where its path leads through, or a node where it ends.
func (n node) set(path []string, value string) bool {
	if len(path) == 1 {
		_, taken := n[path[0]]
		n[path[0]] = value
		return !taken
	}
	if n[path[0]] == nil {
		n[path[0]] = node{}
	}
	child, ok := n[path[0]].(node)
	return ok && child.set(path[1:], value)
}

// mostElements bounds the number of an element of a list, and so the memory that a request can ask for.
const mostElements = 2000

// tree returns the node with a list in the place of each node whose names are the numbers of elements.
func (n node) tree() any {
	var list []any
	numbers := 0
	for name, value := range n {
		if child, ok := value.(node); ok {
			n[name] = child.tree()
		}
		if i, err := strconv.Atoi(name); err == nil && 1 <= i && i <= mostElements && strconv.Itoa(i) == name {
			numbers++
			list = append(list, make([]any, max(0, i-len(list)))...)
			list[i-1] = n[name]
		}
	}
	if numbers < len(n) || len(n) == 0 {
		return map[string]any(n)
	}
	return list
}
