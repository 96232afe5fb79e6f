package function

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/engine"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// refusals counts what AWS has refused to the function's own role. It sees the calls themselves, because a run takes
// some refusals for an answer: without the permission to look for prefix lists, say, it syncs none and only warns.
type refusals struct {
	count atomic.Int64
	key   string // the ID of the role's access key, by which its calls are told from those of assumed roles
}

// watch returns cfg so that the calls of its clients are seen.
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

// A role that was just created, or whose policy has just changed, may be refused for a while, as IAM is eventually
// consistent: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
const (
	firstRefusalPause = 2 * time.Second // it doubles with each
	refusalPatience   = 2 * time.Minute // of all pauses together
	// runReserve is the least time to begin another run with.
	runReserve = 10 * time.Second
)

// runDeployed runs the engine for a deployment: again, after growing pauses, as long as the role is refused something
// and there is time. Otherwise the stack would be rolled back for a permission that it has.
func (h *Handler) runDeployed(ctx context.Context, req engine.Request) (*engine.Report, error) {
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
			return report, err
		}
		h.log.InfoContext(ctx, "the role was refused, which may pass: trying again", "seconds", pause.Seconds(), "warnings", report.Warnings, "errors", report.Errors)
		if h.sleep(ctx, pause) != nil {
			return report, err
		}
	}
}

// sleep waits, or returns an error when the context ends before.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
