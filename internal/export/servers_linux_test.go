package export

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemctl does what systemd does for "systemctl reload UNIT", where there is no systemd: it runs what the unit says.
const systemctl = `#!/bin/sh
set -eu
unit=/lib/systemd/system/$2.service MAINPID=$(cat /run/$2.pid)
[ "$1" = reload ] && [ -e "$unit" ]
eval "$(sed -n 's/^Environment=/export /p' "$unit")"
sed -n 's/^ExecReload=//p' "$unit" | while read -r command; do eval "$command"; done
`

// Servers do with their exports what the comment says, by the lines and commands that are printed there: CloudFront
// gets in all the time, nobody else does while it is loaded, and all is as before when it is taken out.
func TestServersReload(t *testing.T) {
	cases := []struct {
		format, folder, file string
		config               string   // LINES[0] and so on stand for lines that are printed
		lines                []string // how these begin
		programs             []string
		start                string
		pid                  string
	}{
		{
			"nginx", "/etc/nginx", "nginx.conf",
			"error_log stderr; events {}\nhttp {\naccess_log off;\nLINES[0]\nserver {\nlisten 8000; listen [::]:8000;\nLINES[1]\nlocation / { return 200 ok; }\n}\n}",
			[]string{"include ", "if "},
			[]string{"nginx"},
			"nginx", "nginx.pid",
		},
		{
			"apache", "/etc/apache2", "apache2.conf",
			`PidFile ${APACHE_PID_FILE}
			ErrorLog /dev/null
			User ${APACHE_RUN_USER}
			Group ${APACHE_RUN_GROUP}
			LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
			LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
			LoadModule authz_host_module /usr/lib/apache2/modules/mod_authz_host.so
			ServerName localhost
			Listen 8000
			DocumentRoot /usr/share/apache2/default-site
			LINES[0]
			LINES[1]
			LINES[2]`,
			[]string{"<Location", "Include ", "</Location"},
			[]string{"apache2", "apachectl"},
			"apachectl start", "apache2/apache2.pid",
		},
		{
			"haproxy", "/etc/haproxy", "haproxy.cfg",
			"defaults\nmode http\ntimeout connect 1s\ntimeout client 1s\ntimeout server 1s\nfrontend web\nbind :::8000 v4v6\nLINES[0]\nhttp-request return status 200",
			[]string{"tcp-request "},
			[]string{"haproxy"},
			"haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock", "haproxy.pid",
		},
		{
			"caddy", "/etc/caddy", "Caddyfile",
			"LINES[0]\n:8000 {\nLINES[1]\nrespond 200\n}",
			[]string{"import FILE", "import cloudfront"},
			[]string{"caddy"},
			"caddy start --config /etc/caddy/Caddyfile --pidfile /run/caddy.pid", "caddy.pid",
		},
	}
	for _, c := range cases {
		t.Run(c.format, func(t *testing.T) {
			o := newOrigin(t, append(c.programs, "unshare", "mount")...)
			etc, dir := copyOf(t, c.folder), t.TempDir()
			put := func(path, text string, mode os.FileMode) {
				t.Helper()
				if err := os.WriteFile(path, []byte(text), mode); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"bin", "run", "run/lock"} {
				if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			put(filepath.Join(dir, "bin", "systemctl"), systemctl, 0o700)
			try := func(command string) (string, error) {
				script := `mount --bind "$0" ` + c.folder + ` && mount --bind "$1/run" /run && export HOME="$1" PATH="$1/bin:$PATH" && cd ` + c.folder + " && { " + command + "; } 2>&1"
				return o.try(o.host, "unshare", "-m", "sh", "-c", script, etc, dir)
			}
			paste := func(command string) {
				t.Helper()
				if out, err := try(command); err != nil {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
			}
			configure := func(lines []string) {
				t.Helper()
				config := c.config
				for i := range c.lines {
					line := ""
					if lines != nil {
						line = lines[i]
					}
					config = strings.Replace(config, fmt.Sprintf("LINES[%d]", i), line, 1)
				}
				put(filepath.Join(etc, c.file), config+"\n", 0o600)
			}

			configure(nil)
			paste(c.start + " >$1/log </dev/null 2>&1 || { cat $1/log; exit 1; }") // what stays there must not hold the pipe that is read from
			t.Cleanup(func() { kill(t, filepath.Join(dir, "run", c.pid)) })
			o.answers("before", true, kept4, kept6, other4, other6)

			first, second := write(t, c.format, sample()), write(t, c.format, changed())
			says := headerOf(t, first)
			var lines []string
			for _, start := range c.lines {
				lines = append(lines, commentLine(t, first, start))
			}
			put(filepath.Join(etc, "FILE"), first, 0o600)
			configure(lines)
			paste(says.load)
			o.answers("loaded", true, kept4, kept6, gone4, gone6)
			o.answers("loaded", false, next4, next6, other4, other6)
			put(filepath.Join(etc, "FILE"), second, 0o600)
			paste(says.load)
			o.answers("changed", true, kept4, kept6, next4, next6)
			o.answers("changed", false, gone4, gone6, other4, other6)

			// A file that was spoilt, or is missing, changes nothing.
			put(filepath.Join(etc, "FILE"), strings.ReplaceAll(second, "/16", "/160"), 0o600)
			if out, err := try(says.load); err == nil {
				t.Errorf("a range that is none is taken: %s", out)
			}
			o.answers("spoilt", true, kept4, kept6, next4, next6)
			if err := os.Remove(filepath.Join(etc, "FILE")); err != nil {
				t.Fatal(err)
			}
			if out, err := try(says.takeOut); err == nil {
				t.Errorf("it reloads though the lines are still there: %s", out)
			}
			o.answers("missing", true, kept4, kept6, next4, next6)

			configure(nil)
			paste(says.takeOut)
			paste(says.takeOut)
			o.answers("taken out", true, kept4, kept6, other4, other6)
		})
	}
}

// commentLine returns the line of a comment that begins so.
func commentLine(t *testing.T, export, start string) string {
	t.Helper()
	for line := range strings.Lines(export) {
		if line, found := strings.CutPrefix(line, "#   "); found && strings.HasPrefix(strings.TrimSpace(line), start) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no line of the comment begins with %q:\n%s", start, export)
	return ""
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
		got := o.get(a)
		for deadline := time.Now().Add(long); (got == "200") != wanted && time.Now().Before(deadline); got = o.get(a) {
			time.Sleep(50 * time.Millisecond)
		}
		if (got == "200") != wanted {
			o.t.Errorf("%s: %v is answered %q", when, a, got)
		}
	}
}

// get asks the web server of the host for a page, and returns the status of the answer.
func (o *origin) get(from netip.Addr) string {
	connection := o.dial(o.internet, from, 8000, long)
	if connection == nil {
		return ""
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(long))
	if _, err := io.WriteString(connection, "GET /index.html HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
		return ""
	}
	line, _ := bufio.NewReader(connection).ReadString('\n')
	if words := strings.Fields(line); len(words) > 1 {
		return words[1]
	}
	return ""
}
