// Package doctor looks at an origin the way CloudFront does, and says which of the causes of a 504 apply to it.
package doctor

import (
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
	Header   http.Header // sent with each request, such as the secret header that CloudFront adds; never reported
	Settings Settings

	// Requests is how many requests to send, Concurrency at a time, on top of the few of the other checks.
	Requests, Concurrency int

	// Guards are checks of what stands in front of the origin, such as its security groups. They come right after the
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
	w := &walk{Options: o, access: map[netip.Addr]Access{}, report: &Report{URL: o.Origin.String(), Host: o.Host, Settings: o.Settings}}
	if w.Host == "" {
		w.report.Host = o.Origin.URL.Host
	}
	return w
}

func (w *walk) checks() []Check {
	own := func(name string, run func(context.Context) Step) Check {
		return Check{name, func(ctx context.Context, _ *Report) Step { return run(ctx) }}
	}
	return slices.Concat([]Check{own("name", w.resolve)}, w.Guards, []Check{
		own("connect", w.connect),
		own("tls", w.handshake),
		own("answer", w.answer),
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
