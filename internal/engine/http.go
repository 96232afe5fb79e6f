package engine

import (
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// plainBody is an HTTP client that hands request bodies on as plain readers.
//
// The SDK closes the body as soon as an answer begins. Where net/http is still about to see the end of the body, its
// WriteTo then returns io.EOF, net/http takes that for a failed write and closes the connection under the answer, and a
// call that has taken effect is made again. See
// https://github.com/aws/aws-sdk-go-v2/issues/1825
type plainBody struct{ aws.HTTPClient }

// attemptTime is how long an attempt at a call may take. A page of 1,000 groups takes seconds; an endpoint that never
// answers would keep the targets that wait for their turn from theirs.
const attemptTime = 20 * time.Second

// newHTTPClient returns client, or the SDK's own if there is none, with plain bodies and attemptTime.
func newHTTPClient(client aws.HTTPClient) aws.HTTPClient {
	switch c := client.(type) {
	case plainBody:
		return c
	case nil:
		client = awshttp.NewBuildableClient().WithTimeout(attemptTime)
	case *awshttp.BuildableClient:
		client = c.WithTimeout(attemptTime)
	case *http.Client:
		timed := *c
		timed.Timeout = attemptTime
		client = &timed
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
