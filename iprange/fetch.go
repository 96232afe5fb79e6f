package iprange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

const userAgent = "cloudfront-sg-sync"

// Fetcher fetches the published ranges and remembers the last ones, so that the next fetch only asks whether they have
// changed. All fields except Selection may be zero. They are read at the first Fetch: a later change has no effect. A
// Fetcher must not be used by several goroutines at once.
type Fetcher struct {
	URL       string // of the file; DefaultURL if empty
	Selection Selection
	Held      Copy // of the file with this Selection, from an earlier process; the first Fetch asks for changes to it

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

	begun *downloader // made at the first Fetch
}

// downloader is a Fetcher with complete settings and the last copy.
type downloader struct {
	Fetcher
	client *http.Client
}

// Copy is a publication with the validators of the file it was read from (RFC 9110, section 8.8).
type Copy struct {
	Publication  *Publication
	ETag         string
	LastModified string
}

// Last returns the result of the last Fetch that succeeded, with its validators.
func (f *Fetcher) Last() Copy {
	if f.begun == nil {
		return f.Held
	}
	return f.begun.Held
}

// Fetch returns the ranges as published now or, with a notice, the announced ones or newer. If they have not changed
// since the last call, it returns the same publication.
//
// It retries after failures that may be temporary, for as long as the context allows. The error is ErrStale or
// ErrCorrupt if the file is not what the notice announced.
func (f *Fetcher) Fetch(ctx context.Context, n *Notice) (*Publication, error) {
	if f.begun == nil {
		f.begun = newDownloader(*f)
	}
	d := f.begun
	fetched, err := d.fetch(ctx, n)
	// The next fetch is minutes or days away, so no connection and its goroutines are kept.
	d.client.CloseIdleConnections()
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", d.URL, err)
	}
	d.Held = fetched
	return fetched.Publication, nil
}

func (f *downloader) fetch(ctx context.Context, n *Notice) (Copy, error) {
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

func newDownloader(settings Fetcher) *downloader {
	f := &downloader{Fetcher: settings}
	setDefault(&f.URL, DefaultURL)
	setDefault(&f.Attempts, 5)
	setDefault(&f.Timeout, 30*time.Second)
	setDefault(&f.Pause, 250*time.Millisecond)
	setDefault(&f.MaxPause, 5*time.Second)
	setDefault(&f.StalePatience, 2*time.Minute)
	setDefault(&f.StalePause, 2*time.Second)
	transport := f.Transport
	if transport == nil {
		transport = newTransport()
	}
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	f.client = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return f
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// newTransport returns a transport with a timeout for each phase of a request. It speaks HTTP/1.1, the default of a
// transport with its own dialer: a single request gains nothing from HTTP/2.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
	}
}

// request holds the conditions of a request.
type request struct {
	ifChangedFrom Copy // zero: unconditional
	noCache       bool // ask caches to look for a newer copy
}

// download gets the file. It retries after a failure that may be temporary.
func (f *downloader) download(ctx context.Context, r request) (Copy, error) {
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
func (f *downloader) attempt(ctx context.Context, r request) (Copy, error) {
	limited, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	fetched, err := f.get(limited, r)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("not complete after %s: %w", f.Timeout, err)
	}
	return fetched, err
}

// get gets the file.
func (f *downloader) get(ctx context.Context, r request) (Copy, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
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
	if err != nil {
		return Copy{}, err
	}
	return Copy{
		Publication:  publication,
		ETag:         res.Header.Get("ETag"),
		LastModified: res.Header.Get("Last-Modified"),
	}, nil
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
