package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/secgroup"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

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
		Services:  []string{"CLOUDFRONT"},
		SyncToken: "1787411825",
		Published: time.Unix(1787411825, 0),
		IPv4:      prefixes("18.64.0.0/14", "52.84.0.0/15"),
		IPv6:      prefixes("2600:9000:1000::/36"),
		Ports:     []secgroup.PortRange{{From: 443, To: 443}, {From: 8000, To: 8080}},
		TagKey:    "cloudfront-ingress",
	}
}

func write(t *testing.T, format string, in Input) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, format, in); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Each format is as reviewed, and has what a loader has to know.
func TestGolden(t *testing.T) {
	for _, f := range Formats {
		t.Run(f.Name, func(t *testing.T) {
			got := write(t, f.Name, sample())
			golden := filepath.Join("testdata", f.Name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
			for _, p := range sample().All() {
				if !strings.Contains(got, p.String()) {
					t.Errorf("%v is missing", p)
				}
			}
			mentions := []string{"CLOUDFRONT", "2026-08-22T15:17:05Z", "1787411825"}
			if f.Name != "json" && f.Name != "csv" {
				mentions = append(mentions, "Made by cfsg export "+f.Name, "ake out:")
			}
			if data := f.Name == "json" || f.Name == "csv" || strings.HasPrefix(f.Name, "terraform"); !data {
				mentions = append(mentions, "The connecting address has to be CloudFront's own.", "cfsg check --instance ID")
			}
			if f.HasPorts {
				mentions = append(mentions, "TCP port 443 8000-8080")
			}
			for _, m := range mentions {
				if !strings.Contains(got, m) {
					t.Errorf("it does not say %q", m)
				}
			}
		})
	}
}

// A family without ranges is one that nobody is let in by, and that is said.
func TestOneFamily(t *testing.T) {
	in := sample()
	in.IPv6 = nil
	for _, f := range Formats {
		got := write(t, f.Name, in)
		if strings.Contains(got, "2600:") {
			t.Errorf("%s has IPv6 ranges: %s", f.Name, got)
		}
		if says := strings.Contains(got, "nobody is let in over IPv6"); says == (f.Name == "json" || f.Name == "csv") {
			t.Errorf("%s says that nobody is let in over IPv6: %t", f.Name, says)
		}
	}
}

func TestDataIsParsed(t *testing.T) {
	var document struct{ IPv4, IPv6 []netip.Prefix }
	if err := json.Unmarshal([]byte(write(t, "json", sample())), &document); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Concat(document.IPv4, document.IPv6), sample().All(); !slices.Equal(got, want) {
		t.Errorf("json has %v, want %v", got, want)
	}
	lines, err := csv.NewReader(strings.NewReader(write(t, "csv", sample()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range sample().All() {
		if got := lines[i+1][0]; got != want.String() {
			t.Errorf("line %d of csv has %s, want %v", i+1, got, want)
		}
	}
}

// A cover is called one, in every format.
func TestCover(t *testing.T) {
	in := sample()
	in.Services, in.Within = []string{"CLOUDFRONT_ORIGIN_FACING"}, []string{"CLOUDFRONT"}
	for _, f := range Formats {
		want := "CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT as published"
		switch f.Name {
		case "json":
			want = "\"within\": [\n    \"CLOUDFRONT\"\n  ]"
		case "csv":
			want = "18.64.0.0/14,ipv4,CLOUDFRONT_ORIGIN_FACING,2026-08-22T15:17:05Z,1787411825,CLOUDFRONT\n"
		}
		if got := write(t, f.Name, in); !strings.Contains(got, want) {
			t.Errorf("%s does not say %q:\n%s", f.Name, want, got)
		}
	}
}

// A name cannot break out of a comment or a string.
func TestStrangeService(t *testing.T) {
	for _, name := range []string{"", "A\nreboot", "A'; reboot; '", "A B", "Ä"} {
		wanted, within := sample(), sample()
		wanted.Services = []string{"CLOUDFRONT", name}
		within.Within = []string{name}
		for _, in := range []Input{wanted, within} {
			for _, f := range Formats {
				var out bytes.Buffer
				if err := Write(&out, f.Name, in); err == nil || out.Len() > 0 {
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
		if err := Write(full{}, f.Name, sample()); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v", f.Name, err)
		}
	}
	if err := Write(full{}, "pf", sample()); err == nil {
		t.Error("an unknown format is no error")
	}
}
