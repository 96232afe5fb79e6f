package ec2sim

import (
	"errors"
	"fmt"
	"net/http"
)

// An apiError is an error as the caller gets it.
type apiError struct{ code, message string }

func (e *apiError) Error() string { return e.code + ": " + e.message }

// statusOf lists the error codes whose HTTP status is not 400.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var statusOf = map[string]int{
	"AuthFailure":           http.StatusUnauthorized,
	"AccessDenied":          http.StatusForbidden,
	"UnauthorizedOperation": http.StatusForbidden,
	"DryRunOperation":       http.StatusPreconditionFailed,
	"InternalError":         http.StatusInternalServerError,
	"InternalFailure":       http.StatusInternalServerError,
	"RequestLimitExceeded":  http.StatusServiceUnavailable,
	"ServiceUnavailable":    http.StatusServiceUnavailable,
	"Unavailable":           http.StatusServiceUnavailable,
}

func errorf(code, format string, args ...any) *apiError {
	return &apiError{code, fmt.Sprintf(format, args...)}
}

func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	return errorf("InternalError", "An internal error has occurred: %v", err)
}

// A refusal is the panic that ends a call, or a change by hand, with an error. Every step of a call may refuse it;
// [attempt] hands the error to the caller, as encoding/json does with those of its own.
type refusal struct{ err error }

// attempt calls f, and returns the error that f was refused with.
func attempt(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case refusal:
			err = p.err
		default:
			panic(p)
		}
	}()
	f()
	return nil
}

func must(err error) {
	if err != nil {
		panic(refusal{err})
	}
}

// within calls f, and says where it was if it is refused.
func within(where string, f func()) {
	if err := attempt(f); err != nil {
		must(fmt.Errorf("%s: %w", where, err))
	}
}

func refuse(code, format string, args ...any) { must(errorf(code, format, args...)) }

func refuseInvalid(format string, args ...any) { refuse("InvalidParameterValue", format, args...) }
