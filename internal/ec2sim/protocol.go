package ec2sim

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// A body is an XML element's children: what the answers of the XML protocols are made of.
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

// list makes an element of each value.
func list[T any](name string, values []T) body {
	elements := make(body, 0, len(values))
	for _, v := range values {
		elements = append(elements, element{name, v})
	}
	return elements
}

// done is the answer of actions that have nothing else to say.
var done = body{{"return", true}}

// decode reads a call. Service Quotas speaks AWS JSON 1.1, the other services a Query protocol, which is a form.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
func (c *call) decode(r *http.Request) (err error) {
	if c.caller.service == "servicequotas" {
		_, c.action, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		c.body, err = io.ReadAll(r.Body)
		return err
	}
	if err := r.ParseForm(); err != nil {
		return errorf("MalformedQueryString", "The query string contains a syntax error: %v", err)
	}
	c.params, c.action = r.Form, r.Form.Get("Action")
	if c.action == "" {
		return errorf("MissingAction", "The request is missing an action or a required parameter.")
	}
	return nil
}

// namespaces are those of the services that wrap an answer in an element of its own.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
var namespaces = map[string]string{
	"sts":                  "https://sts.amazonaws.com/doc/2011-06-15/",
	"elasticloadbalancing": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
}

// respond writes the answer to a call, or its error.
func (c *call) respond(w http.ResponseWriter, answer any, err error) {
	status, e := http.StatusOK, asAPIError(err)
	if err != nil {
		status = e.status
	}
	namespace := namespaces[c.caller.service]
	switch {
	case c.caller.service == "servicequotas":
		if err != nil {
			answer = map[string]string{"__type": e.code, "Message": e.message}
		}
		w.Header().Set("X-Amzn-RequestId", c.requestID)
		doc, failed := json.Marshal(answer)
		send(w, status, "application/x-amz-json-1.1", doc, failed)
	case err != nil && namespace == "":
		detail := body{{"Code", e.code}, {"Message", e.message}}
		writeXML(w, status, "Response", "", body{{"Errors", body{{"Error", detail}}}, {"RequestID", c.requestID}})
	case err != nil:
		detail := body{{"Type", "Sender"}, {"Code", e.code}, {"Message", e.message}}
		if status >= 500 {
			detail[0].value = "Receiver"
		}
		writeXML(w, status, "ErrorResponse", namespace, body{{"Error", detail}, {"RequestId", c.requestID}})
	case namespace == "":
		content := slices.Concat(body{{"requestId", c.requestID}}, answer.(body))
		writeXML(w, status, c.action+"Response", "http://ec2.amazonaws.com/doc/2016-11-15/", content)
	default:
		metadata := body{{"RequestId", c.requestID}}
		writeXML(w, status, c.action+"Response", namespace, body{{c.action + "Result", answer}, {"ResponseMetadata", metadata}})
	}
}

// writeXML writes a document whose root has the given name and namespace.
func writeXML(w http.ResponseWriter, status int, root, namespace string, content body) {
	start := xml.StartElement{Name: xml.Name{Local: root}}
	if namespace != "" {
		start.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}
	}
	doc := bytes.NewBufferString(xml.Header)
	err := xml.NewEncoder(doc).EncodeElement(content, start)
	send(w, status, "text/xml;charset=UTF-8", doc.Bytes(), err)
}

func send(w http.ResponseWriter, status int, contentType string, doc []byte, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(doc) // an error means that the caller is gone
}
