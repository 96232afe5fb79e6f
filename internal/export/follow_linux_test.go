package export

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// published returns ip-ranges.json with the ranges of an input.
func published(t *testing.T, token int, in Input) string {
	t.Helper()
	list := func(member string, prefixes []netip.Prefix) (entries []map[string]string) {
		for _, p := range prefixes {
			entries = append(entries, map[string]string{member: p.String(), "service": "CLOUDFRONT"})
		}
		return entries
	}
	text, err := json.Marshal(map[string]any{"syncToken": fmt.Sprint(token), "prefixes": list("ip_prefix", in.IPv4), "ipv6_prefixes": list("ipv6_prefix", in.IPv6)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// cfsg follow keeps the script of a firewall current. A list that the firewall refuses leaves the one before in force.
func TestFollow(t *testing.T) {
	cfsg := filepath.Join(t.TempDir(), "cfsg")
	if out, err := exec.Command("go", "build", "-o", cfsg, "../../cmd/cfsg").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		format  string
		host    func(t *testing.T) (firewall, *origin)
		program string // refuses a range of the first list
		word    string
	}{
		{"ufw", func(t *testing.T) (firewall, *origin) {
			f, o, sh := newUfw(t)
			sh("ufw allow 22/tcp && ufw --force enable")
			return f, o
		}, "ufw", "from 18.64.0.0/14"},
		{"iptables", func(t *testing.T) (firewall, *origin) {
			o := newOrigin(t, "iptables", "ip6tables", "iptables-restore", "ip6tables-restore")
			return firewall{shell: o.shell}, o
		}, "ip6tables-restore", "noflush"},
	} {
		t.Run(test.format, func(t *testing.T) {
			f, o := test.host(t)
			dir := t.TempDir()
			file, list := filepath.Join(dir, "ranges"), filepath.Join(dir, "ip-ranges.json")
			follow := func(when, before string, token int, in Input, outcome string) {
				t.Helper()
				if err := os.WriteFile(list, []byte(published(t, token, in)), 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := f.shell(before + cfsg + " follow " + test.format + " --write " + file + " --ip-ranges " + list +
					" --port 443 --port 8000-8080 --max-revoke-percent 100 -o json")
				if (err != nil) != (outcome != "updated" && outcome != "unchanged") || !strings.Contains(out, `"outcome": "`+outcome+`"`) {
					t.Fatalf("%s: error %v\n%s", when, err, out)
				}
			}
			follow("first", "", 1787411825, sample(), "updated")
			o.expect("first", true, 443, kept4, kept6, gone4, gone6)
			o.expect("first", false, 443, other4, other6)
			follow("again", "", 1787411825, sample(), "unchanged")
			follow("changed", "", 1787411826, changed(), "updated")
			o.expect("changed", true, 443, kept4, kept6, next4, next6)
			o.expect("changed", false, 443, gone4, gone6, other4, other6)
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			follow("refused", refusing(t, test.program, test.word), 1787411827, sample(), "reload-failed")
			if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
				t.Errorf("the file of before is not in force: %v", err)
			}
			o.expect("refused", true, 443, kept4, kept6, next4, next6)
			o.expect("refused", false, 443, other4, other6)
			follow("at last", "", 1787411828, sample(), "updated")
			o.expect("at last", true, 443, kept4, kept6, gone4, gone6)
			o.expect("at last", false, 443, next4, next6, other4, other6)
		})
	}
}
