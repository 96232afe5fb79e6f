package ec2sim

import (
	"errors"
	"fmt"
	"net/http"
)

// An apiError is an error as the caller gets it.
type apiError struct {
	code    string
	message string
	status  int
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// statusOf lists the error codes whose HTTP status is not 400.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var statusOf = map[string]int{
	"AuthFailure":                http.StatusUnauthorized,
	"AccessDenied":               http.StatusForbidden,
	"MissingAuthenticationToken": http.StatusForbidden,
	"UnauthorizedOperation":      http.StatusForbidden,
	"DryRunOperation":            http.StatusPreconditionFailed,
	"InternalError":              http.StatusInternalServerError,
	"InternalFailure":            http.StatusInternalServerError,
	"RequestLimitExceeded":       http.StatusServiceUnavailable,
	"ServiceUnavailable":         http.StatusServiceUnavailable,
	"Unavailable":                http.StatusServiceUnavailable,
}

// errorf returns the error of a code with the HTTP status EC2 gives it.
func errorf(code, format string, args ...any) *apiError {
	status, ok := statusOf[code]
	if !ok {
		status = http.StatusBadRequest
	}
	return &apiError{code: code, message: fmt.Sprintf(format, args...), status: status}
}

func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	return errorf("InternalError", "An internal error has occurred: %v", err)
}

func missing(parameter string) *apiError {
	return errorf("MissingParameter", "The request must contain the parameter %s", parameter)
}

func invalid(format string, args ...any) *apiError {
	return errorf("InvalidParameterValue", format, args...)
}
