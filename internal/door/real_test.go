package door

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"testing"

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

// Whoever lets in only the servers that connect to origins, as AWS's prefix list does, blocks none of them. The compact
// cover lets them all in, and beyond them only addresses of CloudFront.
func TestRealDoors(t *testing.T) {
	facing, all := realRanges(t, "CLOUDFRONT_ORIGIN_FACING"), realRanges(t, "CLOUDFRONT")
	families := func(q Question, ranges []netip.Prefix) []FamilyReport {
		s := Subject{Groups: []secgroup.Group{{ID: "sg-1", Ingress: rulesFrom(ranges)}}}
		return Judge(&Scene{Subjects: []Subject{s}}, q).Subjects[0].Ports[0].Families
	}
	q := both()
	q.Wanted = all
	for _, f := range families(q, facing.Merged()) {
		if !f.BeyondOriginFacing() || len(f.Others) > 0 {
			t.Errorf("%s: %s, %d ranges blocked, %d others", f.Family, f.Verdict, len(f.Blocked.Prefixes), len(f.Others))
		}
	}
	q = both()
	q.Wanted, q.Within = facing, all
	for i, f := range families(q, iprange.Cover(facing.Prefixes, all.Prefixes)) {
		want := []Amount{{45, 79616}, {3, 0}}[i]
		if f.Verdict != Open || len(f.Others) > 0 || f.Wanted.Ranges != want.Ranges || f.TakenIn.Size != want.Size {
			t.Errorf("%s: %s of %d ranges, %d others, %d taken in", f.Family, f.Verdict, f.Wanted.Ranges, len(f.Others), f.TakenIn.Size)
		}
	}
}
