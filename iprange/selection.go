package iprange

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Selection names the wanted ranges.
type Selection struct {
	Services []string // as AWS writes them, for example CLOUDFRONT; a range of any of them is selected

	// Within are services whose ranges may be included to need fewer ranges: the result is then the [Cover] of Services
	// within these.
	Within []string

	IPv4 bool
	IPv6 bool
}

// String names the selection, for example "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT".
func (s Selection) String() string {
	text := strings.Join(s.Services, ", ")
	if len(s.Within) > 0 {
		text += " within " + strings.Join(s.Within, ", ")
	}
	return text
}

// validate refuses a selection that selects nothing.
func (s Selection) validate() error {
	switch {
	case len(s.Services) == 0:
		return errors.New("no service is selected")
	case slices.Contains(slices.Concat(s.Services, s.Within), ""):
		return errors.New("a selected service has no name")
	case !s.IPv4 && !s.IPv6:
		return errors.New("neither IPv4 nor IPv6 is selected")
	}
	return nil
}

// families names the selected address families in prose.
func (s Selection) families() string {
	switch {
	case s.IPv4 && s.IPv6:
		return "IPv4 or IPv6"
	case s.IPv4:
		return "IPv4"
	default:
		return "IPv6"
	}
}

// MissingServiceError reports wanted services for which a published file has no range in the selected families. The
// file itself is fine: most likely the name is misspelled.
type MissingServiceError struct {
	Services []string
	Families string // in prose, for example "IPv4 or IPv6"
}

func (e *MissingServiceError) Error() string {
	return fmt.Sprintf("no %s range for service %s", e.Families, strings.Join(e.Services, ", "))
}
