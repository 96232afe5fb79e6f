package function

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/loopback"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/go-json-experiment/json/jsontext"
)

// answerReserve is the time kept for several attempts to answer CloudFormation before Lambda ends the function: a
// request without an answer blocks the stack for an hour.
const answerReserve = 20 * time.Second

// handleResource handles a request of CloudFormation, and answers in any case. Package cfn of aws-lambda-go is no
// alternative: it sends the answer to any URL, follows redirects, tries once, waits for ever, and shows the URL in its
// errors.
//
// CloudFormation invokes asynchronously, so after an error Lambda counts it, for the alarm, and retries the event twice.
// That is right if the answer could not be delivered, and if the answer was a success although something failed: then
// the run is repeated, as for other events, and nobody reads the second answer. A failure that CloudFormation heard of
// is not retried.
func (h *Handler) handleResource(ctx context.Context, r *resourceRequest) ([]byte, error) {
	if err := h.responder.check(r.responseURL); err != nil {
		return h.refuse(ctx, bounded(err))
	}
	work, cancel := endEarlier(ctx, answerReserve)
	reason, fulfilled := h.fulfil(work, r)
	cancel()
	answer := newResourceAnswer(r, reason, fulfilled)
	body, err := answer.encode()
	if err == nil {
		err = h.responder.put(ctx, r.responseURL, body)
	}
	log := h.log.With("requestType", r.kind, "stackId", r.answer.StackID, "logicalResourceId", r.answer.LogicalResourceID, "status", answer.Status, "reason", answer.Reason)
	if err != nil {
		log.ErrorContext(ctx, "cannot answer CloudFormation; Lambda will retry", "error", err)
		return nil, fmt.Errorf("answer CloudFormation: %w", err)
	}
	log.InfoContext(ctx, "answered CloudFormation")
	if left := (*leftError)(nil); errors.As(fulfilled, &left) {
		return nil, fulfilled
	}
	return body, nil
}

// A leftError is a failure that no deployment can cure, such as a mistyped tag, a pool that is too small, or another
// account that cannot be reached. CloudFormation hears of a success: otherwise it would fail the update, and then the
// rollback, which fails likewise, and leave the stack in UPDATE_ROLLBACK_FAILED.
type leftError struct{ error }

func (e *leftError) Unwrap() error { return e.error }

// leave marks the failure of a run that no deployment can cure. A deployment can cure a file that cannot be fetched,
// because its URL is a parameter, missing permissions of the function's own role, and a run that sees nothing at all.
func leave(report *engine.Report, err error) error {
	if err == nil || report.PublishedAt.IsZero() || report.Denied || report.Described == 0 {
		return err
	}
	return &leftError{err}
}

// endEarlier returns a context that ends before ctx, by a reserve of at most a third of the remaining time.
func endEarlier(ctx context.Context, reserve time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-min(reserve, time.Until(deadline)/3)))
}

// fulfil carries out a request. The reason goes with a success.
func (h *Handler) fulfil(ctx context.Context, r *resourceRequest) (reason string, err error) {
	defer h.recovered(ctx, &err)
	switch {
	case h.broken != nil:
		return "", h.broken
	case r.err != nil:
		return "", r.err
	case r.kind != "Delete":
		report, _, err := h.run(ctx, task{deployed: true})
		err = leave(report, err)
		var synced []string
		if n := report.Summary.Groups; n > 0 {
			synced = append(synced, words.Count(n, "security group"))
		}
		if n := report.Lists().Groups; n > 0 {
			synced = append(synced, words.Count(n, "prefix list"))
		}
		if len(synced) == 0 {
			return "no security group is tagged " + h.engine.TagKey + " yet; tag one, and the next run syncs it", err
		}
		return strings.Join(synced, " and ") + " made equal to the published ranges", err
	case !r.withdraw:
		return "the rules are left as they are", nil
	case !r.wasMade():
		return "this resource was never created, so the rules are left as they are", nil
	}
	report, _, err := h.run(ctx, task{Request: engine.Request{Withdraw: true}})
	withdrawn := words.Count(report.Summary.Revoked, "rule")
	if removed := report.Lists().Revoked; removed > 0 {
		withdrawn += fmt.Sprintf(" and %d entries of prefix lists", removed)
	}
	return withdrawn + " withdrawn", err
}

// A resourceAnswer is the answer to CloudFormation. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
type resourceAnswer struct {
	Status             string
	Reason             string
	PhysicalResourceID string `json:"PhysicalResourceId"`
	StackID            string `json:"StackId"`
	RequestID          string `json:"RequestId"`
	LogicalResourceID  string `json:"LogicalResourceId"`
}

// newResourceAnswer returns the answer to a request that was carried out, or failed with an error.
func newResourceAnswer(r *resourceRequest, reason string, err error) *resourceAnswer {
	a := r.answer
	a.Status, a.Reason, a.PhysicalResourceID = "SUCCESS", reason, r.id()
	left := (*leftError)(nil)
	switch {
	case r.kind == "Delete":
		a.PhysicalResourceID = r.idAfterFailure() // its own, if CloudFormation names it
		if err != nil {                           // deleting a stack always succeeds
			a.Reason = "some rules are left; revoke them by hand, or set the tag to none: " + failureText(err)
		}
	case errors.As(err, &left):
		a.Reason = "synced, with failures that no deployment can cure; the function retries and raises an alarm: " + failureText(err)
	case err != nil:
		a.Status, a.PhysicalResourceID = "FAILED", r.idAfterFailure()
		a.Reason = failureText(err)
	}
	return &a
}

// failureText returns an error as one line, with the place of the log.
func failureText(err error) string {
	const most = 2500 // of maxAnswer bytes
	text := words.Shorten(strings.ReplaceAll(err.Error(), "\n", "; "), most)
	if lambdacontext.LogStreamName == "" {
		return text
	}
	return text + " (log group " + lambdacontext.LogGroupName + ", stream " + lambdacontext.LogStreamName + ")"
}

// maxAnswer is the size in bytes of the largest answer that CloudFormation takes.
const maxAnswer = 4096

// encode returns the answer in JSON. It cuts the end of a reason that is too long.
func (a *resourceAnswer) encode() ([]byte, error) {
	body, err := json.Marshal(a)
	if err != nil || len(body) <= maxAnswer {
		return body, err
	}
	// Characters take different numbers of bytes in JSON, so search for the longest reason that fits.
	cut := func(n int) []byte {
		short := *a
		short.Reason = words.Shorten(a.Reason, n)
		body, _ := json.Marshal(short) // it worked above
		return body
	}
	tooLong := sort.Search(len(a.Reason), func(n int) bool { return len(cut(n)) > maxAnswer })
	if tooLong == 0 {
		return nil, errors.New("the IDs leave no room for an answer")
	}
	return cut(tooLong - 1), nil
}

// A resourceRequest is a request of CloudFormation for the stack's custom resource, which represents the sync of the
// tagged groups. IAM decides who may send one: an invocation has no proof of its origin. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
type resourceRequest struct {
	kind        string // Create, Update or Delete
	responseURL *url.URL
	answer      resourceAnswer // with the request's IDs; the physical one is empty for Create
	withdraw    bool           // deleting the resource revokes the owned rules
	err         error          // why the request cannot be carried out, although it can be answered
}

// maxID is the longest ID that an answer of at most 4,096 bytes can repeat. A stack's is the longest in practice, with
// some 200 characters.
const maxID = 512

// parseResourceRequest reads a request of CloudFormation. It fails if the request cannot be answered.
func parseResourceRequest(object map[string]jsontext.Value) (*resourceRequest, error) {
	r := &resourceRequest{}
	var responseURL string
	for _, m := range []struct {
		name  string
		field *string
	}{
		{"RequestType", &r.kind},
		{"ResponseURL", &responseURL},
		{"StackId", &r.answer.StackID},
		{"RequestId", &r.answer.RequestID},
		{"LogicalResourceId", &r.answer.LogicalResourceID},
		{"PhysicalResourceId", &r.answer.PhysicalResourceID},
	} {
		value, ok := object[m.name]
		if !ok && m.field == &r.answer.PhysicalResourceID {
			continue
		}
		// The value is not quoted: it may be a response URL, which is a credential.
		if err := json.Unmarshal(value, m.field); err != nil || *m.field == "" {
			return nil, fmt.Errorf("event of CloudFormation has no %s, or one that is not a string; it cannot be answered", m.name)
		}
		if m.field != &responseURL && len(*m.field) > maxID {
			return nil, fmt.Errorf("event of CloudFormation has a %s of %d bytes, too many to be repeated in an answer", m.name, len(*m.field))
		}
	}
	var err error
	if r.responseURL, err = url.Parse(responseURL); err != nil {
		return nil, errors.New("event of CloudFormation has a ResponseURL that is no URL; it cannot be answered")
	}
	r.withdraw, r.err = onDelete(object["ResourceProperties"])
	if !slices.Contains([]string{"Create", "Update", "Delete"}, r.kind) {
		r.err = fmt.Errorf("RequestType %q is none of Create, Update and Delete", r.kind)
	}
	return r, nil
}

// onDelete reads the only property that matters here. The others make CloudFormation update the resource when the
// function's settings change.
func onDelete(properties jsontext.Value) (withdraw bool, err error) {
	choice := "keep"
	if properties != nil {
		object, err := members(properties)
		if err != nil {
			return false, fmt.Errorf("ResourceProperties cannot be read: %w", err)
		}
		if text(object["OnDelete"], &choice) != nil {
			return false, errors.New("property OnDelete is not a string; write keep or withdraw")
		}
	}
	if choice != "keep" && choice != "withdraw" {
		return false, fmt.Errorf("property OnDelete is %q; write keep or withdraw", choice)
	}
	return choice == "withdraw", nil
}

// id returns the physical ID of the resource once it is created. It is the same in each request: CloudFormation takes
// another ID for a new resource, and deletes the old one. See "PhysicalResourceId" in
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
func (r *resourceRequest) id() string {
	return r.answer.LogicalResourceID + "-" + path.Base(r.answer.StackID)
}

// idAfterFailure returns the physical ID of the answer to a failed request. A resource that could not be created gets an
// ID that identifies its deletion when the stack is rolled back. Amazon's CDK does the same:
// https://github.com/aws/aws-cdk/pull/5525
func (r *resourceRequest) idAfterFailure() string {
	return cmp.Or(r.answer.PhysicalResourceID, r.id()+"-not-created")
}

// wasMade reports whether the resource to be deleted was ever created. A stack whose creation failed must not withdraw
// rules that an earlier stack left.
func (r *resourceRequest) wasMade() bool { return r.answer.PhysicalResourceID == r.id() }

// refusals counts calls of the function's own role that AWS refused. It watches the calls, because a run goes on after
// some refusals: without the permission to describe prefix lists, say, it syncs none and only warns.
type refusals struct {
	count atomic.Int64
	key   string // the ID of the role's access key, which distinguishes its calls from those of assumed roles
}

// watch returns a copy of cfg whose clients are watched.
func (r *refusals) watch(ctx context.Context, cfg aws.Config) aws.Config {
	if cfg.Credentials != nil {
		if own, err := cfg.Credentials.Retrieve(ctx); err == nil { // else every call fails, and says why
			r.key = own.AccessKeyID
		}
	}
	see := middleware.DeserializeMiddlewareFunc("CountRefusals", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if request, ok := in.Request.(*smithyhttp.Request); ok && awserr.IsDenied(err) &&
			strings.Contains(request.Header.Get("Authorization"), "Credential="+r.key+"/") {
			r.count.Add(1)
		}
		return out, metadata, err
	})
	cfg.APIOptions = append(slices.Clone(cfg.APIOptions), func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(see, middleware.Before)
	})
	return cfg
}

// A role that was just created, or whose policy was just changed, may be refused for a while, because IAM is eventually
// consistent: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
const (
	firstRefusalPause = 2 * time.Second // doubles each time
	refusalPatience   = 2 * time.Minute // of all pauses together
	// runReserve is the least time left to begin another run.
	runReserve = 10 * time.Second
)

// runDeployed runs the engine for a deployment. While the role is refused and there is time, it runs again after growing
// pauses. Otherwise the stack would be rolled back for lack of a permission that it has. It returns the reports of all
// runs.
func (h *Handler) runDeployed(ctx context.Context, req engine.Request) (earlier []*engine.Report, last *engine.Report, err error) {
	left := refusalPatience
	for pause := firstRefusalPause; ; pause *= 2 {
		h.refusals.count.Store(0)
		began := h.now()
		report, err := h.runEngine(ctx, req)
		pause = min(pause, left)
		left -= pause
		deadline, limited := ctx.Deadline()
		inTime := !limited || h.now().Add(pause+max(runReserve, h.now().Sub(began))+reportReserve).Before(deadline)
		if h.refusals.count.Load() == 0 || pause == 0 || !inTime {
			return earlier, report, err
		}
		h.log.InfoContext(ctx, "IAM refused the role, which may pass: trying again", "seconds", pause.Seconds(), "warnings", report.Warnings, "errors", report.Errors)
		if h.sleep(ctx, pause) != nil {
			return earlier, report, err
		}
		earlier = append(earlier, report)
	}
}

// sleep waits, or returns an error if the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

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
