package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A dialer of a test says how connections to an address go.
func dialer(outcomes map[string]error, listener string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		switch err := outcomes[address]; {
		case errors.Is(err, os.ErrDeadlineExceeded):
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		case err != nil:
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)}
		}
		return new(net.Dialer).DialContext(ctx, network, listener)
	}
}

func TestConnect(t *testing.T) {
	const (
		a, b = "52.95.128.10", "52.95.128.11"
		six  = "2600:1f18::10"
	)
	server := serve(t, answering(200, "hello"))
	for _, c := range []struct {
		name, url  string
		addresses  []string
		where      string
		err        error // of connecting there
		want, says string
	}{
		{"refused", ":80/", []string{a}, a + ":80", syscall.ECONNREFUSED, "connect:connect-refused:fail", "port 80: refused"},
		{"dropped", ":80/", []string{a}, a + ":80", os.ErrDeadlineExceeded, "connect:connect-timeout:unknown", "port 80: timeout"},
		{"one of two refused", ":80/", []string{a, b}, b + ":80", syscall.ECONNREFUSED, "connect:connect-refused:fail", ", refused"},
		{"no way there", ":80/", []string{a}, a + ":80", syscall.ENETUNREACH, "connect:connect-no-route:warn connect:not-examined:unknown", "port 80: no-route"},
		{"no IPv6 here", ":80/", []string{a, six}, "[" + six + "]:80", syscall.ENETUNREACH, "connect:connect-no-route:ok", ", no-route"},
		{"refused over IPv6", ":80/", []string{a, six}, "[" + six + "]:80", syscall.ECONNREFUSED, "connect:connect-refused:warn", ", refused"},
		{"reset", ":80/", []string{a}, a + ":80", syscall.ECONNRESET, "connect:connect-reset:fail", "port 80: reset"},
		{"something else", ":80/", []string{a}, a + ":80", syscall.EACCES, "connect:connect-failed:fail", "port 80: error"},
		{"the other port is closed", "/", []string{a}, a + ":443", syscall.ECONNREFUSED, "connect:other-port-closed:ok", "; port 443: refused"},
		{"both ports are open", "/", []string{a}, "", nil, "", "; port 443: "},
		{"a port that CloudFront does not take", ":81/", []string{a}, "", nil, "connect:port-not-permitted:warn", "port 81: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server)
			s.addresses = parsed(c.addresses)
			s.options.dial = dialer(map[string]error{c.where: c.err}, server)
			if errors.Is(c.err, os.ErrDeadlineExceeded) {
				s.options.Settings.ConnectionTimeout = 100 * millisecond
			}
			report := s.examine(t.Context(), "http://"+name+c.url)
			wants(t, report, c.want)
			if got := step(t, report, "connect").Summary; !strings.Contains(got, c.says) {
				t.Errorf("says %q, want %q", got, c.says)
			}
		})
	}
}

// No answer is what a broken origin gives, and what one that is closed to everyone but CloudFront gives a machine that
// is not to be let in. Which of them it is depends on who is let in.
func TestNoAnswer(t *testing.T) {
	const (
		a, b = "52.95.128.10", "52.95.128.11"
		six  = "2600:1f18::10"
	)
	server := serve(t, answering(200, "hello"))
	dropped := func(addresses ...string) map[string]error {
		outcomes := map[string]error{}
		for _, address := range addresses {
			outcomes[net.JoinHostPort(address, "443")] = os.ErrDeadlineExceeded
			outcomes[net.JoinHostPort(address, "80")] = os.ErrDeadlineExceeded
		}
		return outcomes
	}
	for _, c := range []struct {
		name      string
		addresses []string
		outcomes  map[string]error
		access    map[string]Access
		want      string
		verdict   Verdict
		summary   string
		says      string // in the first finding
		not       string
	}{
		{"unknown groups", []string{a}, dropped(a), nil, "connect:connect-timeout:unknown", Unknown, "port 80: timeout; port 443: timeout", "To find out, add --check", "CloudFront tries"},
		{"CloudFront alone", []string{a}, dropped(a), map[string]Access{a: OnlyCloudFront}, "connect:connect-closed:ok", OK, "port 80: closed to this machine; port 443: timeout", "and should not: ", "504"},
		{"CloudFront alone, at both", []string{a, b}, dropped(a, b), map[string]Access{a: OnlyCloudFront, b: OnlyCloudFront}, "connect:connect-closed:ok", OK, "port 80: closed to this machine, closed to this machine", "and should not: ", ""},
		{"CloudFront alone, at one of two", []string{a, b}, dropped(a, b), map[string]Access{a: OnlyCloudFront}, "connect:connect-closed:ok connect:connect-timeout:unknown", Unknown, "closed to this machine, timeout", "52.95.128.10: port 80 does not answer this machine, and should not", ""},
		{"CloudFront alone, and no IPv6 here", []string{a, six}, map[string]error{a + ":80": os.ErrDeadlineExceeded, "[" + six + "]:80": syscall.ENETUNREACH}, map[string]Access{a: OnlyCloudFront}, "connect:connect-closed:ok connect:connect-no-route:ok", OK, "closed to this machine, no-route", "", ""},
		{"it could not be found out", []string{a}, dropped(a), map[string]Access{a: AccessUnknown}, "connect:connect-timeout:unknown", Unknown, "timeout", "Could not find out who is let in", "--check"},
		{"CloudFront and some others", []string{a}, dropped(a), map[string]Access{a: SomeOthers}, "connect:connect-timeout:unknown", Unknown, "timeout", "If this machine is not among them", "--check"},
		{"everyone", []string{a}, dropped(a), map[string]Access{a: Everyone}, "connect:connect-timeout:fail", Fail, "timeout", "CloudFront tries 3 times", "--check"},
		{"unknown groups, but another address answers", []string{a, b}, dropped(b), nil, "connect:connect-timeout:fail connect:other-port-closed:ok", Fail, "timeout", "although another address of the name does", ""},
		{"over IPv6, which CloudFront does not use", []string{a, six}, dropped(six), nil, "connect:connect-timeout:warn connect:other-port-closed:ok", Warn, "timeout", "matters if", ""},
		{"a closed origin that refuses is broken all the same", []string{a}, map[string]error{a + ":80": syscall.ECONNREFUSED}, map[string]Access{a: OnlyCloudFront}, "connect:connect-refused:fail", Fail, "refused", "refuses", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server)
			s.addresses = parsed(c.addresses)
			s.options.dial = dialer(c.outcomes, server)
			s.options.Settings.ConnectionTimeout = second
			if c.access != nil {
				s.options.Groups = func(context.Context, *Report) Step {
					step := Step{Verdict: OK, Access: map[netip.Addr]Access{}}
					for address, access := range c.access {
						step.Access[netip.MustParseAddr(address)] = access
					}
					return step
				}
			}
			report := s.examine(t.Context(), "http://"+name+"/")
			wants(t, report, c.want)
			step := step(t, report, "connect")
			if step.Verdict != c.verdict || !strings.Contains(step.Summary, c.summary) {
				t.Errorf("%s, %q, want %s, %q", step.Verdict, step.Summary, c.verdict, c.summary)
			}
			text := step.Findings[0].Message + " " + step.Findings[0].Advice
			if !strings.Contains(text, c.says) || c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("says %q, want %q, not %q", text, c.says, c.not)
			}
		})
	}
}

// Connecting that takes half of what CloudFront waits, or a second, is worth a look.
func TestSlowConnect(t *testing.T) {
	server := serve(t, answering(200, "hello"))
	s := newSite(t, server)
	s.options.Settings.ConnectionTimeout = second // so that half a second is slow
	s.options.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		time.Sleep(500 * time.Millisecond)
		return new(net.Dialer).DialContext(ctx, network, server)
	}
	report := s.examine(t.Context(), "http://"+name+":80/")
	wants(t, report, "connect:connect-slow:warn timing:connect-slow:warn")
	if got, want := step(t, report, "connect").Findings[0].Message, "connecting takes 500 ms or more; CloudFront waits 1 s for a connection"; got != want {
		t.Errorf("says %q, want %q", got, want)
	}
}

// A server that takes one connection and then no more is not one that nobody reaches.
func TestSecondConnectionTimesOut(t *testing.T) {
	server := serve(t, answering(200, "hello"))
	s := newSite(t, server)
	s.options.Settings.ConnectionTimeout = second
	var dialed atomic.Int32
	s.options.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if dialed.Add(1) > 1 {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}
		return new(net.Dialer).DialContext(ctx, network, server)
	}
	wants(t, s.examine(t.Context(), "http://"+name+":80/"), "answer:reconnect-timeout:fail")
}
