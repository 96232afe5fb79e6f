package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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

	state   tls.ConnectionState
	failure failure
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
	w.Progress(fmt.Sprintf("TLS handshake (at most %s)", Format(w.Settings.ConnectionTimeout)))
	step := Step{Verdict: OK}
	shakes := make([]Handshake, len(w.reachable))
	for i, to := range w.reachable {
		shakes[i].IP = to.Addr()
	}
	atOnce(shakes, func(h *Handshake) { w.shake(ctx, h) })
	if ctx.Err() != nil {
		return Step{}
	}
	w.report.TLS = shakes
	findings := w.perAddress()
	w.broken = true
	for _, h := range shakes {
		if h.err != nil {
			w.demanding[h.IP] = h.ClientCertificate && isAlert(h.err)
			findings.add(h.IP, w.unshaken(h))
			continue
		}
		w.broken = false
		w.asks[h.IP], w.verified[h.IP] = h.ClientCertificate, w.isValid(h.state.PeerCertificates)
		for _, f := range w.judgeTLS(h) {
			findings.add(h.IP, f)
		}
	}
	findings.addTo(&step, len(w.addresses))
	step.Summary = summarizeTLS(shakes)
	return step
}

// shake makes a handshake with one address.
func (w *walk) shake(ctx context.Context, h *Handshake) {
	conn, err := w.dialTo(ctx, netip.AddrPortFrom(h.IP, w.Origin.Port))
	if err == nil {
		defer conn.Close()
		config := w.clientConfig()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.ClientCertificate = true
			return new(tls.Certificate), nil
		}
		client := tls.Client(conn, config)
		start := time.Now()
		patience, cancel := context.WithTimeout(ctx, w.Settings.ConnectionTimeout)
		defer cancel()
		err = client.HandshakeContext(patience)
		h.Took = Seconds(time.Since(start))
		h.state = client.ConnectionState()
	}
	if h.err = err; err != nil {
		h.failure, h.Error = failureOf(err), printable(rootCause(err).Error())
		return
	}
	h.Version, h.CipherSuite = tls.VersionName(h.state.Version), tls.CipherSuiteName(h.state.CipherSuite)
	h.Certificate = describe(h.state.PeerCertificates)
}

// unshaken is a handshake that failed.
func (w *walk) unshaken(h Handshake) Finding {
	if w.demanding[h.IP] {
		return w.certificateDemanded()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](h.err); ok {
		return finding("tls-not-spoken", "what answers on port %d does not speak TLS", w.Origin.Port)
	}
	switch h.failure {
	case timedOut:
		return finding("tls-timeout", "the connection is accepted, but no TLS handshake is answered within %s", Format(w.Settings.ConnectionTimeout))
	case closed:
		return finding("tls-closed", "the connection is closed in the middle of the TLS handshake").advise(w.serverName())
	case reset:
		return finding("tls-reset", "the connection is reset in the middle of the TLS handshake").advise(w.serverName())
	}
	return finding("tls-handshake-failed", "the TLS handshake fails: %s", h.Error)
}

// judgeTLS looks at a handshake that succeeded.
func (w *walk) judgeTLS(h Handshake) []Finding {
	findings := w.judgeCertificate(h.state.PeerCertificates, time.Now())
	if h.state.Version < tls.VersionTLS12 && w.distribution().MinTLS == 0 {
		findings = append(findings, finding("tls-old-protocol", "the server supports nothing newer than %s", h.Version))
	}
	if h.ClientCertificate && !w.distribution().ClientCertificate {
		findings = append(findings, finding("tls-client-certificate", "the server asks for a client certificate, which CloudFront presents only if the origin is set up for mutual TLS"))
	}
	return findings
}

// summarizeTLS says in a line what the first handshake agreed on, and how long the certificates are valid.
func summarizeTLS(shakes []Handshake) string {
	var words []string
	var expiry time.Time
	for _, h := range shakes {
		if h.err != nil {
			continue
		}
		if len(words) == 0 {
			words = append(words, h.Version, h.CipherSuite, h.Took.String())
		}
		if leaf := h.Certificate; expiry.IsZero() || leaf.NotAfter.Before(expiry) {
			expiry = leaf.NotAfter
		}
	}
	if len(words) == 0 {
		return "no handshake"
	}
	return strings.Join(append(words, "certificate until "+expiry.Format(time.DateOnly)), ", ")
}

// issuerOf returns who signed a certificate.
func issuerOf(c *x509.Certificate) string {
	return cmp.Or(c.Issuer.CommonName, strings.Join(c.Issuer.Organization, " "), "an issuer without a name")
}
