package doctor

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/words"
)

// soon is how close to its end a certificate needs attention if it has not been renewed. Automatic renewal must have
// failed by then: ACM renews 60 days ahead, and Let's Encrypt's clients 30.
const soon = 14 * 24 * time.Hour

// renewal is about automatic renewal at an origin that lets in only CloudFront. An ACME authority checks HTTP-01 and
// TLS-ALPN-01 from addresses that it does not publish, and several of them. See
// https://letsencrypt.org/docs/challenge-types/ and https://letsencrypt.org/docs/faq/
const renewal = "An origin that lets in only CloudFront shuts out the ACME authority's checks by HTTP-01 and TLS-ALPN-01: renew by DNS-01, or use ACM on a load balancer."

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
	find := func(f Finding) {
		f.CloudFrontStatus, f.Source = 502, page502
		findings = append(findings, f)
	}
	if !w.isNamed(leaf) {
		find(Finding{
			Code: "certificate-name", Verdict: Fail,
			Message: fmt.Sprintf("the certificate is for %s, not for %s", namesOf(leaf), w.namesWanted()),
			Advice:  "Get a certificate for the distribution's origin domain name, or for the viewers' host name if the distribution forwards the Host header (then use --host here).",
		})
	}
	switch {
	case now.After(leaf.NotAfter):
		find(Finding{
			Code: "certificate-expired", Verdict: Fail,
			Message: fmt.Sprintf("the certificate expired on %s, %s ago", leaf.NotAfter.Format(time.DateOnly), days(now.Sub(leaf.NotAfter))),
			Advice:  "Renew it, and let the server load the new one: many keep the old one until they are reloaded. " + renewal,
		})
	case now.Before(leaf.NotBefore):
		find(Finding{
			Code: "certificate-not-yet-valid", Verdict: Fail,
			Message: fmt.Sprintf("the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339)),
			Advice:  "Check the clock of the machine that issued it, and of this one.",
		})
	case leaf.NotAfter.Sub(now) < soon:
		find(Finding{
			Code: "certificate-expires-soon", Verdict: Warn,
			Message: fmt.Sprintf("the certificate expires on %s, in %s", leaf.NotAfter.Format(time.DateOnly), days(leaf.NotAfter.Sub(now))),
			Advice:  "Renew it. If it should renew itself, find out why it did not. " + renewal,
		})
	}
	if f, ok := w.judgeChain(chain, now); !ok {
		find(f)
	}
	return findings
}

// judgeChain returns what is wrong with the chain from the certificate to a trusted authority, if anything is.
func (w *walk) judgeChain(chain []*x509.Certificate, now time.Time) (f Finding, ok bool) {
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
	f.Verdict = Fail
	const install = "Install the certificate together with all its intermediates, the one that signed it first (fullchain.pem, not cert.pem)."
	const private = "A private authority (your own, AWS Private CA, a CDN's origin authority) will not do: CloudFront trusts only Mozilla's list. Get a certificate from Let's Encrypt, say, or from ACM for a load balancer."
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil && isInOrder(chain):
		return Finding{}, true
	case err == nil:
		f.Code, f.Message, f.Advice = "chain-order", "the certificates of the chain are sent in the wrong order", install
	case !errors.As(err, &unknown):
		f.Code, f.Message, f.Advice = "certificate-invalid", "the certificate is not valid: "+rootCause(err).Error(), "Get a new one."
	case isSelfSigned(leaf):
		f.Code, f.Message = "certificate-self-signed", "the certificate is self-signed"
		f.Advice = "CloudFront accepts only certificates from a public authority (Mozilla's list): get one, for example from Let's Encrypt, or from ACM for a load balancer."
	case len(chain) == 1:
		f.Code, f.Message = "chain-incomplete", fmt.Sprintf("the server sends no intermediate certificate, so nothing leads from %s to a trusted authority", issuerOf(leaf))
		f.Advice = fmt.Sprintf("If %s is a public authority: %s %s", issuerOf(leaf), install, private)
	default:
		f.Code, f.Message = "chain-untrusted", fmt.Sprintf("the chain ends at %s, which this machine does not trust", issuerOf(chain[len(chain)-1]))
		f.Advice = private + " If it is a public one, a certificate is missing from the chain, or this machine's list is out of date."
	}
	return f, false
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
	const most = 5
	names := describe([]*x509.Certificate{leaf}).Names
	switch {
	case len(names) == 0 && leaf.Subject.CommonName == "":
		return "no name"
	case len(names) == 0:
		return leaf.Subject.CommonName
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func days(d time.Duration) string {
	if n := int(math.Floor(d.Hours() / 24)); n > 0 {
		return words.CountAs(n, "day", "days")
	}
	return "less than a day"
}
