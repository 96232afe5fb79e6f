package function

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/loopback"
)

// s3Host matches the hosts of Amazon S3. CloudFormation takes answers in its buckets, at hosts such as
// cloudformation-custom-resource-response-useast1.s3.amazonaws.com, in the region and partition of the stack. See
// https://docs.aws.amazon.com/general/latest/gr/s3.html and
// https://github.com/aws-cloudformation/aws-cloudformation-templates/issues/100
var s3Host = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:[a-z0-9][a-z0-9.-]*\.)?s3(?:-external-1|(?:-fips)?[.-](?:dualstack\.)?(?:[a-z]{2}|eusc)(?:-[a-z]+)+-\d+)?\.amazonaws\.(?:com|com\.cn|eu)$`)
})

// A responder sends answers to response URLs, the only URLs of an event that are ever used. They are presigned, so
// anyone who has one can answer: no error or log shows them.
type responder struct {
	client *http.Client
	// onLoopback allows URLs of this machine, for tests. On Lambda, its own interfaces are there, and an event must not
	// make the function talk to them.
	onLoopback bool
	pause      time.Duration // before the second attempt; doubles each time
}

func newResponder(onLoopback bool) *responder {
	return &responder{
		// A redirect could lead to a host that was not checked.
		client:     &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		onLoopback: onLoopback,
		pause:      500 * time.Millisecond,
	}
}

// check refuses a URL at which CloudFormation takes no answers.
func (r *responder) check(u *url.URL) error {
	if u.User == nil && loopback.Is(u.Hostname()) && r.onLoopback {
		return nil
	}
	if u.Scheme != "https" || u.User != nil || u.Port() != "" && u.Port() != "443" || !s3Host().MatchString(u.Hostname()) {
		return fmt.Errorf("event's ResponseURL is refused: host %s is not Amazon S3, or the URL is not https; nothing is done or answered", excerpt([]byte(u.Host)))
	}
	return nil
}

func isLoopbackURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && loopback.Is(u.Hostname())
}

const (
	putAttempts = 4
	putTimeout  = 4 * time.Second        // the longest that one attempt may take
	putReserve  = 500 * time.Millisecond // is kept to report that the last attempt failed
)

// put delivers an answer. It retries after any failure, within the remaining time: a second, equal answer does no harm.
func (r *responder) put(ctx context.Context, u *url.URL, body []byte) error {
	pause := r.pause
	for left := putAttempts; ; left-- {
		timeout := putTimeout
		if deadline, ok := ctx.Deadline(); ok { // leaves time for the other attempts
			timeout = min(timeout, (time.Until(deadline)-putReserve)/time.Duration(left))
		}
		err := r.tryPut(ctx, u, body, timeout)
		if err == nil || left == 1 || sleep(ctx, pause) != nil {
			return err
		}
		pause *= 2
	}
}

// tryPut makes one attempt.
func (r *responder) tryPut(ctx context.Context, u *url.URL, body []byte, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// The URL is signed for a request without a content type.
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.String(), bytes.NewReader(body))
	if err != nil {
		return withoutURL(u, err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return withoutURL(u, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be reused
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answers %s", u.Host, resp.Status)
	}
	return nil
}

// withoutURL returns an error of net/http with only the host of the URL.
func withoutURL(u *url.URL, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("put to %s: %w", u.Host, err)
}
