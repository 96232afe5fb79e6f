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
	"syscall"
	"testing"
	"time"
)

// systemctl does what systemd does for "systemctl reload UNIT", on a machine without systemd: it runs the command of
// the unit.
const systemctl = `#!/bin/sh
set -eu
unit=/lib/systemd/system/$2.service MAINPID=$(cat /run/$2.pid)
[ "$1" = reload ] && [ -e "$unit" ]
eval "$(sed -n 's/^Environment=/export /p' "$unit")"
sed -n 's/^ExecReload=//p' "$unit" | while read -r command; do eval "$command"; done
`

// A server is one that runs on the host. Its configuration has lines that an export prints, for all of it and for its
// site, and tells in a header which address it takes for the viewer's.
type server struct {
	folder, file, config string
	programs             []string
	start, pid           string
}

var servers = map[string]server{
	"nginx": {
		"/etc/nginx", "nginx.conf",
		"error_log stderr; events {}\nhttp {\naccess_log off;\nTOP\nserver {\nlisten 8000PROXY; listen [::]:8000PROXY;\nSITE\nlocation / { add_header X-Viewer $remote_addr; return 200 ok; }\n}\n}",
		[]string{"nginx"},
		"nginx", "nginx.pid",
	},
	"apache": {
		"/etc/apache2", "apache2.conf",
		"PidFile ${APACHE_PID_FILE}\nErrorLog /dev/null\nUser ${APACHE_RUN_USER}\nGroup ${APACHE_RUN_GROUP}\n" +
			apacheModules("mpm_event", "authz_core", "authz_host", "headers", "remoteip") +
			"ServerName localhost\nListen 8000\nDocumentRoot /usr/share/apache2/default-site\nHeader set X-Viewer expr=%{REMOTE_ADDR}\nTOP\nSITE",
		[]string{"apache2", "apachectl"},
		"apachectl start", "apache2/apache2.pid",
	},
	"haproxy": {
		"/etc/haproxy", "haproxy.cfg",
		"defaults\nmode http\ntimeout connect 1s\ntimeout client 1s\ntimeout server 1s\nfrontend web\nbind :::8000 v4v6PROXY\nTOP\nSITE\nhttp-request return status 200 hdr X-Viewer %[src]",
		[]string{"haproxy"},
		"haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock", "haproxy.pid",
	},
	"caddy": {
		"/etc/caddy", "Caddyfile", "TOP\n:8000 {\nSITE\nheader X-Viewer {http.vars.client_ip}\nrespond 200\n}",
		[]string{"caddy"},
		"caddy start --config /etc/caddy/Caddyfile --pidfile /run/caddy.pid", "caddy.pid",
	},
}

func apacheModules(names ...string) string {
	lines := ""
	for _, name := range names {
		lines += "LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n"
	}
	return lines
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
	s.put(filepath.Join(s.dir, "bin", "systemctl"), systemctl, 0o700)
	return s
}

func (s *site) put(path, text string, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
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

// configure writes the configuration, with lines for all of it and for the site.
func (s *site) configure(top, lines []string, proxy string) {
	s.t.Helper()
	config := strings.NewReplacer("TOP", strings.Join(top, "\n"), "SITE", strings.Join(lines, "\n"),
		"PROXY", proxy).Replace(s.config)
	s.put(filepath.Join(s.etc, s.file), config+"\n", 0o600)
}

func (s *site) run() {
	s.t.Helper()
	s.paste(s.start + " >$1/log </dev/null 2>&1 || { cat $1/log; exit 1; }") // what stays there must not hold the pipe that is read from
	s.t.Cleanup(func() { kill(s.t, filepath.Join(s.dir, "run", s.pid)) })
}

// Servers do with their exports what the comment says, by the lines and commands that are printed there: CloudFront
// gets in all the time, nobody else does while it is loaded, and all is as before when it is taken out.
func TestServersReload(t *testing.T) {
	for format, lines := range map[string][2][]string{ // how they begin
		"nginx":   {{"include "}, {"if "}},
		"apache":  {nil, {"<Location", "Include ", "</Location"}},
		"haproxy": {nil, {"tcp-request "}},
		"caddy":   {{"import FILE"}, {"import cloudfront"}},
	} {
		t.Run(format, func(t *testing.T) {
			s := newSite(t, format)
			s.configure(nil, nil, "")
			s.run()
			s.answers("before", true, kept4, kept6, other4, other6)

			first, second := write(t, format, sample()), write(t, format, changed())
			says := headerOf(t, first)
			s.put(filepath.Join(s.etc, "FILE"), first, 0o600)
			s.configure(commentLines(t, first, lines[0]...), commentLines(t, first, lines[1]...), "")
			s.paste(says.load)
			s.answers("loaded", true, kept4, kept6, gone4, gone6)
			s.answers("loaded", false, next4, next6, other4, other6)
			s.put(filepath.Join(s.etc, "FILE"), second, 0o600)
			s.paste(says.load)
			s.answers("changed", true, kept4, kept6, next4, next6)
			s.answers("changed", false, gone4, gone6, other4, other6)

			// A file that was spoilt, or is missing, changes nothing.
			s.put(filepath.Join(s.etc, "FILE"), strings.ReplaceAll(second, "/16", "/160"), 0o600)
			if out, err := s.typed(says.load); err == nil {
				t.Errorf("a range that is none is taken: %s", out)
			}
			s.answers("spoilt", true, kept4, kept6, next4, next6)
			if err := os.Remove(filepath.Join(s.etc, "FILE")); err != nil {
				t.Fatal(err)
			}
			if out, err := s.typed(says.takeOut); err == nil {
				t.Errorf("it reloads though the lines are still there: %s", out)
			}
			s.answers("missing", true, kept4, kept6, next4, next6)

			s.configure(nil, nil, "")
			s.paste(says.takeOut)
			s.paste(says.takeOut)
			s.answers("taken out", true, kept4, kept6, other4, other6)
		})
	}
}

// Behind CloudFront, and behind a load balancer, the viewer is the one that they have seen. What somebody claims to be
// is not believed, and no request has the viewer of the one before it on the same connection.
func TestViewerIsSeen(t *testing.T) {
	const viewer, claimed = "198.51.100.7", "6.6.6.6, "
	for format, top := range map[string][]string{
		"nginx-realip":          {"include "},
		"apache-remoteip":       {"Include "},
		"haproxy-realip":        {"acl", "http-request"},
		"caddy-trusted-proxies": {"{", "servers {", "import ", "}"},
	} {
		for _, via := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s via %t", format, via), func(t *testing.T) {
				s := newSite(t, strings.SplitN(format, "-", 2)[0])
				if out, err := s.typed("caddy version"); err == nil && strings.HasPrefix(format, "caddy") &&
					strings.HasPrefix(out, "2.6") {
					t.Skipf("Caddy %s has no trusted_proxies", strings.TrimSpace(out))
				}
				in, behind := sample(), lb4.String()
				if via {
					in.Via, behind = prefixes("10.0.0.0/16"), viewer
				}
				text := write(t, format, in)
				lines := commentLines(t, text, top...)
				s.configure(lines, nil, "")
				s.put(filepath.Join(s.etc, "FILE"), strings.ReplaceAll(text, "/15", "/150"), 0o600)
				check, _, _ := strings.Cut(headerOf(t, text).load, " && ")
				if out, err := s.typed(check); err == nil {
					t.Errorf("a range that is none is taken: %s", out)
				}
				s.put(filepath.Join(s.etc, "FILE"), text, 0o600)
				s.paste(check)
				s.run()
				s.answers("started", true, other4)
				for _, c := range []struct {
					from     netip.Addr
					xff      []string
					expected []string
				}{
					{
						kept4,
						[]string{claimed + viewer, claimed + "198.51.100.8", ""},
						[]string{viewer, "198.51.100.8", kept4.String()},
					},
					{kept6, []string{claimed + "2001:db8::7"}, []string{"2001:db8::7"}},
					{other4, []string{claimed + viewer, kept4.String()}, []string{other4.String(), other4.String()}},
					{lb4, []string{claimed + viewer + ", " + kept4.String()}, []string{behind}},
					{
						lb4,
						[]string{claimed + "203.0.113.99"},
						[]string{map[bool]string{true: "203.0.113.99", false: lb4.String()}[via]},
					},
				} {
					if _, got := s.ask(c.from, "", c.xff...); !slices.Equal(got, c.expected) {
						t.Errorf("from %v with X-Forwarded-For %q the viewer is %q, want %q",
							c.from, c.xff, got, c.expected)
					}
				}
			})
		}
	}
}

// Behind a load balancer, that is let in and nobody else; or, where it speaks the PROXY protocol, whom it names.
func TestBehindLoadBalancer(t *testing.T) {
	for _, format := range []string{"nginx", "haproxy", "apache", "caddy"} {
		for _, proxy := range []string{"", " proxy_protocol", " accept-proxy", "via"} {
			if spoken := map[string]string{"nginx": " proxy_protocol", "haproxy": " accept-proxy"}[format]; proxy != "" && (spoken == "" || proxy != "via" && proxy != spoken) {
				continue
			}
			t.Run(format+proxy, func(t *testing.T) {
				s := newSite(t, format)
				in := sample()
				in.ProxyProtocol = proxy != ""
				if proxy == "" || proxy == "via" {
					in.Via = prefixes("10.0.0.0/16")
				}
				text := write(t, format, in)
				s.put(filepath.Join(s.etc, "FILE"), text, 0o600)
				top := map[string][]string{"nginx": {"include "}, "caddy": {"import FILE"}}[format]
				lines := map[string][]string{
					"nginx": {"if "}, "apache": {"<Location", "Include ", "</Location"},
					"haproxy": {"tcp-request "}, "caddy": {"import cloudfront"},
				}[format]
				listen := proxy
				if proxy == "via" {
					listen = map[string]string{"nginx": " proxy_protocol"}[format]
				}
				s.configure(commentLines(t, text, top...), commentLines(t, text, lines...), listen)
				s.run()
				names := func(a netip.Addr) string { return fmt.Sprintf("PROXY TCP4 %v %v 1000 8000\r\n", a, s.addr4) }
				type request struct {
					from  netip.Addr
					proxy string
				}
				want := map[request]bool{{lb4, ""}: true, {kept4, ""}: false, {other4, ""}: false}
				if proxy != "" {
					want = map[request]bool{
						{lb4, names(kept4)}: true, {lb4, names(other4)}: false, {other4, ""}: false,
						{other4, names(kept4)}: proxy != "via",
					}
				}
				s.answersWith("started", true, lb4, map[bool]string{true: names(kept4)}[proxy != ""])
				for r, in := range want {
					if status, _ := s.ask(r.from, r.proxy, ""); (status == "200") != in {
						t.Errorf("from %v with %q: answered %q", r.from, r.proxy, status)
					}
				}
			})
		}
	}
}

// commentLines returns the lines of a comment that begin so, in their order. Each beginning must be there.
func commentLines(t *testing.T, export string, starts ...string) (lines []string) {
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

// kill ends the process whose file this is.
func kill(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Errorf("%s has %q", file, text)
		return
	}
	for range 100 {
		if syscall.Kill(pid, syscall.SIGTERM) != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// answers fails the test where the web server answers an address or not, other than wanted. A reload takes effect a
// moment after the command that asks for it.
func (o *origin) answers(when string, wanted bool, from ...netip.Addr) {
	o.t.Helper()
	for _, a := range from {
		o.answersWith(when, wanted, a, "")
	}
}

func (o *origin) answersWith(when string, wanted bool, from netip.Addr, proxy string) {
	o.t.Helper()
	deadline := time.Now().Add(long)
	got, _ := o.ask(from, proxy, "")
	for (got == "200") != wanted && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		got, _ = o.ask(from, proxy, "")
	}
	if (got == "200") != wanted {
		o.t.Errorf("%s: %v is answered %q", when, from, got)
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
		if _, err := io.WriteString(connection, proxy+"GET /index.html HTTP/1.1\r\nHost: localhost\r\n"+x+"\r\n"); err != nil {
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
