package engine

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// plainBody is an HTTP client that hands request bodies on as plain readers.
//
// The SDK closes the body as soon as an answer begins. Where net/http is still
// about to see the end of the body, its WriteTo then returns io.EOF, net/http
// takes that for a failed write and closes the connection under the answer,
// and a call that has taken effect is made again. See
// https://github.com/aws/aws-sdk-go-v2/issues/1825
type plainBody struct{ aws.HTTPClient }

// newHTTPClient returns client, or the SDK's own if there is none, with plain
// bodies.
func newHTTPClient(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	return plainBody{client}
}

// Do implements aws.HTTPClient.
func (c plainBody) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req = req.Clone(req.Context())
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
	return c.HTTPClient.Do(req)
}
