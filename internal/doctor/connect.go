package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
)

const (
	lookupTimeout = 10 * time.Second // for the resolution of the name
	maxAddresses  = 16               // of the name that are checked
)

// An Address is one that the origin's name resolves to.
type Address struct {
	IP     netip.Addr `json:"ip"`
	Public bool       `json:"public"`
	Use    string     `json:"use,omitempty"` // what it is reserved for, if it is not public
}

// resolve checks where the origin's name leads: CloudFront needs a name that resolves to public addresses.
func (w *walk) resolve(ctx context.Context) Step {
	step := Step{Verdict: OK}
	name := w.Origin.Name()
	if addr, err := netip.ParseAddr(name); err == nil {
		w.addresses = []netip.Addr{addr}
		step.Find("ip-literal", "the URL has an IP address; CloudFront accepts only a DNS name as origin domain")
	} else if !w.lookUp(ctx, &step, name) {
		return step
	}
	families := w.Distribution.Families
	if unused, some := map[string]func(netip.Addr) bool{"ipv4": netip.Addr.Is6, "ipv6": netip.Addr.Is4}[families]; some {
		w.addresses = slices.DeleteFunc(w.addresses, unused)
	}
	if len(w.addresses) == 0 {
		step.Summary = "no address that CloudFront uses"
		step.Find("family-missing", "%s has no address of the origin's IP address type, %s", name, families)
		return step
	}
	for _, addr := range w.addresses {
		use := ipspace.ReservedFor(addr)
		w.report.Addresses = append(w.report.Addresses, Address{IP: addr, Public: use == "", Use: use})
		if use != "" {
			w.findAt(&step, addr, unreachable(name, use))
		}
	}
	if len(w.addresses) > maxAddresses {
		step.Find("many-addresses", "of %d addresses, only the first %d were checked", len(w.addresses), maxAddresses)
		w.addresses = w.addresses[:maxAddresses]
	}
	if !w.hasIPv4() && families == "" {
		step.Find("ipv6-only", "%s has no IPv4 address", name)
	}
	step.Summary = words.Few(words.Strings(w.addresses))
	return step
}

// lookUp finds the addresses of the name, IPv4 first, and reports whether there are any.
func (w *walk) lookUp(ctx context.Context, step *Step, name string) bool {
	w.Progress("resolving " + name)
	patience, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := w.lookup(patience, "ip", name)
	for i, addr := range addresses {
		addresses[i] = addr.Unmap()
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	w.addresses = slices.Compact(addresses)
	if err == nil && len(w.addresses) > 0 {
		return true
	}
	step.find(unresolved(name, err))
	step.Summary = "does not resolve"
	return false
}

// unresolved is a name without addresses, or one that could not be looked up, which may be this machine's fault.
func unresolved(name string, err error) Finding {
	code, why := "name-not-resolved", "it has neither an A nor an AAAA record"
	if err != nil {
		why = causeOf(err)
		if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
			code = "name-lookup-failed"
		}
	}
	return finding(code, "%s does not resolve: %s", name, why).advise(name)
}

// unreachable is an address that exists only on this machine's network.
func unreachable(name, use string) Finding {
	f := finding("address-not-public", "not a public address (%s): CloudFront connects over the internet and cannot reach it", use)
	if _, err := netip.ParseAddr(name); err != nil {
		f.Advice += fmt.Sprintf(" If the name leads elsewhere on the internet (split-horizon DNS), look at what a public resolver says: dig %s @1.1.1.1", name)
	}
	return f
}

// isOptional reports whether CloudFront does without an address, as far as anyone knows: one of IPv6 beside IPv4.
func (w *walk) isOptional(addr netip.Addr) bool {
	return addr.Is6() && w.hasIPv4() && w.Distribution.Families == ""
}

// hasIPv4 reports whether CloudFront can connect over IPv4, which is its default.
func (w *walk) hasIPv4() bool { return slices.ContainsFunc(w.addresses, netip.Addr.Is4) }

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
	if p := w.Origin.Port; p != 80 && p != 443 && p < 1024 { // see [pageOrigin]
		step.Find("port-not-permitted", "CloudFront does not connect to port %d: an origin may use 80, 443, and 1024 to 65535", p)
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

func (w *walk) connectSlow(what string) Finding {
	return finding("connect-slow", "%s; CloudFront waits %s for a connection", what, w.Settings.ConnectionTimeout)
}

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
	access := w.guard.Access[c.IP]
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
	return c.failure == timedOut && c.Port == w.Origin.Port && w.guard.Access[c.IP] == OnlyCloudFront
}

// noteOther mentions the port of the other scheme, which need not be open.
func (w *walk) noteOther(step *Step, tries []Connection) {
	isClosed := func(c Connection) bool { return c.failure == refused || c.failure == timedOut }
	if len(w.reachable) == 0 || !slices.ContainsFunc(tries, isClosed) {
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
