package export

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changed is the sample after a change of the list, in which a block is cut
// anew: what stays of it overlaps what was.
func changed() Input {
	in := sample()
	in.IPv4 = prefixes("15.158.0.7/32", "52.84.0.0/16", "99.84.0.0/16")
	in.IPv6 = prefixes("2600:9000:1000::/40", "2600:9000:2000::/36", "2600:9000:5300::7/128")
	return in
}

// A firewall is how an export is loaded into one, and taken out as it says.
type firewall struct {
	format string
	load   func(file string)
	remove func(file string)
	state  func() string // what is there, by this export and by others
	rounds int           // of loading again, while clients connect all the time
	more   int           // ranges of each family beside the few that matter, so that filling a set takes a while
}

// with returns an input with more ranges, before those that it has.
func with(more int, in Input) Input {
	for i := range more {
		in.IPv4 = append(prefixes(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)), in.IPv4...)
		in.IPv6 = append(prefixes(fmt.Sprintf("2600:1f00:%x::/48", i)), in.IPv6...)
	}
	return in
}

// check loads an export and loads a changed one, while clients connect all the
// time, and takes it out.
func (o *origin) check(f firewall) {
	t := o.t
	file := func(name string, in Input) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(write(t, f.format, with(f.more, in))), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second := file("first", sample()), file("second", changed())
	others := func(when string) {
		t.Helper()
		o.expect(when, true, 22, kept4, other4, other6)
		for _, a := range []netip.Addr{o.addr4, o.addr6} {
			connection := o.dial(o.host, a, 443, long)
			if connection == nil {
				t.Errorf("%s: the host does not reach itself at %v", when, a)
				continue
			}
			_ = connection.Close()
		}
	}
	before := f.state()
	f.load(first)
	o.expect("loaded", true, 443, kept4, kept6, gone4, gone6)
	o.expect("loaded", true, 8080, kept4, kept6)
	o.expect("loaded", false, 443, next4, next6, other4, other6)
	o.expect("loaded", false, 8080, other4, other6)
	others("loaded")

	lasting := o.dial(o.internet, gone4, 443, long)
	if lasting == nil {
		t.Fatal("a listed address does not get in")
	}
	defer lasting.Close()
	crowds := map[netip.Addr]*crowd{}
	for _, a := range []netip.Addr{kept4, kept6} {
		crowds[a] = o.crowd(a, 443, long)
	}
	for _, a := range []netip.Addr{other4, other6} {
		crowds[a] = o.crowd(a, 443, hasty)
	}
	f.load(second)
	for range f.rounds {
		f.load(first)
		f.load(second)
	}
	for _, a := range []netip.Addr{kept4, kept6} {
		if tries, in := crowds[a].disperse(); in != tries || tries < 10 {
			t.Errorf("while it is loaded, %v, which is listed, gets in %d of %d times", a, in, tries)
		}
	}
	for _, a := range []netip.Addr{other4, other6} {
		if tries, in := crowds[a].disperse(); in != 0 || tries == 0 {
			t.Errorf("while it is loaded, %v, which is not listed, gets in %d of %d times", a, in, tries)
		}
	}
	if !echoes(lasting) {
		t.Error("a connection that was there before a change is cut by it")
	}
	o.expect("changed", true, 443, kept4, kept6, next4, next6)
	o.expect("changed", false, 443, gone4, gone6, other4, other6)
	others("changed")
	loaded := f.state()
	f.load(second)
	if diff := cmp.Diff(loaded, f.state()); diff != "" {
		t.Errorf("loading it a second time changes something:\n%s", diff)
	}

	one := sample()
	one.IPv6 = nil
	f.more = 0
	f.load(file("one", one))
	o.expect("IPv4 alone", true, 443, kept4, gone4)
	o.expect("IPv4 alone", false, 443, kept6, next6, next4, other4, other6)
	ports := changed()
	ports.Ports = ports.Ports[:1]
	f.load(file("ports", ports))
	o.expect("one port less", true, 443, kept4, kept6)
	o.expect("one port less", false, 443, other4, other6, gone4)

	f.remove(second)
	if f.format != "nftables" { // a script that was interrupted is run again
		f.remove(second)
	}
	others("removed")
	if diff := cmp.Diff(before, f.state()); diff != "" {
		t.Errorf("taking it out does not restore what was there:\n%s", diff)
	}
	if t.Failed() {
		t.Logf("the second export:\n%s", write(t, f.format, changed()))
	}
}

func TestNftables(t *testing.T) {
	o := newOrigin(t, "nft")
	o.in(o.host, "nft", "add table inet mine; add chain inet mine input { type filter hook input priority filter; }; add rule inet mine input tcp dport 8443 accept")
	o.check(firewall{
		format: "nftables",
		load:   func(file string) { o.in(o.host, "nft", "-f", file) },
		remove: func(string) { o.in(o.host, "nft", "delete", "table", "inet", "cloudfront_ingress") },
		state:  func() string { return o.in(o.host, "nft", "--stateless", "list", "ruleset") },
		rounds: 10,
		more:   2000,
	})
	o.expect("removed", true, 443, other4, other6)
	o.expect("removed", true, 8080, other4, other6)
}

func TestIptables(t *testing.T) {
	o := newOrigin(t, "iptables", "ip6tables", "iptables-restore", "ip6tables-restore", "ipset")
	o.in(o.host, "iptables", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", "8443", "-j", "ACCEPT")
	o.in(o.host, "ipset", "create", "mine", "hash:net")
	o.check(firewall{
		format: "iptables",
		load:   func(file string) { o.in(o.host, "sh", file) },
		remove: func(file string) { o.in(o.host, "sh", file, "remove") },
		state: func() string {
			return o.in(o.host, "iptables", "-t", "mangle", "-S") + o.in(o.host, "ip6tables", "-t", "mangle", "-S") +
				o.in(o.host, "sh", "-c", "ipset save -sorted | sed 's/ initval [^ ]*//'")
		},
		rounds: 10,
		more:   2000,
	})
	o.expect("removed", true, 443, other4, other6)
	o.expect("removed", true, 8080, other4, other6)
}

// Ports that a container publishes are filtered as they are reached, before
// destination NAT.
func TestPublishedPorts(t *testing.T) {
	for _, format := range []string{"nftables", "iptables"} {
		t.Run(format, func(t *testing.T) {
			o := newOrigin(t, "nft", "iptables", "ip6tables", "ipset")
			o.in(o.host, "nft", "add table inet nat; add chain inet nat prerouting { type nat hook prerouting priority dstnat; }; add rule inet nat prerouting tcp dport 8000 redirect to :8443")
			path := filepath.Join(t.TempDir(), "export")
			if err := os.WriteFile(path, []byte(write(t, format, sample())), 0o600); err != nil {
				t.Fatal(err)
			}
			o.expect("before", true, 8000, kept4, kept6, other4, other6)
			o.in(o.host, map[string]string{"nftables": "nft", "iptables": "sh"}[format], map[string]string{"nftables": "-f", "iptables": "-e"}[format], path)
			o.expect("loaded", true, 8000, kept4, kept6)
			o.expect("loaded", false, 8000, other4, other6)
		})
	}
}

// copyOf copies a folder of the system, so that a test changes the copy.
func copyOf(t *testing.T, folder string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etc")
	if out, err := exec.Command("cp", "-a", folder, dir).CombinedOutput(); err != nil {
		t.Skipf("%s cannot be copied: %s", folder, out)
	}
	return dir
}

func TestUfw(t *testing.T) {
	o := newOrigin(t, "ufw", "unshare", "mount", "iptables")
	etc := copyOf(t, "/etc/ufw")
	sh := func(script string, args ...string) string {
		t.Helper()
		// A mount namespace of its own, in which the copy is in the place of what it was copied from.
		inside := `mount --bind "$0" /etc/ufw && ` + script
		return o.in(o.host, append([]string{"unshare", "-m", "sh", "-c", inside, etc}, args...)...)
	}
	sh("ufw --force reset && rm -f /etc/ufw/*.rules.2* && ufw allow 22/tcp && ufw allow from 198.51.100.0/24 to any port 443 proto tcp && ufw --force enable")
	o.check(firewall{
		format: "ufw",
		load:   func(file string) { sh(`sh "$1"`, file) },
		remove: func(file string) { sh(`sh "$1" remove`, file) },
		state:  func() string { return sh("ufw status numbered") },
	})
	o.expect("removed", false, 443, kept4, kept6)

	path := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(path, []byte(write(t, "ufw", sample())), 0o600); err != nil {
		t.Fatal(err)
	}
	sh("ufw allow 443")
	if out := sh(`sh "$1" 2>&1`, path); !strings.Contains(out, "let everyone in") || !strings.Contains(out, "\n443 ") {
		t.Errorf("the script does not tell of a rule that opens the port to everyone: %s", out)
	}
	sh("ufw --force disable")
	if out := sh(`sh "$1" 2>&1`, path); !strings.Contains(out, "not active") {
		t.Errorf("the script does not tell that ufw is not active: %s", out)
	}
}

// bus is the configuration of a message bus on which everything is allowed.
const bus = `<busconfig>
	<type>system</type>
	<listen>unix:path=SOCKET</listen>
	<auth>EXTERNAL</auth>
	<policy context="default">
		<allow send_destination="*" eavesdrop="true"/>
		<allow eavesdrop="true"/>
		<allow own="*"/>
		<allow user="*"/>
	</policy>
</busconfig>`

// startFirewalld runs firewalld for the host, on a message bus and with a
// configuration of its own. It returns what runs a program that talks to it.
func startFirewalld(o *origin) func(args ...string) string {
	t := o.t
	dir, etc := t.TempDir(), copyOf(t, "/etc/firewalld")
	socket, config := filepath.Join(dir, "socket"), filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, []byte(strings.Replace(bus, "SOCKET", socket, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + socket
	start := func(args ...string) {
		command := exec.Command("ip", append([]string{"netns", "exec", o.host, "env", address}, args...)...)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = command.Process.Kill()
			_ = command.Wait()
		})
	}
	wait := func(what string, ready func() bool) {
		for deadline := time.Now().Add(20 * time.Second); !ready(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Skipf("%s does not start here", what)
			}
		}
	}
	start("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile")
	wait("the message bus", func() bool {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	})
	start("firewalld", "--nofork", "--nopid", "--system-config", etc, "--log-file", filepath.Join(dir, "log"))
	wait("firewalld", func() bool { return exec.Command("env", address, "firewall-cmd", "--state").Run() == nil })
	return func(args ...string) string {
		t.Helper()
		return o.in(o.host, append([]string{"env", address}, args...)...)
	}
}

func TestFirewalld(t *testing.T) {
	o := newOrigin(t, "firewalld", "firewall-cmd", "dbus-daemon")
	run := startFirewalld(o)
	// The zone opens a port to everyone, which the export closes but for the ranges.
	run("firewall-cmd", "--permanent", "--add-service=https")
	run("firewall-cmd", "--permanent", "--add-rich-rule=rule family=ipv4 source address=198.51.100.0/24 port port=9443 protocol=tcp accept")
	run("firewall-cmd", "--reload")
	o.check(firewall{
		format: "firewalld",
		load:   func(file string) { run("sh", file) },
		remove: func(file string) { run("sh", file, "remove") },
		state: func() string {
			return run("sh", "-c", `for scope in "" --permanent; do
				firewall-cmd $scope --list-all | sort
				for set in $(firewall-cmd $scope --get-ipsets); do firewall-cmd $scope --info-ipset="$set"; done
			done`)
		},
	})
	o.expect("removed", true, 443, other4, other6)
}
