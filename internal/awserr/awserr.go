// Package awserr tells what an error of AWS means, and what to do about it.
package awserr

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"
)

// Code returns AWS's code of an error. It is empty for an error that AWS did not answer with.
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

// Explain adds to an error what to do about it, where AWS does not say. The call needs the permission.
func Explain(err error, permission string) error {
	var hint string
	switch Code(err) {
	case "UnauthorizedOperation", "AccessDenied":
		hint = "grant the permission " + permission + " on it"
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "RequestExpired":
		hint = "check the credentials and the clock, and that the region is enabled for the account"
	case "RequestLimitExceeded":
		hint = "EC2 is throttling this account; run again later"
	case "RulesPerSecurityGroupLimitExceeded":
		hint = "the group's quota is lower than RULES_PER_GROUP says, or a prefix list in the group weighs more than one rule; add a group to its pool (all groups of a pool carry the same pool tag), or raise quota L-0EA8095F"
	case "":
		_, unknown := errors.AsType[*net.DNSError](err)
		lost, ok := errors.AsType[*net.OpError](err)
		switch {
		case unknown:
			hint = "check the name of the region"
		case ok && lost.Op == "dial":
			hint = "check the network, and the endpoint if one is set"
		default:
			return err
		}
	default:
		return err
	}
	return fmt.Errorf("%w; %s", err, hint)
}
