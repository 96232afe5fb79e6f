// Package awserr says what an error from AWS means, and what to do about it.
package awserr

import (
	"errors"
	"net"
	"strings"

	"cloudfront-sg-sync/internal/hint"

	"github.com/aws/smithy-go"
)

// Code returns AWS's code of an error. It is empty if the error is not an answer from AWS.
func Code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// IsDenied reports whether AWS denied an action because a permission is missing. EC2 calls that UnauthorizedOperation,
// the other services AccessDenied or AccessDeniedException.
func IsDenied(err error) bool {
	code := Code(err)
	return code == "UnauthorizedOperation" || strings.HasPrefix(code, "AccessDenied")
}

// Permission returns the permission that the call of an error needs, such as ec2:DescribeRouteTables: IAM calls an
// operation of EC2 and of Elastic Load Balancing by its own name. See
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html and
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
func Permission(err error) string {
	call, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return ""
	}
	if call.Service() == "EC2" {
		return "ec2:" + call.Operation()
	}
	return "elasticloadbalancing:" + call.Operation()
}

// Explain adds to an error what to do about it, where AWS does not say. The permission is the one that the call needs.
func Explain(err error, permission string) error {
	var do string
	switch Code(err) {
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		do = "grant the permission " + permission
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "RequestExpired":
		do = "check the credentials and the clock, and that the region is enabled for the account"
	case "RequestLimitExceeded", "Throttling":
		do = "AWS is throttling this account: run again later"
	case "RulesPerSecurityGroupLimitExceeded":
		do = "the group's quota is lower than RULES_PER_GROUP, or a rule of the group refers to a prefix list, which counts as many rules: add a group to its pool (all groups of a pool carry the same pool tag), or raise quota L-0EA8095F"
	case "":
		_, unknown := errors.AsType[*net.DNSError](err)
		lost, ok := errors.AsType[*net.OpError](err)
		switch {
		case unknown:
			do = "check the name of the region"
		case ok && lost.Op == "dial":
			do = "check the network, and the endpoint if one is set"
		default:
			return err
		}
	default:
		return err
	}
	return hint.With(err, do)
}
