package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/words"
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
	w.Progress(fmt.Sprintf("connecting to %s (at most %s)", w.Origin.Name(), w.Settings.ConnectionTimeout))
	for _, port := range []uint16{w.Origin.Port, w.Origin.Other} {
		for _, addr := range w.addresses {
			if port != 0 {
				w.report.Connections = append(w.report.Connections, Connection{IP: addr, Port: port})
			}
		}
	}
	atOnce(w.report.Connections, func(_ int, c *Connection) {
		start := time.Now()
		conn, err := w.dialTo(ctx, netip.AddrPortFrom(c.IP, c.Port))
		c.Took = Seconds(time.Since(start))
		c.failure, c.Error = failureOf(err), causeOf(err)
		if c.Outcome = cmp.Or(string(c.failure), "connected"); err == nil {
			conn.Close()
		}
	})
	own, other := w.report.Connections[:len(w.addresses)], w.report.Connections[len(w.addresses):]
	for _, c := range own {
		if c.failure == none {
			w.reachable = append(w.reachable, netip.AddrPortFrom(c.IP, c.Port))
		}
	}
	step := Step{Verdict: OK, Summary: w.summarize(own)}
	for _, c := range own {
		if c.failure != none {
			w.findAt(&step, c.IP, w.unconnected(c))
		} else if limit := w.Settings.slowConnect(); c.Took >= limit {
			w.findAt(&step, c.IP, w.connectSlow(fmt.Sprintf("connecting takes %s or more", limit)))
		}
	}
	if len(other) > 0 {
		step.Summary += "; " + w.summarize(other)
		w.noteOther(&step, other)
	}
	if len(w.reachable) == 0 && worse(step.Verdict, Warn) == Warn && !slices.ContainsFunc(own, w.isShutOut) {
		step.Find("not-examined", "no connection can be made from here, so nothing else about the origin was checked")
	}
	if !isPermitted(w.Origin.Port) {
		step.Find("port-not-permitted", "CloudFront does not connect to port %d: an origin may use 80, 443, and 1024 to 65535", w.Origin.Port)
	}
	return step
}

// atOnce does something with all elements of a list at once, and waits.
func atOnce[T any](all []T, do func(int, *T)) {
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() { do(i, &all[i]) })
	}
	group.Wait()
}

// connectSlow is about connections that succeed, but late.
func (w *walk) connectSlow(what string) Finding {
	return finding("connect-slow", "%s; CloudFront waits %s for a connection", what, w.Settings.ConnectionTimeout)
}

// unconnected is a connection on the URL's port that could not be made.
func (w *walk) unconnected(c Connection) Finding {
	switch c.failure {
	case timedOut:
		return w.unanswering(c)
	case refused:
		return finding("connect-refused", "port %d refuses connections", c.Port)
	case reset:
		return finding("connect-reset", "port %d resets connections", c.Port)
	case noRoute:
		f := finding("connect-no-route", "this machine has no route there, which says nothing about the origin")
		if w.isOptional(c.IP) {
			f.Verdict = OK
		}
		return f
	}
	return finding("connect-failed", "port %d: %s", c.Port, c.Error)
}

// unanswering is a port that does not answer this machine. An origin that lets in only CloudFront should not answer, so
// it is a failure only if this machine ought to be let in.
func (w *walk) unanswering(c Connection) Finding {
	access := w.access[c.IP]
	if access == OnlyCloudFront {
		return finding("connect-closed", "port %d does not answer this machine, and should not: the security groups let in CloudFront and nobody else", c.Port)
	}
	f := finding("connect-timeout", "port %d does not answer within %s", c.Port, w.Settings.ConnectionTimeout)
	viewersWait := fmt.Sprintf("; CloudFront tries %d times, so viewers wait %s for their error",
		w.Settings.ConnectionAttempts, w.Settings.inAll(w.Settings.ConnectionTimeout))
	switch {
	case access == Everyone:
		f.Message += viewersWait
		return f.advise("The security groups let everyone in, so something else drops the packets: look at")
	case len(w.reachable) > 0:
		f.Message += ", although another address of the name does" + viewersWait
		return f.advise("Something drops the packets: look at the security group (cfsg check),")
	}
	f.Message += ". From here that proves nothing: an origin that rightly lets in only CloudFront looks the same"
	who := "To find out, add --check, which asks AWS whether the security groups let in CloudFront and nobody else, or"
	if access == SomeOthers {
		who = "The security groups do not let everyone in (cfsg check shows who gets in). If this machine is not among them,"
	} else if w.Groups != nil {
		who = "Could not find out who is let in:"
	}
	return f.as(Unknown).advise(who + " run cfsg doctor on the origin itself. " +
		"If CloudFront gets no answer either, viewers get a 504: look at the security group (cfsg check),")
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
	step.Find("other-port-closed", "port %d (%s) is closed, which is fine as long as the origin's protocol policy is %s", w.Origin.Other, scheme, policy)
}

// summarize says how the connections to one port went.
func (w *walk) summarize(tries []Connection) string {
	var all []string
	for _, c := range tries {
		switch {
		case c.failure == none:
			all = append(all, c.Took.String())
		case w.isShutOut(c):
			all = append(all, "closed to this machine")
		default:
			all = append(all, c.Outcome)
		}
	}
	return fmt.Sprintf("port %d: %s", tries[0].Port, words.Few(all))
}
