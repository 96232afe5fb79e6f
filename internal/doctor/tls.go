package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A Handshake is a TLS handshake with one address.
type Handshake struct {
	IP                netip.Addr   `json:"ip"`
	Took              Seconds      `json:"seconds"`
	Version           string       `json:"version,omitempty"`
	CipherSuite       string       `json:"cipherSuite,omitempty"`
	ClientCertificate bool         `json:"clientCertificate"` // one is asked for
	Certificate       *Certificate `json:"certificate"`
	Error             string       `json:"error,omitempty"`

	connect Seconds // how long connecting took
	state   tls.ConnectionState
	valid   bool // CloudFront accepts the certificate
	err     error
}

// handshake checks TLS as CloudFront requires it: a protocol and a cipher that it knows, and a certificate that it
// accepts.
func (w *walk) handshake(ctx context.Context) Step {
	switch {
	case !w.Origin.isSecure():
		return skipped("the URL is http")
	case len(w.reachable) == 0:
		return skipped("no connection")
	}
	w.Progress(fmt.Sprintf("TLS handshake (at most %s)", w.Settings.ConnectionTimeout))
	shakes := make([]Handshake, len(w.reachable))
	atOnce(shakes, func(i int, h *Handshake) {
		conn, done := w.open(ctx, w.reachable[i])
		if *h = done; h.err == nil {
			conn.Close()
		}
	})
	if ctx.Err() != nil {
		return Step{}
	}
	step := Step{Verdict: OK}
	for i := range shakes {
		h := &shakes[i]
		for _, f := range w.judgeTLS(h) {
			w.findAt(&step, h.IP, f)
		}
		w.shaken[h.IP] = *h
	}
	w.report.TLS = shakes
	step.Summary = summarizeTLS(shakes)
	return step
}

// judgeTLS describes a handshake, and looks at what came of it.
func (w *walk) judgeTLS(h *Handshake) []Finding {
	if h.err != nil {
		h.Error = causeOf(h.err)
		return []Finding{w.unshaken(h)}
	}
	chain := h.state.PeerCertificates
	h.Version, h.CipherSuite = tls.VersionName(h.state.Version), tls.CipherSuiteName(h.state.CipherSuite)
	h.Certificate, h.valid = describe(chain), w.isValid(chain)
	findings := w.judgeCertificate(chain, time.Now())
	if h.state.Version < tls.VersionTLS12 && w.Distribution.MinTLS == 0 {
		findings = append(findings, finding("tls-old-protocol", "the server supports nothing newer than %s", h.Version))
	}
	if h.ClientCertificate && !w.Distribution.ClientCertificate {
		findings = append(findings, finding("tls-client-certificate", "the server asks for a client certificate, which CloudFront presents only if the origin is set up for mutual TLS"))
	}
	return findings
}

// unshaken is a handshake that failed.
func (w *walk) unshaken(h *Handshake) Finding {
	if h.ClientCertificate && isAlert(h.err) {
		return w.certificateDemanded()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](h.err); ok {
		return finding("tls-not-spoken", "what answers on port %d does not speak TLS", w.Origin.Port)
	}
	switch failureOf(h.err) {
	case timedOut:
		return finding("tls-timeout", "the connection is accepted, but no TLS handshake is answered within %s", w.Settings.ConnectionTimeout)
	case closed:
		return finding("tls-closed", "the connection is closed in the middle of the TLS handshake").advise(w.serverName())
	case reset:
		return finding("tls-reset", "the connection is reset in the middle of the TLS handshake").advise(w.serverName())
	}
	return finding("tls-handshake-failed", "the TLS handshake fails: %s", h.Error)
}

// summarizeTLS says in a line what the first handshake agreed on, and how long the certificates are valid.
func summarizeTLS(shakes []Handshake) string {
	summary := "no handshake"
	var expiry time.Time
	for _, h := range shakes {
		if h.err == nil && expiry.IsZero() {
			summary = strings.Join([]string{h.Version, h.CipherSuite, h.Took.String(), "certificate until "}, ", ")
		}
		if leaf := h.Certificate; leaf != nil && (expiry.IsZero() || leaf.NotAfter.Before(expiry)) {
			expiry = leaf.NotAfter
		}
	}
	if expiry.IsZero() {
		return summary
	}
	return summary + expiry.Format(time.DateOnly)
}
