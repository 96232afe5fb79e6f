package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Answer is what one address answers to a request.
type Answer struct {
	IP          netip.Addr `json:"ip"`
	Status      int        `json:"status,omitempty"`
	HeaderBytes int        `json:"headerBytes,omitempty"`
	BodyBytes   int64      `json:"bodyBytes"`
	Complete    bool       `json:"complete"`       // the body was read to its end
	Path        string     `json:"path,omitempty"` // if it is not that of the URL
	Location    string     `json:"location,omitempty"`
	FirstByte   Seconds    `json:"firstByteSeconds"`
	Total       Seconds    `json:"totalSeconds"`
	Error       string     `json:"error,omitempty"`
}

// answer sends one request to each address and looks at what comes back.
func (w *walk) answer(ctx context.Context) Step {
	switch {
	case len(w.reachable) == 0:
		return skipped("no connection")
	case w.broken:
		return skipped("no TLS")
	}
	w.Progress(fmt.Sprintf("waiting for an answer (at most %s for its first byte)", Format(w.Settings.ResponseTimeout)))
	w.samples = w.toAsk()
	var group sync.WaitGroup
	for i := range w.samples {
		group.Go(func() {
			a := &w.samples[i]
			transport := w.transport(a.to)
			defer transport.CloseIdleConnections()
			a.sample = w.get(ctx, transport, a.url, w.headers(a.to.Addr()))
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return skipped("interrupted")
	}
	step := Step{Verdict: OK}
	findings := w.perAddress()
	var summaries []string
	for _, s := range w.samples {
		w.report.Answers = append(w.report.Answers, answerOf(s))
		if summary := s.summary(); !slices.Contains(summaries, summary) {
			summaries = append(summaries, summary)
		}
		for _, f := range w.judgeAsked(s) {
			findings.add(s.to.Addr(), f)
		}
	}
	findings.addTo(&step, len(w.addresses))
	step.Summary = strings.Join(summaries, "; ")
	return step
}

// An asked is a request of the first ones, with its sample.
type asked struct {
	sample
	to    netip.AddrPort
	path  Path
	url   *url.URL
	extra bool // the URL is not that of the origin
}

// toAsk returns the first requests: that of the URL to each address, and one of each other path to one address.
func (w *walk) toAsk() []asked {
	paths := w.distribution().Paths
	if len(paths) == 0 {
		paths = []Path{{}}
	}
	var all []asked
	for _, to := range w.reachable {
		all = append(all, asked{to: to, path: paths[0], url: w.Origin.URL})
	}
	for _, p := range paths[1:] {
		one := *w.Origin.URL
		if u, err := url.ParseRequestURI(p.Path); err == nil {
			one.Path, one.RawPath, one.RawQuery = u.Path, u.RawPath, u.RawQuery
		}
		all = append(all, asked{to: w.reachable[0], path: p, url: &one, extra: true})
	}
	return all
}

// judgeAsked looks at what came of a request.
func (w *walk) judgeAsked(s asked) []Finding {
	var findings []Finding
	switch addr := s.to.Addr(); {
	case w.demandsCertificate(addr, s.sample):
		w.demanding[addr] = true
		return []Finding{w.certificateDemanded()}
	case s.err != nil:
		findings = []Finding{w.unanswered(s.sample)}
	default:
		if !s.endless && !s.extra {
			w.answered = append(w.answered, s.to)
		}
		findings = w.judgeAnswer(s)
	}
	if s.path.Pattern != "" {
		for i := range findings {
			findings[i].Message = fmt.Sprintf("%s (behavior %s): %s", s.path.Path, s.path.Pattern, findings[i].Message)
		}
	}
	return findings
}

func answerOf(s asked) Answer {
	a := Answer{IP: s.to.Addr(), BodyBytes: s.bytes, Complete: s.err == nil && !s.endless, FirstByte: s.firstByte, Total: s.total}
	if s.extra {
		a.Path = printable(s.path.Path)
	}
	if s.response != nil {
		a.Status, a.HeaderBytes, a.Location = s.response.StatusCode, headerBytes(s.response), printable(s.response.Header.Get("Location"))
	}
	if s.err != nil {
		a.Error = printable(rootCause(s.err).Error())
	}
	return a
}

func (s sample) summary() string {
	if s.response == nil {
		return "no answer"
	}
	status := fmt.Sprint(s.response.StatusCode)
	if text := http.StatusText(s.response.StatusCode); text != "" {
		status += " " + text
	}
	return fmt.Sprintf("%s, %s", status, bytesOf(s.bytes))
}

// unanswered is a request that got no whole answer.
func (w *walk) unanswered(s sample) Finding {
	f := Finding{Verdict: Fail, CloudFrontStatus: s.failure.status(), Source: page502}
	patience := Format(w.Settings.ResponseTimeout)
	switch {
	case s.response != nil && s.failure == timedOut:
		f.Code, f.Source = "answer-stalled", page504
		f.Message = fmt.Sprintf("the answer stops after %s of the body: nothing more within %s", bytesOf(s.bytes), patience)
		f.Advice = "CloudFront drops such a connection. Find out what the application waits for."
	case s.response != nil:
		f.Code, f.Message = "answer-cut", fmt.Sprintf("the connection ends after %s, in the middle of the body", bytesOf(s.bytes))
		f.Verdict, f.CloudFrontStatus = Warn, 0 // CloudFront passes on what it has received: see "Dropped TCP connections" there
		f.Source, f.Advice = pageBehavior, "Viewers get an incomplete object. The log of the server may say why."
	case s.failure == timedOut && s.firstByte > 0:
		f.Code, f.Source = "header-slow", page504
		f.Message = "the header of the answer is not complete within " + patience
		f.Advice = "The server sends its header in pieces. Find out what the application waits for."
	case s.failure == timedOut && !s.sent:
		f.Code, f.Source = "reconnect-timeout", page504
		f.Message = "a second connection times out"
		f.Advice = "The server accepts too few connections: raise its backlog and number of workers."
	case s.failure == timedOut:
		f.Code, f.Source = "response-timeout", page504
		f.Message = fmt.Sprintf("no answer within %s; CloudFront asks %d times, so viewers wait %s for their error",
			patience, w.Settings.ConnectionAttempts, Format(time.Duration(w.Settings.ConnectionAttempts)*w.Settings.ResponseTimeout))
		f.Advice = "The connection succeeds, but the application does not answer: look at its log and at what it waits for (a database, another service). " +
			"If it legitimately takes this long, raise the origin's response timeout (1 to 120 s, more on request) and look again with --response-timeout."
	case strings.Contains(s.err.Error(), "headers exceeded"):
		f.Code, f.Source = "header-too-long", pageQuotas
		f.Message = fmt.Sprintf("the header of the answer is longer than %s; CloudFront accepts %s", bytesOf(mostHeader), bytesOf(maxHeaderBytes))
		f.Advice = "Send fewer or shorter headers; cookies are the usual reason."
	case s.failure == reset:
		f.Code, f.Message, f.Advice = "answer-reset", "the connection is reset instead of an answer", resetAdvice
	case s.failure == closed:
		f.Code, f.Message = "answer-closed", "the connection is closed without an answer"
		f.Advice = "The server or a proxy in front of it gives up: look at its log. A server that expects TLS on a plain port, or the reverse, also does this."
	default:
		f.Code, f.Message = "answer-invalid", "what comes back is not an HTTP answer: "+rootCause(s.err).Error()
		f.Advice = "Is there a web server on this port, and does it match the URL's scheme?"
	}
	return f
}

// resetAdvice is about a connection that was accepted and then cut.
const resetAdvice = "Something cuts a connection that it accepted: a process that crashes or is killed (look at the server's log and the kernel's), a proxy or load balancer whose idle timeout is over, " +
	"a firewall or an intrusion prevention system on the way, or a server that expects something else on this port, such as TLS or a PROXY protocol header."

// judgeAnswer looks at an answer that came.
func (w *walk) judgeAnswer(s asked) []Finding {
	var findings []Finding
	if f, ok := w.judgeStatus(s.response.StatusCode); !ok {
		if f.Code == "status-4xx" && s.path.Guessed {
			f.Verdict, f.Advice = OK, "The path is a guess: name one of the behavior's with --path."
		}
		findings = append(findings, f)
	}
	if f, ok := w.judgeRedirect(s.url, s.response); !ok {
		findings = append(findings, f)
	}
	if n := headerBytes(s.response); n > maxHeaderBytes {
		findings = append(findings, Finding{
			Code: "header-too-long", Verdict: Fail, CloudFrontStatus: 502, Source: pageQuotas,
			Message: fmt.Sprintf("the header of the answer has %s; CloudFront accepts %s", bytesOf(int64(n)), bytesOf(maxHeaderBytes)),
			Advice:  "Send fewer or shorter headers; cookies are the usual reason.",
		})
	}
	if s.endless {
		findings = append(findings, Finding{
			Code: "answer-endless", Verdict: Warn, Source: pageOrigin,
			Message: fmt.Sprintf("the body had not ended after %s and %s, so the rest was not read", bytesOf(s.bytes), s.total),
			Advice: "CloudFront waits as long as any data keeps coming, unless the origin has a response completion timeout. " +
				"To measure the timing, use a URL with a short answer.",
		})
	}
	return findings
}

// judgeStatus returns what a status means, unless it means that all is well. CloudFront passes every status on.
func (w *walk) judgeStatus(status int) (f Finding, ok bool) {
	f = Finding{Verdict: Warn, Message: fmt.Sprintf("the origin itself answers %d %s", status, http.StatusText(status)), Source: pageBehavior}
	switch {
	case status < 400:
		return Finding{}, true
	case status == http.StatusGatewayTimeout:
		f.Code, f.Verdict, f.Source = "status-504", Fail, page504
		f.Advice = "CloudFront only passes it on. A proxy or load balancer in front of the application did not get an answer in time: look at its targets and at the timeout that it uses for them."
	case status == http.StatusBadGateway:
		f.Code, f.Verdict, f.Source = "status-502", Fail, page502
		f.Advice = "CloudFront only passes it on. A proxy or load balancer in front of the application cannot talk to it: is the application running, and on the port that the proxy expects?"
	case status == http.StatusServiceUnavailable:
		f.Code, f.Source = "status-5xx", page503
		f.Advice = "CloudFront passes it on. The server is overloaded or in maintenance, or its load balancer has no healthy target: look at the health checks, and at the host's CPU, memory and disk."
	case status >= 500:
		f.Code = "status-5xx"
		f.Advice = "CloudFront passes it on. The application fails: its log says why. If only this path fails, so does only this path for viewers."
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.Code = "status-denied"
		f.Advice = "If the origin expects a secret header from CloudFront, pass it with --header. Otherwise it may admit only some connecting addresses (cfsg export writes CloudFront's) or " +
			"Host headers (--host), or a web ACL blocks the request. Until then only refusals are timed."
	case status == http.StatusBadRequest || status == http.StatusMisdirectedRequest:
		// RFC 9110, 15.5.20: a 421 comes from a server that does not answer for this name, by TLS or in the header.
		f.Code = fmt.Sprint("status-", status)
		f.Advice = fmt.Sprintf("The server does not accept the name %s, which it got as Host header and by TLS (SNI): pass the name that the distribution forwards with --host, "+
			"or let the server answer for this one. If this is a port for TLS, the URL has to say https.", w.serverName())
	case status == http.StatusTooManyRequests:
		f.Code = "status-429"
		f.Advice = limitsByAddress
	case status == http.StatusNotFound || status == http.StatusGone:
		f.Code = "status-4xx"
		f.Advice = "Use a URL that exists: the timing of an error page says little."
	default:
		f.Code = "status-4xx"
		f.Advice = "Use a path, and headers (--host, --header), for which the origin answers a GET: the timing of an error page says little."
	}
	return f, false
}

// limitsByAddress is about limits that count, or ban, what connects. Behind CloudFront, that is not the viewer.
const limitsByAddress = "Limits and bans by connecting address (limit_req, mod_evasive, fail2ban, a rate-based rule) take all viewers behind CloudFront for a few: " +
	"let them count the viewer's address, from X-Forwarded-For of trusted proxies, or exempt CloudFront's ranges (cfsg export)."

// judgeRedirect returns what is wrong with a redirect. CloudFront does not follow redirects, but passes them on. See
// "Redirects" in [pageBehavior].
func (w *walk) judgeRedirect(base *url.URL, response *http.Response) (f Finding, ok bool) {
	location := response.Header.Get("Location")
	if response.StatusCode < 300 || response.StatusCode > 399 || location == "" {
		return Finding{}, true
	}
	target, err := base.Parse(location)
	f.Source = pageBehavior
	switch {
	case err != nil:
		f.Code, f.Verdict, f.Message = "redirect-invalid", Warn, "the answer redirects to something that is not a URL: "+location
	case w.isSame(base, target) && target.Scheme == base.Scheme:
		f.Code, f.Verdict = "redirect-loop", Fail
		f.Message = fmt.Sprintf("the answer redirects to the same URL (%s): viewers go round in circles", target)
		f.Advice = "CloudFront does not follow redirects, but passes them on. Look at the rules of the server and of the application that add or strip a slash, a host or a scheme."
	case w.isSame(base, target) && target.Scheme == "https":
		f.Code, f.Verdict = "redirect-to-https", map[string]Verdict{"": Warn, "http-only": Fail}[w.distribution().Protocol]
		if f.Verdict == "" { // with match-viewer, viewers come again by HTTPS, and so does CloudFront
			f.Verdict = OK
		}
		f.Message = "the answer redirects to the same URL over https"
		f.Advice = "If the origin's protocol policy is http-only, viewers go round in circles: set it to https-only, or have the server look at X-Forwarded-Proto before it redirects, or not redirect at all."
	default:
		f.Code, f.Verdict = "redirect", OK
		f.Message = fmt.Sprintf("the answer redirects to %s, which was not followed, because CloudFront does not follow redirects", target)
	}
	return f, false
}

// isSame reports whether a URL is the origin's, whatever its scheme and whichever of the origin's names it uses.
func (w *walk) isSame(own, target *url.URL) bool {
	path := target.EscapedPath()
	if path == "" {
		path = "/"
	}
	name := strings.ToLower(target.Hostname())
	samePort := target.Port() == own.Port() || target.Scheme != own.Scheme || portOf(target) == portOf(own)
	return (name == own.Hostname() || name == strings.ToLower(w.serverName())) &&
		samePort && path == own.EscapedPath() && target.RawQuery == own.RawQuery
}

func portOf(u *url.URL) string {
	if u.Port() == "" {
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Port()
}

// headerBytes is how long an answer is without its body, as far as the parsed answer shows.
func headerBytes(response *http.Response) int {
	n := len(response.Proto) + len(response.Status) + len(" \r\n\r\n")
	for key, values := range response.Header {
		for _, value := range values {
			n += len(key) + len(value) + len(": \r\n")
		}
	}
	return n
}
