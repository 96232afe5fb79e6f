// Package doctor looks at an origin the way CloudFront does. It says which causes of a 502, 503 or 504 apply to it, and
// whether it demands a proof that a request comes from one distribution and not from any other.
package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
)

// Options say what to look at.
type Options struct {
	Origin   Origin
	Host     string      // the Host header that CloudFront forwards, if it is not the origin's own name
	Header   http.Header // perhaps secrets: sent by HTTPS where the certificate is valid, and never reported
	Settings Settings

	Distribution Distribution // that the origin belongs to, if it is known

	// Requests is how many requests to send, Concurrency at a time, on top of the few of the other checks.
	Requests, Concurrency int

	// Groups, if not nil, checks the security groups in front of the addresses that are known by then.
	Groups func(ctx context.Context, known *Report) Step

	// Progress, if not nil, is called again and again with what is under way, and Stepped with each step that is done.
	Progress func(what string)
	Stepped  func(Step)

	// Tests replace how names are resolved, connections made and roots found (nil: as the system does).
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	roots  *x509.CertPool
}

// A Distribution is how a distribution talks to the origin, beside its [Settings].
type Distribution struct {
	Protocol string // the protocol policy; empty if the distribution is unknown
	// Families are those in which CloudFront connects, in the words of its API: ipv4, ipv6 or dualstack; empty if
	// unknown. See "Origin IP address type" in [pageOrigin].
	Families          string
	MinTLS            uint16
	ClientCertificate bool        // CloudFront presents one
	Headers           http.Header // CloudFront adds them, and their values are secrets: see [Options.Header]
	Paths             []Path      // to ask for; the first is that of the URL
}

// A Path is one that a cache behavior leads to the origin.
type Path struct {
	Path    string
	Pattern string // of the behavior
	Guessed bool   // from the pattern
}

// The most that may be asked for.
const (
	MaxRequests    = 10_000
	MaxConcurrency = 100
)

// Run walks through the causes of a 504 in the order in which a request meets them. It waits no longer for anything
// than CloudFront does. If the context ends, the report says what was found until then, and what was not checked.
func Run(ctx context.Context, o Options) *Report {
	w := newWalk(o)
	for _, c := range []struct {
		name  string
		check func(context.Context) Step
	}{
		{"name", w.resolve},
		{"groups", func(ctx context.Context) Step { // packets meet them before the host
			w.guard = w.Groups(ctx, w.report)
			return w.guard
		}},
		{"connect", w.connect},
		{"tls", w.handshake},
		{"answer", w.answer},
		{"auth", w.auth},
		{"timing", w.timing},
		{"load", w.load},
		{"keep-alive", w.keepAlive},
	} {
		if c.name == "groups" && o.Groups == nil {
			continue
		}
		var step Step
		if ctx.Err() == nil {
			step = c.check(ctx)
		}
		if ctx.Err() != nil && !step.partial {
			step = skipped("interrupted")
		}
		step.Name = c.name
		step.locate(len(w.addresses) > 1)
		step.Findings = append([]Finding{}, step.Findings...) // in JSON a list, if empty
		w.report.Steps, w.report.Verdict = append(w.report.Steps, step), worse(w.report.Verdict, step.Verdict)
		if o.Stepped != nil {
			o.Stepped(step)
		}
	}
	w.report.Interrupted = ctx.Err() != nil
	return w.report
}

// A walk is one run, with what its steps need to know from earlier ones.
type walk struct {
	Options
	report    *Report
	addresses []netip.Addr             // everything the name resolves to
	guard     Step                     // what [Options.Groups] says
	reachable []netip.AddrPort         // where a connection was made, on the URL's port
	shaken    map[netip.Addr]Handshake // with those
	samples   []asked                  // the answers to the first requests
	answered  []netip.AddrPort         // where an HTTP answer came from

	demandsCertificate bool // at some address: without one there is no answer
}

func newWalk(o Options) *walk {
	if o.lookup == nil {
		o.lookup = net.DefaultResolver.LookupNetIP
	}
	if o.dial == nil {
		o.dial = new(net.Dialer).DialContext
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return &walk{
		Options: o, shaken: map[netip.Addr]Handshake{},
		report: &Report{
			URL: o.Origin.String(), Host: cmp.Or(o.Host, o.Origin.URL.Host), Settings: o.Settings,
			Addresses: []Address{}, Connections: []Connection{}, TLS: []Handshake{}, Answers: []Answer{},
		},
	}
}

// serverName is the name that TLS asks for: the Host header's, if it is forwarded. See [page502].
func (w *walk) serverName() string {
	if w.Host == "" {
		return w.Origin.Name()
	}
	if host, _, err := net.SplitHostPort(w.Host); err == nil {
		return host
	}
	return w.Host
}

// Settings are those of the origin in the distribution that decide how long CloudFront waits.
type Settings struct {
	ConnectionAttempts int     `json:"connectionAttempts"` // of connections, and of GET requests that are not answered
	ConnectionTimeout  Seconds `json:"connectionTimeoutSeconds"`
	KeepAliveTimeout   Seconds `json:"keepAliveTimeoutSeconds"`
	ResponseTimeout    Seconds `json:"responseTimeoutSeconds"`
}

// slowConnect is how long is too long for connecting: a second, after which TCP sends a packet again that got lost or
// met a full backlog, and then waits twice as long each time (RFC 6298, 2.1 and 5.5). See [pageOrigin] for the timeout.
func (s Settings) slowConnect() Seconds { return min(second, s.ConnectionTimeout/2) }

// inAll is how long viewers wait for their error if each of CloudFront's attempts takes so long.
func (s Settings) inAll(each Seconds) Seconds { return Seconds(s.ConnectionAttempts) * each }

// DefaultSettings are CloudFront's: see [pageOrigin].
var DefaultSettings = Settings{
	ConnectionAttempts: 3, ConnectionTimeout: 10 * second, KeepAliveTimeout: 5 * second, ResponseTimeout: 30 * second,
}
