// Package doctor looks at an origin the way CloudFront does. It says which causes of a 502, 503 or 504 apply to it, and
// whether it demands a proof that a request comes from one distribution and not from any other.
package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Options say what to look at.
type Options struct {
	Origin   Origin
	Host     string      // the Host header that CloudFront forwards, if it is not the origin's own name
	Header   http.Header // perhaps secrets: sent by HTTPS where the certificate is valid, and never reported
	Settings Settings

	// Distribution holds the settings of the origin in its distribution; nil if they are unknown.
	Distribution *Distribution

	// Requests is how many requests to send, Concurrency at a time, on top of the few of the other checks.
	Requests, Concurrency int

	// Guards check the filters in front of the origin, such as its security groups. They come right after the
	// name, because packets meet them before the host.
	Guards []Check

	// Progress, if not nil, is called again and again with what is under way, and Stepped with each step that is done.
	Progress func(what string)
	Stepped  func(Step)

	// Tests replace how names are resolved, connections made and roots found (nil: as the system does).
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	roots  *x509.CertPool
}

// A Distribution is how a distribution talks to the origin, beside its settings.
type Distribution struct {
	Protocol          string   // the protocol policy
	Families          Families // in which CloudFront connects
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

// Families are the address families in which CloudFront connects, in the words of its API. See "Origin IP address type"
// in [pageOrigin].
type Families string

// The families.
const (
	AnyFamily Families = "" // unknown
	OnlyIPv4  Families = "ipv4"
	OnlyIPv6  Families = "ipv6"
)

// A Check looks at one thing, and may rely on what earlier checks found. Its name is the step's.
type Check struct {
	Name string
	Run  func(ctx context.Context, known *Report) Step
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
	for _, c := range w.checks() {
		step := Step{Name: c.Name, Verdict: Skipped, Summary: "interrupted"}
		if ctx.Err() == nil {
			step = c.Run(ctx, w.report)
			step.Name = c.Name
		}
		w.report.add(step)
		maps.Copy(w.access, step.Access)
		w.rules = cmp.Or(step.Demands, w.rules)
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
	addresses []netip.Addr          // everything the name resolves to
	access    map[netip.Addr]Access // who gets in there, if a guard knows
	reachable []netip.AddrPort      // where a connection was made, on the URL's port
	answered  []netip.AddrPort      // where an HTTP answer came from
	broken    bool                  // TLS does not work at any address
	verified  map[netip.Addr]bool   // the certificate there is one that CloudFront accepts
	asks      map[netip.Addr]bool   // for a client certificate, in the handshake
	demanding map[netip.Addr]bool   // a client certificate: without one there is no answer
	samples   []asked               // the answers to the first requests
	rules     *SecondLayer          // what the listener rules demand, if a guard knows
}

func newWalk(o Options) *walk {
	if o.lookup == nil {
		o.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.dial == nil {
		o.dial = new(net.Dialer).DialContext
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	w := &walk{
		Options: o, access: map[netip.Addr]Access{}, verified: map[netip.Addr]bool{}, asks: map[netip.Addr]bool{}, demanding: map[netip.Addr]bool{},
		report: &Report{
			URL: o.Origin.String(), Host: o.Host, Settings: o.Settings,
			Addresses: []Address{}, Connections: []Connection{}, TLS: []Handshake{}, Answers: []Answer{},
		},
	}
	if w.Host == "" {
		w.report.Host = o.Origin.URL.Host
	}
	return w
}

// distribution holds the settings read from the distribution, if any.
func (w *walk) distribution() Distribution {
	if w.Distribution == nil {
		return Distribution{}
	}
	return *w.Distribution
}

func (w *walk) checks() []Check {
	own := func(name string, run func(context.Context) Step) Check {
		return Check{name, func(ctx context.Context, _ *Report) Step {
			if step := run(ctx); ctx.Err() == nil || step.partial {
				return step
			}
			return skipped("interrupted")
		}}
	}
	return slices.Concat([]Check{own("name", w.resolve)}, w.Guards, []Check{
		own("connect", w.connect),
		own("tls", w.handshake),
		own("answer", w.answer),
		own("auth", w.auth),
		own("timing", w.timing),
		own("load", w.load),
		own("keep-alive", w.keepAlive),
	})
}

// serverName is the name that TLS asks for: the Host header's, if it is forwarded.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/http-502-bad-gateway.html
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
	ConnectionTimeout  time.Duration
	ConnectionAttempts int // of connections, and of GET requests that are not answered
	ResponseTimeout    time.Duration
	KeepAliveTimeout   time.Duration
}

// retransmission is how long TCP waits for an answer to the first packet of a connection before it sends it again.
// After that, it waits twice as long each time. See RFC 6298, 2.1 and 5.5.
const retransmission = time.Second

// slowConnect is how long is too long for connecting. If it takes a second, a packet got lost or met a full backlog.
// CloudFront's default timeout leaves time for three more packets, but the timeout can be as short as that second. See
// "Connection timeout" in [pageOrigin].
func (s Settings) slowConnect() time.Duration { return min(retransmission, s.ConnectionTimeout/2) }

// DefaultSettings are CloudFront's.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
var DefaultSettings = Settings{
	ConnectionTimeout:  10 * time.Second,
	ConnectionAttempts: 3,
	ResponseTimeout:    30 * time.Second,
	KeepAliveTimeout:   5 * time.Second,
}
