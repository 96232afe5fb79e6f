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
	"sync"
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
	var group sync.WaitGroup
	for i, to := range w.reachable {
		group.Go(func() { shakes[i] = w.shake(ctx, to) })
	}
	group.Wait()
	if ctx.Err() != nil {
		return skipped("interrupted")
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
func (w *walk) shake(ctx context.Context, to netip.AddrPort) Handshake {
	h := Handshake{IP: to.Addr()}
	conn, err := w.dialTo(ctx, to)
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
		return h
	}
	h.Version, h.CipherSuite = tls.VersionName(h.state.Version), tls.CipherSuiteName(h.state.CipherSuite)
	h.Certificate = describe(h.state.PeerCertificates)
	return h
}

// unshaken is a handshake that failed.
func (w *walk) unshaken(h Handshake) Finding {
	f := Finding{Verdict: Fail, CloudFrontStatus: h.failure.status(), Source: page502}
	if w.demanding[h.IP] {
		return w.certificateDemanded()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](h.err); ok {
		f.Code, f.Message = "tls-not-spoken", fmt.Sprintf("what answers on port %d does not speak TLS", w.Origin.Port)
		f.Advice = "Set up TLS on this port, or let the distribution connect by HTTP (protocol policy http-only)."
		return f
	}
	switch h.failure {
	case timedOut:
		f.Code, f.Source = "tls-timeout", page504
		f.Message = fmt.Sprintf("the connection is accepted, but no TLS handshake is answered within %s", Format(w.Settings.ConnectionTimeout))
		f.Advice = "The server hangs or is overloaded, or it waits for something else on this port, such as a PROXY protocol header."
	case closed:
		f.Code, f.Message = "tls-closed", "the connection is closed in the middle of the TLS handshake"
		f.Advice = fmt.Sprintf("Many servers do this for a name that they do not know: is there a virtual host %s?", w.serverName())
	case reset:
		f.Code, f.Message = "tls-reset", "the connection is reset in the middle of the TLS handshake"
		f.Advice = fmt.Sprintf("If the server does not know the name %s, give it a virtual host of this name. %s", w.serverName(), resetAdvice)
	default:
		f.Code, f.Message = "tls-handshake-failed", "the TLS handshake fails: "+h.Error
		f.Advice = "Let the server accept TLS 1.2 or 1.3 and one of the ciphers that CloudFront offers: " + pageCiphers
	}
	return f
}

// judgeTLS looks at a handshake that succeeded.
func (w *walk) judgeTLS(h Handshake) []Finding {
	findings := w.judgeCertificate(h.state.PeerCertificates, time.Now())
	if h.state.Version < tls.VersionTLS12 && w.distribution().MinTLS == 0 {
		findings = append(findings, Finding{
			Code: "tls-old-protocol", Verdict: Warn, CloudFrontStatus: 502, Source: pageOrigin,
			Message: fmt.Sprintf("the server supports nothing newer than %s", h.Version),
			Advice:  "This works only if the minimum protocol of the origin in the distribution is that low. Set up TLS 1.2 or 1.3.",
		})
	}
	if h.ClientCertificate && !w.distribution().ClientCertificate {
		findings = append(findings, Finding{
			Code: "tls-client-certificate", Verdict: Warn, CloudFrontStatus: 502, Source: pageMutualTLS,
			Message: "the server asks for a client certificate, which CloudFront presents only if the origin is set up for mutual TLS",
			Advice:  "Set it up in the distribution, or do not ask for one.",
		})
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
