package ec2sim

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
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

// ec2Protocol is the EC2 Query protocol: a form in, XML out.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/Query-Requests.html
type ec2Protocol struct{}

const ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

func (ec2Protocol) decode(r *http.Request) (*call, error) { return decodeForm(r) }

func decodeForm(r *http.Request) (*call, error) {
	if err := r.ParseForm(); err != nil {
		return nil, errorf("MalformedQueryString", "The query string contains a syntax error: %v", err)
	}
	action := r.Form.Get("Action")
	if action == "" {
		return nil, errorf("MissingAction", "The request is missing an action or a required parameter.")
	}
	return &call{action: action, params: r.Form}, nil
}

// A reply is what every answer of EC2 begins with.
type reply struct {
	RequestID string `xml:"requestId"`
}

func (r *reply) stamp(requestID string) { r.RequestID = requestID }

// done is the answer of actions that have nothing else to say.
type done struct {
	reply
	Return bool `xml:"return"`
}

func (ec2Protocol) write(w http.ResponseWriter, c *call, answer any) {
	if a, ok := answer.(interface{ stamp(string) }); ok {
		a.stamp(c.requestID)
	}
	writeXML(w, http.StatusOK, c.action+"Response", ec2Namespace, answer)
}

func (ec2Protocol) writeError(w http.ResponseWriter, requestID string, e *apiError) {
	type detail struct {
		Code    string
		Message string
	}
	writeXML(w, e.status, "Response", "", struct {
		Errors    []detail `xml:"Errors>Error"`
		RequestID string
	}{[]detail{{e.code, e.message}}, requestID})
}

// writeXML writes a document whose root has the given name and namespace.
func writeXML(w http.ResponseWriter, status int, root, namespace string, body any) {
	start := xml.StartElement{Name: xml.Name{Local: root}}
	if namespace != "" {
		start.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}
	}
	var doc bytes.Buffer
	doc.WriteString(xml.Header)
	if err := xml.NewEncoder(&doc).EncodeElement(body, start); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(doc.Bytes()) // the caller is gone
}

// queryProtocol is the AWS Query protocol, which STS and Elastic Load Balancing speak.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
type queryProtocol struct{ namespace string }

func (queryProtocol) decode(r *http.Request) (*call, error) { return decodeForm(r) }

// write wraps the answer in an element of its own.
func (p queryProtocol) write(w http.ResponseWriter, c *call, answer any) {
	writeXML(w, http.StatusOK, c.action+"Response", p.namespace, struct {
		Result    named
		RequestID string `xml:"ResponseMetadata>RequestId"`
	}{named{c.action + "Result", answer}, c.requestID})
}

// named is an element whose name is known at run time only.
type named struct {
	name  string
	value any
}

func (n named) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	return e.EncodeElement(n.value, xml.StartElement{Name: xml.Name{Local: n.name}})
}

func (p queryProtocol) writeError(w http.ResponseWriter, requestID string, e *apiError) {
	type detail struct {
		Type    string
		Code    string
		Message string
	}
	blame := "Sender"
	if e.status >= 500 {
		blame = "Receiver"
	}
	writeXML(w, e.status, "ErrorResponse", p.namespace, struct {
		Error     detail
		RequestID string `xml:"RequestId"`
	}{detail{blame, e.code, e.message}, requestID})
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
	p.send(w, e.status, requestID, struct {
		Type    string `json:"__type"`
		Message string
	}{e.code, e.message})
}

func (jsonProtocol) send(w http.ResponseWriter, status int, requestID string, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", requestID)
	doc, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(doc) // as in writeXML
}
