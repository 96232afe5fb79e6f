package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"golang.org/x/time/rate"
)

// Config returns what a client for any service needs to retry as that of a target does, in the account of the role or,
// without one, in that of cfg. An empty external ID is not sent.
func Config(cfg aws.Config, roleARN, externalID string) aws.Config {
	if cfg.Retryer == nil {
		cfg.Retryer = newRetryer
	}
	if cfg.HTTPClient = newHTTPClient(cfg.HTTPClient); roleARN == "" {
		return cfg
	}
	provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), roleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "cloudfront-sg-sync"
		if externalID != "" {
			o.ExternalID = &externalID
		}
	})
	cfg.Credentials = aws.NewCredentialsCache(roleProvider{provider, roleARN})
	return cfg
}

// A roleError says that the role of another account cannot be assumed. That is so in all regions of the account alike.
type roleError struct {
	error
	roleARN string
}

func (e *roleError) Unwrap() error { return e.error }

// roleProvider assumes a role. Its errors are of type roleError.
type roleProvider struct {
	aws.CredentialsProvider
	roleARN string
}

// Retrieve assumes the role.
//
// STS answers AccessDenied whether the role does not exist, does not trust the caller, asks for another external ID, or
// the caller may not assume it. See https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_roles.html
// That answer is not wrapped, or it would pass for one of the service that the credentials are for.
func (p roleProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err == nil {
		return c, nil
	}
	if refusal, _ := errors.AsType[smithy.APIError](err); awserr.Code(err) == "AccessDenied" {
		err = hint.New(refusal.Error(), "most likely its trust policy does not name the caller, or asks for another external ID than EXTERNAL_ID; check also that the role exists and that the caller may sts:AssumeRole it")
	}
	return c, &roleError{fmt.Errorf("role %s cannot be assumed: %w", p.roleARN, err), p.roleARN}
}

// plainBody is an HTTP client that hands request bodies on as plain readers. The SDK closes the body as soon as an
// answer begins. If net/http has not seen the end of the body by then, WriteTo returns io.EOF, net/http takes that for a
// failed write and closes the connection, and a call that has taken effect is made again. See
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

// EC2 throttles each mutating action of an account and region by a bucket of 50 tokens that is refilled with 5 a
// second. See https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
// It counts from when calls arrive, which may be sooner for later calls: so a few tokens stay unused.
const (
	mutatingBurst = 50
	mutatingRate  = 5
	unusedTokens  = 2
)

// atPace returns a call that is not made faster than EC2 allows, so that none is wasted on being throttled. One that
// would have to wait past the context's deadline fails at once.
func atPace[In, Out any](call operation[In, Out]) operation[In, Out] {
	bucket := rate.NewLimiter(mutatingRate, mutatingBurst-unusedTokens)
	return func(ctx context.Context, in *In, opts ...func(*ec2.Options)) (*Out, error) {
		if err := bucket.Wait(ctx); err != nil {
			return nil, fmt.Errorf("out of time at the pace that EC2 allows; the next run continues: %w", err)
		}
		return call(ctx, in, opts...)
	}
}

// A call that fails for a passing reason is made maxAttempts times. One that is throttled, because others use up the
// bucket, is made maxThrottled times, which with pauses of up to 20 s takes some two minutes.
const (
	maxAttempts  = 3
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

// Narrow returns client as an API that holds functions and no client. It keeps the rest of the SDK's EC2 client, 700
// operations of 30 MB, out of a program that looks up methods by name at run time, as cfsg's parser of flags does. Such
// a program keeps all exported methods of each type that it converts to an interface, and of the types of its fields. So
// a *ec2.Client must not become an interface anywhere. See the third condition in
// https://github.com/golang/go/blob/go1.26.0/src/cmd/link/internal/ld/deadcode.go
func Narrow(client *ec2.Client) secgroup.API { return newNarrow(client) }

func newNarrow(client *ec2.Client) *narrow {
	return &narrow{
		client.DescribeSecurityGroups, client.DescribeManagedPrefixLists, client.GetManagedPrefixListEntries,
		client.DescribeNetworkInterfaces, client.AuthorizeSecurityGroupIngress, client.RevokeSecurityGroupIngress,
		client.UpdateSecurityGroupRuleDescriptionsIngress, client.ModifyManagedPrefixList,
	}
}

// operation is one operation of EC2.
type operation[In, Out any] func(context.Context, *In, ...func(*ec2.Options)) (*Out, error)

// narrow implements secgroup.API, each method by the function of its name.
type narrow struct {
	describeSecurityGroups      operation[ec2.DescribeSecurityGroupsInput, ec2.DescribeSecurityGroupsOutput]
	describeManagedPrefixLists  operation[ec2.DescribeManagedPrefixListsInput, ec2.DescribeManagedPrefixListsOutput]
	getManagedPrefixListEntries operation[ec2.GetManagedPrefixListEntriesInput, ec2.GetManagedPrefixListEntriesOutput]
	describeNetworkInterfaces   operation[ec2.DescribeNetworkInterfacesInput, ec2.DescribeNetworkInterfacesOutput]
	authorize                   operation[ec2.AuthorizeSecurityGroupIngressInput, ec2.AuthorizeSecurityGroupIngressOutput]
	revoke                      operation[ec2.RevokeSecurityGroupIngressInput, ec2.RevokeSecurityGroupIngressOutput]
	redescribe                  operation[ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput]
	modifyManagedPrefixList     operation[ec2.ModifyManagedPrefixListInput, ec2.ModifyManagedPrefixListOutput]
}

func (n *narrow) DescribeSecurityGroups(ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opts ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	return n.describeSecurityGroups(ctx, in, opts...)
}

func (n *narrow) DescribeManagedPrefixLists(ctx context.Context, in *ec2.DescribeManagedPrefixListsInput, opts ...func(*ec2.Options)) (*ec2.DescribeManagedPrefixListsOutput, error) {
	return n.describeManagedPrefixLists(ctx, in, opts...)
}

func (n *narrow) GetManagedPrefixListEntries(ctx context.Context, in *ec2.GetManagedPrefixListEntriesInput, opts ...func(*ec2.Options)) (*ec2.GetManagedPrefixListEntriesOutput, error) {
	return n.getManagedPrefixListEntries(ctx, in, opts...)
}

func (n *narrow) DescribeNetworkInterfaces(ctx context.Context, in *ec2.DescribeNetworkInterfacesInput, opts ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	return n.describeNetworkInterfaces(ctx, in, opts...)
}

func (n *narrow) AuthorizeSecurityGroupIngress(ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	return n.authorize(ctx, in, opts...)
}

func (n *narrow) RevokeSecurityGroupIngress(ctx context.Context, in *ec2.RevokeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	return n.revoke(ctx, in, opts...)
}

func (n *narrow) UpdateSecurityGroupRuleDescriptionsIngress(ctx context.Context, in *ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, opts ...func(*ec2.Options)) (*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput, error) {
	return n.redescribe(ctx, in, opts...)
}

func (n *narrow) ModifyManagedPrefixList(ctx context.Context, in *ec2.ModifyManagedPrefixListInput, opts ...func(*ec2.Options)) (*ec2.ModifyManagedPrefixListOutput, error) {
	return n.modifyManagedPrefixList(ctx, in, opts...)
}
