package ec2sim

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
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
// Elastic Load Balancing calls the elements of a list member.1, member.2 and so on.
// See https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
// and https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
// and https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func (c *call) decode(r *http.Request) {
	if c.Service == "servicequotas" {
		body, err := io.ReadAll(r.Body)
		must(err)
		_, c.Action, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		c.body = body
		return
	}
	must(r.ParseForm())
	c.Action, c.params = r.Form.Get("Action"), url.Values{}
	for name, values := range r.Form {
		c.params[strings.ReplaceAll(name, ".member.", ".")] = values
	}
}

// namespaces are those of the services that wrap an answer in an element of its own.
// See https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
var namespaces = map[string]string{
	"sts":                  "https://sts.amazonaws.com/doc/2011-06-15/",
	"elasticloadbalancing": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
}

// encode returns the HTTP answer to a call, or that of its error.
func (c *call) encode(answer any, err error) (status int, contentType string, doc []byte) {
	status, e, root, namespace := http.StatusOK, asAPIError(err), c.Action+"Response", namespaces[c.Service]
	if err != nil {
		status = cmp.Or(statusOf[e.code], http.StatusBadRequest)
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
		root, content = "ErrorResponse", body{{"Error", problem}, {"RequestId", c.requestID}}
	}
	written := bytes.NewBufferString(xml.Header)
	start := xml.StartElement{Name: xml.Name{Space: namespace, Local: root}}
	if err := xml.NewEncoder(written).EncodeElement(content, start); err != nil {
		panic(err) // an answer of a kind that XML cannot have
	}
	return status, "text/xml;charset=UTF-8", written.Bytes()
}

// decodeQuery fills the struct that into points to from the parameters of a Query protocol, in which lists and
// structures are spelled out:
//
//	Filter.1.Name=tag-key&Filter.1.Value.1=a&Filter.1.Value.2=b
//
// The tag `json:"…"` of a field names its parameter. A parameter that has no field is refused, so nothing a caller asks
// for is silently ignored.
// See https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
func decodeQuery(params url.Values, into any) {
	take(params, "", reflect.ValueOf(into).Elem())
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !slices.Contains([]string{"Action", "Version", "DryRun"}, name) { // which are for all actions
			refuse("UnknownParameter", "The parameter %s is not recognized", name)
		}
	}
}

// take moves the parameters that begin with a name to a value, and reports whether there are any.
func take(params url.Values, name string, into reflect.Value) (found bool) {
	text, given := params[name]
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](into.Addr()); ok && given {
		delete(params, name)
		if u.UnmarshalText([]byte(text[0])) != nil {
			refuseInvalid("Value (%s) for parameter %s is invalid.", text[0], name)
		}
		return true
	}
	switch into.Kind() {
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(into.Type()) {
			if key := f.Tag.Get("json"); key != "" {
				found = take(params, strings.TrimPrefix(name+"."+key, "."), into.FieldByIndex(f.Index)) || found
			}
		}
		return found
	case reflect.Slice:
		if given && text[0] == "" { // Elastic Load Balancing gets an empty list like this
			delete(params, name)
		}
		for element := reflect.New(into.Type().Elem()).Elem(); take(params, fmt.Sprint(name, ".", into.Len()+1), element); {
			into.Set(reflect.Append(into, element))
			element.SetZero()
		}
		return into.Len() > 0
	case reflect.Pointer:
		value := reflect.New(into.Type().Elem())
		if found = take(params, name, value.Elem()); found {
			into.Set(value)
		}
		return found
	}
	if !given {
		return false
	}
	delete(params, name)
	if into.Kind() == reflect.String {
		into.SetString(text[0])
	} else if n, err := strconv.ParseInt(text[0], 10, 32); err == nil {
		into.SetInt(n)
	} else {
		refuseInvalid("Value (%s) for parameter %s is invalid.", text[0], name)
	}
	return true
}
