package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/words"
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

// answer sends one request to each address and judges the responses.
func (w *walk) answer(ctx context.Context) Step {
	switch {
	case len(w.reachable) == 0:
		return skipped("no connection")
	case w.Origin.isSecure() && !slices.ContainsFunc(w.report.TLS, func(h Handshake) bool { return h.err == nil }):
		return skipped("no TLS")
	}
	w.Progress(fmt.Sprintf("waiting for an answer (at most %s for its first byte)", w.Settings.ResponseTimeout))
	w.samples = w.toAsk()
	atOnce(w.samples, func(_ int, a *asked) {
		l := w.line(a.to)
		defer l.close()
		a.sample = l.get(ctx, a.url)
	})
	if ctx.Err() != nil {
		return Step{}
	}
	step := Step{Verdict: OK}
	var summaries []string
	for _, s := range w.samples {
		w.report.Answers = append(w.report.Answers, w.answerOf(s))
		if summary := s.summary(); !slices.Contains(summaries, summary) {
			summaries = append(summaries, summary)
		}
		for _, f := range w.judgeAsked(s) {
			w.findAt(&step, s.to.Addr(), f)
		}
	}
	step.Summary = strings.Join(summaries, "; ")
	return step
}

// An asked is a request of the first ones, with its sample.
type asked struct {
	sample
	to   netip.AddrPort
	path Path
	url  *url.URL
}

// toAsk returns the first requests: that of the URL to each address, and one of each other path to one address.
func (w *walk) toAsk() (all []asked) {
	paths := w.Distribution.Paths
	if len(paths) == 0 {
		paths = []Path{{}}
	}
	for _, to := range w.reachable {
		all = append(all, asked{to: to, path: paths[0], url: w.Origin.URL})
	}
	for _, p := range paths[1:] {
		one := *w.Origin.URL
		if u, err := url.ParseRequestURI(p.Path); err == nil {
			one.Path, one.RawPath, one.RawQuery = u.Path, u.RawPath, u.RawQuery
		}
		all = append(all, asked{to: w.reachable[0], path: p, url: &one})
	}
	return all
}

func (w *walk) judgeAsked(s asked) (findings []Finding) {
	switch {
	case w.refusesWithoutCertificate(s.to.Addr(), s.sample):
		return []Finding{w.certificateDemanded()}
	case s.err != nil:
		findings = []Finding{w.unanswered(s.sample)}
	default:
		if !s.endless && s.url == w.Origin.URL {
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

func (w *walk) answerOf(s asked) Answer {
	a := Answer{
		IP: s.to.Addr(), BodyBytes: s.bytes, Complete: s.err == nil && !s.endless,
		FirstByte: s.firstByte, Total: s.total, Error: causeOf(s.err),
	}
	if s.url != w.Origin.URL {
		a.Path = printable(s.path.Path)
	}
	if s.response != nil {
		a.Status, a.HeaderBytes = s.response.StatusCode, headerBytes(s.response)
		a.Location = printable(w.conceal(s.response.Header.Get("Location")))
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

func (w *walk) unanswered(s sample) Finding {
	patience := w.Settings.ResponseTimeout
	switch {
	case s.response != nil && s.failure == timedOut:
		return finding("answer-stalled", "the answer stops after %s of the body: nothing more within %s", bytesOf(s.bytes), patience)
	case s.response != nil:
		return finding("answer-cut", "the connection ends after %s, in the middle of the body", bytesOf(s.bytes))
	case s.failure == timedOut && s.firstByte > 0:
		return finding("header-slow", "the header of the answer is not complete within %s", patience)
	case s.failure == timedOut && !s.sent:
		return finding("reconnect-timeout", "a second connection times out")
	case s.failure == timedOut:
		return finding("response-timeout", "no answer within %s; CloudFront asks %d times, so viewers wait %s for their error",
			patience, w.Settings.ConnectionAttempts, w.Settings.inAll(w.Settings.ResponseTimeout))
	case errors.Is(s.err, errLongHeader):
		return finding("header-too-long", "the header of the answer is longer than %s; CloudFront accepts %s", bytesOf(mostHeader), bytesOf(maxHeaderBytes))
	case s.failure == reset:
		return finding("answer-reset", "the connection is reset instead of an answer")
	case s.failure == closed:
		return finding("answer-closed", "the connection is closed without an answer")
	}
	return finding("answer-invalid", "what comes back is not an HTTP answer: %s", causeOf(s.err))
}

func (w *walk) judgeAnswer(s asked) []Finding {
	var findings []Finding
	if status := s.response.StatusCode; status >= 400 {
		f := w.judgeStatus(status)
		if f.Code == "status-4xx" && s.path.Guessed {
			f.Verdict, f.Advice = OK, "The path is a guess: name one of the behavior's with --path."
		}
		findings = append(findings, f)
	}
	if location := s.response.Header.Get("Location"); s.response.StatusCode/100 == 3 && location != "" {
		findings = append(findings, w.judgeRedirect(s.url, location))
	}
	if n := headerBytes(s.response); n > maxHeaderBytes {
		findings = append(findings, finding("header-too-long", "the header of the answer has %s; CloudFront accepts %s", bytesOf(int64(n)), bytesOf(maxHeaderBytes)))
	}
	if s.endless {
		findings = append(findings, finding("answer-endless", "the body had not ended after %s and %s, so the rest was not read", bytesOf(s.bytes), s.total))
	}
	return findings
}

// judgeStatus returns what a status from 400 on means.
func (w *walk) judgeStatus(status int) Finding {
	code := fmt.Sprintf("status-%d", status)
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		code = "status-denied"
	} else if _, known := catalog[code]; !known {
		code = fmt.Sprintf("status-%dxx", min(status/100, 5))
	}
	f := finding(code, "the origin itself answers %d %s", status, http.StatusText(status))
	if f.Advice = strings.ReplaceAll(f.Advice, "%s", w.serverName()); status == http.StatusServiceUnavailable {
		f.Code = "status-5xx"
	}
	return f
}

// judgeRedirect returns what is wrong with a redirect, which CloudFront passes on. See "Redirects" in [pageBehavior].
func (w *walk) judgeRedirect(base *url.URL, location string) Finding {
	target, err := base.Parse(location)
	shown := w.conceal(fmt.Sprint(target))
	switch {
	case err != nil:
		return finding("redirect-invalid", "the answer redirects to something that is not a URL: %s", w.conceal(location))
	case w.isSame(base, target) && target.Scheme == base.Scheme:
		return finding("redirect-loop", "the answer redirects to the same URL (%s): viewers go round in circles", shown)
	case w.isSame(base, target) && target.Scheme == "https":
		f := finding("redirect-to-https", "the answer redirects to the same URL over https")
		// With match-viewer, viewers come again by HTTPS, and so does CloudFront. The protocol may be unknown.
		f.Verdict = cmp.Or(map[string]Verdict{"": Warn, "http-only": Fail}[w.Distribution.Protocol], f.Verdict)
		return f
	}
	return finding("redirect", "the answer redirects to %s, which was not followed, because CloudFront does not follow redirects", shown)
}

// isSame reports whether a URL is the origin's, whatever its scheme and whichever of the origin's names it uses.
func (w *walk) isSame(own, target *url.URL) bool {
	port := func(u *url.URL) string {
		return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	name := strings.ToLower(target.Hostname())
	return (name == own.Hostname() || name == strings.ToLower(w.serverName())) &&
		(target.Scheme != own.Scheme || port(target) == port(own)) &&
		cmp.Or(target.EscapedPath(), "/") == own.EscapedPath() && target.RawQuery == own.RawQuery
}

// maxHeaderBytes is how long an origin's response may be without its body. See [pageQuotas].
const maxHeaderBytes = 20_480

// headerBytes is how long an answer is without its body, as far as the parsed answer shows.
func headerBytes(response *http.Response) int {
	var header strings.Builder
	_ = response.Header.Write(&header) // a builder takes it all
	return len(response.Proto) + len(response.Status) + header.Len() + len(" \r\n\r\n")
}

func bytesOf(n int64) string {
	switch {
	case n < 100_000:
		return words.Count(int(n), "byte")
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
