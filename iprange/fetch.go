package iprange

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/loopback"
)

const userAgent = "cloudfront-sg-sync"

// Fetcher fetches the published ranges and remembers the last ones, so that the next fetch only asks whether they have
// changed. The first Fetch sets the fields that are zero; from then on none may be changed. A Fetcher must not be used
// by several goroutines at once.
type Fetcher struct {
	URL       string // of the file; DefaultURL if empty
	Selection Selection
	Held      Copy // what the next Fetch asks for changes to: the last copy, or one from an earlier process

	Transport http.RoundTripper // if nil, a transport with a timeout for each phase of a request
	Log       *slog.Logger      // for a line about every retry; none if nil

	Attempts int           // for each file, 5 if zero
	Timeout  time.Duration // of one attempt, 30 s if zero
	Pause    time.Duration // bounds the random pause after the first attempt and doubles each time; 250 ms if zero
	MaxPause time.Duration // bounds the random pause after any attempt; 5 s if zero

	// StalePatience is how long to wait for the file that a notice announced while older ones are served: 2 min if
	// zero, not at all if negative. The pauses in between start at StalePause, 2 s if zero, and double up to a fifth of
	// the patience.
	StalePatience time.Duration
	StalePause    time.Duration

	client *http.Client // made at the first Fetch
}

// Copy is a publication with the validators of the file it was read from (RFC 9110, section 8.8).
type Copy struct {
	Publication  *Publication
	ETag         string
	LastModified string
}

// Last returns the result of the last Fetch that succeeded, with its validators.
func (f *Fetcher) Last() Copy { return f.Held }

// Fetch returns the ranges as published now or, with a notice, the announced ones or newer. If they have not changed
// since the last call, it returns the same publication.
//
// It retries after failures that may be temporary, for as long as the context allows. The error is ErrStale or
// ErrCorrupt if the file is not what the notice announced.
func (f *Fetcher) Fetch(ctx context.Context, n *Notice) (*Publication, error) {
	if f.client == nil {
		f.begin()
	}
	fetched, err := f.fetch(ctx, n)
	// The next fetch is minutes or days away, so no connection and its goroutines are kept.
	f.client.CloseIdleConnections()
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", f.URL, err)
	}
	f.Held = fetched
	return fetched.Publication, nil
}

func (f *Fetcher) fetch(ctx context.Context, n *Notice) (Copy, error) {
	if err := ValidateURL(f.URL); err != nil {
		return Copy{}, err
	}
	if n == nil {
		return f.download(ctx, request{ifChangedFrom: f.Held})
	}
	if err := n.validate(); err != nil {
		return Copy{}, fmt.Errorf("the notice: %w", err)
	}
	return f.fetchAnnounced(ctx, *n)
}

// begin sets what is not set. The transport speaks HTTP/1.1, the default with a dialer of one's own: a single request
// gains nothing from HTTP/2.
func (f *Fetcher) begin() {
	f.URL = cmp.Or(f.URL, DefaultURL)
	f.Log = cmp.Or(f.Log, slog.New(slog.DiscardHandler))
	f.Attempts = cmp.Or(f.Attempts, 5)
	f.Timeout = cmp.Or(f.Timeout, 30*time.Second)
	f.Pause, f.MaxPause = cmp.Or(f.Pause, 250*time.Millisecond), cmp.Or(f.MaxPause, 5*time.Second)
	f.StalePause, f.StalePatience = cmp.Or(f.StalePause, 2*time.Second), cmp.Or(f.StalePatience, 2*time.Minute)
	if f.Transport == nil {
		f.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second,
		}
	}
	f.client = &http.Client{Transport: f.Transport, CheckRedirect: checkRedirect}
}

// request holds the conditions of a request.
type request struct {
	ifChangedFrom Copy // zero: unconditional
	noCache       bool // ask caches to look for a newer copy
}

// download gets the file. It retries after a failure that may be temporary.
func (f *Fetcher) download(ctx context.Context, r request) (Copy, error) {
	var before error // of the attempt before
	for attempt := 1; ; attempt++ {
		fetched, err := f.attempt(ctx, r)
		switch {
		case err == nil:
			return fetched, nil
		case ctx.Err() != nil && before != nil:
			return Copy{}, fmt.Errorf("%w (attempt %d; the one before: %w)", err, attempt, before)
		case ctx.Err() != nil || !mayPass(err):
			return Copy{}, err
		case attempt >= f.Attempts:
			return Copy{}, fmt.Errorf("%w (attempt %d, the last)", err, attempt)
		}
		before = err
		// Exponential backoff with full jitter.
		// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
		pause := rand.N(min(f.Pause<<min(attempt-1, 16), f.MaxPause)) + 1
		f.Log.WarnContext(ctx, "fetch failed, retrying", "url", f.URL, "attempt", attempt, "pause", pause, "error", err)
		if stop := sleep(ctx, pause); stop != nil {
			return Copy{}, fmt.Errorf("%w (attempt %d, no time for another: %w)", err, attempt, stop)
		}
	}
}

// attempt gets the file once, within the timeout of an attempt.
func (f *Fetcher) attempt(ctx context.Context, r request) (_ Copy, err error) {
	limited, cancel := context.WithTimeout(ctx, f.Timeout)
	defer func() {
		if err != nil && limited.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("not complete after %s: %w", f.Timeout, err)
		}
		cancel()
	}()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, f.URL, nil)
	if err != nil {
		return Copy{}, err
	}
	req.Header.Set("User-Agent", userAgent)
	if r.noCache {
		req.Header.Set("Cache-Control", "no-cache")
	}
	if r.ifChangedFrom.ETag != "" {
		req.Header.Set("If-None-Match", r.ifChangedFrom.ETag)
	}
	if r.ifChangedFrom.LastModified != "" {
		req.Header.Set("If-Modified-Since", r.ifChangedFrom.LastModified)
	}
	res, err := f.client.Do(req)
	if err != nil {
		return Copy{}, &networkError{cause(err)}
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotModified && r.ifChangedFrom.Publication != nil:
		return r.ifChangedFrom, nil
	case res.StatusCode != http.StatusOK:
		return Copy{}, &statusError{code: res.StatusCode, status: res.Status}
	case res.ContentLength > MaxSize:
		return Copy{}, ErrTooLarge
	}
	publication, err := Decode(res.Body, f.Selection)
	return Copy{publication, res.Header.Get("ETag"), res.Header.Get("Last-Modified")}, err
}

// networkError says that a request got no answer.
type networkError struct{ err error }

func (e *networkError) Error() string { return e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }

// statusError is an answer of the server other than the file.
type statusError struct {
	code   int
	status string
}

func (e *statusError) Error() string {
	if e.code == http.StatusForbidden || e.code == http.StatusNotFound {
		return fmt.Sprintf("the server answered %s: check the URL", e.status)
	}
	return "the server answered " + e.status
}

// mayPass reports whether a retry may succeed after err: after failures of the network or the server, and after a file
// that was cut short, but not after an invalid one.
func mayPass(err error) bool {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.code >= 500 || status.code == http.StatusTooManyRequests
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	_, network := errors.AsType[*networkError](err)
	_, reading := errors.AsType[*readError](err)
	return (network || reading || errors.Is(err, io.ErrUnexpectedEOF)) && !errors.Is(err, errRedirect)
}

// sleep waits, unless the context ends first or its deadline comes before.
func sleep(ctx context.Context, pause time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
		return context.DeadlineExceeded
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

var (
	// ErrStale says that the file was older than the announced one for longer than StalePatience.
	ErrStale = errors.New("stale copy")

	// ErrCorrupt says that the file has the sync token of the announced one, but another MD5.
	ErrCorrupt = errors.New("corrupt copy")
)

// corruptRefetches is how often a file with a wrong MD5 is fetched again: one cache may hold a damaged copy.
const corruptRefetches = 2

// fetchAnnounced gets the file that a notice announced, or a newer one. The notification may arrive before the caches
// have the file.
func (f *Fetcher) fetchAnnounced(ctx context.Context, n Notice) (Copy, error) {
	start, pause, ask := time.Now(), f.StalePause, request{ifChangedFrom: f.Held}
	var verdict error // on the file fetched last
	for refetches := 0; ; {
		fetched, err := f.download(ctx, ask)
		switch {
		case err != nil && verdict != nil:
			return Copy{}, fmt.Errorf("%w (before that: %w)", err, verdict)
		case err != nil:
			return Copy{}, err
		}
		verdict = n.check(fetched.Publication)
		ask.noCache = true
		switch {
		case verdict == nil:
			return fetched, nil
		case errors.Is(verdict, ErrCorrupt):
			if refetches++; refetches > corruptRefetches {
				return Copy{}, hint.With(fmt.Errorf("%w; fetched %d times; none of it was used", verdict, refetches), "run again later")
			}
			ask.ifChangedFrom = Copy{}
			pause = f.Pause
		case time.Since(start)+pause > f.StalePatience:
			return Copy{}, hint.With(fmt.Errorf("%w; waited %s", verdict, time.Since(start).Round(time.Second)),
				"run again in a few minutes, when the new file has reached this cache")
		}
		f.Log.WarnContext(ctx, "not the announced file, fetching again", "url", f.URL, "pause", pause, "error", verdict)
		if stop := sleep(ctx, pause); stop != nil {
			return Copy{}, fmt.Errorf("%w; no time to fetch it again: %w", verdict, stop)
		}
		pause = min(2*pause, f.StalePatience/5)
	}
}

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
