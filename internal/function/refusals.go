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
