package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Each cause on AWS's pages about 502, 503 and 504 is made here, and found. The guide has a row for each: see
// docs/504.md, "The causes that AWS names". Those that begin with groups- are made by TestDoctorChecksGroups of cmd/cfsg.
func TestCauses(t *testing.T) {
	authority := newAuthority(t)
	issue := func(tweak func(*x509.Certificate)) tls.Certificate {
		c := template(name)
		tweak(c)
		return authority.chain(t, c)
	}
	good := issue(func(*x509.Certificate) {})
	alone, disordered := good, good
	alone.Certificate = good.Certificate[:1]
	disordered.Certificate = [][]byte{good.Certificate[0], authority.root.Raw, authority.intermediate.Raw}
	ok := answering(200, "hello")
	showing := func(c tls.Certificate, tweak func(*tls.Config)) func(*site) string {
		return func(*site) string { return serveTLS(t, ok, c, tweak) }
	}
	plain := func(h http.Handler) func(*site) string { return func(*site) string { return serve(t, h) } }
	failing := func(err error) func(*site) string {
		return func(s *site) string {
			s.options.dial = dialer(map[string]error{public.String() + ":80": err}, "")
			return ""
		}
	}
	slow := func(pause time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(pause)
			ok(w, r)
		}
	}
	causes := map[string]struct {
		scheme string
		make   func(*site) string // the origin
		status int                // of CloudFront; 0 if it passes on what the origin answers, or nobody can tell
	}{
		"certificate-expired":     {"https", showing(issue(func(c *x509.Certificate) { c.NotAfter = c.NotBefore }), nil), 502},
		"certificate-self-signed": {"https", showing(selfSigned(t, template(name)), nil), 502},
		"chain-untrusted":         {"https", showing(newAuthority(t).chain(t, template(name)), nil), 502},
		"certificate-name":        {"https", showing(issue(func(c *x509.Certificate) { c.DNSNames = []string{"other.example.com"} }), nil), 502},
		"chain-incomplete":        {"https", showing(alone, nil), 502},
		"chain-order":             {"https", showing(disordered, nil), 502},
		"tls-handshake-failed":    {"https", showing(good, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }), 502},
		"tls-not-spoken":          {"https", plain(ok), 502},
		"client-certificate": {"https", func(s *site) string {
			s.options.Distribution = Distribution{Protocol: "https-only"}
			return showing(good, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })(s)
		}, 502},
		"name-not-resolved": {"http", func(s *site) string {
			s.addresses = nil
			return ""
		}, 502},
		"connect-refused": {"http", failing(syscall.ECONNREFUSED), 502},
		"answer-closed":   {"http", func(*site) string { return afterRequest(t, func(net.Conn) {}) }, 502},
		"status-502":      {"http", plain(answering(502, "")), 0},
		"status-5xx":      {"http", plain(answering(503, "")), 0},
		"connect-timeout": {"http", func(s *site) string {
			s.options.Settings.ConnectionTimeout = 100 * millisecond
			return failing(os.ErrDeadlineExceeded)(s)
		}, 0},
		"address-not-public": {"http", func(s *site) string {
			private := netip.MustParseAddr("10.1.2.3")
			s.addresses = []netip.Addr{private}
			s.listeners[private] = serve(t, ok)
			return ""
		}, 504},
		"response-timeout": {"http", func(s *site) string {
			s.options.Settings.ResponseTimeout = 300 * millisecond
			return listen(t, func(net.Conn) { <-t.Context().Done() })
		}, 504},
		"response-slow": {"http", func(s *site) string {
			s.options.Settings.ResponseTimeout = 60 * second
			return serve(t, slow(time.Duration(slowFirstByte)))
		}, 0},
		"requests-failed": {"http", func(s *site) string {
			s.options.Requests, s.options.Concurrency = 60, 20
			var now atomic.Int32
			return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer now.Add(-1)
				if now.Add(1) > 2 {
					panic(http.ErrAbortHandler)
				}
				slow(20*time.Millisecond)(w, r)
			}))
		}, 502},
		"status-504": {"http", plain(answering(504, "")), 0},
	}
	for _, code := range guideCodes(t, "| cause | finding |", 3) {
		if _, made := causes[code]; !made && !strings.HasPrefix(code, "groups-") && !strings.HasPrefix(code, "--") {
			t.Errorf("nobody makes %s", code)
		}
	}
	shown := guideCodes(t, "| cause | finding |", 3)
	for code, c := range causes {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(shown, code) {
				t.Errorf("the guide does not name it")
			}
			s := newSite(t, "")
			s.options.roots = authority.roots()
			s.listeners[public] = c.make(s)
			report := s.examine(t.Context(), c.scheme+"://"+name+":"+map[string]string{"http": "80", "https": "443"}[c.scheme]+"/")
			for _, one := range report.Steps {
				for _, f := range one.Findings {
					if f.Code == code && (c.status == 0 || f.Verdict == Fail && f.CloudFrontStatus == c.status) && f.Advice != "" && strings.HasPrefix(f.Source, "https://docs.aws.amazon.com/") {
						return
					}
				}
			}
			t.Errorf("not found: %+v", report.Steps)
		})
	}
}

// The codes in the guide are those that doctor shows.
func TestGuideHasCodes(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"*.go", "../../cmd/cfsg/doctor*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, code := range append(guideCodes(t, "| cause | finding |", 3), guideCodes(t, "| finding | what it means |", 1)...) {
		known := strings.Contains(source.String(), `"`+code+`"`) || regexp.MustCompile(`^status-(400|421)$`).MatchString(code)
		if !known && !strings.HasPrefix(code, "--") {
			t.Errorf("no finding has the code %s", code)
		}
	}
}

// guideCodes returns the code in a column of a table of docs/504.md.
func guideCodes(t *testing.T, header string, column int) (codes []string) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/504.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(guide), header)
	if !found {
		t.Fatalf("no table %s", header)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > column {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[column], -1) {
				codes = append(codes, m[1])
			}
		}
	}
	if len(codes) < 10 {
		t.Fatalf("%d codes in the table %s", len(codes), header)
	}
	return codes
}
