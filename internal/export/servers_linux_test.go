package export

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A server is one that runs on the host. Its configuration, in testdata, has places for the lines that an export
// prints, for all of it and for its site, and tells in a header which address it takes for the viewer's.
type server struct {
	folder, file string
	programs     []string
	start, pid   string
}

var servers = map[string]server{
	"nginx":  {"/etc/nginx", "nginx.conf", []string{"nginx"}, "nginx", "nginx.pid"},
	"apache": {"/etc/apache2", "apache2.conf", []string{"apache2", "apachectl"}, "apachectl start", "apache2/apache2.pid"},
	"haproxy": {
		"/etc/haproxy", "haproxy.cfg",
		[]string{"haproxy"},
		"haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock", "haproxy.pid",
	},
	"caddy": {
		"/etc/caddy", "Caddyfile",
		[]string{"caddy"},
		"caddy start --config /etc/caddy/Caddyfile --pidfile /run/caddy.pid", "caddy.pid",
	},
}

// printed are how the lines begin that an export prints for the configuration of a server: for all of it, and for its
// site.
var printed = map[string][2][]string{
	"nginx":   {{"include "}, {"if "}},
	"apache":  {nil, {"<Location", "Include ", "</Location"}},
	"haproxy": {nil, {"tcp-request "}},
	"caddy":   {{"import FILE"}, {"import cloudfront"}},

	"nginx-realip":          {{"include "}},
	"apache-remoteip":       {{"Include "}},
	"haproxy-realip":        {{"acl", "http-request"}},
	"caddy-trusted-proxies": {{"{", "servers {", "import ", "}"}},
}

// A site is a server at work, with a folder of its own in place of the configuration's.
type site struct {
	*origin
	server
	etc, dir string
}

func newSite(t *testing.T, name string) *site {
	t.Helper()
	s := &site{server: servers[name]}
	s.origin = newOrigin(t, append(s.programs, "unshare", "mount")...)
	s.etc, s.dir = copyOf(t, s.folder), t.TempDir()
	for _, name := range []string{"bin", "run", "run/lock"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(s.dir, "bin", "systemctl"), testdata(t, "systemctl"), 0o700)
	return s
}

func (s *site) typed(command string) (string, error) {
	script := `mount --bind "$0" ` + s.folder +
		` && mount --bind "$1/run" /run && export HOME="$1" PATH="$1/bin:$PATH" && cd ` + s.folder +
		" && { " + command + "; } 2>&1"
	return s.try(s.host, "unshare", "-m", "sh", "-c", script, s.etc, s.dir)
}

func (s *site) paste(command string) {
	s.t.Helper()
	if out, err := s.typed(command); err != nil {
		s.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// configure writes the configuration, with the lines that an export prints, and what the server listens with.
func (s *site) configure(top, lines []string, listen string) {
	s.t.Helper()
	config := strings.NewReplacer("TOP", strings.Join(top, "\n"), "SITE", strings.Join(lines, "\n"), "PROXY", listen)
	put(s.t, filepath.Join(s.etc, s.file), config.Replace(testdata(s.t, s.file)), 0o600)
}

// follow has the configuration refer to an export, as that prints it, and writes it.
func (s *site) follow(format, export, listen string) {
	s.t.Helper()
	put(s.t, filepath.Join(s.etc, "FILE"), export, 0o600)
	s.configure(commentLines(s.t, export, printed[format][0]), commentLines(s.t, export, printed[format][1]), listen)
}

func (s *site) run() {
	s.t.Helper()
	// What stays there must not hold the pipe that is read from.
	s.paste(s.start + " >$1/log </dev/null 2>&1 || { cat $1/log; exit 1; }")
	s.t.Cleanup(func() {
		const kill = "pid=$(cat /run/%[1]s) && kill $pid && { timeout 5 tail --pid=$pid -f /dev/null || kill -9 $pid; }"
		if out, err := s.typed(fmt.Sprintf(kill, s.pid)); err != nil {
			s.t.Error(out)
		}
	})
}

// Servers do with their exports what the comment says, by the lines and commands that are printed there: CloudFront
// gets in all the time, nobody else does while it is loaded, and all is as before when it is taken out.
func TestServersReload(t *testing.T) {
	for _, format := range []string{"nginx", "apache", "haproxy", "caddy"} {
		t.Run(format, func(t *testing.T) {
			s := newSite(t, format)
			s.configure(nil, nil, "")
			s.run()
			s.answers("before", addrs{kept4, kept6, other4, other6}, nil)

			first, second := write(t, format, sample()), write(t, format, changed())
			says, file := headerOf(t, first), filepath.Join(s.etc, "FILE")
			s.follow(format, first, "")
			s.paste(says.load)
			s.answers("loaded", addrs{kept4, kept6, gone4, gone6}, addrs{next4, next6, other4, other6})
			put(t, file, second, 0o600)
			s.paste(says.load)
			s.answers("changed", addrs{kept4, kept6, next4, next6}, addrs{gone4, gone6, other4, other6})

			// A file that was spoilt, or is missing, changes nothing.
			put(t, file, strings.ReplaceAll(second, "/16", "/160"), 0o600)
			for _, command := range []string{says.load, "rm FILE && " + says.takeOut} {
				if out, err := s.typed(command); err == nil {
					t.Errorf("it reloads by %s: %s", command, out)
				}
				s.answers("after "+command, addrs{kept4, kept6, next4, next6}, nil)
			}

			s.configure(nil, nil, "")
			s.paste(says.takeOut)
			s.paste(says.takeOut)
			s.answers("taken out", addrs{kept4, kept6, other4, other6}, nil)
		})
	}
}

// Behind CloudFront, and behind a load balancer, the viewer is the one that they have seen. What somebody claims to be
// is not believed, and no request has the viewer of the one before it on the same connection.
func TestViewerIsSeen(t *testing.T) {
	const viewer, other, claimed = "198.51.100.7", "198.51.100.8", "6.6.6.6, "
	for _, format := range []string{"nginx-realip", "apache-remoteip", "haproxy-realip", "caddy-trusted-proxies"} {
		for _, via := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s via %t", format, via), func(t *testing.T) {
				s := newSite(t, strings.SplitN(format, "-", 2)[0])
				if out, err := s.typed("caddy version"); err == nil && strings.HasPrefix(format, "caddy") &&
					strings.HasPrefix(out, "2.6") {
					t.Skipf("Caddy %s has no trusted_proxies", strings.TrimSpace(out))
				}
				in, behind, beyond := sample(), lb4.String(), lb4.String()
				if via {
					in.Via, behind, beyond = prefixes("10.0.0.0/16"), viewer, "203.0.113.99"
				}
				text := write(t, format, in)
				check, _, _ := strings.Cut(headerOf(t, text).load, " && ")
				s.follow(format, text, "")
				put(t, filepath.Join(s.etc, "FILE"), strings.ReplaceAll(text, "/15", "/150"), 0o600)
				if out, err := s.typed(check); err == nil {
					t.Errorf("a range that is none is taken: %s", out)
				}
				put(t, filepath.Join(s.etc, "FILE"), text, 0o600)
				s.paste(check)
				s.run()
				s.answers("started", addrs{other4}, nil)
				for _, c := range []struct {
					from      netip.Addr
					xff, want []string
				}{
					{kept4, []string{claimed + viewer, claimed + other, ""}, []string{viewer, other, kept4.String()}},
					{kept6, []string{claimed + "2001:db8::7"}, []string{"2001:db8::7"}},
					{other4, []string{claimed + viewer, kept4.String()}, []string{other4.String(), other4.String()}},
					{lb4, []string{claimed + viewer + ", " + kept4.String()}, []string{behind}},
					{lb4, []string{claimed + "203.0.113.99"}, []string{beyond}},
				} {
					if _, got := s.ask(c.from, "", c.xff...); !slices.Equal(got, c.want) {
						t.Errorf("from %v with X-Forwarded-For %q the viewer is %q, want %q", c.from, c.xff, got, c.want)
					}
				}
			})
		}
	}
}

// Behind a load balancer, that is let in and nobody else; or, where it speaks the PROXY protocol, whom it names.
func TestBehindLoadBalancer(t *testing.T) {
	names := func(a netip.Addr) string { return fmt.Sprintf("PROXY TCP4 %v 192.0.2.1 1000 8000\r\n", a) }
	type request struct {
		from  netip.Addr
		proxy string
	}
	for _, test := range []struct {
		format, listen string
		via, proxy     bool
	}{
		{"nginx", "", true, false},
		{"haproxy", "", true, false},
		{"apache", "", true, false},
		{"caddy", "", true, false},
		{"nginx", " proxy_protocol", false, true},
		{"haproxy", " accept-proxy", false, true},
		{"nginx", " proxy_protocol", true, true},
		{"haproxy", "", true, true},
	} {
		t.Run(fmt.Sprintf("%s via %t proxy %t", test.format, test.via, test.proxy), func(t *testing.T) {
			s, in := newSite(t, test.format), sample()
			if in.ProxyProtocol = test.proxy; test.via {
				in.Via = prefixes("10.0.0.0/16")
			}
			s.follow(test.format, write(t, test.format, in), test.listen)
			s.run()
			first, want := "", map[request]bool{{lb4, ""}: true, {kept4, ""}: false, {other4, ""}: false}
			if test.proxy {
				first, want = names(kept4), map[request]bool{
					{lb4, names(kept4)}: true, {lb4, names(other4)}: false, {other4, ""}: false,
					{other4, names(kept4)}: !test.via,
				}
			}
			s.answersWith("started", true, lb4, first)
			for r, in := range want {
				if status, _ := s.ask(r.from, r.proxy, ""); (status == "200") != in {
					t.Errorf("from %v with %q: answered %q", r.from, r.proxy, status)
				}
			}
		})
	}
}

// commentLines returns the lines of a comment that begin so, in their order. Each beginning must be there.
func commentLines(t *testing.T, export string, starts []string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(export) {
		line, found := strings.CutPrefix(line, "#   ")
		line = strings.TrimSpace(line)
		if found && slices.ContainsFunc(starts, func(start string) bool { return strings.HasPrefix(line, start) }) {
			lines = append(lines, line)
		}
	}
	for _, start := range starts {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, start) }) {
			t.Fatalf("no line of the comment begins with %q:\n%s", start, export)
		}
	}
	return lines
}

// answers fails the test where the web server answers an address, or does not, other than wanted. A reload takes effect
// a moment after the command that asks for it.
func (o *origin) answers(when string, in, out addrs) {
	o.t.Helper()
	for _, a := range in {
		o.answersWith(when, true, a, "")
	}
	for _, a := range out {
		o.answersWith(when, false, a, "")
	}
}

func (o *origin) answersWith(when string, wanted bool, from netip.Addr, proxy string) {
	o.t.Helper()
	deadline := time.Now().Add(long)
	for {
		got, _ := o.ask(from, proxy, "")
		if (got == "200") == wanted {
			return
		}
		if time.Now().After(deadline) {
			o.t.Errorf("%s: %v is answered %q", when, from, got)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ask asks the web server of the host for a page, on one connection, once for each X-Forwarded-For. It returns the
// status of the last answer, and which viewers the server sees.
func (o *origin) ask(from netip.Addr, proxy string, xff ...string) (status string, viewers []string) {
	connection := o.dial(o.internet, from, 8000, long)
	if connection == nil {
		return "", nil
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(long))
	answers := bufio.NewReader(connection)
	for _, x := range xff {
		if x != "" {
			x = "X-Forwarded-For: " + x + "\r\n"
		}
		get := proxy + "GET /index.html HTTP/1.1\r\nHost: localhost\r\n" + x + "\r\n"
		if _, err := io.WriteString(connection, get); err != nil {
			return "", viewers
		}
		proxy = ""
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			return "", viewers
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		status, viewers = strconv.Itoa(answer.StatusCode),
			append(viewers, strings.TrimPrefix(answer.Header.Get("X-Viewer"), "::ffff:"))
	}
	return status, viewers
}
