package export

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An origin is a host in a network namespace of its own, with a server on some
// ports, and the whole Internet at the other end of a cable.
type origin struct {
	t              *testing.T
	host, internet string // network namespaces
	addr4, addr6   netip.Addr
}

// ports are those that the origin serves: 22 is not CloudFront's.
var ports = []uint16{22, 443, 8080}

// Sources that clients connect from.
var (
	listed4 = netip.MustParseAddr("18.64.0.10")
	kept4   = netip.MustParseAddr("52.84.0.10") // listed before and after a change
	listed6 = netip.MustParseAddr("2600:9000:1000::10")
	next4   = netip.MustParseAddr("99.84.0.10") // listed after a change
	next6   = netip.MustParseAddr("2600:9000:2000::10")
	other4  = netip.MustParseAddr("203.0.113.10")
	other6  = netip.MustParseAddr("2001:db8:5::10")
)

// changed is the sample after a change of the list.
func changed() Input {
	in := sample()
	in.IPv4 = prefixes("52.84.0.0/15", "99.84.0.0/16")
	in.IPv6 = prefixes("2600:9000:2000::/36")
	return in
}

// newOrigin makes the namespaces, or skips the test where that cannot be done or
// a program is not there.
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
	id := fmt.Sprintf("%d-%s", os.Getpid(), strings.ToLower(strings.TrimPrefix(t.Name(), "Test")))
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
	for _, ns := range []string{o.host, o.internet} {
		ip(ns, "link set lo up")
		ip(ns, "link set eth0 up")
	}
	ip(o.host, "addr add "+o.addr4.String()+"/32 dev eth0")
	ip(o.host, "-6 addr add "+o.addr6.String()+"/128 dev eth0 nodad")
	for _, a := range []netip.Addr{listed4, kept4, next4, other4} {
		ip(o.internet, "addr add "+a.String()+"/32 dev eth0")
	}
	for _, a := range []netip.Addr{listed6, next6, other6} {
		ip(o.internet, "-6 addr add "+a.String()+"/128 dev eth0 nodad")
	}
	for _, ns := range []string{o.host, o.internet} {
		ip(ns, "route add default dev eth0")
		ip(ns, "-6 route add default dev eth0")
	}
	o.serve()
	return o
}

// in runs a program in a namespace, which must succeed, and returns its output.
func (o *origin) in(ns string, args ...string) string {
	o.t.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...).CombinedOutput()
	if err != nil {
		o.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

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

// serve accepts connections to all ports of the host, until the test ends.
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
					_ = connection.Close()
				}
			}()
		}
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// patience is how long a client waits for an answer. A packet that is dropped is
// one that is never answered; on this cable the others are at once.
const patience = 400 * time.Millisecond

// reach connects from an address to a port of the host.
func (o *origin) reach(from netip.Addr, port uint16) bool {
	to := o.addr4
	if from.Is6() {
		to = o.addr6
	}
	var connected bool
	if err := enter(o.internet, func() {
		dialer := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		connection, err := dialer.Dial("tcp", netip.AddrPortFrom(to, port).String())
		if connected = err == nil; connected {
			_ = connection.Close()
		}
	}); err != nil {
		o.t.Error(err)
	}
	return connected
}

// expect fails the test where an address gets in or not, other than wanted.
func (o *origin) expect(when string, in bool, port uint16, from ...netip.Addr) {
	o.t.Helper()
	got := make([]bool, len(from))
	var trying sync.WaitGroup
	for i, a := range from {
		trying.Go(func() { got[i] = o.reach(a, port) })
	}
	trying.Wait()
	for i, a := range from {
		if got[i] != in {
			o.t.Errorf("%s: %v gets in on port %d: %t, want %t", when, a, port, got[i], in)
		}
	}
}

// A crowd connects again and again until it is told to stop.
type crowd struct {
	stop  atomic.Bool
	done  chan struct{}
	in    atomic.Int64
	tries atomic.Int64
}

func (o *origin) crowd(from netip.Addr, port uint16) *crowd {
	c := &crowd{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for !c.stop.Load() {
			c.tries.Add(1)
			if o.reach(from, port) {
				c.in.Add(1)
			}
			time.Sleep(time.Millisecond) // leaves the machine to those who load
		}
	}()
	return c
}

// disperse stops the crowd and returns how often it tried, and got in.
func (c *crowd) disperse() (tries, in int64) {
	c.stop.Store(true)
	<-c.done
	return c.tries.Load(), c.in.Load()
}

// checkFirewall loads an export, and loads a changed one and the first again for
// some rounds, while clients connect all the time.
func checkFirewall(o *origin, format string, rounds int, load func(file string), remove func(file string)) {
	t := o.t
	file := func(name string, in Input) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(write(t, format, in)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second := file("first", sample()), file("second", changed())
	others := func(when string) {
		t.Helper()
		o.expect(when, true, 22, listed4, other4, other6)
	}
	load(first)
	o.expect("loaded", true, 443, listed4, kept4, listed6)
	o.expect("loaded", true, 8080, listed4, listed6)
	o.expect("loaded", false, 443, next4, next6, other4, other6)
	o.expect("loaded", false, 8080, other4)
	others("loaded")

	wanted, unwanted := o.crowd(kept4, 443), o.crowd(other4, 443)
	for range rounds {
		load(second)
		load(first)
	}
	load(second)
	tries, in := wanted.disperse()
	if in != tries || tries < 10 {
		t.Errorf("while it is loaded, a listed address gets in %d of %d times", in, tries)
	}
	if tries, in := unwanted.disperse(); in != 0 || tries == 0 {
		t.Errorf("while it is loaded, an address that is not listed gets in %d of %d times", in, tries)
	}
	o.expect("changed", true, 443, kept4, next4, next6)
	o.expect("changed", false, 443, listed4, listed6, other4, other6)
	others("changed")

	remove(second)
	others("removed")
	if t.Failed() {
		t.Logf("the second export:\n%s", write(t, format, changed()))
	}
}

// private is a command that runs another in a mount namespace of its own, with
// a copy of a folder in the place of the folder.
func (o *origin) private(folder string) []string {
	copied := o.t.TempDir()
	o.in(o.host, "cp", "-a", folder+"/.", copied)
	return []string{"unshare", "-m", "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, copied, folder}
}

func TestUfw(t *testing.T) {
	o := newOrigin(t, "ufw", "unshare", "iptables")
	private := o.private("/etc/ufw")
	ufw := func(args ...string) string { return o.in(o.host, append(append([]string{}, private...), args...)...) }
	ufw("ufw", "--force", "enable")
	ufw("ufw", "default", "deny", "incoming")
	ufw("ufw", "allow", "22/tcp", "comment", "mine")
	before := ufw("ufw", "show", "added")
	checkFirewall(o, "ufw", 2,
		func(file string) { ufw("sh", file) },
		func(file string) { ufw("sh", file, "remove") })
	o.expect("removed", false, 443, listed4, next4, next6)
	if after := ufw("ufw", "show", "added"); after != before {
		t.Errorf("what was there before is now %s, want %s", after, before)
	}
}

func TestFirewalld(t *testing.T) {
	o := newOrigin(t, "firewall-cmd", "firewalld", "dbus-daemon", "unshare", "nsenter")
	private := o.private("/etc/firewalld")
	// firewalld takes a system bus, and both get a /run of their own.
	daemon := exec.Command("ip", append(append([]string{"netns", "exec", o.host}, private...), "sh", "-c",
		`mount -t tmpfs none /run && mkdir /run/dbus && dbus-daemon --system --nofork & sleep 0.2; exec firewalld --nofork --nopid`)...)
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-daemon.Process.Pid, syscall.SIGKILL)
		_ = daemon.Wait()
	})
	inside := []string{"nsenter", "--target", fmt.Sprint(daemon.Process.Pid), "--mount", "--net"}
	run := func(args ...string) string { return o.in(o.host, append(append([]string{}, inside...), args...)...) }
	run("sh", "-c", "for i in $(seq 100); do firewall-cmd --state && exit; sleep 0.1; done; exit 1")
	before := run("firewall-cmd", "--list-all") + run("firewall-cmd", "--permanent", "--list-all")
	checkFirewall(o, "firewalld", 1,
		func(file string) { run("sh", file) },
		func(file string) { run("sh", file, "remove") })
	o.expect("removed", false, 443, listed4, next4, next6)
	if after := run("firewall-cmd", "--list-all") + run("firewall-cmd", "--permanent", "--list-all"); after != before {
		t.Errorf("what was there before is now %s, want %s", after, before)
	}
}

func TestNftables(t *testing.T) {
	o := newOrigin(t, "nft")
	o.in(o.host, "nft", "add table inet mine; add chain inet mine input { type filter hook input priority filter; }; add rule inet mine input tcp dport 8443 counter")
	mine := o.in(o.host, "nft", "list", "table", "inet", "mine")
	checkFirewall(o, "nftables", 20,
		func(file string) { o.in(o.host, "nft", "-f", file) },
		func(string) { o.in(o.host, "nft", "delete", "table", "inet", "cloudfront_ingress") })
	o.expect("removed", true, 443, other4, other6)
	if got := o.in(o.host, "nft", "list", "ruleset"); got != mine {
		t.Errorf("what was there before is now %s, want %s", got, mine)
	}
}

func TestIptables(t *testing.T) {
	o := newOrigin(t, "iptables", "ip6tables", "iptables-restore", "ip6tables-restore", "ipset")
	o.in(o.host, "iptables", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", "8443", "-j", "ACCEPT")
	o.in(o.host, "ipset", "create", "mine", "hash:net")
	rules := func() string {
		return o.in(o.host, "iptables", "-t", "mangle", "-S") + o.in(o.host, "ip6tables", "-t", "mangle", "-S") + o.in(o.host, "ipset", "list", "-name")
	}
	before := rules()
	checkFirewall(o, "iptables", 20,
		func(file string) { o.in(o.host, "sh", file) },
		func(file string) { o.in(o.host, "sh", file, "remove") })
	o.expect("removed", true, 443, other4, other6)
	if after := rules(); after != before {
		t.Errorf("what was there before is now %s, want %s", after, before)
	}
}
