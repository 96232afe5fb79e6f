package demo

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/iprange"

	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	realFile = "../../../shared/data/ip-ranges-2026-08-22.json.gz"
	history  = "../../../shared/data/cloudfront-history-2017-2024.jsonl.gz"
)

// open opens a file that is not part of the project, or skips the test.
func open(t *testing.T, name string) io.Reader {
	t.Helper()
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		t.Skipf("%s is not there", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return unpacked
}

// checkPlain fails if a text has escape codes, long lines or trailing spaces.
func checkPlain(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if utf8.RuneCountInString(line) > page.Width || strings.Contains(line, "\x1b") || strings.HasSuffix(line, " ") {
			t.Errorf("line %q", line)
		}
	}
}

// The built-in sample fits a screen or two, with and without colours.
func TestSample(t *testing.T) {
	var plain, colored strings.Builder
	if err := Run(t.Context(), Options{Out: &plain}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(plain.String(), "\n"); n > 60 {
		t.Errorf("%d lines are too many to read", n)
	}
	checkPlain(t, plain.String())
	if err := Run(t.Context(), Options{Out: &colored, Color: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colored.String(), "\x1b[1m") {
		t.Error("nothing is bold")
	}
	bare := text.StripEscape(colored.String())
	if bare != plain.String() {
		t.Errorf("with colours it says\n%s\nand without\n%s", bare, plain.String())
	}
}

func TestRealFile(t *testing.T) {
	data, err := io.ReadAll(open(t, realFile))
	var out strings.Builder
	if err := cmp.Or(err, Run(t.Context(), Options{Document: data, Out: &out})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "to 180 IPv4 and 31 IPv6 rules") {
		t.Errorf("it says\n%s", out.String())
	}
	checkPlain(t, out.String())
}

// The demo works on whatever AWS has ever published.
func TestDemoOfAnyFile(t *testing.T) {
	documents := bufio.NewScanner(open(t, history))
	documents.Buffer(nil, 8<<20)
	n := 0
	for ; documents.Scan(); n++ {
		if n%10 != 0 {
			continue
		}
		if err := Run(t.Context(), Options{Document: documents.Bytes(), Out: io.Discard}); err != nil {
			t.Errorf("state %d: %v", n, err)
		}
	}
	if err := documents.Err(); err != nil || n == 0 {
		t.Errorf("%d states, %v", n, err)
	}
}

func sampleStory(t *testing.T) *story {
	t.Helper()
	s, err := newStory(Options{Document: sample, Out: io.Discard, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// The demo does not tell what has not happened.
func TestDemoFails(t *testing.T) {
	t.Run("the function fails", func(t *testing.T) {
		s := sampleStory(t)
		s.endpoint.Deny("AuthorizeSecurityGroupIngress")
		if err := s.play(t.Context()); err == nil || !strings.Contains(err.Error(), "UnauthorizedOperation") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a call more", func(t *testing.T) {
		s := sampleStory(t)
		// The SDK makes the call again.
		s.endpoint.Inject(ec2sim.Fault{Kind: ec2sim.ErrorBefore, Action: "AuthorizeSecurityGroupIngress", Code: "InternalError", After: 2})
		if err := s.play(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "step 3: the function called") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a foreign rule changes", func(t *testing.T) {
		s := sampleStory(t)
		if err := cmp.Or(s.tagging(t.Context()), s.groups.RemoveRules(s.list(webPool)[0].ID, officeRule.Permission)); err != nil {
			t.Fatal(err)
		}
		if err := s.publications(t.Context()); err == nil || !strings.Contains(err.Error(), "not the function's") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the terminal is gone", func(t *testing.T) {
		r, w := io.Pipe()
		r.Close()
		if err := Run(t.Context(), Options{Out: w}); err == nil {
			t.Error("it succeeds")
		}
	})
}

// The witness objects to a call that closes what is in use, and to no other.
func TestWitness(t *testing.T) {
	rule := func(cidr string) ec2sim.Rule {
		return ec2sim.Rule{Permission: ec2sim.TCP(webPort, webPort, netip.MustParsePrefix(cidr))}
	}
	cases := []struct {
		name  string
		after []ec2sim.Rule
		gap   bool
	}{
		{"nothing changes", []ec2sim.Rule{rule("18.64.0.0/15"), rule("54.192.0.0/16")}, false},
		{"re-cut", []ec2sim.Rule{rule("18.64.0.0/16"), rule("18.65.0.0/16")}, false},
		{"what is not in use is closed", []ec2sim.Rule{rule("18.64.0.0/15")}, false},
		{"half of what is in use is closed", []ec2sim.Rule{rule("18.64.0.0/16"), rule("54.192.0.0/16")}, true},
		{"another port is opened instead", []ec2sim.Rule{{Permission: ec2sim.TCP(80, 80, netip.MustParsePrefix("18.64.0.0/15"))}}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := witness{open: ipspace.Of(nil), wanted: ipspace.Of([]netip.Prefix{netip.MustParsePrefix("18.64.0.0/15")})}
			group := ec2sim.Group{Tags: tagsOf(webPool, webPort), Ingress: []ec2sim.Rule{rule("18.64.0.0/15"), rule("54.192.0.0/16")}}
			w.see(ec2sim.Call{}, map[string]ec2sim.Group{"sg-1": group})
			group.Ingress = c.after
			w.see(ec2sim.Call{Seq: 1}, map[string]ec2sim.Group{"sg-1": group})
			if err := w.verdict(); (err != nil) != c.gap || w.changes != 1 {
				t.Errorf("%d changes, error %v", w.changes, err)
			}
		})
	}
}

// The next document differs by one rule more and one less, and re-cuts a range.
func TestRevise(t *testing.T) {
	s := sampleStory(t)
	before, after, change := s.original, s.revised, s.change
	want := slices.DeleteFunc(slices.Clone(before.IPv4), func(p netip.Prefix) bool { return p == change.withdrawn })
	want = iprange.Merge(append(want, change.added))
	if !slices.Equal(after.IPv4, want) || !slices.Equal(after.IPv6, before.IPv6) {
		t.Errorf("rules %v, want %v", after.IPv4, want)
	}
	low := netip.PrefixFrom(change.recut.Addr(), change.recut.Bits()+1)
	for prefix, published := range map[netip.Prefix]bool{
		change.added: true, change.withdrawn: false, change.recut: false, low: true, next(low): true,
	} {
		if slices.Contains(after.Prefixes, prefix) != published {
			t.Errorf("%s is published: %v", prefix, !published)
		}
	}
	if !after.Published.After(before.Published) {
		t.Errorf("it is published at %s, the one before at %s", after.Published, before.Published)
	}
}
