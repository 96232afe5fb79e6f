package export

import (
	"regexp"
	"strings"
	"testing"

	"cloudfront-sg-sync/secgroup"
)

// A header is what the comment of an export says to type. The export is in the file FILE of the folder where it is
// typed.
type header struct{ load, takeOut string }

var printedCommands = map[string]*regexp.Regexp{
	"load":     regexp.MustCompile(`(?m)^# Load.*: {2,}(\S.*)$`),
	"take out": regexp.MustCompile(`(?m)^# (?:T|.*t)ake out.*: {2,}(\S.*)$`),
}

// headerOf reads the commands out of an export.
func headerOf(t *testing.T, export string) header {
	t.Helper()
	printed := func(what string) string {
		found := printedCommands[what].FindAllStringSubmatch(export, -1)
		if len(found) != 1 {
			t.Fatalf("it says %d times how to %s it:\n%s", len(found), what, export)
		}
		return found[0][1]
	}
	return header{load: printed("load"), takeOut: printed("take out")}
}

// Windows is told to remove the rule that is made, after a warning that this may shut CloudFront out. Where
// these tests run there is no Windows Defender Firewall to try it on.
func TestWindowsTakeOut(t *testing.T) {
	text := write(t, "windows", sample())
	command := headerOf(t, text).takeOut
	if want := "Get-NetFirewallRule -Name cloudfront-ingress -ErrorAction SilentlyContinue | Remove-NetFirewallRule"; command != want || !strings.Contains(text, "= 'cloudfront-ingress'\n") {
		t.Errorf("it takes out by %s, want %s", command, want)
	}
	before, _, _ := strings.Cut(text, command)
	if !strings.Contains(before, "not even CloudFront: allow them first") {
		t.Errorf("it does not say whom taking it out may shut out:\n%s", text)
	}
}

// Who shuts everyone else out of SSH is told so before it is loaded.
func TestSSHIsWarnedOf(t *testing.T) {
	for _, format := range []string{"nftables", "iptables", "firewalld"} {
		for ports, warned := range map[secgroup.PortRange]bool{{From: 443, To: 443}: false, {From: 22, To: 22}: true, {From: 1, To: 65535}: true, {From: 23, To: 65535}: false} {
			in := sample()
			in.Ports = []secgroup.PortRange{ports}
			text := write(t, format, in)
			comment, _, _ := strings.Cut(text, "# Load")
			if got := strings.Contains(comment, "only these ranges reach SSH"); got != warned {
				t.Errorf("%s for port %s warns: %t, want %t", format, ports, got, warned)
			}
		}
	}
}
