package engine

import (
	"context"
	"errors"
	"fmt"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/hint"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
)

// A roleError says that the role of another account cannot be assumed. That is so in all regions of the account alike.
type roleError struct {
	roleARN string
	err     error
}

func (e *roleError) Error() string {
	return fmt.Sprintf("role %s cannot be assumed: %v", e.roleARN, e.err)
}
func (e *roleError) Unwrap() error { return e.err }

// roleProvider assumes a role. Its errors are of type roleError.
type roleProvider struct {
	aws.CredentialsProvider
	roleARN string
}

// Retrieve assumes the role.
func (p roleProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err == nil {
		return c, nil
	}
	// STS answers with this one code whether the role is not there, does not trust the caller, asks for another external
	// ID, or the caller may not assume it. See
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_roles.html
	// It is hidden: else it would be taken for one of the service that the credentials are for.
	if refusal, _ := errors.AsType[smithy.APIError](err); awserr.Code(err) == "AccessDenied" {
		err = hint.New(refusal.Error(), "most likely its trust policy does not name the caller, or asks for another external ID than EXTERNAL_ID; check also that the role exists and that the caller may sts:AssumeRole it")
	}
	return c, &roleError{p.roleARN, err}
}

// oncePerRole tells that a role cannot be assumed once for its account, instead of once for each of its regions. The
// other errors are left as they are.
func oncePerRole(errs []error) (all []error) {
	told := map[string]bool{}
	for _, err := range errs {
		if refused, ok := errors.AsType[*roleError](err); !ok {
			all = append(all, err)
		} else if !told[refused.roleARN] {
			told[refused.roleARN] = true
			all = append(all, fmt.Errorf("account %s: %w", AccountOf(refused.roleARN), refused))
		}
	}
	return all
}
