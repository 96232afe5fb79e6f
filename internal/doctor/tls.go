package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/words"
)

// cipherSuites are those that CloudFront offers to origins up to TLS 1.2 and Go knows. Go lacks
// ECDHE_*_WITH_AES_256_CBC_SHA384 and RSA_WITH_RC4_128_MD5. See [pageCiphers].
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
}

// curves are those that CloudFront offers to origins. See [pageCiphers].
var curves = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}

// TLSVersions are the protocols that an origin's settings name, except SSLv3, which Go does not speak. The lowest of
// them is the minimum; CloudFront uses the highest that the origin supports.
var TLSVersions = map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12}

// clientConfig speaks TLS as CloudFront does: from TLS 1.0 (CloudFront also knows SSLv3, but Go does not) to TLS 1.3,
// which only a blog post of AWS mentions so far. Certificates are judged separately, to report everything that is wrong
// with one.
// https://aws.amazon.com/blogs/networking-and-content-delivery/amazon-cloudfront-delivering-millisecond-performance-to-global-audiences
func (w *walk) clientConfig() *tls.Config {
	return &tls.Config{
		ServerName:         w.serverName(),
		MinVersion:         cmp.Or(w.Distribution.MinTLS, tls.VersionTLS10),
		MaxVersion:         tls.VersionTLS13,
		CipherSuites:       cipherSuites,
		CurvePreferences:   curves,
		NextProtos:         []string{"http/1.1"}, // the version CloudFront speaks to origins: see [pageBehavior]
		InsecureSkipVerify: true,
	}
}

// isValid reports whether CloudFront accepts a certificate.
func (w *walk) isValid(chain []*x509.Certificate) bool {
	return !slices.ContainsFunc(w.judgeCertificate(chain, time.Now()), func(f Finding) bool { return f.Verdict == Fail })
}

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

// handshake checks that TLS is as CloudFront requires it: the protocol, the cipher and the certificate.
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

// judgeTLS describes a handshake and judges its outcome.
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
	good := slices.DeleteFunc(slices.Clone(shakes), func(h Handshake) bool { return h.err != nil })
	if len(good) == 0 {
		return "no handshake"
	}
	expiry := func(h Handshake) time.Time { return h.Certificate.NotAfter }
	first := slices.MinFunc(good, func(a, b Handshake) int { return expiry(a).Compare(expiry(b)) })
	return fmt.Sprintf("%s, %s, %s, certificate until %s",
		good[0].Version, good[0].CipherSuite, good[0].Took, expiry(first).Format(time.DateOnly))
}

// soon is how close to its end a certificate needs attention if it has not been renewed. Automatic renewal must have
// failed by then: ACM renews 60 days ahead, and Let's Encrypt's clients 30.
const soon = 14 * 24 * time.Hour

// A Certificate is the certificate that a server presents.
type Certificate struct {
	Subject   string    `json:"subject"`
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Chain     int       `json:"chain"` // how many certificates were sent
}

func describe(chain []*x509.Certificate) *Certificate {
	leaf := chain[0]
	c := &Certificate{
		Subject: printable(leaf.Subject.String()), Issuer: printable(leaf.Issuer.String()), Names: []string{},
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), Chain: len(chain),
	}
	for _, name := range leaf.DNSNames {
		c.Names = append(c.Names, printable(name))
	}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	return c
}

// judgeCertificate checks the name, the dates, and the chain to an authority that CloudFront trusts: this machine's list
// takes the place of Mozilla's. See [pageCertificates] and [page502].
func (w *walk) judgeCertificate(chain []*x509.Certificate, now time.Time) []Finding {
	leaf := chain[0]
	var findings []Finding
	find := func(code, format string, args ...any) { findings = append(findings, finding(code, format, args...)) }
	if !w.isNamed(leaf) {
		names := cmp.Or(words.Few(describe(chain).Names), leaf.Subject.CommonName, "no name")
		find("certificate-name", "the certificate is for %s, not for %s", names, strings.Join(w.names(), " or "))
	}
	switch {
	case now.After(leaf.NotAfter):
		find("certificate-expired", "the certificate expired on %s, %s ago", leaf.NotAfter.Format(time.DateOnly), days(now.Sub(leaf.NotAfter)))
	case now.Before(leaf.NotBefore):
		find("certificate-not-yet-valid", "the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case leaf.NotAfter.Sub(now) < soon:
		find("certificate-expires-soon", "the certificate expires on %s, in %s", leaf.NotAfter.Format(time.DateOnly), days(leaf.NotAfter.Sub(now)))
	}
	return append(findings, w.judgeChain(chain, now)...)
}

// judgeChain returns what is wrong with the chain from the certificate to a trusted authority, if anything is.
func (w *walk) judgeChain(chain []*x509.Certificate, now time.Time) []Finding {
	leaf := chain[0]
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	// The dates of the leaf are judged separately, and must not hide what else is wrong.
	if now.After(leaf.NotAfter) {
		now = leaf.NotAfter
	} else if now.Before(leaf.NotBefore) {
		now = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: w.roots, Intermediates: intermediates, CurrentTime: now})
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case err == nil && isInOrder(chain):
		return nil
	case err == nil:
		return []Finding{finding("chain-order", "the certificates of the chain are sent in the wrong order")}
	case !unknown:
		return []Finding{finding("certificate-invalid", "the certificate is not valid: %s", causeOf(err))}
	case isSelfSigned(leaf):
		return []Finding{finding("certificate-self-signed", "the certificate is self-signed")}
	case len(chain) == 1:
		f := finding("chain-incomplete", "the server sends no intermediate certificate, so nothing leads from %s to a trusted authority", issuerOf(leaf))
		return []Finding{f.advise(issuerOf(leaf))}
	}
	return []Finding{finding("chain-untrusted", "the chain ends at %s, which this machine does not trust", issuerOf(chain[len(chain)-1]))}
}

// isInOrder reports whether each certificate is followed by its issuer's.
func isInOrder(chain []*x509.Certificate) bool {
	for i, c := range chain[1:] {
		if !bytes.Equal(chain[i].RawIssuer, c.RawSubject) {
			return false
		}
	}
	return true
}

func isSelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// names are those that a certificate may be for: the origin's, and that in the Host header.
func (w *walk) names() []string { return slices.Compact([]string{w.Origin.Name(), w.serverName()}) }

// isNamed reports whether a certificate is for one of the names, also as its common name, which Go ignores.
func (w *walk) isNamed(leaf *x509.Certificate) bool {
	return slices.ContainsFunc(w.names(), func(name string) bool {
		return leaf.VerifyHostname(name) == nil || len(leaf.DNSNames) == 0 && strings.EqualFold(leaf.Subject.CommonName, name)
	})
}

func days(d time.Duration) string {
	if n := int(math.Floor(d.Hours() / 24)); n > 0 {
		return words.CountAs(n, "day", "days")
	}
	return "less than a day"
}

func issuerOf(c *x509.Certificate) string {
	return cmp.Or(c.Issuer.CommonName, strings.Join(c.Issuer.Organization, " "), "an issuer without a name")
}
