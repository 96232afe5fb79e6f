package iprange

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/loopback"
)

// maxRedirects is the limit of redirects. The file has never needed one.
const maxRedirects = 3

// ValidateURL refuses a URL that the file must not be fetched from. Only https keeps anyone on the way from adding
// ranges; plain http is allowed for a server on this machine.
func ValidateURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("not a URL like %s: %w", DefaultURL, cause(err))
	}
	return validateURL(u)
}

func validateURL(u *url.URL) error {
	switch {
	case u.Scheme == "" || u.Hostname() == "":
		return errors.New("not a URL like " + DefaultURL)
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return hint.New("plain http is for loopback addresses only", "use https")
	case u.Scheme != "http" && u.Scheme != "https":
		return hint.New(fmt.Sprintf("scheme %s is not supported", quote(u.Scheme)), "use https")
	case u.User != nil:
		return errors.New("credentials in a URL are not supported, and would be logged")
	}
	return nil
}

var errRedirect = errors.New("redirect refused")

// checkRedirect decides for [http.Client] whether to follow a redirect. It refuses one from elsewhere to this machine,
// where the Lambda runtime's interfaces answer over plain http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d", errRedirect, maxRedirects)
	}
	if err := validateURL(req.URL); err != nil {
		return fmt.Errorf("%w: to %s: %w", errRedirect, req.URL.Redacted(), err)
	}
	if loopback.Is(req.URL.Hostname()) && !loopback.Is(via[0].URL.Hostname()) {
		return fmt.Errorf("%w: to %s, on this machine", errRedirect, req.URL.Redacted())
	}
	return nil
}

// cause strips the URL from an error of net/url or net/http; the error around it names the URL already.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
