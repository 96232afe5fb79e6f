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

// Every way in which TLS and its certificate can be wrong is told from the others.
func TestTLS(t *testing.T) {
	authority := newAuthority(t)
	issue := func(tweak func(*x509.Certificate)) tls.Certificate {
		c := template(name)
		tweak(c)
		return authority.chain(t, c)
	}
	show := func(c tls.Certificate) string { return serveTLS(t, answering(200, "hello"), c, nil) }
	issued := func(tweak func(*x509.Certificate)) string { return show(issue(tweak)) }
	named := func(names ...string) string { return issued(func(c *x509.Certificate) { c.DNSNames = names }) }
	good := issue(func(*x509.Certificate) {})
	with := func(tweak func(*tls.Config)) string { return serveTLS(t, answering(200, "hello"), good, tweak) }
	rooted, incomplete, disordered := good, good, good
	rooted.Certificate = [][]byte{good.Certificate[0], good.Certificate[1], authority.root.Raw}
	incomplete.Certificate = good.Certificate[:1]
	disordered.Certificate = [][]byte{good.Certificate[0], authority.root.Raw, authority.intermediate.Raw}
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -90), time.Now().AddDate(0, 0, -3)
	}
	const renew, private = "renew by DNS-01, or use ACM", "A private authority (your own, AWS Private CA, a CDN's"
	for _, c := range []struct{ name, server, host, want, message string }{
		{"healthy", show(good), "", "", ""},
		{"healthy, with the root", show(rooted), "", "", ""},
		{"expired", issued(expired), "", "tls:certificate-expired:fail", "3 days ago"},
		{"expired, and the origin lets in only CloudFront", issued(expired), "", "tls:certificate-expired:fail", renew},
		{"expired, and for another name", issued(func(c *x509.Certificate) {
			expired(c)
			c.DNSNames = []string{"other.example.com"}
		}), "", "tls:certificate-name:fail tls:certificate-expired:fail", "3 days ago"},
		{"not yet valid", issued(func(c *x509.Certificate) {
			c.NotBefore = time.Now().AddDate(0, 0, 2)
		}), "", "tls:certificate-not-yet-valid:fail", "not valid before"},
		{"expires soon", issued(func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(49 * time.Hour)
		}), "", "tls:certificate-expires-soon:warn", renew},
		{"for another name", named("www.example.com"), "", "tls:certificate-name:fail", "is for www.example.com, not for " + name},
		{"for the forwarded name", named("www.example.com"), "www.example.com:443", "", ""},
		{"for the origin's name", show(good), "www.example.com", "", ""},
		{"for neither name", named("a.example"), "www.example.com", "tls:certificate-name:fail", name + " or www.example.com"},
		{"by a wildcard", named("*.example.com"), "", "", ""},
		{"by the common name", named(), "", "", ""},
		{"self-signed", show(selfSigned(t, template(name))), "", "tls:certificate-self-signed:fail", "self-signed"},
		{"without intermediate", show(incomplete), "", "tls:chain-incomplete:fail", private},
		{"in the wrong order", show(disordered), "", "tls:chain-order:fail", "wrong order"},
		{"of an unknown authority", show(newAuthority(t).chain(t, template(name))), "", "tls:chain-untrusted:fail", private},
		{"not for servers", issued(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), "", "tls:certificate-invalid:fail", "incompatible key usage"},

		{"TLS 1.0 only", with(func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		}), "", "tls:tls-old-protocol:warn", ""},
		{"TLS 1.2 only", with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "", "", ""},
		{"TLS 1.3 only", with(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), "", "", ""},
		{"a cipher that CloudFront lacks", with(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		}), "", "tls:tls-handshake-failed:fail", ""},
		{"a curve that CloudFront lacks", with(func(c *tls.Config) {
			c.CurvePreferences = []tls.CurveID{tls.CurveP521}
		}), "", "tls:tls-handshake-failed:fail", ""},
		{"asks for a client certificate", with(func(c *tls.Config) {
			c.ClientAuth = tls.RequestClientCert
		}), "", "tls:tls-client-certificate:warn", ""},
		{"plain HTTP", serve(t, answering(200, "hello")), "", "tls:tls-not-spoken:fail", ""},
		{"resets after the hello", afterRequest(t, resetting), "", "tls:tls-reset:fail", ""},
		{"closes after the hello", afterRequest(t, func(net.Conn) {}), "", "tls:tls-closed:fail", ""},
		{"says nothing", listen(t, func(net.Conn) { <-t.Context().Done() }), "", "tls:tls-timeout:fail", ""},
		{"a byte at a time", afterRequest(t, func(c net.Conn) {
			fmt.Fprint(c, "\x16\x03\x03\x40\x00") // a record of 16 kB
			drip(c, "\x02", 20*time.Millisecond)
		}), "", "tls:tls-timeout:fail", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.server)
			s.options.roots, s.options.Host = authority.roots(), c.host
			if c.want == "tls:tls-timeout:fail" {
				s.options.Settings.ConnectionTimeout = 600 * millisecond
			}
			report := s.examine(t.Context(), "https://"+name+":443/")
			wants(t, report, c.want)
			findings := step(t, report, "tls").Findings
			if c.want != "" {
				last := findings[len(findings)-1]
				if !strings.Contains(last.Message+" "+last.Advice, c.message) {
					t.Errorf("says %+v, want %q", last, c.message)
				}
			}
			// The walk goes on after a handshake, whatever the certificate.
			spoken := !strings.Contains(c.want, "tls:tls-") || strings.HasSuffix(c.want, ":warn")
			if answered := len(report.Answers) == 1 && report.Answers[0].Status == 200; answered != spoken {
				t.Errorf("answers: %+v", report.Answers)
			}
		})
	}
}
