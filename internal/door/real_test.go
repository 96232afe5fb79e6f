package door

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"testing"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// realFile is the ip-ranges.json of 2026-08-22.
const realFile = "../../../shared/data/ip-ranges-2026-08-22.json.gz"

func realRanges(t testing.TB, services ...string) *iprange.Publication {
	t.Helper()
	p, err := iprange.Decode(bytes.NewReader(realDocument(t)), iprange.Selection{Services: services, IPv4: true, IPv6: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func realDocument(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open(realFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%v: the real file is not there", err)
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
	return data
}

func rulesFrom(ranges []netip.Prefix) []secgroup.Rule {
	var rules []secgroup.Rule
	for _, p := range ranges {
		rules = append(rules, secgroup.Rule{RuleID: secgroup.RuleID{Protocol: "tcp", From: 443, To: 443, Source: secgroup.Source{Prefix: p}}})
	}
	return rules
}

// A pool with all of CLOUDFRONT lets all of it in and nobody else; without any one of its rules exactly this rule's
// range is blocked.
func TestEachRealRangeMatters(t *testing.T) {
	q := both()
	q.Wanted, q.OriginFacing = realRanges(t, "CLOUDFRONT"), realRanges(t, "CLOUDFRONT_ORIGIN_FACING")
	rules := rulesFrom(q.Wanted.Merged())
	judge := func(rules []secgroup.Rule) (ipv4, ipv6 FamilyReport) {
		var s Subject
		for some := range slices.Chunk(rules, 60) {
			s.Groups = append(s.Groups, secgroup.Group{ID: fmt.Sprint("sg-", len(s.Groups)), Ingress: some})
		}
		families := Judge(&Scene{Subjects: []Subject{s}}, q).Subjects[0].Ports[0].Families
		return families[0], families[1]
	}
	ipv4, ipv6 := judge(rules)
	for _, f := range []FamilyReport{ipv4, ipv6} {
		if f.Verdict != Open || len(f.Others) > 0 {
			t.Errorf("%s: %s with %d others", f.Family, f.Verdict, len(f.Others))
		}
	}
	for i, without := range rules {
		ipv4, ipv6 := judge(slices.Concat(rules[:i], rules[i+1:]))
		blocked := slices.Concat(ipv4.Blocked.Prefixes, ipv6.Blocked.Prefixes)
		size := ipv4.Blocked.Size + ipv6.Blocked.Size
		if len(blocked) != 1 || blocked[0] != without.Source.Prefix || size != ipspace.Size(blocked) {
			t.Errorf("without %s: %v, size %d", without.Source, blocked, size)
		}
	}
}

// The servers that connect to origins are a part of CLOUDFRONT. Who lets only these in, as AWS's prefix list does,
// blocks none of them.
func TestRealOriginFacingServers(t *testing.T) {
	q := both()
	q.Wanted, q.OriginFacing = realRanges(t, "CLOUDFRONT"), realRanges(t, "CLOUDFRONT_ORIGIN_FACING")
	s := Subject{Groups: []secgroup.Group{{ID: "sg-1", Ingress: rulesFrom(q.OriginFacing.Merged())}}}
	for _, f := range Judge(&Scene{Subjects: []Subject{s}}, q).Subjects[0].Ports[0].Families {
		if !f.BeyondOriginFacing() || len(f.Others) > 0 {
			t.Errorf("%s: %s, %d ranges blocked, %d others", f.Family, f.Verdict, len(f.Blocked.Prefixes), len(f.Others))
		}
	}
}

// The compact cover lets in all servers that connect to origins, and what it lets in beyond is CloudFront's own.
func TestRealCompactCover(t *testing.T) {
	q := both()
	q.Wanted, q.Within = realRanges(t, "CLOUDFRONT_ORIGIN_FACING"), realRanges(t, "CLOUDFRONT")
	cover := iprange.Cover(q.Wanted.Prefixes, q.Within.Prefixes)
	s := Subject{Groups: []secgroup.Group{{ID: "sg-1", Ingress: rulesFrom(cover)}}}
	families := Judge(&Scene{Subjects: []Subject{s}}, q).Subjects[0].Ports[0].Families
	for i, want := range []Amount{{45, 79616}, {3, 0}} {
		f := families[i]
		if f.Verdict != Open || len(f.Others) > 0 || f.Wanted.Ranges != want.Ranges || f.TakenIn.Size != want.Size {
			t.Errorf("%s: %s of %d ranges, %d others, %d taken in", f.Family, f.Verdict, f.Wanted.Ranges, len(f.Others), f.TakenIn.Size)
		}
	}
}
