package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
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
		name, url string
		addresses []string
		outcomes  map[string]error
		want      string
		summary   string
	}{
		{"refused", "http://" + name + ":80/", []string{a}, map[string]error{a + ":80": syscall.ECONNREFUSED}, "connect:connect-refused:fail", "port 80: refused"},
		{"dropped", "http://" + name + ":80/", []string{a}, map[string]error{a + ":80": os.ErrDeadlineExceeded}, "connect:connect-timeout:fail", "port 80: timeout"},
		{"one of two refused", "http://" + name + ":80/", []string{a, b}, map[string]error{b + ":80": syscall.ECONNREFUSED}, "connect:connect-refused:fail", ", refused"},
		{"no way there", "http://" + name + ":80/", []string{a}, map[string]error{a + ":80": syscall.ENETUNREACH}, "connect:connect-no-route:warn connect:not-examined:fail", "port 80: no-route"},
		{"no IPv6 here", "http://" + name + ":80/", []string{a, six}, map[string]error{"[" + six + "]:80": syscall.ENETUNREACH}, "connect:connect-no-route:ok", ", no-route"},
		{"refused over IPv6", "http://" + name + ":80/", []string{a, six}, map[string]error{"[" + six + "]:80": syscall.ECONNREFUSED}, "connect:connect-refused:warn", ", refused"},
		{"something else", "http://" + name + ":80/", []string{a}, map[string]error{a + ":80": syscall.EACCES}, "connect:connect-failed:fail", "port 80: error"},
		{"the other port is closed", "http://" + name + "/", []string{a}, map[string]error{a + ":443": syscall.ECONNREFUSED}, "connect:other-port-closed:ok", "; port 443: refused"},
		{"both ports are open", "http://" + name + "/", []string{a}, nil, "", "; port 443: "},
		{"a port that CloudFront does not take", "http://" + name + ":81/", []string{a}, nil, "connect:port-not-permitted:warn", "port 81: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server)
			s.addresses = nil
			for _, address := range c.addresses {
				s.addresses = append(s.addresses, netip.MustParseAddr(address))
			}
			s.options.dial = dialer(c.outcomes, server)
			if c.name == "dropped" {
				s.options.Settings.ConnectionTimeout = 100 * time.Millisecond
			}
			report := s.examine(t.Context(), c.url)
			wants(t, report, c.want)
			if got := step(t, report, "connect").Summary; !strings.Contains(got, c.summary) {
				t.Errorf("says %q, want %q", got, c.summary)
			}
		})
	}
}

// What CloudFront answers depends on how it fails, and so does the advice.
func TestConnectAdvice(t *testing.T) {
	w := &walk{Options: Options{Settings: DefaultSettings}}
	refusal := w.unconnected(Connection{Port: 443, failure: refused})
	if refusal.CloudFrontStatus != 502 || !strings.Contains(refusal.Advice, "nothing listens") {
		t.Errorf("%+v", refusal)
	}
	drop := w.unconnected(Connection{Port: 443, failure: timedOut})
	if drop.CloudFrontStatus != 504 || !strings.Contains(drop.Advice, "security group") || !strings.Contains(drop.Message, "viewers wait 30 s") {
		t.Errorf("%+v", drop)
	}
}
