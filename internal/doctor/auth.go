package doctor

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// A SecondLayer says whether an origin demands a proof that a request comes from its own distribution. The first layer,
// which lets in CloudFront's addresses only, lets in every distribution of every AWS customer.
type SecondLayer struct {
	Demanded Demanded `json:"demanded"`
	Cause    string   `json:"cause"`
}

// Demanded is an answer to whether a proof is demanded.
type Demanded string

// The answers.
const (
	Yes   Demanded = "yes"
	No    Demanded = "no"
	Maybe Demanded = "unknown"
)

// auth finds out whether the origin demands a proof: it asks once more, without the headers that are one. If nobody
// said which headers these are, the answer is a remark.
func (w *walk) auth(ctx context.Context) Step {
	w.Progress("asking without the headers that CloudFront adds")
	layer := w.demanded(ctx)
	rules := w.guard.Demands
	if rules != nil {
		layer = combine(layer, *rules)
	}
	w.report.SecondLayer = &layer
	step := Step{Verdict: OK, Summary: layer.Cause}
	if layer.Demanded != Yes && w.Distribution.Protocol == "" && len(w.Secrets()) == 0 && rules == nil {
		return skipped(layer.Cause)
	}
	switch layer.Demanded {
	case No:
		step.Summary = "nothing is demanded that only this distribution has"
		step.Find("auth-missing", "%s: any AWS customer's distribution connects from the same addresses, and gets in past the rules and the WAF of this one", layer.Cause)
	case Maybe:
		if step.Summary = "cannot tell whether a proof is demanded"; len(w.samples) == 0 && rules == nil {
			return skipped(layer.Cause)
		}
		step.Find("auth-unknown", "%s", layer.Cause)
	}
	withheld := func(a asked) bool { return len(w.headers(a.to.Addr())) == 0 }
	if names := w.Secrets(); len(names) > 0 && slices.ContainsFunc(w.samples, withheld) {
		f := finding("headers-withheld", "%s was not sent, as it may be a secret: cfsg sends it only by HTTPS, to an origin whose certificate is valid", strings.Join(names, ", "))
		if w.Origin.isSecure() {
			f.Advice = "CloudFront sends nothing, either, before the certificate is valid."
		}
		step.find(f)
	}
	return step
}

// combine returns what the network and the rules say together. The network shows a refusal on single paths only, and
// the rules cover all of them; one request that is answered proves that nothing is demanded.
func combine(network, rules SecondLayer) SecondLayer {
	switch {
	case network.Demanded == No, rules.Demanded == Maybe && network.Demanded == Yes:
		return network
	case network.Demanded == Yes && rules.Demanded == No:
		return SecondLayer{Maybe, network.Cause + ", but " + rules.Cause + ": on other paths, only a web ACL or the application may demand it"}
	case rules.Demanded == No:
		return SecondLayer{Maybe, rules.Cause + "; a web ACL of the load balancer, or the application, may demand it"}
	}
	return rules
}

// demanded returns what the answers say, the worst of several.
func (w *walk) demanded(ctx context.Context) SecondLayer {
	if w.demandsCertificate {
		return SecondLayer{Yes, "a connection without a client certificate is refused"}
	}
	if len(w.samples) == 0 {
		return SecondLayer{Maybe, "the origin was not asked from here"}
	}
	var worst SecondLayer
	for _, first := range w.samples {
		one := w.compare(ctx, first)
		if worst.Demanded == "" || one.Demanded == No || one.Demanded == Maybe && worst.Demanded == Yes {
			worst = one
		}
	}
	return worst
}

// compare asks again without the headers, and compares the answer with that to a request with them.
func (w *walk) compare(ctx context.Context, first asked) SecondLayer {
	bare, sent := first.sample, len(w.headers(first.to.Addr())) > 0
	if sent {
		l := w.line(first.to)
		defer l.close()
		l.header = nil
		bare = l.get(ctx, first.url)
	}
	request := "a request without " + cmp.Or(strings.Join(w.Secrets(), ", "), "a secret header")
	if first.path.Pattern != "" {
		request += " for " + first.path.Path
	}
	welcome := first.err == nil && first.response.StatusCode < 400
	switch {
	case bare.err == nil && bare.response.StatusCode < 400:
		return SecondLayer{No, fmt.Sprintf("%s is answered (%s)", request, bare.outcome())}
	case sent && welcome && (bare.isRefusal() || bare.err == nil && bare.response.StatusCode < 500):
		return SecondLayer{Yes, fmt.Sprintf("%s is refused (%s)", request, bare.outcome())}
	case bare.isRefusal() && !sent:
		return SecondLayer{Maybe, fmt.Sprintf("%s is refused (%s), but none with it could be sent to compare", request, bare.outcome())}
	}
	return SecondLayer{Maybe, fmt.Sprintf("%s fails as one with it does (%s)", request, bare.outcome())}
}

func (s sample) outcome() string {
	if s.err != nil {
		return string(s.failure)
	}
	return fmt.Sprint(s.response.StatusCode)
}

// isRefusal reports whether an answer refuses a request: by its status, or by ending the connection.
func (s sample) isRefusal() bool {
	return slices.Contains([]string{"401", "403", string(closed), string(reset)}, s.outcome())
}

// Secrets are the names of the headers whose values are the proof.
func (o Options) Secrets() []string { return slices.Sorted(maps.Keys(o.secrets())) }

func (o Options) secrets() http.Header {
	all := http.Header{}
	maps.Copy(all, o.Distribution.Headers)
	maps.Copy(all, o.Header)
	return all
}

// escaped matches a byte that is percent-encoded, once or several times.
var escaped = regexp.MustCompile(`(?i)%(?:25)*([0-9a-f]{2})`)

// conceal returns an address that the origin gave, unless it repeats a header that may be a secret. One that the
// origin's own URL has, such as https, is none.
func (o Options) conceal(address string) string {
	plain := func(text string) string {
		text = escaped.ReplaceAllStringFunc(text, func(code string) string {
			c, _ := hex.DecodeString(code[len(code)-2:])
			return string(c)
		})
		return strings.ToLower(strings.ReplaceAll(text, "+", " "))
	}
	for _, value := range slices.Concat(slices.Collect(maps.Values(o.secrets()))...) {
		if value = plain(value); strings.Contains(plain(address), value) && !strings.Contains(plain(o.Origin.String()), value) {
			return "an address that is not shown, as it repeats a header that was sent"
		}
	}
	return address
}

// refusesWithoutCertificate reports whether an origin that asks for a client certificate ends a connection without one:
// by an alert, by closing it, or as nginx does, by a status.
func (w *walk) refusesWithoutCertificate(addr netip.Addr, s sample) bool {
	return w.shaken[addr].ClientCertificate && (s.outcome() == "400" || s.err != nil && s.isRefusal() || isAlert(s.err))
}

// isAlert reports whether the other side of TLS says why it ends a connection.
func isAlert(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error"
}

// certificateDemanded is about an origin that does not talk without a client certificate.
func (w *walk) certificateDemanded() Finding {
	w.demandsCertificate = true
	f := finding("client-certificate", "the server demands a client certificate, and cfsg has none, so nothing behind it was examined")
	switch {
	case w.Distribution.Protocol == "":
		f = f.as(Unknown)
		f.Advice = "If the distribution has origin mTLS for this origin, all may be well; else CloudFront answers 502. cfsg doctor --distribution looks it up."
	case w.Distribution.ClientCertificate:
		f = f.as(OK)
		f.Advice = "CloudFront presents one. The server's log says whether it accepts that."
	}
	return f
}
