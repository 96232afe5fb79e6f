package engine

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"go4.org/netipx"
)

// within sets the services that are wanted, and those that may be taken in.
func (s *scene) within(services, within string) {
	s.fetcher.Selection.Services, s.fetcher.Selection.Within = strings.Fields(services), strings.Fields(within)
	s.Services, s.Within = s.fetcher.Selection.Services, s.fetcher.Selection.Within
}

// realFile is the ip-ranges.json of 2026-08-22. Without the data beside the repository the test is skipped.
func realFile(t *testing.T) string {
	t.Helper()
	f, err := os.Open("../../../shared/data/ip-ranges-2026-08-22.json.gz")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the real file is not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// One default group has three ports opened to all servers that connect to origins, by one call.
func TestCompactCoverOfToday(t *testing.T) {
	file := realFile(t)
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
	s.within("CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT")
	s.fetcher.Transport = transport(func() string { return file })
	id := s.group(s.here, "web", "80 443 8443")
	report, err := s.Run(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Ranges != (PerFamily{IPv4: 19, IPv6: 3}) || report.Summary.Added != 66 || report.Capacity.Free != 3 {
		t.Errorf("%+v", report)
	}
	authorizes := 0
	for _, c := range s.sim.ResetCalls() {
		if c.Mutating {
			authorizes++
		}
	}
	g, _ := s.here.Group(id)
	var ipv4, ipv6 int
	for _, r := range g.Ingress {
		if r.Source.Prefix.Addr().Is4() {
			ipv4++
		} else {
			ipv6++
		}
		if want := key + ": CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT 2026-08-22T15:17:05Z"; r.Description != want {
			t.Errorf("description %q, want %q", r.Description, want)
		}
	}
	if ipv4 != 57 || ipv6 != 9 || authorizes != 1 {
		t.Errorf("%d IPv4 and %d IPv6 rules by %d calls", ipv4, ipv6, authorizes)
	}
	if _, err := s.Run(t.Context(), Request{}); err != nil || s.mutations() > 0 {
		t.Errorf("a second run is not idle: %v", err)
	}
}

// TestCompactCoverHistory replays what AWS published over seven years with one default group and three ports: exact
// after each state, no gap within any, no force, and at most one authorize and one revoke a change. States from before
// AWS published which servers connect to origins change nothing.
func TestCompactCoverHistory(t *testing.T) {
	states := history(t)
	s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
	s.within("CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT")
	w := &watch{t: t, ports: []int32{80, 443, 8443}, groups: map[string]ec2sim.Group{}, open: map[int32]*netipx.IPSet{}}
	s.Log = slog.New(gapLog{slog.DiscardHandler, w})
	s.sim.Observe(w.observe)
	ids := []string{s.group(s.here, "web", "80 443 8443")}
	var current string
	s.fetcher.Transport = transport(func() string { return current })
	s.sim.ResetCalls()
	var replayed, changed, calls, rules, most int
	for i, state := range states {
		current = state
		p, decodeErr := iprange.Decode(strings.NewReader(state), s.fetcher.Selection)
		if decodeErr == nil {
			w.wanted = setOf(p.Merged())
		}
		report, err := s.Run(t.Context(), Request{})
		if !strings.Contains(state, `"service":"CLOUDFRONT_ORIGIN_FACING"`) {
			if _, missing := errors.AsType[*iprange.MissingServiceError](err); !missing || s.mutations() > 0 {
				t.Fatalf("state %d has no server that connects to origins: %v", i, err)
			}
			continue
		}
		if err := errors.Join(err, decodeErr); err != nil {
			t.Fatalf("state %d: %v", i, err)
		}
		s.checkExact(ids, p, w.ports, i)
		n := s.checkCalls(i, DefaultRulesPerGroup)
		if replayed++; replayed > 1 {
			calls += n
			rules += report.Summary.Added + report.Summary.Revoked
			if report.Changed {
				changed++
			}
		}
		most = max(most, len(p.IPv4), len(p.IPv6))
	}
	got := fmt.Sprintf("%d states, at most %d ranges of a family; after the first %d with changes, %d calls, %d rules changed, %d gaps",
		replayed, most, changed, calls, rules, w.closed)
	if want := "45 states, at most 18 ranges of a family; after the first 5 with changes, 6 calls, 30 rules changed, 0 gaps"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Who has too small a pool for every range is told what the compact cover takes.
func TestShortageOffersCompactCover(t *testing.T) {
	file := strings.Replace(document(1790000000, "13.32.0.0/16", rangeA, rangeB, "52.124.128.0/17"), `"prefixes":[`,
		`"prefixes":[{"ip_prefix":"18.64.1.0/24","service":"CLOUDFRONT_ORIGIN_FACING"},{"ip_prefix":"52.222.129.0/24","service":"CLOUDFRONT_ORIGIN_FACING"},`, 1)
	const offer = "SERVICES=CLOUDFRONT_ORIGIN_FACING and WITHIN=CLOUDFRONT"
	for _, c := range []struct {
		name, services, file string
		offered              bool
	}{
		{"every range", "CLOUDFRONT", file, true},
		{"two services", "CLOUDFRONT EC2", strings.Replace(file, `"prefixes":[`, `"prefixes":[{"ip_prefix":"3.4.12.4/32","service":"EC2"},`, 1), false},
		{"unknown which connect to origins", "CLOUDFRONT", document(1790000000, "13.32.0.0/16", rangeA, rangeB, "52.124.128.0/17"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
			s.within(c.services, "")
			s.RulesPerGroup = 3
			s.fetcher.Transport = transport(func() string { return c.file })
			s.group(s.here, "web", "443")
			p, err := s.Propose(t.Context(), Request{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Run(t.Context(), Request{})
			for what, err := range map[string]error{"run": err, "preview": errors.Join(p.Failures()...)} {
				short, ok := errors.AsType[*secgroup.ShortageError](err)
				if !ok || strings.Contains(short.Error(), offer) != c.offered || strings.Contains(short.Error(), "2 IPv4 and 0 IPv6 rules a port") != c.offered {
					t.Errorf("%s: error %v, which offers the cover: %t", what, err, !c.offered)
				}
			}
		})
	}
}

// A cover that lets other customers' machines in is told, and no other.
func TestStrangers(t *testing.T) {
	file := strings.Replace(document(1790000000, rangeA), `"prefixes":[`, `"prefixes":[
		{"ip_prefix":"18.64.1.0/24","service":"CLOUDFRONT_ORIGIN_FACING"},
		{"ip_prefix":"18.64.0.0/13","service":"AMAZON"},
		{"ip_prefix":"18.68.7.0/24","service":"EC2"},
		{"ip_prefix":"18.64.1.0/25","service":"EC2"},`, 1)
	for _, c := range []struct{ name, within, want string }{
		{"nothing is taken in", "", ""},
		{"CloudFront's own", "CLOUDFRONT", ""},
		{"all of Amazon", "AMAZON", "WITHIN adds 524032 IPv4 addresses beyond SERVICES, 256 IPv4 addresses of them in EC2's ranges, where any AWS customer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
			s.within("CLOUDFRONT_ORIGIN_FACING", c.within)
			s.fetcher.Transport = transport(func() string { return file })
			var log bytes.Buffer
			s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			if _, err := s.Run(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
			if c.want == "" && log.Len() > 0 || !strings.Contains(log.String(), c.want) {
				t.Errorf("log %q, want %q in it", log.String(), c.want)
			}
		})
	}
}
