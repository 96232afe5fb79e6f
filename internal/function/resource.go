package function

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// answerReserve is how long before Lambda would end the function the work for CloudFormation ends, so that there is
// time for several attempts to answer: a request without an answer blocks the stack for an hour.
const answerReserve = 20 * time.Second

// handleResource does what CloudFormation asks for and answers, whatever comes of it. Package cfn of aws-lambda-go does
// not serve here: it puts the answer to any URL, follows redirects, tries once, waits for ever, and shows the URL in
// its errors.
//
// CloudFormation invokes asynchronously, so an error makes Lambda count it, for the alarm, and hand the event over
// twice more. That is right where the answer could not be delivered, and where it was a success although something
// failed: the run is repeated then, as those of other events are, and the second answer is for nobody. A failure that
// CloudFormation was told is its to deal with.
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
	log := h.log.With("requestType", r.kind, "stackId", r.stackID, "logicalResourceId", r.logicalID, "status", answer.Status, "reason", answer.Reason)
	if err != nil {
		log.ErrorContext(ctx, "CloudFormation could not be answered, Lambda tries again", "error", err)
		return nil, fmt.Errorf("answer CloudFormation: %w", err)
	}
	log.InfoContext(ctx, "CloudFormation is answered")
	if left := (*leftError)(nil); errors.As(fulfilled, &left) {
		return nil, fulfilled
	}
	return body, nil
}

// A leftError is a failure that no deployment can cure, such as a mistyped tag, a pool that is too small, or another
// account that cannot be reached. CloudFormation is not told it as one: it would fail the update for it, and then the
// rollback, which finds the same, and leave the stack in UPDATE_ROLLBACK_FAILED.
type leftError struct{ error }

func (e *leftError) Unwrap() error { return e.error }

// leave marks the failure of a run that no deployment can cure. One can cure a file that could not be had, as its URL
// is a parameter, the permissions of the function's own role, and what keeps it from seeing anything at all.
func leave(report *engine.Report, err error) error {
	if err == nil || report.PublishedAt.IsZero() || report.Denied || report.Described == 0 {
		return err
	}
	return &leftError{err}
}

// endEarlier returns a context that ends before ctx does, by a reserve that is at most a third of the time there is.
func endEarlier(ctx context.Context, reserve time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-min(reserve, time.Until(deadline)/3)))
}

// fulfil does what is asked for. The reason goes with a success.
func (h *Handler) fulfil(ctx context.Context, r *resourceRequest) (reason string, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	switch {
	case h.broken != nil:
		return "", h.broken
	case r.err != nil:
		return "", r.err
	case r.kind != requestDelete:
		report, _, err := h.run(ctx, task{deployed: true})
		err = leave(report, err)
		lists := report.Lists().Lists
		switch {
		case lists > 0 && report.Summary.Groups == 0:
			return words.Count(lists, "prefix list") + " made equal to the published ranges", err
		case lists > 0:
			return words.Count(report.Summary.Groups, "security group") + " and " + words.Count(lists, "prefix list") + " made equal to the published ranges", err
		case report.Summary.Groups == 0:
			return "there is no security group tagged " + h.engine.TagKey + " yet; tag one, it is synced by the next run", err
		}
		return words.Count(report.Summary.Groups, "security group") + " made equal to the published ranges", err
	case !r.withdraw:
		return "the rules are left as they are", nil
	case !r.wasMade():
		return "this resource was never made, so the rules are left as they are", nil
	}
	report, _, err := h.run(ctx, task{Request: engine.Request{Withdraw: true}})
	withdrawn := words.Count(report.Summary.Revoked, "rule")
	if removed := report.Lists().Removed; removed > 0 {
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

// newResourceAnswer returns the answer for a work that has come to an end, with an error if it failed.
func newResourceAnswer(r *resourceRequest, reason string, err error) *resourceAnswer {
	a := &resourceAnswer{
		Status: "SUCCESS", Reason: reason, PhysicalResourceID: r.id(),
		StackID: r.stackID, RequestID: r.requestID, LogicalResourceID: r.logicalID,
	}
	left := (*leftError)(nil)
	switch {
	case r.kind == requestDelete:
		a.PhysicalResourceID = r.idAfterFailure() // the one it has, unless CloudFormation does not say
		if err != nil {                           // deleting a stack always succeeds
			a.Reason = "rules are left, to be revoked by hand or with the tag's value none: " + failureText(err)
		}
	case errors.As(err, &left):
		a.Reason = "synced, except where no deployment can help; the function tries again, and alarms: " + failureText(err)
	case err != nil:
		a.Status, a.PhysicalResourceID = "FAILED", r.idAfterFailure()
		a.Reason = failureText(err)
	}
	return a
}

// failureText returns an error as one line, and where to read on.
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

// encode returns the answer in JSON. Of a reason that is too long the end is cut off.
func (a *resourceAnswer) encode() ([]byte, error) {
	body, err := marshal(a)
	if err != nil || len(body) <= maxAnswer {
		return body, err
	}
	// How many bytes a character takes in JSON differs, so the longest reason is searched for.
	cut := func(n int) []byte {
		short := *a
		short.Reason = words.Shorten(a.Reason, n)
		body, _ := marshal(short) // as it went well above
		return body
	}
	tooLong := sort.Search(len(a.Reason), func(n int) bool { return len(cut(n)) > maxAnswer })
	if tooLong == 0 {
		return nil, errors.New("the IDs to be repeated leave no room for an answer")
	}
	return cut(tooLong - 1), nil
}
