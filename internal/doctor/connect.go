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

// A Connection is a try to connect to one address.
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
		summaries = append(summaries, fmt.Sprintf("port %d: %s", port, summarize(tries)))
		if port == w.Origin.Port {
			w.judge(&step, tries)
		} else {
			w.noteOther(&step, tries)
		}
	}
	step.Summary = strings.Join(summaries, "; ")
	if len(w.reachable) == 0 && step.Verdict != Fail {
		step.find(Finding{
			Code: "not-examined", Verdict: Fail,
			Message: "no connection can be made from here, so that nothing else of the origin was looked at",
			Advice:  "Run cfsg doctor on a machine that can reach it.",
		})
	}
	if !isPermitted(w.Origin.Port) {
		step.find(Finding{
			Code: "port-not-permitted", Verdict: Warn, Source: pageOrigin,
			Message: fmt.Sprintf("CloudFront does not connect to port %d: an origin may have 80, 443, and 1024 to 65535", w.Origin.Port),
			Advice:  "Let the origin listen on one of these as well.",
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
	findings := w.perAddress()
	for _, c := range tries {
		if c.failure != none {
			findings.add(c.IP, w.unconnected(c))
			continue
		}
		w.reachable = append(w.reachable, netip.AddrPortFrom(c.IP, c.Port))
		if time.Duration(c.Took) > w.Settings.ConnectionTimeout/2 {
			findings.add(c.IP, Finding{
				Code: "connect-slow", Verdict: Warn, Source: pageOrigin,
				Message: fmt.Sprintf("connecting takes more than half of the %s that CloudFront waits", Format(w.Settings.ConnectionTimeout)),
				Advice:  "A host this slow to accept has a full backlog or no CPU left, or the way to it loses packets.",
			})
		}
	}
	findings.tell(step, len(w.addresses))
}

// unconnected is a connection on the URL's port that could not be made.
func (w *walk) unconnected(c Connection) Finding {
	f := Finding{Verdict: Fail, CloudFrontStatus: c.failure.status()}
	switch c.failure {
	case refused:
		f.Code, f.Source = "connect-refused", page502
		f.Message = fmt.Sprintf("port %d refuses connections", c.Port)
		f.Advice = "The host is there, but nothing listens on this port, or a firewall rejects: start the server, let it listen on all addresses rather than on loopback, and compare the port with the origin's settings in the distribution."
	case timedOut:
		f.Code, f.Source = "connect-timeout", page504
		f.Message = fmt.Sprintf("port %d does not answer within %s; CloudFront tries %d times, so that viewers wait %s for their error",
			c.Port, Format(w.Settings.ConnectionTimeout), w.Settings.ConnectionAttempts, Format(time.Duration(w.Settings.ConnectionAttempts)*w.Settings.ConnectionTimeout))
		f.Advice = "Something drops the packets: a security group or network ACL (see cfsg check), the host's own firewall (see cfsg export), a missing route to the internet, or the host is down. " +
			"If the origin lets in only CloudFront, this machine is shut out as well, and rightly: run cfsg doctor where it is let in."
	case noRoute:
		f.Code, f.Verdict, f.CloudFrontStatus = "connect-no-route", Warn, 0
		if c.IP.Is6() && w.hasIPv4() {
			f.Verdict = OK
		}
		f.Message = "this machine has no route there, which says nothing about the origin"
		f.Advice = "Run cfsg doctor where there is one, if CloudFront is to use this address."
	default:
		f.Code, f.Source = "connect-failed", page502
		f.Message = fmt.Sprintf("port %d: %s", c.Port, c.Error)
	}
	return f
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
		Message: fmt.Sprintf("port %d (%s) is closed, which is right as long as the origin's protocol policy is %s", w.Origin.Other, scheme, policy),
	})
}

// summarize says how the connections to one port went.
func summarize(tries []Connection) string {
	var words []string
	for _, c := range tries {
		word := c.Outcome
		if c.failure == none {
			word = c.Took.String()
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
