package doctor

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func redirecting(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusMovedPermanently)
	}
}

// Advice depends on the answer of the origin, which is broken differently in each case.
func TestAnswer(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const head = ok + "Content-Length: 1000000000\r\n\r\n"
	status := func(status int) string { return serve(t, answering(status, "")) }
	to := func(url string) string { return serve(t, redirecting(url)) }
	says := func(text string) string { return afterRequest(t, func(c net.Conn) { fmt.Fprint(c, text) }) }
	drips := func(first, then string, pause time.Duration) string {
		return afterRequest(t, func(c net.Conn) {
			fmt.Fprint(c, first)
			drip(c, then, pause)
		})
	}
	stops := func(text string) string {
		return afterRequest(t, func(c net.Conn) {
			fmt.Fprint(c, text)
			<-t.Context().Done()
		})
	}
	longHeader := func(w http.ResponseWriter, _ *http.Request) {
		for i := range 30 {
			w.Header().Add("Set-Cookie", fmt.Sprintf("c%d=%s", i, strings.Repeat("x", 1000)))
		}
	}
	for _, c := range []struct {
		name    string
		server  string
		hurry   bool
		want    string
		message string
	}{
		{"200", serve(t, answering(200, "hello")), false, "", ""},
		{"an empty answer", status(204), false, "", ""},
		{"504 of its own", status(504), false, "answer:status-504:fail timing:error-answers:fail", "504 Gateway Timeout"},
		{"502 of its own", status(502), false, "answer:status-502:fail timing:error-answers:fail", "502"},
		{"503 of its own", status(503), false, "answer:status-5xx:warn timing:error-answers:warn", "no healthy target"},
		{"403", status(403), false, "answer:status-denied:warn", "admit only some connecting addresses"},
		{"400", status(400), false, "answer:status-400:warn", "it got as Host header and by TLS (SNI): pass the name"},
		{"421", status(421), false, "answer:status-421:warn", "with --host"},
		{"429", status(429), false, "answer:status-429:warn", "take all viewers behind CloudFront for a few"},
		{"405", status(405), false, "answer:status-4xx:warn", "for which the origin answers a GET"},
		{"500", status(500), false, "answer:status-5xx:warn timing:error-answers:warn", "its log says why"},
		{"resets", afterRequest(t, resetting), false, "answer:answer-reset:fail", "a process that crashes or is killed"},
		{"404", status(404), false, "answer:status-4xx:warn", "Use a URL that exists"},
		{"redirect to itself", to("http://" + name + ":80/a?b=c"), false, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to itself, relative", to("/a?b=c"), false, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to itself, without port", to("http://" + strings.ToUpper(name) + "/a?b=c"), false, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to itself by the forwarded name", to("http://www.example.com/a?b=c"), false, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to https", to("https://" + name + "/a?b=c"), false, "answer:redirect-to-https:warn", "over https"},
		{"redirect elsewhere", to("/a?b=d"), false, "answer:redirect:ok", "/a?b=d"},
		{"redirect to nowhere", to("http://["), false, "answer:redirect-invalid:warn", "is not a URL"},
		{"a long header", serve(t, http.HandlerFunc(longHeader)), false, "answer:header-too-long:fail", "CloudFront accepts 20480 bytes"},
		{"never answers", stops(""), true, "answer:response-timeout:fail", "CloudFront asks 3 times, so viewers wait 1.8 s"},
		{"closes without an answer", says(""), false, "answer:answer-closed:fail", "without an answer"},
		{"no HTTP", says("220 mail.example.com ESMTP\x1b[31m\r\n"), false, "answer:answer-invalid:fail", "is not an HTTP answer"},
		{"a header without end", drips(ok, "X: y\r\n", 0), false, "answer:header-too-long:fail", "than 65536 bytes"},
		{"a line without end", drips(ok+"X: ", "yyyy", 0), false, "answer:header-too-long:fail", "than 65536 bytes"},
		{"a header drop by drop", drips(ok, "X: y\r\n", 50*time.Millisecond), true, "answer:header-slow:fail", "not complete within 600 ms"},
		{"a body without end", drips(head, strings.Repeat("x", 1<<16), 0), false, "answer:answer-endless:warn", "10.5 MB"},
		{"a body drop by drop", drips(head, "x", 20*time.Millisecond), true, "answer:answer-endless:warn", "had not ended"},
		{"a body that stops", stops(head + "hello"), true, "answer:answer-stalled:fail", "stops after 5 bytes"},
		{"a body that is cut", says(head + "hello"), false, "answer:answer-cut:warn", "after 5 bytes"},
		{"no end of 1xx", drips("", "HTTP/1.1 103 Early Hints\r\n\r\n", 0), false, "answer:header-too-long:fail", "than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.server)
			if c.hurry {
				s.options.Settings.ResponseTimeout = 600 * millisecond // over soon, but not before what comes at once
			}
			s.options.Host = "www.example.com"
			report := s.examine(t.Context(), "http://"+name+":80/a?b=c")
			wants(t, report, c.want)
			findings := step(t, report, "answer").Findings
			if c.want != "" && !strings.Contains(findings[0].Message+" "+findings[0].Advice, c.message) {
				t.Errorf("says %+v, want %q", findings[0], c.message)
			}
			for _, f := range findings {
				if strings.ContainsRune(f.Message, '\x1b') {
					t.Errorf("escapes to the terminal: %q", f.Message)
				}
			}
			if a := report.Answers[0]; a.BodyBytes > mostBody+1<<16 {
				t.Errorf("%d bytes were read", a.BodyBytes)
			}
		})
	}
}
