package doctor

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"math"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/words"
)

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

// judgeCertificate checks, one by one, what CloudFront demands of a certificate: the name, the dates, and a complete
// chain, in order, to an authority that it trusts. CloudFront trusts Mozilla's list; here, this machine's list takes
// its place. See [pageCertificates] and [page502].
func (w *walk) judgeCertificate(chain []*x509.Certificate, now time.Time) []Finding {
	leaf := chain[0]
	var findings []Finding
	find := func(code, format string, args ...any) { findings = append(findings, finding(code, format, args...)) }
	if !w.isNamed(leaf) {
		find("certificate-name", "the certificate is for %s, not for %s", namesOf(leaf), w.namesWanted())
	}
	switch {
	case now.After(leaf.NotAfter):
		find("certificate-expired", "the certificate expired on %s, %s ago", leaf.NotAfter.Format(time.DateOnly), days(now.Sub(leaf.NotAfter)))
	case now.Before(leaf.NotBefore):
		find("certificate-not-yet-valid", "the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case leaf.NotAfter.Sub(now) < soon:
		find("certificate-expires-soon", "the certificate expires on %s, in %s", leaf.NotAfter.Format(time.DateOnly), days(leaf.NotAfter.Sub(now)))
	}
	if f := w.judgeChain(chain, now); f.Code != "" {
		findings = append(findings, f)
	}
	return findings
}

// judgeChain returns what is wrong with the chain from the certificate to a trusted authority, if anything is.
func (w *walk) judgeChain(chain []*x509.Certificate, now time.Time) (f Finding) {
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
		return f
	case err == nil:
		return finding("chain-order", "the certificates of the chain are sent in the wrong order")
	case !unknown:
		return finding("certificate-invalid", "the certificate is not valid: %s", causeOf(err))
	case isSelfSigned(leaf):
		return finding("certificate-self-signed", "the certificate is self-signed")
	case len(chain) == 1:
		return finding("chain-incomplete", "the server sends no intermediate certificate, so nothing leads from %s to a trusted authority", issuerOf(leaf)).advise(issuerOf(leaf))
	}
	return finding("chain-untrusted", "the chain ends at %s, which this machine does not trust", issuerOf(chain[len(chain)-1]))
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

// isNamed reports whether a certificate is for the origin's name, or for that in the Host header: CloudFront accepts
// either.
func (w *walk) isNamed(leaf *x509.Certificate) bool {
	for _, name := range []string{w.Origin.Name(), w.serverName()} {
		if leaf.VerifyHostname(name) == nil {
			return true
		}
		// CloudFront's documentation accepts the common name too, which Go ignores.
		if len(leaf.DNSNames) == 0 && strings.EqualFold(leaf.Subject.CommonName, name) {
			return true
		}
	}
	return false
}

func (w *walk) namesWanted() string {
	if name := w.serverName(); name != w.Origin.Name() {
		return w.Origin.Name() + " or " + name
	}
	return w.Origin.Name()
}

// namesOf lists a few of the names in a certificate.
func namesOf(leaf *x509.Certificate) string {
	names := describe([]*x509.Certificate{leaf}).Names
	if len(names) == 0 {
		return cmp.Or(leaf.Subject.CommonName, "no name")
	}
	return words.Few(names)
}

func days(d time.Duration) string {
	if n := int(math.Floor(d.Hours() / 24)); n > 0 {
		return words.CountAs(n, "day", "days")
	}
	return "less than a day"
}

// issuerOf returns who signed a certificate.
func issuerOf(c *x509.Certificate) string {
	return cmp.Or(c.Issuer.CommonName, strings.Join(c.Issuer.Organization, " "), "an issuer without a name")
}
