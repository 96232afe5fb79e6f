package export

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An origin is a host in a network namespace of its own, with a server on some ports, and the whole Internet at the
// other end of a cable.
type origin struct {
	t              *testing.T
	host, internet string // network namespaces
	addr4, addr6   netip.Addr
}

// ports are those that the origin serves. 22 is not CloudFront's.
var ports = []uint16{22, 443, 8080, 8443}

type addrs = []netip.Addr

// Sources that clients connect from.
var (
	kept4   = netip.MustParseAddr("52.84.0.10") // listed before and after a change
	kept6   = netip.MustParseAddr("2600:9000:1000::10")
	gone4   = netip.MustParseAddr("18.64.0.10") // listed before
	gone6   = netip.MustParseAddr("2600:9000:1f00::10")
	next4   = netip.MustParseAddr("99.84.0.10") // listed after
	next6   = netip.MustParseAddr("2600:9000:2000::10")
	other4  = netip.MustParseAddr("203.0.113.10") // never listed
	other6  = netip.MustParseAddr("2001:db8:5::10")
	lb4     = netip.MustParseAddr("10.0.0.10") // a load balancer's
	sources = []netip.Addr{kept4, kept6, gone4, gone6, next4, next6, other4, other6, lb4}
)

// newOrigin makes the namespaces, or skips the test where that cannot be done or a program is not there.
func newOrigin(t *testing.T, programs ...string) *origin {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	for _, program := range append(programs, "ip") {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	t.Parallel()
	name := strings.NewReplacer("test", "", "/", "-").Replace(strings.ToLower(t.Name()))
	id := fmt.Sprintf("%d-%s", os.Getpid(), name)
	o := &origin{
		t: t, host: "cfsg-host-" + id, internet: "cfsg-net-" + id,
		addr4: netip.MustParseAddr("192.0.2.1"), addr6: netip.MustParseAddr("2001:db8:1::1"),
	}
	for _, ns := range []string{o.host, o.internet} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("network namespaces cannot be made here: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", ns).Run() })
	}
	ip := func(ns, args string) { o.in(ns, append([]string{"ip"}, strings.Fields(args)...)...) }
	ip(o.host, "link add eth0 type veth peer name eth0 netns "+o.internet)
	for ns, own := range map[string]addrs{o.host: {o.addr4, o.addr6}, o.internet: sources} {
		ip(ns, "link set lo up")
		ip(ns, "link set eth0 up")
		for _, a := range own {
			ip(ns, "addr add "+a.String()+" dev eth0"+map[bool]string{true: " nodad"}[a.Is6()])
		}
		ip(ns, "route add default dev eth0")
		ip(ns, "-6 route add default dev eth0")
	}
	o.serve()
	return o
}

// try runs a program in a namespace, and returns its output.
func (o *origin) try(ns string, args ...string) (string, error) {
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...).CombinedOutput()
	return string(out), err
}

// in runs a program in a namespace, which must succeed, and returns its output.
func (o *origin) in(ns string, args ...string) string {
	o.t.Helper()
	out, err := o.try(ns, args...)
	if err != nil {
		o.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// shell runs a script on the host.
func (o *origin) shell(script string) (string, error) { return o.try(o.host, "sh", "-c", script) }

// enter runs f on a thread in the namespace. The thread ends with it.
func enter(ns string, f func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine may run there
		file, err := os.Open(filepath.Join("/run/netns", ns))
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	return <-done
}

// serve answers on all ports of the host, until the test ends: it sends back what it is sent.
func (o *origin) serve() {
	err := enter(o.host, func() {
		for _, port := range ports {
			listener, err := net.Listen("tcp", fmt.Sprintf("[::]:%d", port))
			if err != nil {
				o.t.Error(err)
				return
			}
			o.t.Cleanup(func() { _ = listener.Close() })
			go func() {
				for {
					connection, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer connection.Close()
						_, _ = io.Copy(connection, connection)
					}()
				}
			}()
		}
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// A packet that is dropped is never answered, and on this cable the others are at once. So patience is short where
// nothing shall answer; where something shall, it is long, for a machine that is busy, and a packet sent twice counts
// as dropped.
const (
	short = 400 * time.Millisecond
	hasty = 50 * time.Millisecond // tries often, to find a short opening
	long  = 5 * time.Second
)

// dial connects from an address to a port of the host, in a namespace. The connection is nil where nothing answers, or
// only at the second packet.
func (o *origin) dial(ns string, from netip.Addr, port uint16, patience time.Duration) net.Conn {
	to := o.addr4
	if from.Is6() {
		to = o.addr6
	}
	var connection net.Conn
	if err := enter(ns, func() {
		dialer := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		if c, err := dialer.Dial("tcp", netip.AddrPortFrom(to, port).String()); err == nil {
			if connection = c; retransmitted(c) {
				_ = c.Close()
				connection = nil
			}
		}
	}); err != nil {
		o.t.Error(err)
	}
	return connection
}

// retransmitted reports whether anything had to be sent twice.
func retransmitted(connection net.Conn) bool {
	raw, err := connection.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	again := true
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		again = err != nil || info.Total_retrans > 0
	})
	return again
}

// reach reports whether an address of a namespace gets in on a port.
func (o *origin) reach(ns string, from netip.Addr, port uint16, patience time.Duration) bool {
	connection := o.dial(ns, from, port, patience)
	if connection != nil {
		_ = connection.Close()
	}
	return connection != nil
}

// echoes reports whether what is sent comes back.
func echoes(connection net.Conn) bool {
	_ = connection.SetDeadline(time.Now().Add(long))
	if _, err := connection.Write([]byte("ping")); err != nil {
		return false
	}
	answer := make([]byte, 4)
	_, err := io.ReadFull(connection, answer)
	return err == nil && string(answer) == "ping"
}

// expect fails the test where an address gets in on a port, or does not, other than wanted.
func (o *origin) expect(when string, port uint16, in, out addrs) {
	o.t.Helper()
	var trying sync.WaitGroup
	try := func(a netip.Addr, wanted bool, patience time.Duration) {
		if got := o.reach(o.internet, a, port, patience); got != wanted {
			o.t.Errorf("%s: %v gets in on port %d: %t, want %t", when, a, port, got, wanted)
		}
	}
	for _, a := range in {
		trying.Go(func() { try(a, true, long) })
	}
	for _, a := range out {
		trying.Go(func() { try(a, false, short) })
	}
	trying.Wait()
}

// A crowd connects from an address, again and again.
type crowd struct {
	*origin
	from      netip.Addr
	stop      chan struct{}
	done      chan struct{}
	in, tries int
}

func (o *origin) crowd(from netip.Addr, port uint16, patience time.Duration) *crowd {
	c := &crowd{origin: o, from: from, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for {
			c.tries++
			if o.reach(o.internet, from, port, patience) {
				c.in++
			}
			select {
			case <-c.stop:
				return
			case <-time.After(2 * time.Millisecond): // leaves the firewall some of the machine
			}
		}
	}()
	return c
}

// disperse stops the crowd, which must have got in each time, or never.
func (c *crowd) disperse(listed bool) {
	c.t.Helper()
	close(c.stop)
	<-c.done
	if listed && (c.in != c.tries || c.tries < 10) || !listed && c.in != 0 {
		c.t.Errorf("while it is loaded, %v gets in %d of %d times; listed: %t", c.from, c.in, c.tries, listed)
	}
}
