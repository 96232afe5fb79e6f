package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// Every way in which a certificate can be wrong is told from the others.
func TestCertificate(t *testing.T) {
	authority := newAuthority(t)
	issue := func(tweak func(*x509.Certificate)) tls.Certificate {
		c := template(name)
		tweak(c)
		return authority.chain(t, c)
	}
	healthy := issue(func(*x509.Certificate) {})
	alone, disordered := healthy, healthy
	alone.Certificate = healthy.Certificate[:1]
	disordered.Certificate = [][]byte{healthy.Certificate[0], authority.root.Raw, authority.intermediate.Raw}
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -90), time.Now().AddDate(0, 0, -3)
	}
	for _, c := range []struct {
		name    string
		shown   tls.Certificate
		host    string
		want    string
		message string
	}{
		{"healthy", healthy, "", "", ""},
		{"healthy, with the root", tls.Certificate{Certificate: append(healthy.Certificate[:2:2], authority.root.Raw), PrivateKey: healthy.PrivateKey}, "", "", ""},
		{"expired", issue(expired), "", "tls:certificate-expired:fail", "3 days ago"},
		{"expired, and the origin lets in only CloudFront", issue(expired), "", "tls:certificate-expired:fail", "renew by DNS-01, or use ACM"},
		{"expired, and for another name", issue(func(c *x509.Certificate) { expired(c); c.DNSNames = []string{"other.example.com"} }), "", "tls:certificate-name:fail tls:certificate-expired:fail", "3 days ago"},
		{"not yet valid", issue(func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(0, 0, 2) }), "", "tls:certificate-not-yet-valid:fail", "not valid before"},
		{"expires soon", issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(49 * time.Hour) }), "", "tls:certificate-expires-soon:warn", "renew by DNS-01, or use ACM"},
		{"for another name", issue(func(c *x509.Certificate) { c.DNSNames = []string{"www.example.com"} }), "", "tls:certificate-name:fail", "is for www.example.com, not for origin.example.com"},
		{"for the forwarded name", issue(func(c *x509.Certificate) { c.DNSNames = []string{"www.example.com"} }), "www.example.com:443", "", ""},
		{"for the origin's name", healthy, "www.example.com", "", ""},
		{"for neither name", issue(func(c *x509.Certificate) { c.DNSNames = []string{"other.example.com"} }), "www.example.com", "tls:certificate-name:fail", "not for origin.example.com or www.example.com"},
		{"by a wildcard", issue(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }), "", "", ""},
		{"by the common name", issue(func(c *x509.Certificate) { c.DNSNames = nil }), "", "", ""},
		{"self-signed", selfSigned(t, template(name)), "", "tls:certificate-self-signed:fail", "self-signed"},
		{"without intermediate", alone, "", "tls:chain-incomplete:fail", "A private authority (your own, AWS Private CA, a CDN's origin authority) will not do"},
		{"in the wrong order", disordered, "", "tls:chain-order:fail", "wrong order"},
		{"of an unknown authority", newAuthority(t).chain(t, template(name)), "", "tls:chain-untrusted:fail", "A private authority"},
		{"not for servers", issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "", "tls:certificate-invalid:fail", "incompatible key usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, serveTLS(t, answering(200, "hello"), c.shown, nil))
			s.options.roots, s.options.Host = authority.roots(), c.host
			report := s.examine(t.Context(), "https://"+name+":443/")
			wants(t, report, c.want)
			findings := step(t, report, "tls").Findings
			if c.want != "" && !strings.Contains(findings[len(findings)-1].Message+" "+findings[len(findings)-1].Advice, c.message) {
				t.Errorf("says %+v, want %q", findings[len(findings)-1], c.message)
			}
			if len(report.Answers) != 1 || report.Answers[0].Status != 200 {
				t.Errorf("the walk does not go on: %+v", report.Answers)
			}
		})
	}
}

func TestProtocol(t *testing.T) {
	authority := newAuthority(t)
	good := authority.chain(t, template(name))
	with := func(tweak func(*tls.Config)) string { return serveTLS(t, answering(200, "hello"), good, tweak) }
	hurried := patient
	hurried.ConnectionTimeout = 600 * millisecond
	for _, c := range []struct {
		name, server string
		settings     Settings
		want         string
		answered     bool
	}{
		{"TLS 1.0 only", with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }), patient, "tls:tls-old-protocol:warn", true},
		{"TLS 1.2 only", with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), patient, "", true},
		{"TLS 1.3 only", with(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), patient, "", true},
		{"a cipher that CloudFront lacks", with(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		}), patient, "tls:tls-handshake-failed:fail", false},
		{"a curve that CloudFront lacks", with(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }), patient, "tls:tls-handshake-failed:fail", false},
		{"asks for a client certificate", with(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }), patient, "tls:tls-client-certificate:warn", true},
		{"plain HTTP", serve(t, answering(200, "hello")), patient, "tls:tls-not-spoken:fail", false},
		{"resets after the hello", afterRequest(t, resetting), patient, "tls:tls-reset:fail", false},
		{"closes after the hello", afterRequest(t, func(net.Conn) {}), patient, "tls:tls-closed:fail", false},
		{"says nothing", listen(t, func(net.Conn) { <-t.Context().Done() }), hurried, "tls:tls-timeout:fail", false},
		{"a byte at a time", afterRequest(t, func(c net.Conn) {
			fmt.Fprint(c, "\x16\x03\x03\x40\x00") // a record of 16 kB
			drip(c, "\x02", 20*time.Millisecond)
		}), hurried, "tls:tls-timeout:fail", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.server)
			s.options.roots, s.options.Settings = authority.roots(), c.settings
			report := s.examine(t.Context(), "https://"+name+":443/")
			wants(t, report, c.want)
			if answered := len(report.Answers) > 0; answered != c.answered {
				t.Errorf("answers: %+v", report.Answers)
			}
		})
	}
}
