package export

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changed is the sample after a change of the list, in which a block is split again: the new blocks overlap the old
// one.
func changed() Input {
	in := sample()
	in.IPv4 = prefixes("15.158.0.7/32", "52.84.0.0/16", "99.84.0.0/16")
	in.IPv6 = prefixes("2600:9000:1000::/40", "2600:9000:2000::/36", "2600:9000:5300::7/128")
	return in
}

// A firewall is where an export is loaded into, and taken out, by what its comment says.
type firewall struct {
	format string
	// shell runs a script on the host, with the firewall's own configuration.
	shell  func(script string) (output string, err error)
	state  func() string // what is there, by this export and by others
	rounds int           // of loading again, while clients connect all the time
	more   int           // ranges of each family beside the few that matter, so that filling a set takes a while
	shut   bool          // without the export nobody gets in, so that it is not taken out until asked twice
}

// The export is in the file FILE of a folder of its own, in which the test runs the printed commands.
type exported struct {
	header
	text, folder string
}

func (f firewall) write(t *testing.T, in Input) exported {
	t.Helper()
	text := write(t, f.format, with(f.more, in))
	e := exported{headerOf(t, text), text, t.TempDir()}
	put(t, filepath.Join(e.folder, "FILE"), text, 0o600)
	return e
}

// paste types a command that was printed, which must succeed, and returns what it prints.
func (f firewall) paste(t *testing.T, e exported, command string) string {
	t.Helper()
	out, err := f.shell("cd " + e.folder + " && " + command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// isAs fails the test where the state is not what it was.
func (f firewall) isAs(t *testing.T, when, was string) {
	t.Helper()
	if diff := cmp.Diff(was, f.state()); diff != "" {
		t.Errorf("%s: -was +is\n%s", when, diff)
	}
}

// takeOut takes an export out as it says, and as it says then.
func (f firewall) takeOut(t *testing.T, e exported) {
	t.Helper()
	if !f.shut {
		f.paste(t, e, e.takeOut)
		return
	}
	before := f.state()
	out, err := f.shell("cd " + e.folder + " && " + e.takeOut)
	if err == nil || f.state() != before {
		t.Fatalf("%s shuts CloudFront out: %s", e.takeOut, out)
	}
	f.paste(t, e, printedIn(t, out))
}

// printedIn returns the command that a script prints to be pasted.
func printedIn(t *testing.T, output string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m): {3}(\S.*)$`).FindAllStringSubmatch(output, -1)
	if len(found) != 1 {
		t.Fatalf("it prints %d commands: %s", len(found), output)
	}
	return found[0][1]
}

// check loads an export and loads a changed one, while clients connect all the time, and takes it out.
func (o *origin) check(f firewall) {
	t := o.t
	load := func(e exported) { f.paste(t, e, e.load) }
	first, second := f.write(t, sample()), f.write(t, changed())
	others := func(when string) {
		t.Helper()
		o.expect(when, 22, addrs{kept4, other4, other6}, nil)
		for _, a := range []netip.Addr{o.addr4, o.addr6} {
			if !o.reach(o.host, a, 443, long) {
				t.Errorf("%s: the host does not reach itself at %v", when, a)
			}
		}
	}
	before := f.state()
	f.paste(t, first, first.takeOut)
	f.isAs(t, "taken out before it is loaded", before)
	load(first)
	o.expect("loaded", 443, addrs{kept4, kept6, gone4, gone6}, addrs{next4, next6, other4, other6})
	o.expect("loaded", 8080, addrs{kept4, kept6}, addrs{other4, other6})
	others("loaded")

	lasting := o.dial(o.internet, gone4, 443, long)
	if lasting == nil {
		t.Fatal("a listed address does not get in")
	}
	defer lasting.Close()
	crowds := map[*crowd]bool{
		o.crowd(kept4, 443, long): true, o.crowd(kept6, 443, long): true,
		o.crowd(other4, 443, hasty): false, o.crowd(other6, 443, hasty): false,
	}
	load(second)
	for range f.rounds {
		load(first)
		load(second)
	}
	for c, listed := range crowds {
		c.disperse(listed)
	}
	if !echoes(lasting) {
		t.Error("a connection that was there before a change is cut by it")
	}
	o.expect("changed", 443, addrs{kept4, kept6, next4, next6}, addrs{gone4, gone6, other4, other6})
	others("changed")
	loaded := f.state()
	load(second)
	f.isAs(t, "loaded a second time", loaded)

	one := sample()
	one.IPv6, one.Ports = nil, one.Ports[:1]
	f.more = 0
	load(f.write(t, one))
	o.expect("IPv4 alone, on one port less", 443, addrs{kept4, gone4}, addrs{kept6, next6, next4, other4, other6})

	f.takeOut(t, second)
	f.paste(t, second, second.takeOut)
	others("taken out")
	in, out := addrs{other4, other6}, addrs{}
	if f.shut {
		in, out = nil, addrs{kept4, kept6}
	}
	o.expect("taken out", 443, in, out)
	o.expect("taken out", 8080, in, out)
	f.isAs(t, "taken out", before)
}

func TestNftables(t *testing.T) {
	o := newOrigin(t, "nft")
	o.in(o.host, "nft", "add table inet mine; add chain inet mine input { type filter hook input priority filter; }; "+
		"add rule inet mine input tcp dport 8443 accept")
	f := firewall{
		format: "nftables", shell: o.shell, rounds: 10, more: 2000,
		state: func() string { return o.in(o.host, "nft", "--stateless", "list", "ruleset") },
	}
	o.check(f)

	// After a restart it is there by the line that is printed for it.
	e := f.write(t, sample())
	include := regexp.MustCompile(`(?m)^# +(include "FILE")$`).FindStringSubmatch(e.text)
	if include == nil {
		t.Fatalf("it does not say how to include it:\n%s", e.text)
	}
	mine := f.state()
	config := filepath.Join(e.folder, "nftables.conf")
	include[1] = strings.Replace(include[1], "FILE", filepath.Join(e.folder, "FILE"), 1)
	put(t, config, "flush ruleset\n"+mine+include[1]+"\n", 0o600)
	for _, when := range []string{"started", "restarted"} {
		o.in(o.host, "nft", "-f", config)
		o.expect(when, 443, addrs{kept4, kept6}, addrs{other4, other6})
	}
	f.takeOut(t, e)
	f.isAs(t, "taken out after a restart", mine)
	// And it says the truth about a file that is missing.
	if out, err := f.shell("rm " + e.folder + "/FILE && nft -f " + config); err == nil {
		t.Errorf("nft loads a configuration that includes a missing file: %s", out)
	}
}

func TestIptables(t *testing.T) {
	o := newOrigin(t, "iptables", "ip6tables", "iptables-restore", "ip6tables-restore")
	o.in(o.host, "iptables", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", "8443", "-j", "ACCEPT")
	f := firewall{
		format: "iptables", shell: o.shell, rounds: 10, more: 2000,
		state: func() string {
			return o.in(o.host, "iptables", "-t", "mangle", "-S") + o.in(o.host, "ip6tables", "-t", "mangle", "-S")
		},
	}
	o.check(f)

	// An interruption leaves nothing behind either: while a set was filled, and while it was taken out.
	before := f.state()
	e := f.write(t, sample())
	for _, interrupted := range []string{
		"iptables -t mangle -N CLOUDFRONT-RANGES",
		e.load + " && iptables -t mangle -D PREROUTING -j CLOUDFRONT-INGRESS",
		e.load + " && iptables -t mangle -D PREROUTING -j CLOUDFRONT-INGRESS && " +
			"iptables -t mangle -F CLOUDFRONT-INGRESS",
		e.load + " && ip6tables -t mangle -I PREROUTING -j CLOUDFRONT-INGRESS",
	} {
		f.paste(t, e, interrupted)
		f.takeOut(t, e)
		f.isAs(t, "taken out after "+interrupted, before)
	}
	// Who may not take it out is told.
	if _, err := exec.LookPath("setpriv"); err == nil {
		f.paste(t, e, e.load)
		f.loads(t, "not permitted", exported{header{load: e.takeOut}, "", e.folder},
			"setpriv --bounding-set -all --inh-caps -all --ambient-caps -all -- ", true, "")
	}
}

// Ports that a container publishes are filtered as they are reached, before destination NAT.
func TestPublishedPorts(t *testing.T) {
	for _, format := range []string{"nftables", "iptables"} {
		t.Run(format, func(t *testing.T) {
			o := newOrigin(t, "nft", "iptables", "ip6tables")
			o.in(o.host, "nft", "add table inet nat; "+
				"add chain inet nat prerouting { type nat hook prerouting priority dstnat; }; "+
				"add rule inet nat prerouting tcp dport 8000 redirect to :8443")
			f := firewall{format: format, shell: o.shell}
			e := f.write(t, sample())
			o.expect("before", 8000, addrs{kept4, kept6, other4, other6}, nil)
			f.paste(t, e, e.load)
			o.expect("loaded", 8000, addrs{kept4, kept6}, addrs{other4, other6})
		})
	}
}

// copyOf copies a file or folder of the system, so that a test changes the copy.
func copyOf(t *testing.T, folder string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etc")
	if out, err := exec.Command("cp", "-a", folder, dir).CombinedOutput(); err != nil {
		t.Skipf("%s cannot be copied: %s", folder, out)
	}
	return dir
}

// newUfw makes a host with ufw, which has no rules and is not active, and returns what runs a script there.
func newUfw(t *testing.T) (f firewall, o *origin, sh func(script string) string) {
	t.Helper()
	o = newOrigin(t, "ufw", "unshare", "mount", "iptables")
	etc, settings := copyOf(t, "/etc/ufw"), copyOf(t, "/etc/default/ufw")
	f = firewall{
		format: "ufw",
		// A mount namespace of its own, in which the copies are in the places of what they were copied from.
		shell: func(script string) (string, error) {
			return o.try(o.host, "unshare", "-m", "sh", "-c",
				`mount --bind "$0" /etc/ufw && mount --bind "$1" /etc/default/ufw && `+script, etc, settings)
		},
		shut: true,
	}
	sh = func(script string) string {
		t.Helper()
		return f.paste(t, exported{folder: "/"}, script)
	}
	f.state = func() string { return sh("ufw status numbered") }
	sh("ufw --force reset && rm -f /etc/ufw/*.rules.2*")
	return f, o, sh
}

func TestUfw(t *testing.T) {
	f, o, sh := newUfw(t)
	sh("ufw allow 22/tcp && ufw allow from 198.51.100.0/24 to any port 443 proto tcp && ufw --force enable")
	o.check(f)

	// With a rule of the user's that lets everyone in, it can be taken out, but does not keep anyone out.
	e := f.write(t, sample())
	sh("ufw allow 443 && ufw allow 80,8000:8080/tcp")
	if out := f.paste(t, e, e.load+" 2>&1"); !strings.Contains(out, "let everyone in") || strings.Contains(out, "22") ||
		!strings.Contains(out, "\n  allow from any to any port 443\n") {
		t.Errorf("the script does not tell of a rule that opens the port to everyone: %s", out)
	}
	f.paste(t, e, e.takeOut)
	o.expect("taken out beside others", 443, addrs{kept4, other4}, nil)
	sh("ufw delete allow 443 && ufw delete allow 80,8000:8080/tcp")

	// Where ufw lets everyone in, what the script prints shuts out neither CloudFront nor the operator.
	f.paste(t, e, e.load)
	for _, c := range []struct {
		weak, connection string
		port             uint16 // of SSH
	}{
		{"ufw --force disable", "export SSH_CONNECTION='203.0.113.10 50000 192.0.2.1 8443'", 8443},
		{"ufw default allow incoming && ufw delete allow 22/tcp", "unset SSH_CONNECTION", 22},
	} {
		sh(c.weak)
		out := f.paste(t, e, c.connection+" && "+e.load+" 2>&1")
		o.expect("before "+c.weak, 443, addrs{kept4, kept6, other4}, nil)
		sh(printedIn(t, out))
		o.expect("after "+c.weak, c.port, addrs{other4, other6}, nil)
		o.expect("after "+c.weak, 443, addrs{kept4, kept6}, addrs{other4, other6})
	}
}

// startFirewalld runs firewalld for the host, with a configuration of its own, on a message bus of its own, on which
// everything is allowed as on a session's. It returns what runs a script that talks to it, and where the configuration
// is.
func startFirewalld(o *origin) (shell func(script string) (string, error), etc string) {
	t := o.t
	dir, etc := t.TempDir(), copyOf(t, "/etc/firewalld")
	socket := filepath.Join(dir, "socket")
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
	shell = func(script string) (string, error) { return o.try(o.host, "env", address, "sh", "-c", script) }
	start("dbus-daemon", "--session", "--address=unix:path="+socket, "--nofork", "--nopidfile")
	start("sh", "-c", "until [ -S "+socket+" ]; do sleep 0.1; done; exec firewalld --nofork --nopid --system-config "+etc+
		" --log-file "+dir+"/log")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := shell("firewall-cmd --state"); err == nil {
			return shell, etc
		}
		if time.Now().After(deadline) {
			t.Skip("firewalld does not start here")
		}
	}
}

func TestFirewalld(t *testing.T) {
	o := newOrigin(t, "firewalld", "firewall-cmd", "dbus-daemon", "nft")
	shell, etc := startFirewalld(o)
	f := firewall{format: "firewalld", shell: shell}
	sh := func(script string) string {
		t.Helper()
		return f.paste(t, exported{folder: "/"}, script)
	}
	// The rules in force, and those kept for the next start. Asking firewall-cmd for all of them takes very long.
	f.state = func() string {
		return sh("nft --stateless list ruleset && find " + etc + "/zones " + etc +
			"/ipsets -name '*.xml' | sort | xargs head -n -0")
	}
	// The zone opens the ports to everyone; the export closes them except to the ranges.
	sh("firewall-cmd --permanent --add-service=https && firewall-cmd --permanent --add-port=8000-8080/tcp")
	sh("firewall-cmd --permanent --add-rich-rule='rule family=ipv4 source address=198.51.100.0/24 " +
		"port port=9443 protocol=tcp accept'")
	sh("firewall-cmd --reload")
	o.check(f)

	// The operator may have come in by a port that is open until the next reload.
	e := f.write(t, sample())
	sh("firewall-cmd --permanent --remove-service=ssh && firewall-cmd --reload && firewall-cmd --add-port=22/tcp")
	before := f.state()
	out, err := f.shell("cd " + e.folder + " && " + e.load)
	if err == nil || f.state() != before {
		t.Fatalf("it reloads firewalld, which drops what is not permanent: %s", out)
	}
	sh(printedIn(t, out))
	f.paste(t, e, e.load)
	o.expect("kept", 22, addrs{other4, other6}, nil)
	o.expect("kept", 443, addrs{kept4, kept6}, addrs{other4, other6})

	// Taken out, it is gone from other zones as well: firewalld does not start with rules that refer to no set. Where
	// no other rule opens the ports, as in that zone, it is not taken out by mistake.
	f.paste(t, e, "ZONE=work "+e.load)
	f.shut = true
	f.takeOut(t, e)
	if state := f.state(); strings.Contains(state, "cloudfront") || strings.Contains(state, "-20443") {
		t.Errorf("taken out, it leaves %s", state)
	}
	sh("firewall-cmd --reload && firewall-cmd --check-config")

	// Packets come in by the default zone, by that of the device, or by that of their source.
	sh("firewall-cmd --set-default-zone=work && firewall-cmd --permanent --zone=work --add-service=https && " +
		"firewall-cmd --permanent --zone=dmz --add-service=https && firewall-cmd --reload")
	f.loads(t, "a zone that nothing comes in by", e, "ZONE=dmz ", true,
		"come in by the zone work, so these rules have no effect")
	f.loads(t, "the default zone", e, "", false)
	o.expect("the default zone", 443, addrs{kept4, kept6, gone4}, addrs{other4, other6})
	sh("firewall-cmd --permanent --zone=home --add-source=52.84.0.0/24 && " +
		"firewall-cmd --permanent --zone=dmz --add-interface=eth0 && firewall-cmd --reload")
	o.expect("a zone of its own", 443, nil, addrs{kept4})
	f.loads(t, "a zone of its own", f.write(t, changed()), "", false)
	o.expect("a zone of its own", 443, addrs{kept4, kept6, next4, next6}, addrs{gone4, other4, other6})

	// A refusal is reported, and whoever got in before still does.
	sh("firewall-cmd --zone=dmz --add-rich-rule='rule priority=-30000 family=ipv4 source address=52.84.0.0/16 reject'")
	sh(fail2ban)
	f.loads(t, "refused", e, refusing(t, "firewall-cmd", "--add-entries-from-file"), true, "firewalld refused this",
		"ERROR: no ", `zone dmz: rule priority="-30000" family="ipv4" source address="52.84.0.0/16" reject`,
		"-A f2b-nginx -s 52.84.0.10/32")
	o.expect("refused", 443, addrs{kept6, next4, next6}, nil)
}
