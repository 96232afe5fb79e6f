package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// Ctrl-C may come while TLS is begun.
func TestKeepAliveIsInterrupted(t *testing.T) {
	addr := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	origin, err := ParseOrigin("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWalk(Options{Origin: origin, Settings: patient, dial: func(_ context.Context, network, address string) (net.Conn, error) {
			conn, err := net.Dial(network, address)
			cancel()
			return conn, err
		}})
		w.answered = []netip.AddrPort{netip.MustParseAddrPort(addr)}
		if _, err := w.idle(ctx, time.Second); err == nil {
			t.Error("no error")
		}
	}
}

func TestKeepAlive(t *testing.T) {
	closing := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }
	early := afterRequest(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		time.Sleep(100 * time.Millisecond)
	})
	raw := func(answer string) string { return afterRequest(t, func(conn net.Conn) { fmt.Fprint(conn, answer) }) }
	for _, c := range []struct {
		name, server string
		timeout      Seconds
		want         string
	}{
		{"kept", serve(t, answering(200, "hello")), 100 * millisecond, ""},
		{"closed each time", serve(t, http.HandlerFunc(closing)), 20 * second, "keep-alive:not-kept:warn"},
		{"HTTP/1.0", raw("HTTP/1.0 200 OK\r\n\r\nok"), 20 * second, "keep-alive:not-kept:warn"},
		{"closed after an interim answer", raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), second, "keep-alive:not-kept:warn"},
		{"more than an answer", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"), second, ""},
		{"closed early", early, 20 * second, "keep-alive:closed-early:warn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.server)
			s.options.Settings.KeepAliveTimeout = c.timeout
			report := s.examine(t.Context(), "http://"+name+":80/")
			wants(t, report, c.want)
			if kept := step(t, report, "keep-alive").Verdict == OK; kept != (c.name == "kept") {
				t.Errorf("kept: %t", kept)
			}
			if k := report.KeepAlive; c.name == "closed early" && (k.ClosedAfter == nil || *k.ClosedAfter < 50*millisecond) {
				t.Errorf("%+v", k)
			}
		})
	}
}
