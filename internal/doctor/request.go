package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"
)

// The most that is read of an answer, whatever the origin sends.
const (
	mostHeader = 64 << 10 // bytes, more than CloudFront accepts
	mostBody   = 10 << 20 // bytes; what follows is not read
)

var (
	errLongHeader = fmt.Errorf("the header exceeds %d bytes", mostHeader)
	errUnverified = errors.New("the certificate is not valid, and no secret is sent")
	errMalformed  = errors.New("it is not shown, as it may repeat the headers that were sent")
)

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
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w.Settings.ConnectionTimeout))
	defer cancel()
	return w.dial(ctx, "tcp", to.String())
}

// open connects to an address and, if the URL says so, speaks TLS there.
func (w *walk) open(ctx context.Context, to netip.AddrPort) (conn net.Conn, h Handshake) {
	h.IP = to.Addr()
	start := time.Now()
	conn, h.err = w.dialTo(ctx, to)
	h.connect = Seconds(time.Since(start))
	if h.err == nil && w.Origin.isSecure() {
		config := w.clientConfig()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.ClientCertificate = true
			return new(tls.Certificate), nil
		}
		client := tls.Client(conn, config)
		start = time.Now()
		patience, cancel := context.WithTimeout(ctx, time.Duration(w.Settings.ConnectionTimeout))
		defer cancel()
		if h.err = client.HandshakeContext(patience); h.err != nil {
			conn.Close()
		}
		h.Took, h.state, conn = Seconds(time.Since(start)), client.ConnectionState(), client
	}
	return conn, h
}

// headers are those of a request to an address. They may be secrets, and go only where a certificate is valid.
func (w *walk) headers(to netip.Addr) http.Header {
	if w.shaken[to].valid {
		return w.secrets()
	}
	return nil
}

// A line carries requests to one address, one after another. It keeps a connection for as long as the server does.
type line struct {
	*walk
	to     netip.AddrPort
	header http.Header      // see [walk.headers]
	conn   net.Conn         // nil if none is open
	limit  io.LimitedReader // of the connection
	in     *bufio.Reader    // of what that lets through
}

func (w *walk) line(to netip.AddrPort) *line {
	return &line{walk: w, to: to, header: w.headers(to.Addr())}
}

func (l *line) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// get sends the GET that CloudFront would send, and reads the answer. A redirect is an answer like any other; it is not
// followed. If a kept connection ends at that moment, in any way, the request is sent on a new one: RFC 9112, 9.3.1.
func (l *line) get(ctx context.Context, to *url.URL) (s sample) {
	start := time.Now()
	for s.kept = l.conn != nil && l.in.Buffered() == 0; ; s = (sample{}) {
		s.err = l.try(ctx, to, &s)
		s.failure = failureOf(s.err)
		if s.err != nil || s.endless || s.response.Close {
			l.close()
		}
		if !s.kept || s.firstByte > 0 || s.failure == none || s.failure == timedOut {
			s.total = Seconds(time.Since(start))
			return s
		}
	}
}

// try sends a request, on a new connection unless one was kept. Where secrets will be sent, a new one has to prove
// itself: the handshake that decided to send them was another one.
func (l *line) try(ctx context.Context, to *url.URL, s *sample) error {
	if !s.kept {
		l.close()
		conn, h := l.open(ctx, l.to)
		if s.connect, s.tls = h.connect, h.Took; h.err != nil {
			return h.err
		}
		l.conn, l.limit.R = conn, conn
		l.in = bufio.NewReader(&l.limit)
		if len(l.header) > 0 && !l.isValid(h.state.PeerCertificates) {
			return errUnverified
		}
	}
	conn := l.conn
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := &http.Request{Method: http.MethodGet, URL: to, Header: http.Header{"User-Agent": {"cfsg-doctor"}}, Host: l.report.Host}
	maps.Copy(r.Header, l.header)
	l.wait()
	s.sent = r.Write(conn) == nil // if it was not, reading says why, or finds an answer that came before
	start := time.Now()
	l.wait()
	l.limit.N = mostHeader
	if _, err := l.in.Peek(1); err != nil {
		return err
	}
	s.firstByte = Seconds(time.Since(start))
	response, err := http.ReadResponse(l.in, r) //nolint:bodyclose // what is not read of a body ends with the connection
	for err == nil && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
		response, err = http.ReadResponse(l.in, r) //nolint:bodyclose // what came was interim: RFC 9110, 15.2
	}
	switch {
	case err != nil && l.limit.N <= 0:
		return errLongHeader
	case err != nil:
		return l.unquoted(err)
	}
	l.limit.N = math.MaxInt64
	s.response = response
	return l.read(s)
}

// wait grants the server what CloudFront does: the response timeout, for the header and between any two packets.
func (l *line) wait() {
	_ = l.conn.SetDeadline(time.Now().Add(time.Duration(l.Settings.ResponseTimeout))) // if it is closed, so say reads
}

// read reads the body, for twice the response timeout at most.
func (l *line) read(s *sample) error {
	deadline := time.Now().Add(2 * time.Duration(l.Settings.ResponseTimeout))
	buffer := make([]byte, 32<<10)
	for s.bytes < mostBody && time.Now().Before(deadline) {
		l.wait()
		n, err := s.response.Body.Read(buffer)
		s.bytes += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return l.unquoted(err)
		}
	}
	s.endless = true
	return nil
}

// unquoted replaces an error that may quote the answer, if headers were sent that may be secrets.
func (l *line) unquoted(err error) error {
	if len(l.header) > 0 && failureOf(err) == failed && !isAlert(err) {
		return errMalformed
	}
	return err
}

// A failure says how a connection or a request failed.
type failure string

const (
	none     failure = ""
	refused  failure = "refused"  // nothing listens there, or a firewall rejects the connection
	timedOut failure = "timeout"  // no answer at all
	noRoute  failure = "no-route" // this machine cannot send there, which says nothing about the origin
	closed   failure = "closed"   // the connection ended before its answer
	reset    failure = "reset"    // the connection was cut before its answer, by the server or on the way
	failed   failure = "error"    // anything else, such as an answer that makes no sense
)

func failureOf(err error) failure {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return none
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return noRoute
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return timedOut
	case errors.Is(err, syscall.ECONNRESET):
		return reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return closed
	}
	return failed
}

// causeOf says what is behind an error, without addresses and system calls.
func causeOf(err error) string {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // it is unwrapped layer by layer
		case *net.OpError:
			err = e.Err
		case *os.SyscallError:
			err = e.Err
		case *net.DNSError:
			return printable(e.Err)
		default:
			return printable(err.Error())
		}
	}
	return ""
}
