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

// A protocol is how a service's calls and answers travel.
type protocol interface {
	decode(*http.Request) (*call, error)
	write(http.ResponseWriter, *call, any)
	writeError(w http.ResponseWriter, requestID string, e *apiError)
}

// protocolOf returns the protocol of the service a request was signed for.
func protocolOf(service string) protocol {
	switch service {
	case "sts":
		return queryProtocol{"https://sts.amazonaws.com/doc/2011-06-15/"}
	case "elasticloadbalancing":
		return queryProtocol{"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"}
	case "servicequotas":
		return jsonProtocol{}
	default:
		return ec2Protocol{}
	}
}

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

// ec2Protocol is the EC2 Query protocol: a form in, XML out.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
type ec2Protocol struct{}

func (ec2Protocol) decode(r *http.Request) (*call, error) {
	if err := r.ParseForm(); err != nil {
		return nil, errorf("MalformedQueryString", "The query string contains a syntax error: %v", err)
	}
	action := r.Form.Get("Action")
	if action == "" {
		return nil, errorf("MissingAction", "The request is missing an action or a required parameter.")
	}
	return &call{action: action, params: r.Form}, nil
}

func (ec2Protocol) write(w http.ResponseWriter, c *call, answer any) {
	content := slices.Concat(body{{"requestId", c.requestID}}, answer.(body))
	writeXML(w, http.StatusOK, c.action+"Response", "http://ec2.amazonaws.com/doc/2016-11-15/", content)
}

func (ec2Protocol) writeError(w http.ResponseWriter, requestID string, e *apiError) {
	detail := body{{"Code", e.code}, {"Message", e.message}}
	writeXML(w, e.status, "Response", "", body{{"Errors", body{{"Error", detail}}}, {"RequestID", requestID}})
}

// writeXML writes a document whose root has the given name and namespace.
func writeXML(w http.ResponseWriter, status int, root, namespace string, content body) {
	start := xml.StartElement{Name: xml.Name{Local: root}}
	if namespace != "" {
		start.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}
	}
	var doc bytes.Buffer
	doc.WriteString(xml.Header)
	err := xml.NewEncoder(&doc).EncodeElement(content, start)
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

// queryProtocol is the AWS Query protocol, which STS and Elastic Load Balancing speak. The requests are as EC2's; an
// answer is wrapped in an element of its own.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
type queryProtocol struct{ namespace string }

func (queryProtocol) decode(r *http.Request) (*call, error) { return ec2Protocol{}.decode(r) }

func (p queryProtocol) write(w http.ResponseWriter, c *call, answer any) {
	metadata := body{{"RequestId", c.requestID}}
	writeXML(w, http.StatusOK, c.action+"Response", p.namespace, body{{c.action + "Result", answer}, {"ResponseMetadata", metadata}})
}

func (p queryProtocol) writeError(w http.ResponseWriter, requestID string, e *apiError) {
	blame := "Sender"
	if e.status >= 500 {
		blame = "Receiver"
	}
	detail := body{{"Type", blame}, {"Code", e.code}, {"Message", e.message}}
	writeXML(w, e.status, "ErrorResponse", p.namespace, body{{"Error", detail}, {"RequestId", requestID}})
}

// jsonProtocol is AWS JSON 1.1, which Service Quotas speaks.
//
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
type jsonProtocol struct{}

func (jsonProtocol) decode(r *http.Request) (*call, error) {
	_, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !ok {
		return nil, errorf("UnknownOperationException", "The request names no operation")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errorf("SerializationException", "The request body could not be read: %v", err)
	}
	return &call{action: action, body: body}, nil
}

func (p jsonProtocol) write(w http.ResponseWriter, c *call, answer any) {
	p.send(w, http.StatusOK, c.requestID, answer)
}

func (p jsonProtocol) writeError(w http.ResponseWriter, requestID string, e *apiError) {
	p.send(w, e.status, requestID, map[string]string{"__type": e.code, "Message": e.message})
}

func (jsonProtocol) send(w http.ResponseWriter, status int, requestID string, answer any) {
	w.Header().Set("X-Amzn-RequestId", requestID)
	doc, err := json.Marshal(answer)
	send(w, status, "application/x-amz-json-1.1", doc, err)
}
