package doctor

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// Interim answers are no answer: what comes after them says whether the connection is kept. What comes after the answer
// is no idle connection.
func TestKeepAliveAfterInterimAnswers(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"closes", "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "keep-alive:not-kept:warn"},
		{"sends more", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := listen(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, c.answer)
				}
			})
			settings := patient
			settings.KeepAliveTimeout = time.Second
			origin, err := ParseOrigin("http://" + addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			report := Run(t.Context(), Options{Origin: origin, Settings: settings})
			s := step(t, report, "keep-alive")
			if c.want != "" && (len(s.Findings) != 1 || "keep-alive:"+s.Findings[0].Code+":"+string(s.Verdict) != c.want) {
				t.Errorf("%+v", s)
			}
			if s.Verdict == OK {
				t.Errorf("it says %q", s.Summary)
			}
		})
	}
}

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
