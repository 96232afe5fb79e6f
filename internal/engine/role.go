package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
)

// A RoleError says that the role of another account cannot be assumed. That is so in all regions of the account alike.
type RoleError struct {
	RoleARN string
	Err     error
}

func (e *RoleError) Error() string {
	if refusal, ok := e.refusal(); ok {
		// STS answers with this one code whether the role is not there, does not trust the caller, asks for another
		// external ID, or the caller may not assume it. See
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_roles.html
		return fmt.Sprintf("role %s cannot be assumed: %v; %s", e.RoleARN, refusal, e.Hint())
	}
	return fmt.Sprintf("role %s cannot be assumed: %v", e.RoleARN, e.Err)
}

// Hint returns what to do about a refusal by STS; it is empty for other errors.
func (e *RoleError) Hint() string {
	if _, ok := e.refusal(); !ok {
		return ""
	}
	return "most likely its trust policy does not name the caller, or asks for another external ID than EXTERNAL_ID; check also that the role exists and that the caller may sts:AssumeRole it"
}

// Unwrap hides a refusal by STS: its code would be taken for one of the service that the credentials are for.
func (e *RoleError) Unwrap() error {
	if _, ok := e.refusal(); ok {
		return nil
	}
	return e.Err
}

func (e *RoleError) refusal() (smithy.APIError, bool) {
	refusal, ok := errors.AsType[smithy.APIError](e.Err)
	return refusal, ok && refusal.ErrorCode() == "AccessDenied"
}

// roleProvider assumes a role. Its errors are of type RoleError.
type roleProvider struct {
	aws.CredentialsProvider
	roleARN string
}

// Retrieve assumes the role.
func (p roleProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &RoleError{p.roleARN, err}
	}
	return c, nil
}

// oncePerRole tells that a role cannot be assumed once for its account, instead of once for each of its regions. The
// other errors are left as they are.
func oncePerRole(errs []error) []error {
	var told []string
	var once []error
	for _, err := range errs {
		if refused, ok := errors.AsType[*RoleError](err); ok {
			if slices.Contains(told, refused.RoleARN) {
				continue
			}
			told = append(told, refused.RoleARN)
			err = fmt.Errorf("account %s: %w", AccountOf(refused.RoleARN), refused)
		}
		once = append(once, err)
	}
	return once
}
