package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"golang.org/x/time/rate"
)

// EC2 throttles each mutating action of an account and region by a bucket of 50 tokens that is refilled with 5 a
// second. See
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
const (
	mutatingBurst = 50
	mutatingRate  = 5
	// onTheWay is how many tokens of the burst are left alone. EC2 reckons from when calls arrive: the bucket here may
	// think a token there that is not yet, by as much as the first calls took longer than those that follow.
	onTheWay = 2
)

// atPace returns a call that is not made faster than EC2 allows, so that none is wasted on being throttled. One that
// would have to wait past the context's deadline fails at once.
func atPace[In, Out any](call operation[In, Out]) operation[In, Out] {
	bucket := rate.NewLimiter(mutatingRate, mutatingBurst-onTheWay)
	return func(ctx context.Context, in *In, opts ...func(*ec2.Options)) (*Out, error) {
		if err := bucket.Wait(ctx); err != nil {
			return nil, fmt.Errorf("out of time at the pace that EC2 allows; the next run continues: %w", err)
		}
		return call(ctx, in, opts...)
	}
}

const (
	// maxAttempts is how often a call is made that fails for a passing reason.
	maxAttempts = 3
	// maxThrottled is how often a call is made that is throttled because others use up the bucket. With pauses of up to
	// 20 s that is some two minutes.
	maxThrottled = 12
)

// retryer is the SDK's standard retryer with more patience for throttling.
type retryer struct{ *retry.Standard }

func newRetryer() aws.Retryer {
	return retryer{retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = maxThrottled })}
}

// RetryDelay implements aws.Retryer. Its error ends the retries.
func (r retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	if attempt >= maxAttempts && !throttling.IsErrorThrottle(err).Bool() {
		return 0, err
	}
	return r.Standard.RetryDelay(attempt, err)
}

var throttling = retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
