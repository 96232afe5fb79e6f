package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

const hunter = "hunter2"

// verifying answers only requests with the secret header, and others as it is told.
func verifying(refuse http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Verify") != hunter {
			refuse(w, r)
			return
		}
		fmt.Fprint(w, "hello")
	}
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Whether an origin demands what only its distribution has is asked of its answers, and of the rules in front of it.
func TestSecondLayer(t *testing.T) {
	authority := newAuthority(t)
	good := authority.chain(t, template(name))
	with := func(h http.HandlerFunc) string { return serveTLS(t, h, good, nil) }
	mutual := func(auth tls.ClientAuthType, version uint16) string {
		return serveTLS(t, answering(200, "hello"), good, func(c *tls.Config) { c.ClientAuth, c.MaxVersion = auth, version })
	}
	nginx := serveTLS(t, answering(400, "No required SSL certificate was sent"), good, func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert })
	secret := Distribution{Protocol: "https-only", Headers: http.Header{"X-Verify": {hunter}}}
	certificate := Distribution{Protocol: "https-only", ClientCertificate: true}
	for _, c := range []struct {
		name, server string
		distribution Distribution
		rules        *SecondLayer
		demanded     Demanded
		found, says  string
	}{
		{"403 without the header", with(verifying(answering(403, ""))), secret, nil, Yes, "", "without X-Verify is refused (403)"},
		{"401", with(verifying(answering(401, ""))), secret, nil, Yes, "", "is refused (401)"},
		{"the fixed response of a load balancer", with(verifying(answering(404, ""))), secret, nil, Yes, "", "is refused (404)"},
		{"hangs up", with(verifying(hangUp)), secret, nil, Yes, "", "is refused (closed)"},
		{"answers all", with(answering(200, "")), secret, nil, No, "auth:auth-missing:warn", "without X-Verify is answered (200)"},
		{"a redirect is an answer", with(redirecting("https://www.example.com/")), secret, nil, No, "answer:redirect:ok auth:auth-missing:warn", "is answered (301)"},
		{"no header to add", with(answering(200, "")), Distribution{Protocol: "https-only"}, nil, No, "auth:auth-missing:warn", "without a secret header is answered"},
		{"unknown distribution", with(answering(200, "")), Distribution{}, nil, No, "", "is answered (200)"},
		{"refuses all", with(answering(403, "")), secret, nil, Maybe, "answer:status-denied:warn auth:auth-unknown:warn", "fails as one with it does (403)"},
		{"there is no such page", with(answering(404, "")), secret, nil, Maybe, "answer:status-4xx:warn auth:auth-unknown:warn", "fails as one with it does (404)"},

		{"every rule demands it", with(verifying(answering(403, ""))), secret, &SecondLayer{Yes, "all rules"}, Yes, "", "all rules"},
		{"one rule does not", with(verifying(answering(403, ""))), secret, &SecondLayer{No, "one rule does not"}, Maybe, "auth:auth-unknown:warn", "on other paths, only a web ACL"},
		{"unknown rules", with(verifying(answering(403, ""))), secret, &SecondLayer{Maybe, "rules"}, Yes, "", "is refused (403)"},
		{"rules that the answers belie", with(answering(200, "")), secret, &SecondLayer{Yes, "rules"}, No, "auth:auth-missing:warn", "is answered (200)"},

		{"TLS 1.3, a certificate demanded", mutual(tls.RequireAnyClientCert, tls.VersionTLS13), certificate, nil, Yes, "answer:client-certificate:ok", "without a client certificate is refused"},
		{"TLS 1.2, a certificate demanded", mutual(tls.RequireAnyClientCert, tls.VersionTLS12), certificate, nil, Yes, "tls:client-certificate:ok", "without a client certificate is refused"},
		{"… by nginx", nginx, certificate, nil, Yes, "answer:client-certificate:ok", "without a client certificate is refused"},
		{"… that CloudFront lacks", mutual(tls.RequireAnyClientCert, tls.VersionTLS13), Distribution{Protocol: "https-only"}, nil, Yes, "tls:tls-client-certificate:warn answer:client-certificate:fail", "is refused"},
		{"… and the distribution is unknown", mutual(tls.RequireAnyClientCert, tls.VersionTLS12), Distribution{}, nil, Yes, "tls:client-certificate:unknown", "is refused"},
		{"a certificate that nobody asks for", with(answering(200, "")), certificate, nil, No, "auth:auth-missing:warn", "is answered"},
		{"… or only asks for", mutual(tls.RequestClientCert, tls.VersionTLS13), certificate, nil, No, "auth:auth-missing:warn", "is answered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.server)
			s.options.roots, s.options.Distribution = authority.roots(), c.distribution
			if c.rules != nil {
				s.options.Groups = func(context.Context, *Report) Step { return Step{Verdict: OK, Demands: c.rules} }
			}
			report := s.examine(t.Context(), "https://"+name+":443/")
			wants(t, report, c.found)
			if l := report.SecondLayer; l.Demanded != c.demanded || !strings.Contains(l.Cause, c.says) {
				t.Errorf("%+v, want %s: %s", l, c.demanded, c.says)
			}
		})
	}
}

// An origin that repeats a secret, as it is or escaped, has no way to get it into the report.
func TestSecretsAreNotRepeated(t *testing.T) {
	const secret = `hunter/2 "Z"`
	escaped := strings.NewReplacer(" ", "+", "/", "%2f", "h", "%68").Replace(secret)
	authority := newAuthority(t)
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(conn, answer)
			conn.Close()
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"a redirect":          {redirecting("/?v=" + secret), "answer:redirect:ok"},
		"escaped":             {redirecting("https://www.example.com/" + escaped), "answer:redirect:ok"},
		"escaped twice":       {redirecting("/?to=" + url.QueryEscape("/"+escaped)), "answer:redirect:ok"},
		"not a URL":           {redirecting("http://[" + strings.ToUpper(secret)), "answer:redirect-invalid:warn"},
		"a broken header":     {raw("HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n"), "answer:answer-invalid:fail"},
		"no HTTP, and quoted": {raw(secret + "\r\n\r\n"), "answer:answer-invalid:fail"},
		"a broken trailer":    {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n " + secret + "\r\n\r\n"), "answer:answer-cut:warn"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, serveTLS(t, c.handler, authority.chain(t, template("origin.example.com")), nil))
			s.options.roots, s.options.Header = authority.roots(), http.Header{"X-Verify": {secret}}
			report := s.examine(t.Context(), "https://origin.example.com:443/")
			text, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			plain := strings.ToLower(string(text))
			for range 3 {
				plain = strings.NewReplacer("%68", "h", "%2f", "/", "%25", "%").Replace(plain)
			}
			if strings.Contains(plain, "hunter/2") || strings.Contains(plain, `z\\\"`) || !strings.Contains(codes(report), c.want) {
				t.Errorf("%s: %s", codes(report), text)
			}
		})
	}
}

// Secrets go by GET, to the origin itself, by TLS that proves who that is; and the report does not have them.
func TestSecretsAreKept(t *testing.T) {
	authority := newAuthority(t)
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect or a proxy was followed") }))
	t.Setenv("HTTPS_PROXY", "http://"+elsewhere)
	var requests, secrets atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if v := r.Header.Get("X-Verify") + r.Header.Get("X-Other"); v != "" {
			secrets.Add(1)
			if v != hunter+hunter {
				t.Errorf("header: %v", r.Header)
			}
		}
		if got, want := fmt.Sprint(r.Method, " ", r.Host, r.URL, " ", r.Proto), "GET www.example.com/a?b=c HTTP/1.1"; got != want {
			t.Errorf("asked for %s, want %s", got, want)
		}
		w.Header().Set("Location", "https://"+elsewhere+"/")
		w.WriteHeader(http.StatusFound)
	})
	good := authority.chain(t, template(name))
	expired := template(name)
	expired.NotAfter = expired.NotBefore
	other := template("other.example.com")
	for _, c := range []struct {
		name, server, scheme string
		sent                 bool
	}{
		{"by HTTP", serve(t, handler), "http", false},
		{"a valid certificate", serveTLS(t, handler, good, nil), "https", true},
		{"an expired one", serveTLS(t, handler, authority.chain(t, expired), nil), "https", false},
		{"one of another name", serveTLS(t, handler, authority.chain(t, other), nil), "https", false},
		{"one that nobody vouches for", serveTLS(t, handler, selfSigned(t, template(name)), nil), "https", false},
		{"one that changes after the handshake", serveTLS(t, handler, good, func(config *tls.Config) {
			var shakes atomic.Int32
			bad := selfSigned(t, template(name))
			config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if shakes.Add(1) > 1 {
					return &bad, nil
				}
				return &good, nil
			}
			config.Certificates = nil
		}), "https", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests.Store(0)
			secrets.Store(0)
			s := newSite(t, c.server)
			s.options.roots, s.options.Host = authority.roots(), "www.example.com"
			s.options.Header = http.Header{"X-Verify": {hunter}}
			s.options.Distribution = Distribution{Protocol: "https-only", Headers: http.Header{"X-Other": {hunter}}}
			var told strings.Builder
			s.options.Progress = func(what string) { fmt.Fprintln(&told, what) }
			report := s.examine(t.Context(), c.scheme+"://"+name+":"+map[string]string{"http": "80", "https": "443"}[c.scheme]+"/a?b=c")
			if n := secrets.Load(); (n > 0) != c.sent || c.sent && n != 1+fewRequests+1 {
				t.Errorf("%d of %d requests had the secrets", n, requests.Load())
			}
			text, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			if told.WriteString(fmt.Sprintf("%s %+v", text, report)); strings.Contains(told.String(), hunter) {
				t.Errorf("a secret is told: %s", &told)
			}
		})
	}
}
