package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Connection is an attempt to connect to one address.
type Connection struct {
	IP      netip.Addr `json:"ip"`
	Port    uint16     `json:"port"`
	Outcome string     `json:"outcome"` // connected, refused, timeout, no-route or error
	Took    Seconds    `json:"seconds"`
	Error   string     `json:"error,omitempty"`

	failure failure
}

// connect tries every address on the URL's port, and on that of the other scheme if the URL names none.
func (w *walk) connect(ctx context.Context) Step {
	if len(w.addresses) == 0 {
		return skipped("no address to connect to")
	}
	step := Step{Verdict: OK}
	ports := []uint16{w.Origin.Port}
	if w.Origin.Other != 0 {
		ports = append(ports, w.Origin.Other)
	}
	w.Progress(fmt.Sprintf("connecting to %s (at most %s)", w.Origin.Name(), Format(w.Settings.ConnectionTimeout)))
	w.report.Connections = w.connectAll(ctx, ports)
	if ctx.Err() != nil {
		return skipped("interrupted")
	}
	var summaries []string
	for _, port := range ports {
		tries := slices.DeleteFunc(slices.Clone(w.report.Connections), func(c Connection) bool { return c.Port != port })
		summaries = append(summaries, fmt.Sprintf("port %d: %s", port, w.summarize(tries)))
		if port == w.Origin.Port {
			w.judge(&step, tries)
		} else {
			w.noteOther(&step, tries)
		}
	}
	step.Summary = strings.Join(summaries, "; ")
	if len(w.reachable) == 0 && worse(step.Verdict, Warn) == Warn && !slices.ContainsFunc(w.report.Connections, w.isShutOut) {
		step.find(Finding{
			Code: "not-examined", Verdict: Unknown,
			Message: "no connection can be made from here, so nothing else about the origin was checked",
			Advice:  "Run cfsg doctor on a machine that can reach it.",
		})
	}
	if !isPermitted(w.Origin.Port) {
		step.find(Finding{
			Code: "port-not-permitted", Verdict: Warn, Source: pageOrigin,
			Message: fmt.Sprintf("CloudFront does not connect to port %d: an origin may use 80, 443, and 1024 to 65535", w.Origin.Port),
			Advice:  "Let the origin listen on one of these too.",
		})
	}
	return step
}

// connectAll connects to every address on every port, all at once.
func (w *walk) connectAll(ctx context.Context, ports []uint16) []Connection {
	var tries []Connection
	for _, port := range ports {
		for _, addr := range w.addresses {
			tries = append(tries, Connection{IP: addr, Port: port})
		}
	}
	var group sync.WaitGroup
	for i := range tries {
		group.Go(func() {
			c := &tries[i]
			start := time.Now()
			conn, err := w.dialTo(ctx, netip.AddrPortFrom(c.IP, c.Port))
			c.Took = Seconds(time.Since(start))
			c.failure, c.Outcome = failureOf(err), "connected"
			if err != nil {
				c.Outcome, c.Error = string(c.failure), printable(rootCause(err).Error())
				return
			}
			conn.Close()
		})
	}
	group.Wait()
	return tries
}

// judge looks at the connections on the URL's own port.
func (w *walk) judge(step *Step, tries []Connection) {
	for _, c := range tries {
		if c.failure == none {
			w.reachable = append(w.reachable, netip.AddrPortFrom(c.IP, c.Port))
		}
	}
	findings := w.perAddress()
	for _, c := range tries {
		if c.failure != none {
			findings.add(c.IP, w.unconnected(c))
		} else if limit := w.Settings.slowConnect(); time.Duration(c.Took) >= limit {
			findings.add(c.IP, w.connectSlow(fmt.Sprintf("connecting takes %s or more", Format(limit))))
		}
	}
	findings.addTo(step, len(w.addresses))
}

// connectSlow is about connections that succeed, but late.
func (w *walk) connectSlow(what string) Finding {
	return Finding{
		Code: "connect-slow", Verdict: Warn, Source: pageOrigin,
		Message: fmt.Sprintf("%s; CloudFront waits %s for a connection", what, Format(w.Settings.ConnectionTimeout)),
		Advice: "On a healthy network, connecting takes one round trip, and a packet that nobody answers is sent again after 1 s. " +
			"So the server's backlog is full, the host has no CPU left, or packets get lost on the way. With more traffic, connections will fail.",
	}
}

// unconnected is a connection on the URL's port that could not be made.
func (w *walk) unconnected(c Connection) Finding {
	f := Finding{Verdict: Fail, CloudFrontStatus: c.failure.status()}
	switch c.failure {
	case refused:
		f.Code, f.Source = "connect-refused", page502
		f.Message = fmt.Sprintf("port %d refuses connections", c.Port)
		f.Advice = "The host is up, but nothing listens on this port, or a firewall rejects connections: start the server, let it listen on all addresses and not just on loopback, and compare the port with the origin's settings in the distribution."
	case timedOut:
		return w.unanswering(c)
	case noRoute:
		f.Code, f.Verdict, f.CloudFrontStatus = "connect-no-route", Warn, 0
		if w.isSpare(c.IP) {
			f.Verdict = OK
		}
		f.Message = "this machine has no route there, which says nothing about the origin"
		f.Advice = "If CloudFront is to use this address, run cfsg doctor on a machine that has a route."
	case reset:
		f.Code, f.Source = "connect-reset", page502
		f.Message, f.Advice = fmt.Sprintf("port %d resets connections", c.Port), resetAdvice
	default:
		f.Code, f.Source = "connect-failed", page502
		f.Message = fmt.Sprintf("port %d: %s", c.Port, c.Error)
		f.Advice = "This machine could not connect, by an error of its own: try another one, or the origin's host itself."
	}
	return f
}

// unanswering is a port that does not answer this machine. An origin that lets in only CloudFront should not answer, so
// it is a failure only if this machine ought to be let in.
func (w *walk) unanswering(c Connection) Finding {
	const suspects = "the network ACL, the host's own firewall (cfsg export), the route to the internet, and whether the host is up."
	f := Finding{
		Code: "connect-timeout", Verdict: Fail, CloudFrontStatus: timedOut.status(), Source: page504,
		Message: fmt.Sprintf("port %d does not answer within %s", c.Port, Format(w.Settings.ConnectionTimeout)),
	}
	viewersWait := fmt.Sprintf("; CloudFront tries %d times, so viewers wait %s for their error",
		w.Settings.ConnectionAttempts, Format(time.Duration(w.Settings.ConnectionAttempts)*w.Settings.ConnectionTimeout))
	switch access := w.access[c.IP]; {
	case access == OnlyCloudFront:
		f.Code, f.Verdict, f.CloudFrontStatus = "connect-closed", OK, 0
		f.Message = fmt.Sprintf("port %d does not answer this machine, and should not: the security groups let in CloudFront and nobody else", c.Port)
		f.Advice = "To check what is behind them, run cfsg doctor on the origin itself."
	case access == Everyone:
		f.Message += viewersWait
		f.Advice = "The security groups let everyone in, so something else drops the packets: look at " + suspects
	case len(w.reachable) > 0:
		f.Message += ", although another address of the name does" + viewersWait
		f.Advice = "Something drops the packets: look at the security group (cfsg check), " + suspects
	default:
		f.Verdict, f.CloudFrontStatus = Unknown, 0
		f.Message += ". From here that proves nothing: an origin that rightly lets in only CloudFront looks the same"
		f.Advice = w.whoIsLetIn(access) + " If CloudFront gets no answer either, viewers get a 504: look at the security group (cfsg check), " + suspects
	}
	return f
}

// whoIsLetIn says how to find out whether this machine is let in.
func (w *walk) whoIsLetIn(access Access) string {
	const there = "run cfsg doctor on the origin itself."
	switch {
	case access == SomeOthers:
		return "The security groups do not let everyone in (cfsg check shows who gets in). If this machine is not among them, " + there
	case len(w.Guards) > 0:
		return "Could not find out who is let in: " + there
	}
	return "To find out, add --check, which asks AWS whether the security groups let in CloudFront and nobody else, or " + there
}

// isShutOut reports whether this machine is rightly kept from connecting.
func (w *walk) isShutOut(c Connection) bool {
	return c.failure == timedOut && c.Port == w.Origin.Port && w.access[c.IP] == OnlyCloudFront
}

// noteOther mentions the port of the other scheme, which need not be open.
func (w *walk) noteOther(step *Step, tries []Connection) {
	if len(w.reachable) == 0 || !slices.ContainsFunc(tries, func(c Connection) bool { return c.failure == refused || c.failure == timedOut }) {
		return
	}
	scheme, policy := "HTTP", "https-only"
	if !w.Origin.isSecure() {
		scheme, policy = "HTTPS", "http-only"
	}
	step.find(Finding{
		Code: "other-port-closed", Verdict: OK, Source: pageOrigin,
		Message: fmt.Sprintf("port %d (%s) is closed, which is fine as long as the origin's protocol policy is %s", w.Origin.Other, scheme, policy),
	})
}

// summarize says how the connections to one port went.
func (w *walk) summarize(tries []Connection) string {
	var words []string
	for _, c := range tries {
		word := c.Outcome
		switch {
		case c.failure == none:
			word = c.Took.String()
		case w.isShutOut(c):
			word = "closed to this machine"
		}
		if len(words) < 4 {
			words = append(words, word)
		}
	}
	if more := len(tries) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}
