package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// The most that is read of an answer, whatever the origin sends.
const (
	mostHeader = 64 << 10 // bytes, more than CloudFront accepts
	mostBody   = 10 << 20 // bytes; what follows is not read
)

var errStalled = errors.New("the answer stops: nothing more came within the response timeout")

// A sample is one request and its answer, with the times taken.
type sample struct {
	connect, tls Seconds // 0 on a kept connection
	firstByte    Seconds // from the request being sent to the first byte of the answer
	total        Seconds // from connecting to the last byte
	kept         bool    // an earlier request's connection was reused
	sent         bool    // the request was

	response *http.Response // with its body read
	bytes    int64          // of the body
	endless  bool           // the body was not read to its end
	err      error
	failure  failure
}

// dialTo connects to one address of the origin, and tries no longer than CloudFront does.
func (w *walk) dialTo(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Settings.ConnectionTimeout)
	defer cancel()
	return w.dial(ctx, "tcp", to.String())
}

// headers are those that a request to an address has beside the usual ones. They may be secrets, which go only where a
// certificate proves who is there.
func (w *walk) headers(to netip.Addr) http.Header {
	all := http.Header{}
	if w.verified[to] {
		maps.Copy(all, w.distribution().Headers)
		maps.Copy(all, w.Header)
	}
	return all
}

// tlsConfig is that of a connection to an address. Where headers are sent, the connection has to prove itself as well:
// the handshake was an earlier one.
func (w *walk) tlsConfig(to netip.Addr) *tls.Config {
	if len(w.headers(to)) > 0 {
		return w.secretConfig()
	}
	return w.clientConfig()
}

// transport returns a transport that connects to one address only, and uses no proxy.
func (w *walk) transport(to netip.AddrPort) *http.Transport {
	return &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dialTo(ctx, to) },
		TLSClientConfig:        w.tlsConfig(to.Addr()),
		TLSHandshakeTimeout:    w.Settings.ConnectionTimeout,
		ResponseHeaderTimeout:  w.Settings.ResponseTimeout,
		MaxResponseHeaderBytes: mostHeader,
		MaxConnsPerHost:        1,
		DisableCompression:     true,
	}
}

// request returns the GET that CloudFront would send.
func (w *walk) request(ctx context.Context, to *url.URL, header http.Header) *http.Request {
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "cfsg-doctor")
	}
	r := &http.Request{Method: http.MethodGet, URL: to, Header: header, Host: w.report.Host}
	return r.WithContext(ctx)
}

// get sends a request and reads the answer. A redirect is an answer like any other; it is not followed.
func (w *walk) get(ctx context.Context, transport *http.Transport, to *url.URL, header http.Header) (s sample) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var clock clock
	start := time.Now()
	response, err := transport.RoundTrip(w.request(httptrace.WithClientTrace(ctx, clock.trace()), to, header))
	if err == nil {
		s.response = response
		s.bytes, s.endless, err = w.read(response.Body, cancel)
		if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
			err = cause
		}
		response.Body.Close()
	}
	s.total = Seconds(time.Since(start))
	s.err, s.failure = err, failureOf(err)
	if errors.Is(err, errStalled) {
		s.failure = timedOut
	}
	clock.read(&s)
	return s
}

// read reads the body, for twice the response timeout at most, which CloudFront grants between any two packets.
func (w *walk) read(body io.Reader, cancel context.CancelCauseFunc) (n int64, endless bool, err error) {
	stalled := time.AfterFunc(w.Settings.ResponseTimeout, func() { cancel(errStalled) })
	defer stalled.Stop()
	deadline := time.Now().Add(2 * w.Settings.ResponseTimeout)
	buffer := make([]byte, 32<<10)
	for n < mostBody && time.Now().Before(deadline) {
		m, err := body.Read(buffer)
		n += int64(m)
		if errors.Is(err, io.EOF) {
			return n, false, nil
		}
		if err != nil {
			return n, false, err
		}
		stalled.Reset(w.Settings.ResponseTimeout)
	}
	return n, true, nil
}

// A clock measures the times of a request. Its events may come late, and from other goroutines.
type clock struct {
	mu                                             sync.Mutex
	dialing, dialed, shaking, shaken, sent, answer time.Time
	kept                                           bool
}

func (c *clock) trace() *httptrace.ClientTrace {
	note := func(t *time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		*t = time.Now()
	}
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.kept = info.Reused
		},
		ConnectStart:         func(string, string) { note(&c.dialing) },
		ConnectDone:          func(string, string, error) { note(&c.dialed) },
		TLSHandshakeStart:    func() { note(&c.shaking) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { note(&c.shaken) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { note(&c.sent) },
		GotFirstResponseByte: func() { note(&c.answer) },
	}
}

// read writes the times into a sample.
func (c *clock) read(s *sample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	between := func(from, to time.Time) Seconds {
		if from.IsZero() || to.IsZero() {
			return 0
		}
		return Seconds(max(to.Sub(from), 0))
	}
	s.kept, s.sent = c.kept, !c.sent.IsZero()
	s.connect, s.tls = between(c.dialing, c.dialed), between(c.shaking, c.shaken)
	s.firstByte = between(c.sent, c.answer)
}
