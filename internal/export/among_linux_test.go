package export

import (
	"path/filepath"
	"strings"
	"testing"
)

// loads loads an export among rules of others, and checks the exit code and what it prints.
func (f firewall) loads(t *testing.T, when string, e exported, before string, fails bool, says ...string) {
	t.Helper()
	out, err := f.shell("cd " + e.folder + " && " + before + e.load + " 2>&1")
	if (err != nil) != fails {
		t.Fatalf("%s: error %v\n%s", when, err, out)
	}
	for _, s := range says {
		if !strings.Contains(out, s) {
			t.Errorf("%s: it does not say %q:\n%s", when, s, out)
		}
	}
	if len(says) == 0 && strings.TrimSpace(out) != "" {
		t.Errorf("%s: it says %s", when, out)
	}
}

// refusing makes a program that refuses what contains a word, and otherwise does what the real one does. It returns
// what puts it first.
func refusing(t *testing.T, program, word string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, program), "#!/bin/sh\ncase \"$*\" in *'"+word+
		"'*) echo \"ERROR: no $*\" >&2; exit 1 ;; esac\nPATH=${PATH#*:} exec "+program+" \"$@\"\n", 0o700)
	return "PATH=" + dir + ":$PATH "
}

// fail2ban has an edge of CloudFront banned, as its action iptables-multiport does it.
const fail2ban = "iptables -N f2b-nginx && iptables -A f2b-nginx -s 52.84.0.10/32 -j REJECT && " +
	"iptables -I INPUT -p tcp -m multiport --dports 80,443 -j f2b-nginx"

// Whatever else ufw has: all that is listed gets in, or the script says what is in the way.
func TestUfwAmongOthers(t *testing.T) {
	f, o, sh := newUfw(t)
	e, later := f.write(t, sample()), f.write(t, changed())
	sh("ufw allow 22/tcp && ufw deny 443 && ufw limit 8000:8080/tcp && ufw deny 9000 && ufw --force enable")
	f.loads(t, "after a deny", e, "", false, "limit from any to any port 8000:8080 proto tcp\n")
	o.expect("after a deny", 443, addrs{kept4, kept6, gone4, gone6}, addrs{other4, other6})
	sh("ufw delete deny 443 && ufw delete limit 8000:8080/tcp && ufw prepend deny 80,443/tcp")
	o.expect("before a deny", 443, nil, addrs{kept4, kept6})
	f.loads(t, "before a deny", later, "", false)
	o.expect("before a deny", 443, addrs{kept4, kept6, next4, next6}, nil)
	sh("ufw delete deny 80,443/tcp && ufw prepend reject in on eth0 from 52.84.1.0/24 && " +
		"ufw prepend deny from 2600:9000:10ff::/48 to any port 1:500 proto tcp")
	before := sh("ufw status numbered")
	crowd4, crowd6 := o.crowd(kept4, 443, long), o.crowd(kept6, 443, long)
	f.loads(t, "part denied", later, "", false)
	crowd4.disperse(true)
	crowd6.disperse(true)
	if after := sh("ufw status numbered"); before == after ||
		strings.Count(before, "\n") != strings.Count(after, "\n") {
		t.Errorf("rules were to move, from\n%sto\n%s", before, after)
	}
	loaded := f.state()
	f.loads(t, "loaded again", later, "", false)
	f.isAs(t, "loaded again", loaded)

	f.loads(t, "a refusal", e, refusing(t, "ufw", "from 18.64.0.0/14"), true, "ufw refused this",
		"ERROR: no prepend allow from 18.64.0.0/14",
		"from 18.64.0.0/14 to any port 443,8000:8080 proto tcp comment cloudfront-ingress: ERROR")
	o.expect("a refusal", 443, addrs{kept4, kept6, gone6}, addrs{gone4, next4, next6})

	sh("changed=$(sed 's/IPV6=yes/IPV6=no/' /etc/default/ufw) && echo \"$changed\" >/etc/default/ufw && ufw reload")
	for when, e := range map[string]exported{"IPV6=no": e, "IPV6=no, changed": later} {
		f.loads(t, when, e, "", false, "over IPv4 only")
		o.expect(when, 443, addrs{kept4}, addrs{kept6, other4, other6})
	}
	f.loads(t, "IPV6=no", later, "", false, "over IPv4 only")
	o.expect("IPV6=no", 443, addrs{kept4, next4}, nil)
	sh(fail2ban + " && iptables -I ufw-before-input -p tcp --dport 8000:8010 -j DROP")
	f.loads(t, "banned", later, "", false, "-A f2b-nginx -s 52.84.0.10/32 -j REJECT",
		"-A ufw-before-input -p tcp -m tcp --dport 8000:8010 -j DROP")
}

// The rules of others in iptables are reported, go after ours, and are saved and restored together with them.
func TestIptablesAmongOthers(t *testing.T) {
	o := newOrigin(t, "iptables", "ip6tables", "iptables-restore", "ip6tables-restore")
	f := firewall{format: "iptables", shell: o.shell}
	e, later := f.write(t, sample()), f.write(t, changed())
	sh := func(script string) { t.Helper(); f.paste(t, e, script) }
	f.loads(t, "first", e, "", false)

	// netfilter-persistent does this when asked to save, and at the next start, when no ipset is there yet. See
	// plugins.d/15-ip4tables and 25-ip6tables of Debian's package iptables-persistent.
	saved := filepath.Join(t.TempDir(), "rules")
	sh("iptables-save >" + saved + ".v4 && ip6tables-save >" + saved + ".v6")
	sh("nft flush ruleset && { ! ipset -v >/dev/null 2>&1 || ipset destroy; }")
	o.expect("started", 443, addrs{other4, other6}, nil)
	sh("iptables-restore <" + saved + ".v4 && ip6tables-restore <" + saved + ".v6")
	o.expect("restored", 443, addrs{kept4, kept6}, addrs{other4, other6})
	f.loads(t, "restored", later, "", false)
	o.expect("restored, changed", 443, addrs{kept4, next4, next6}, addrs{gone4, other4, other6})

	sh("iptables -t mangle -I PREROUTING -p tcp --dport 443 -j ACCEPT")
	o.expect("a rule before", 443, addrs{other4}, nil)
	f.loads(t, "a rule before", later, "", false)
	o.expect("a rule before", 443, addrs{kept4}, addrs{other4})
	sh(fail2ban + " && ip6tables -A INPUT -s 2600:9000::/20 -p tcp -j DROP && " +
		"iptables -A INPUT -p udp --dport 443 -j DROP && iptables -A INPUT -s 203.0.113.0/24 -j DROP && " +
		"iptables -A INPUT -p tcp --dport 9000 -j DROP")
	f.loads(t, "banned", later, "", false, "These may shut CloudFront out on TCP port 443 8000-8080:\n"+
		"  -A f2b-nginx -s 52.84.0.10/32 -j REJECT --reject-with icmp-port-unreachable\n"+
		"  -A INPUT -s 2600:9000::/20 -p tcp -j DROP\n")

	f.loads(t, "IPv6 refused", e, refusing(t, "ip6tables-restore", "noflush"), true,
		"The rules for IPv6 were not changed")
	o.expect("IPv6 refused", 8080, addrs{kept4, gone4}, addrs{other4})
}
