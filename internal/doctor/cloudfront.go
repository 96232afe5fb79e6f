package doctor

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"
)

// What CloudFront expects from an origin, and where its documentation says so.
const (
	guide = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/"

	pageOrigin       = guide + "DownloadDistValuesOrigin.html"
	pageBehavior     = guide + "RequestAndResponseBehaviorCustomOrigin.html"
	page504          = guide + "http-504-gateway-timeout.html"
	page503          = guide + "http-503-service-unavailable.html"
	page502          = guide + "http-502-bad-gateway.html"
	pageCertificates = guide + "cnames-and-https-requirements.html"
	pageCiphers      = guide + "secure-connections-supported-ciphers-cloudfront-to-origin.html"
	pageMutualTLS    = guide + "origin-mtls-authentication.html" // mtls-authentication.html is about viewers
	pageIPv6         = guide + "cloudfront-enable-ipv6.html"
	pageVPCOrigins   = guide + "private-content-vpc-origins.html"
	pageQuotas       = guide + "cloudfront-limits.html"
	pageSecret       = guide + "restrict-access-to-load-balancer.html"
	pageRotation     = "https://aws.amazon.com/blogs/security/how-to-enhance-amazon-cloudfront-origin-security-with-aws-waf-and-aws-secrets-manager/"
)

// maxHeaderBytes is how long an origin's response may be without its body. See [pageQuotas].
const maxHeaderBytes = 20_480

// isPermitted reports whether CloudFront accepts a port as an origin's. See [pageOrigin].
func isPermitted(port uint16) bool { return port == 80 || port == 443 || port >= 1024 }

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
