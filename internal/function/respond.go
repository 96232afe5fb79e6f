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

// s3Host matches the hosts of Amazon S3. CloudFormation takes its answers in a bucket of its own, at hosts such as
// cloudformation-custom-resource-response-useast1.s3.amazonaws.com, in the region and partition of the stack. See
// https://docs.aws.amazon.com/general/latest/gr/s3.html and
// https://github.com/aws-cloudformation/aws-cloudformation-templates/issues/100
var s3Host = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:[a-z0-9][a-z0-9.-]*\.)?s3(?:-external-1|(?:-fips)?[.-](?:dualstack\.)?(?:[a-z]{2}|eusc)(?:-[a-z]+)+-\d+)?\.amazonaws\.(?:com|com\.cn|eu)$`)
})

// A responder puts answers to response URLs, the only URLs of an event that are ever used. They are presigned, so
// anyone who has one can answer: they appear in no error and no log.
type responder struct {
	client *http.Client
	// onLoopback allows URLs of this machine, for tests. Elsewhere an event must not make the function talk to it: the
	// interfaces of Lambda itself are there.
	onLoopback bool
	pause      time.Duration // before the second attempt; it doubles with each
}

func newResponder(onLoopback bool) *responder {
	return &responder{
		// A redirect would take the answer to a place that was not checked.
		client:     &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		onLoopback: onLoopback,
		pause:      500 * time.Millisecond,
	}
}

// check refuses a URL that is not where CloudFormation takes answers.
func (r *responder) check(u *url.URL) error {
	if u.User == nil && loopback.Is(u.Hostname()) && r.onLoopback {
		return nil
	}
	if u.Scheme != "https" || u.User != nil || u.Port() != "" && u.Port() != "443" || !s3Host().MatchString(u.Hostname()) {
		return fmt.Errorf("event's ResponseURL is refused: host %s is not one of Amazon S3, or the URL is not https; nothing is done or answered", excerpt([]byte(u.Host)))
	}
	return nil
}

func isLoopbackURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && loopback.Is(u.Hostname())
}

const (
	putAttempts = 4
	// putTimeout is the longest that one attempt may take.
	putTimeout = 4 * time.Second
	// putReserve is the time to keep for reporting that the last attempt failed.
	putReserve = 500 * time.Millisecond
)

// put delivers an answer. Any failure is worth another attempt, within the time there is: a second answer that equals
// the first does no harm.
func (r *responder) put(ctx context.Context, u *url.URL, body []byte) error {
	pause := r.pause
	for attempt := 1; ; attempt++ {
		err := r.putOnce(ctx, u, body, putAttempts-attempt+1)
		if err == nil || attempt == putAttempts {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// putOnce makes one attempt, which leaves time for the others.
func (r *responder) putOnce(ctx context.Context, u *url.URL, body []byte, attemptsLeft int) error {
	timeout := putTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, (time.Until(deadline)-putReserve)/time.Duration(attemptsLeft))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// The signature of the URL is for a request without a content type, so none is set.
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.String(), bytes.NewReader(body))
	if err != nil {
		return withoutURL(u, err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return withoutURL(u, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answers %s", u.Host, resp.Status)
	}
	return nil
}

// withoutURL returns an error of net/http with the host alone in place of the URL.
func withoutURL(u *url.URL, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("put to %s: %w", u.Host, err)
}
