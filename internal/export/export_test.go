package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

func prefixes(list ...string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, s := range list {
		parsed = append(parsed, netip.MustParsePrefix(s))
	}
	return parsed
}

// sample is a small input.
func sample() Input {
	return Input{
		Publication: &iprange.Publication{
			SyncToken: "1787411825", Published: time.Unix(1787411825, 0),
			IPv4: prefixes("18.64.0.0/14", "52.84.0.0/15"), IPv6: prefixes("2600:9000:1000::/36"),
		},
		Selection: iprange.Selection{Services: []string{"CLOUDFRONT"}},
		Ports:     []secgroup.PortRange{{From: 443, To: 443}, {From: 8000, To: 8080}},
		TagKey:    "cloudfront-ingress",
	}
}

// with returns an input with more ranges, before those that it has.
func with(more int, in Input) Input {
	for i := range more {
		in.IPv4 = append(prefixes(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)), in.IPv4...)
		in.IPv6 = append(prefixes(fmt.Sprintf("2600:1f00:%x::/48", i)), in.IPv6...)
	}
	return in
}

func write(t *testing.T, format string, in Input) string {
	t.Helper()
	var out bytes.Buffer
	i := slices.IndexFunc(Formats, func(f Format) bool { return f.Name == format })
	if err := Formats[i].Write(&out, in); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// put writes a file.
func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// A header is what the comment of an export says to type. The export is in the file FILE of the folder where it is
// typed.
type header struct{ load, takeOut string }

// headerOf reads the commands out of an export.
func headerOf(t *testing.T, export string) header {
	t.Helper()
	printed := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(export, -1)
		if len(found) != 1 {
			t.Fatalf("it says %d times how to load it, or to take it out:\n%s", len(found), export)
		}
		return found[0][1]
	}
	return header{printed(`(?m)^# Load.*: {2,}(\S.*)$`), printed(`(?m)^# (?:T|.*t)ake out.*: {2,}(\S.*)$`)}
}

// Each format says what it is, how to load it and how to take it out, where it belongs, and which family it leaves out.
func TestFormats(t *testing.T) {
	for _, f := range Formats {
		t.Run(f.Name, func(t *testing.T) {
			data := f.Name == "json" || f.Name == "csv"
			in := sample()
			in.Selection.Services, in.Selection.Within = []string{"CLOUDFRONT_ORIGIN_FACING"}, []string{"CLOUDFRONT"}
			got := write(t, f.Name, in)
			in.IPv6 = nil
			one := write(t, f.Name, in)
			if !data {
				headerOf(t, got)
			}
			says := map[string]bool{
				"CLOUDFRONT_ORIGIN_FACING": true, "2026-08-22T15:17:05Z": true, "1787411825": true,
				"CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT as published": !data,
				"Made by cfsg export " + f.Name:                           !data,
				"The connecting address has to be CloudFront's own.":      !f.NotForHosts && !f.Trusts,
				"cfsg check --instance ID":                                !f.NotForHosts && !f.Trusts,
				"Trusting a proxy is not authentication":                  f.Trusts,
				"TCP port 443 8000-8080":                                  f.HasPorts,
			}
			for _, p := range sample().Merged() {
				says[p.String()] = true
			}
			for text, wanted := range says {
				if strings.Contains(got, text) != wanted {
					t.Errorf("it says %q: %t\n%s", text, !wanted, got)
				}
			}
			if says := strings.Contains(one, "nobody is let in over IPv6"); says == (data || f.Trusts) ||
				strings.Contains(one, "2600:") {
				t.Errorf("for IPv4 alone it is\n%s", one)
			}
			if f.NotForHosts {
				return
			}
			in.Via = prefixes("10.1.0.0/16", "fd00::/64")
			got = write(t, f.Name, in)
			if !strings.Contains(got, "10.1.0.0/16") || strings.Contains(got, "18.64.0.0/14") != f.Trusts {
				t.Errorf("behind a load balancer it is\n%s", got)
			}
		})
	}
}

// Windows is told to remove the rule that is made, after a warning that this may shut CloudFront out. Where
// these tests run there is no Windows Defender Firewall to try it on.
func TestWindowsTakeOut(t *testing.T) {
	text := write(t, "windows", sample())
	const command = "Get-NetFirewallRule -Name cloudfront-ingress -ErrorAction SilentlyContinue | Remove-NetFirewallRule"
	before, _, _ := strings.Cut(text, command)
	if headerOf(t, text).takeOut != command || !strings.Contains(text, "= 'cloudfront-ingress'\n") ||
		!strings.Contains(before, "not even CloudFront: allow them first") {
		t.Errorf("it does not say how to take it out, or whom that may shut out:\n%s", text)
	}
}

// Who shuts everyone else out of SSH is told so before it is loaded.
func TestSSHIsWarnedOf(t *testing.T) {
	for _, format := range []string{"nftables", "iptables", "firewalld"} {
		for ports, warned := range map[secgroup.PortRange]bool{
			{From: 443, To: 443}: false, {From: 22, To: 22}: true, {From: 1, To: 65535}: true, {From: 23, To: 65535}: false,
		} {
			in := sample()
			in.Ports = []secgroup.PortRange{ports}
			comment, _, _ := strings.Cut(write(t, format, in), "# Load")
			if got := strings.Contains(comment, "only these ranges reach SSH"); got != warned {
				t.Errorf("%s for port %s warns: %t, want %t", format, ports, got, warned)
			}
		}
	}
}

func TestDataIsParsed(t *testing.T) {
	var document struct{ IPv4, IPv6 []netip.Prefix }
	if err := json.Unmarshal([]byte(write(t, "json", sample())), &document); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Concat(document.IPv4, document.IPv6), sample().Merged(); !slices.Equal(got, want) {
		t.Errorf("json has %v, want %v", got, want)
	}
	lines, err := csv.NewReader(strings.NewReader(write(t, "csv", sample()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range sample().Merged() {
		if got := lines[i+1][0]; got != want.String() {
			t.Errorf("line %d of csv has %s, want %v", i+1, got, want)
		}
	}
}

// A name cannot break out of a comment or a string.
func TestStrangeService(t *testing.T) {
	for _, name := range []string{"", "A\nreboot", "A'; reboot; '", "A B", "Ä"} {
		wanted, within := sample(), sample()
		wanted.Selection.Services = []string{"CLOUDFRONT", name}
		within.Selection.Within = []string{name}
		for _, in := range []Input{wanted, within} {
			for _, f := range Formats {
				var out bytes.Buffer
				if err := f.Write(&out, in); err == nil || out.Len() > 0 {
					t.Errorf("%s with service %q: error %v, %d bytes", f.Name, name, err, out.Len())
				}
			}
		}
	}
}

func TestWriteFails(t *testing.T) {
	reader, closed := io.Pipe()
	_ = reader.Close()
	for _, f := range Formats {
		if err := f.Write(closed, sample()); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: error %v", f.Name, err)
		}
	}
}
