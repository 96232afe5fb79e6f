package engine

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// plainBody is an HTTP client that hands request bodies on as plain readers, and ends attempts that take too long.
//
// The SDK closes the body as soon as an answer begins. Where net/http is still about to see the end of the body, its
// WriteTo then returns io.EOF, net/http takes that for a failed write and closes the connection under the answer, and a
// call that has taken effect is made again. See
// https://github.com/aws/aws-sdk-go-v2/issues/1825
type plainBody struct{ aws.HTTPClient }

// attemptTime is how long an attempt at a call may take. A page of 1,000 groups takes seconds; an endpoint that never
// answers would keep the targets that wait for their turn from theirs.
const attemptTime = 20 * time.Second

// newHTTPClient returns client, or the SDK's own if there is none, with plain bodies.
func newHTTPClient(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	return plainBody{client}
}

// Do implements aws.HTTPClient. It gives an attempt its own time.
func (c plainBody) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), attemptTime)
	req = req.Clone(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
	answer, err := c.HTTPClient.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	answer.Body = timedBody{answer.Body, cancel}
	return answer, nil
}

// timedBody is the body of an answer whose time ends when it is closed.
type timedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b timedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
