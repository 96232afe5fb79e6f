package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"
)

// A screen is a pseudo-terminal of a width, and what was written to it.
type screen struct {
	*os.File
	master *os.File
	shown  chan string
}

// newScreen opens a pseudo-terminal. See pty(7).
func newScreen(t *testing.T, columns int) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("skipped: no pseudo-terminal, so what fits one was not tried: %v", err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	s := &screen{slave, master, make(chan string, 1)}
	go func() {
		var out bytes.Buffer
		_, _ = io.Copy(&out, master) // ends with EIO when the other side is closed
		s.shown <- strings.ReplaceAll(out.String(), "\r\n", "\n")
	}()
	return s
}

// read closes the terminal and returns what it showed.
func (s *screen) read() string {
	s.Close()
	defer s.master.Close()
	return <-s.shown
}

// On a terminal of any width no word is broken: no line is wider than it, except for one that is a single word. A
// terminal that does not tell its width has 80 columns.
func TestFitsTheTerminal(t *testing.T) {
	o := newOriginOperator(t, `{"rulesPerGroup": 4, "groups": [
	  {"name": "web-1", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}, "ingress": [{"protocol": "-1", "source": "::/0", "description": "to be closed after the launch"}]},
	  {"name": "web-2", "tags": {"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}},
	  {"name": "api", "tags": {"cloudfront-ingress": "8443 9443"}}, {"name": "mistyped", "tags": {"cloudfront-ingres": "443"}}
	], "interfaces": [{"groups": ["web-1", "web-2"], "ipv6": "2600:1f18::7", "description": "ELB app/shop/0123456789abcdef"}, {"groups": ["web-2", "api"]}]}`)
	old := o.flags[5] + ".old"
	if err := os.WriteFile(old, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	ranges := o.flags[4:]
	commands := [][]string{
		append([]string{"plan"}, o.flags...), append([]string{"status"}, o.flags...), append([]string{"apply", "--yes"}, o.flags...),
		append([]string{"status"}, o.flags...), append([]string{"check", "--load-balancer", "shop"}, o.flags...),
		append([]string{"ranges", "list"}, ranges...), append([]string{"ranges"}, ranges...),
		{"diff", old, o.flags[5]},
		{"export"},
		{"--help"},
	}
	for _, command := range []string{"ranges", "diff", "plan", "apply", "status", "check", "export", "doctor", "sim", "demo", "completion", "version"} {
		commands = append(commands, []string{command, "--help"})
	}
	for columns, width := range map[int]int{0: 80, 40: 40, 60: 60, 80: 80, 100: 100, 160: 160} {
		for _, args := range commands {
			s := newScreen(t, columns)
			run(t.Context(), args, terminal{strings.NewReader(""), s.File, io.Discard})
			shown := s.read()
			if strings.TrimSpace(shown) == "" {
				t.Errorf("%v shows nothing", args)
			}
			for line := range strings.SplitSeq(shown, "\n") {
				line = text.StripEscape(line)
				if len([]rune(line)) > width && len(strings.Fields(strings.TrimSuffix(line, ` \`))) > 2 {
					t.Errorf("%d columns: cfsg %s has a line of %d: %s", columns, strings.Join(args[:1], " "), len([]rune(line)), line)
				}
			}
		}
	}
}

// A command that is offered for pasting stays one where it does not fit.
func TestPastedOnNarrowTerminal(t *testing.T) {
	o := newOriginOperator(t, `{"groups": [{"name": "web", "tags": {"cloudfront-ingress": "443"}, "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]}],
		"interfaces": [{"groups": ["web"], "publicIp": "198.51.100.7"}]}`)
	o.cfsg(t.Context(), "apply", "--yes")
	s := newScreen(t, 60)
	run(t.Context(), append([]string{"status"}, o.flags...), terminal{strings.NewReader(""), s.File, io.Discard})
	shown := text.StripEscape(s.read())
	joined := strings.Join(strings.Fields(strings.ReplaceAll(shown, " \\\n", " ")), " ")
	if !strings.Contains(shown, " \\\n") || o.paste(t, joined) != 1 {
		t.Errorf("no command that can be pasted in\n%s", shown)
	}
}
