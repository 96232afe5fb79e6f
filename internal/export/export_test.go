package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
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

// Each format says what it is, how to load it and how to take it out, where it belongs, and which family it leaves out.
func TestFormats(t *testing.T) {
	for _, f := range Formats {
		t.Run(f.Name, func(t *testing.T) {
			data := f.Name == "json" || f.Name == "csv"
			in := sample()
			in.Selection.Services, in.Selection.Within = []string{"CLOUDFRONT_ORIGIN_FACING"}, []string{"CLOUDFRONT"}
			got := write(t, f.Name, in)
			mentions := []string{"CLOUDFRONT_ORIGIN_FACING", "2026-08-22T15:17:05Z", "1787411825"}
			for _, p := range in.Merged() {
				mentions = append(mentions, p.String())
			}
			if !data {
				headerOf(t, got)
				mentions = append(mentions, "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT as published",
					"Made by cfsg export "+f.Name)
			}
			if !f.NotForHosts && !f.Trusts {
				mentions = append(mentions, "The connecting address has to be CloudFront's own.",
					"cfsg check --instance ID")
			}
			if f.Trusts {
				mentions = append(mentions, "Trusting a proxy is not authentication")
			}
			if f.HasPorts {
				mentions = append(mentions, "TCP port 443 8000-8080")
			}
			in.IPv6 = nil
			one := write(t, f.Name, in)
			if says := strings.Contains(one, "nobody is let in over IPv6"); says == (data || f.Trusts) ||
				strings.Contains(one, "2600:") {
				t.Errorf("for IPv4 alone it is\n%s", one)
			}
			for _, m := range mentions {
				if !strings.Contains(got, m) {
					t.Errorf("it does not say %q:\n%s", m, got)
				}
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

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteFails(t *testing.T) {
	for _, f := range Formats {
		if err := f.Write(full{}, sample()); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v", f.Name, err)
		}
	}
}
