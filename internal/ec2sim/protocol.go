package ec2sim

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// A body holds the children of an XML element. The XML protocols answer with bodies.
type body []element

type element struct {
	name  string
	value any // left out if nil
}

// MarshalXML writes the children in their order.
func (b body) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, child := range b {
		if err := e.EncodeElement(child.value, xml.StartElement{Name: xml.Name{Local: child.name}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

func list[T any](name string, values []T) body {
	elements := make(body, 0, len(values))
	for _, v := range values {
		elements = append(elements, element{name, v})
	}
	return elements
}

var done = body{{"return", true}}

// decode reads a call. Service Quotas speaks AWS JSON 1.1, the other services a Query protocol, which is a form.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
func (c *call) decode(r *http.Request) {
	if c.Service == "servicequotas" {
		var err error
		_, c.Action, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		c.body, err = io.ReadAll(r.Body)
		must(err)
		return
	}
	if err := r.ParseForm(); err != nil {
		refuse("MalformedQueryString", "The query string contains a syntax error: %v", err)
	}
	c.params, c.Action = r.Form, r.Form.Get("Action")
	if c.Action == "" {
		refuse("MissingAction", "The request is missing an action or a required parameter.")
	}
}

// namespaces are those of the services that wrap an answer in an element of its own.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
var namespaces = map[string]string{
	"sts":                  "https://sts.amazonaws.com/doc/2011-06-15/",
	"elasticloadbalancing": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
}

// encode returns the HTTP answer to a call, or that of its error.
func (c *call) encode(answer any, err error) (status int, contentType string, doc []byte) {
	status, e, root, namespace := http.StatusOK, asAPIError(err), c.Action+"Response", namespaces[c.Service]
	if err != nil {
		status = e.status
	}
	if c.Service == "servicequotas" {
		if err != nil {
			answer = map[string]string{"__type": e.code, "Message": e.message}
		}
		doc, _ = json.Marshal(answer) // of strings, numbers and a boolean
		return status, "application/x-amz-json-1.1", doc
	}
	var content body
	problem := body{{"Code", e.code}, {"Message", e.message}}
	switch {
	case err == nil && namespace == "":
		namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"
		content = slices.Concat(body{{"requestId", c.requestID}}, answer.(body))
	case err == nil:
		content = body{{c.Action + "Result", answer}, {"ResponseMetadata", body{{"RequestId", c.requestID}}}}
	case namespace == "":
		root, content = "Response", body{{"Errors", body{{"Error", problem}}}, {"RequestID", c.requestID}}
	default:
		blame := "Sender"
		if status >= 500 {
			blame = "Receiver"
		}
		root, content = "ErrorResponse", body{{"Error", slices.Insert(problem, 0, element{"Type", blame})}, {"RequestId", c.requestID}}
	}
	written := bytes.NewBufferString(xml.Header)
	start := xml.StartElement{Name: xml.Name{Space: namespace, Local: root}}
	if err := xml.NewEncoder(written).EncodeElement(content, start); err != nil {
		return http.StatusInternalServerError, "text/plain", []byte(err.Error())
	}
	return status, "text/xml;charset=UTF-8", written.Bytes()
}

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
