package awserr

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
)

func TestExplain(t *testing.T) {
	for code, want := range map[string]string{
		"UnauthorizedOperation":              "grant the permission ec2:X",
		"ExpiredToken":                       "check the credentials",
		"RequestLimitExceeded":               "run again later",
		"RulesPerSecurityGroupLimitExceeded": "raise quota L-0EA8095F",
	} {
		err := fmt.Errorf("describe: %w", &smithy.GenericAPIError{Code: code})
		got := Explain(err, "ec2:X")
		if !strings.Contains(got.Error(), want) || !errors.Is(got, err) || Code(got) != code {
			t.Errorf("%s: %v, want %q", code, got, want)
		}
	}
	for want, err := range map[string]error{
		"check the name of the region": &net.DNSError{},
		"check the network":            &net.OpError{Op: "dial", Err: errors.New("refused")},
	} {
		if got := Explain(err, "ec2:X"); !strings.Contains(got.Error(), want) {
			t.Errorf("%v, want %q", got, want)
		}
	}
	if err := errors.New("x"); Explain(err, "ec2:X") != err { //nolint:errorlint // the very error
		t.Error("an error that needs no hint is changed")
	}
}

func TestIsDenied(t *testing.T) {
	for code, want := range map[string]bool{
		"UnauthorizedOperation": true, "AccessDenied": true, "AccessDeniedException": true, "AuthFailure": false, "": false,
	} {
		if got := IsDenied(&smithy.GenericAPIError{Code: code}); got != want {
			t.Errorf("IsDenied of %q is %t", code, got)
		}
	}
	if IsDenied(errors.New("AccessDenied")) || IsDenied(nil) {
		t.Error("what AWS did not answer is taken for a refusal")
	}
}
