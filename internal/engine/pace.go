package engine

import (
	"context"
	"fmt"
	"time"

	"cloudfront-sg-sync/secgroup"

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

// paced is an EC2 client that does not call faster than EC2 allows, so that no call is wasted on being throttled. A
// call that would have to wait past the context's deadline fails at once.
type paced struct {
	secgroup.API
	authorize, revoke, redescribe *rate.Limiter
}

func newPaced(api secgroup.API) *paced {
	limiter := func() *rate.Limiter { return rate.NewLimiter(mutatingRate, mutatingBurst-onTheWay) }
	return &paced{API: api, authorize: limiter(), revoke: limiter(), redescribe: limiter()}
}

func wait(ctx context.Context, l *rate.Limiter) error {
	if err := l.Wait(ctx); err != nil {
		return fmt.Errorf("out of time at the pace that EC2 allows; the next run continues: %w", err)
	}
	return nil
}

// AuthorizeSecurityGroupIngress implements secgroup.API.
func (p *paced) AuthorizeSecurityGroupIngress(ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	if err := wait(ctx, p.authorize); err != nil {
		return nil, err
	}
	return p.API.AuthorizeSecurityGroupIngress(ctx, in, opts...)
}

// RevokeSecurityGroupIngress implements secgroup.API.
func (p *paced) RevokeSecurityGroupIngress(ctx context.Context, in *ec2.RevokeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	if err := wait(ctx, p.revoke); err != nil {
		return nil, err
	}
	return p.API.RevokeSecurityGroupIngress(ctx, in, opts...)
}

// UpdateSecurityGroupRuleDescriptionsIngress implements secgroup.API.
func (p *paced) UpdateSecurityGroupRuleDescriptionsIngress(ctx context.Context, in *ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, opts ...func(*ec2.Options)) (*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput, error) {
	if err := wait(ctx, p.redescribe); err != nil {
		return nil, err
	}
	return p.API.UpdateSecurityGroupRuleDescriptionsIngress(ctx, in, opts...)
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
