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
	const hurry = 600 * millisecond // is over soon, but not before what comes at once
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
	raw := func(answer func(net.Conn)) string { return afterRequest(t, answer) }
	longHeader := func(w http.ResponseWriter, _ *http.Request) {
		for i := range 30 {
			w.Header().Add("Set-Cookie", fmt.Sprintf("c%d=%s", i, strings.Repeat("x", 1000)))
		}
	}
	for _, c := range []struct {
		name    string
		server  string
		timeout Seconds
		want    string
		message string
	}{
		{"200", serve(t, answering(200, "hello")), patient.ResponseTimeout, "", ""},
		{"an empty answer", serve(t, answering(204, "")), patient.ResponseTimeout, "", ""},
		{"504 of its own", serve(t, answering(504, "")), patient.ResponseTimeout, "answer:status-504:fail timing:error-answers:fail", "answers 504 Gateway Timeout"},
		{"502 of its own", serve(t, answering(502, "")), patient.ResponseTimeout, "answer:status-502:fail timing:error-answers:fail", "502"},
		{"503 of its own", serve(t, answering(503, "")), patient.ResponseTimeout, "answer:status-5xx:warn timing:error-answers:warn", "no healthy target"},
		{"403", serve(t, answering(403, "")), patient.ResponseTimeout, "answer:status-denied:warn", "admit only some connecting addresses"},
		{"400", serve(t, answering(400, "")), patient.ResponseTimeout, "answer:status-400:warn", "does not accept the name www.example.com, which it got as Host header and by TLS (SNI): pass the name that the distribution forwards with --host"},
		{"421", serve(t, answering(421, "")), patient.ResponseTimeout, "answer:status-421:warn", "with --host"},
		{"429", serve(t, answering(429, "")), patient.ResponseTimeout, "answer:status-429:warn", "take all viewers behind CloudFront for a few"},
		{"405", serve(t, answering(405, "")), patient.ResponseTimeout, "answer:status-4xx:warn", "for which the origin answers a GET"},
		{"500", serve(t, answering(500, "")), patient.ResponseTimeout, "answer:status-5xx:warn timing:error-answers:warn", "The application fails: its log says why"},
		{"resets", raw(resetting), patient.ResponseTimeout, "answer:answer-reset:fail", "a process that crashes or is killed"},
		{"404", serve(t, answering(404, "")), patient.ResponseTimeout, "answer:status-4xx:warn", "Use a URL that exists"},
		{"redirect to itself", serve(t, redirecting("http://"+name+":80/a?b=c")), patient.ResponseTimeout, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to itself, relative", serve(t, redirecting("/a?b=c")), patient.ResponseTimeout, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to itself, without port", serve(t, redirecting("http://"+strings.ToUpper(name)+"/a?b=c")), patient.ResponseTimeout, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to itself by the forwarded name", serve(t, redirecting("http://www.example.com/a?b=c")), patient.ResponseTimeout, "answer:redirect-loop:fail", "round in circles"},
		{"redirect to https", serve(t, redirecting("https://"+name+"/a?b=c")), patient.ResponseTimeout, "answer:redirect-to-https:warn", "over https"},
		{"redirect elsewhere", serve(t, redirecting("/a?b=d")), patient.ResponseTimeout, "answer:redirect:ok", "/a?b=d"},
		{"redirect to nowhere", serve(t, redirecting("http://[")), patient.ResponseTimeout, "answer:redirect-invalid:warn", "is not a URL"},
		{"a long header", serve(t, http.HandlerFunc(longHeader)), patient.ResponseTimeout, "answer:header-too-long:fail", "CloudFront accepts 20480 bytes"},
		{"never answers", listen(t, func(net.Conn) { <-t.Context().Done() }), hurry, "answer:response-timeout:fail", "no answer within 600 ms; CloudFront asks 3 times, so viewers wait 1.8 s"},
		{"closes without an answer", raw(func(net.Conn) {}), patient.ResponseTimeout, "answer:answer-closed:fail", "without an answer"},
		{"no HTTP", raw(func(c net.Conn) { fmt.Fprint(c, "220 mail.example.com ESMTP\x1b[31m\r\n") }), patient.ResponseTimeout, "answer:answer-invalid:fail", "is not an HTTP answer"},
		{"a header without end", raw(func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\n"); drip(c, "X: y\r\n", 0) }), patient.ResponseTimeout, "answer:header-too-long:fail", "longer than 65536 bytes"},
		{"a line without end", raw(func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nX: "); drip(c, "yyyy", 0) }), patient.ResponseTimeout, "answer:header-too-long:fail", "longer than 65536 bytes"},
		{"a header drop by drop", raw(func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\n"); drip(c, "X: y\r\n", 50*time.Millisecond) }), hurry, "answer:header-slow:fail", "not complete within 600 ms"},
		{"a body without end", raw(func(c net.Conn) { fmt.Fprint(c, head); drip(c, strings.Repeat("x", 1<<16), 0) }), patient.ResponseTimeout, "answer:answer-endless:warn", "10.5 MB"},
		{"a body drop by drop", raw(func(c net.Conn) { fmt.Fprint(c, head); drip(c, "x", 20*time.Millisecond) }), hurry, "answer:answer-endless:warn", "had not ended"},
		{"a body that stops", raw(func(c net.Conn) { fmt.Fprint(c, head+"hello"); <-t.Context().Done() }), hurry, "answer:answer-stalled:fail", "stops after 5 bytes"},
		{"a body that is cut", raw(func(c net.Conn) { fmt.Fprint(c, head+"hello") }), patient.ResponseTimeout, "answer:answer-cut:warn", "after 5 bytes"},
		{"no end of 1xx", raw(func(c net.Conn) { drip(c, "HTTP/1.1 103 Early Hints\r\n\r\n", 0) }), patient.ResponseTimeout, "answer:header-too-long:fail", "longer than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.server)
			s.options.Settings.ResponseTimeout = c.timeout
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
