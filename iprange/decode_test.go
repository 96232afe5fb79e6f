package iprange

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var comparePrefixes = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}

func TestDecode(t *testing.T) {
	file := document("1787411825")
	p, err := Decode(strings.NewReader(file), cloudfront)
	if err != nil {
		t.Fatal(err)
	}
	want := &Publication{
		SyncToken: "1787411825",
		Published: time.Date(2026, 8, 22, 15, 17, 5, 0, time.UTC),
		MD5:       md5.Sum([]byte(file)),
		Prefixes:  prefixes("13.32.0.0/15 2600:9000::/28"),
		IPv4:      prefixes("13.32.0.0/15"),
		IPv6:      prefixes("2600:9000::/28"),
	}
	if diff := cmp.Diff(want, p, comparePrefixes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want.Prefixes, p.Merged(), comparePrefixes); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeSelection(t *testing.T) {
	const file = `{"syncToken":"1","prefixes":[
		{"ip_prefix":"13.33.0.0/16","service":"CLOUDFRONT"},
		{"ip_prefix":"13.32.0.0/16","service":"CLOUDFRONT"},
		{"ip_prefix":"13.32.1.0/24","service":"CLOUDFRONT_ORIGIN_FACING"},
		{"ip_prefix":"52.0.0.0/15","service":"EC2"}],
		"ipv6_prefixes":[{"ipv6_prefix":"2600:9000::/28","service":"CLOUDFRONT"}]}`
	for _, test := range []struct {
		name       string
		sel        Selection
		raw        string
		ipv4, ipv6 string
	}{
		{
			"both families", cloudfront,
			"13.33.0.0/16 13.32.0.0/16 2600:9000::/28", "13.32.0.0/15", "2600:9000::/28",
		},
		{
			"IPv4",
			Selection{Services: []string{"CLOUDFRONT"}, IPv4: true},
			"13.33.0.0/16 13.32.0.0/16", "13.32.0.0/15", "",
		},
		{
			"IPv6",
			Selection{Services: []string{"CLOUDFRONT"}, IPv6: true},
			"2600:9000::/28", "", "2600:9000::/28",
		},
		{
			"a service in one family only",
			Selection{Services: []string{"EC2"}, IPv4: true, IPv6: true},
			"52.0.0.0/15", "52.0.0.0/15", "",
		},
		{
			"a name that is the start of another",
			Selection{Services: []string{"CLOUDFRONT", "EC2"}, IPv4: true},
			"13.33.0.0/16 13.32.0.0/16 52.0.0.0/15", "13.32.0.0/15 52.0.0.0/15", "",
		},
		{
			"overlapping services, one named twice",
			Selection{Services: []string{"CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING", "CLOUDFRONT"}, IPv4: true},
			"13.33.0.0/16 13.32.0.0/16 13.32.1.0/24", "13.32.0.0/15", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := Decode(strings.NewReader(file), test.sel)
			if err != nil {
				t.Fatal(err)
			}
			got := [][]netip.Prefix{p.Prefixes, p.IPv4, p.IPv6}
			want := [][]netip.Prefix{prefixes(test.raw), prefixes(test.ipv4), prefixes(test.ipv6)}
			if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeInvalidSelection(t *testing.T) {
	for _, sel := range []Selection{
		{IPv4: true},
		{Services: []string{"CLOUDFRONT", ""}, IPv4: true},
		{Services: []string{"CLOUDFRONT"}},
	} {
		if p, err := Decode(strings.NewReader(document("1")), sel); err == nil || p != nil {
			t.Errorf("%+v: %v, %v", sel, p, err)
		}
	}
}

// lists returns a file with the given entries.
func lists(ipv4, ipv6 string) string {
	return `{"syncToken":"1787411825","prefixes":[` + ipv4 + `],"ipv6_prefixes":[` + ipv6 + `]}`
}

func TestDecodeTolerated(t *testing.T) {
	const ipv4 = `{"ip_prefix":"13.32.0.0/15","service":"CLOUDFRONT"}`
	for name, file := range map[string]string{
		"the sync token last":        `{"ipv6_prefixes":[],"prefixes":[` + ipv4 + `],"syncToken":"1787411825"}`,
		"a malformed createDate":     `{"createDate":"2017-07-20-22-42-233",` + lists(ipv4, "")[1:],
		"unknown members":            `{"more":[1,{"prefixes":[null,"\\"]}],"deep":[[[[{}]]]],` + lists(ipv4, "")[1:],
		"an unknown member of many":  `{"more":[` + strings.Repeat("0,", 3*maxEntry) + `0],` + lists(ipv4, "")[1:],
		"unknown members of entries": lists(`{"new":{"service":["x",1.5]},`+ipv4[1:]+`,{"new":{}}`, `{}`),
		"entries of other services":  lists(ipv4+`,{"ip_prefix":"10.0.0.0/33","service":"EC2"},{"ip_prefix":7,"service":null}`, ""),
		"a service named elsewhere":  lists(ipv4+`,{"service":7,"region":"CLOUDFRONT","ip_prefix":"x"}`, ""),
		"escapes":                    lists(`{"i\u0070_prefix":"13.32.0.0\/15","\u0073ervice":"\u0043LOUDFRONT"}`, ""),
		"leading white space":        "\r\n\t " + lists(ipv4, ""),
		"trailing white space":       lists(ipv4, "") + "\r\n\t ",
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Decode(iotest.HalfReader(strings.NewReader(file)), cloudfront)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(prefixes("13.32.0.0/15"), p.Merged(), comparePrefixes); diff != "" {
				t.Error(diff)
			}
			if got := hex.EncodeToString(p.MD5[:]); got != md5Of(file) {
				t.Errorf("MD5 %s, want %s", got, md5Of(file))
			}
		})
	}
}

// TestDecodeRefused has what is wrong with a document as a whole; what is wrong with a prefix is in TestParsePrefix.
func TestDecodeRefused(t *testing.T) {
	const (
		ipv4 = `{"ip_prefix":"13.32.0.0/15","service":"CLOUDFRONT"}`
		ipv6 = `{"ipv6_prefix":"2600:9000::/28","service":"CLOUDFRONT"}`
	)
	file := document("1787411825")
	for _, test := range []struct {
		name, file string
		words      []string
	}{
		{"nothing", "", []string{"empty"}},
		{"white space", strings.Repeat(" ", 100), []string{"empty"}},
		{"HTML", "<html><body>Sign in</body></html>", []string{"not ip-ranges.json", "starts with", "<html><body>"}},
		{"null", "null", []string{"not ip-ranges.json", `"null"`}},
		{"a list", "[]", []string{"not ip-ranges.json", `"[]"`}},
		{"text", "not found", []string{"not ip-ranges.json", `"not found"`}},
		{"a byte order mark", "\ufeff{}", []string{"not ip-ranges.json", `\ufeff{}`}},
		{"an empty object", "{}", []string{"not ip-ranges.json", "no syncToken"}},
		{"another object", `{"error":"denied"}`, []string{"not ip-ranges.json", "no syncToken"}},
		{"cut in an entry", file[:300], []string{"cut short", "300 bytes"}},
		{"cut before the end", file[:len(file)-1], []string{"cut short"}},
		{"trailing document", file + "{}", []string{"more data follows", fmt.Sprint(len(file))}},
		{"trailing bracket", file + "]", []string{"more data follows"}},
		{"trailing NUL", file + "\x00", []string{"more data follows"}},
		{"not JSON within", strings.Replace(file, `"prefixes"`, `prefixes`, 1), []string{"not valid JSON", "offset"}},
		{"comma after the last entry", lists(ipv4+",", ipv6), []string{"not valid JSON"}},
		{"no comma between entries", lists(ipv4+ipv4, ipv6), []string{"not valid JSON"}},
		{"brackets that do not match", `{"syncToken":"1","prefixes":[}`, []string{"not valid JSON"}},
		{"comment", strings.Replace(file, `"prefixes"`, `/**/"prefixes"`, 1), []string{"not valid JSON"}},
		{"invalid UTF-8", strings.Replace(file, "eu-west-1", "\xff", 1), []string{"not valid JSON", "UTF-8"}},
		{"duplicate list", `{"prefixes":[],` + lists(ipv4, ipv6)[1:], []string{"duplicate", `"prefixes"`}},
		{"duplicate unknown member", `{"x":1,"x":1,` + lists(ipv4, ipv6)[1:], []string{"duplicate", `"x"`}},
		{"duplicate in a wanted entry", lists(`{"service":"EC2",`+ipv4[1:], ipv6), []string{"duplicate", `"service"`, "/prefixes/0"}},
		{"duplicate in another entry", lists(ipv4+`,{"x":1,"x":1}`, ipv6), []string{"duplicate", "/prefixes/1"}},
		{"duplicate by escape", lists(`{"\u0073ervice":"EC2",`+ipv4[1:], ipv6), []string{"duplicate"}},
		{"no sync token", `{"prefixes":[],"ipv6_prefixes":[]}`, []string{"no syncToken"}},
		{"sync token a number", `{"syncToken":1787411825}`, []string{"syncToken", "a number", "want a string"}},
		{"sync token empty", `{"syncToken":""}`, []string{"sync token", `""`}},
		{"sync token a date", `{"syncToken":"2026-08-22"}`, []string{"sync token", `"2026-08-22"`, "Unix"}},
		{"sync token negative", `{"syncToken":"-1"}`, []string{"sync token", `"-1"`}},
		{"sync token zero", `{"syncToken":"0"}`, []string{"sync token", `"0"`}},
		{"sync token in milliseconds", `{"syncToken":"1787411825000"}`, []string{"sync token", `"1787411825000"`}},
		{"sync token huge", `{"syncToken":"` + strings.Repeat("9", 99) + `"}`, []string{"sync token", `9"…`}},
		{"no list of IPv4", `{"syncToken":"1","ipv6_prefixes":[` + ipv6 + `]}`, []string{"no list of prefixes"}},
		{"no list of IPv6", `{"syncToken":"1","prefixes":[` + ipv4 + `]}`, []string{"no list of ipv6_prefixes"}},
		{"list null", `{"syncToken":"1","prefixes":null}`, []string{"prefixes", "null", "want a list"}},
		{"list an object", `{"syncToken":"1","prefixes":{}}`, []string{"prefixes", "an object", "want a list"}},
		{"entry null", lists("null", ipv6), []string{"prefixes entry 0", "not an object"}},
		{"entry a list", lists(ipv4, "[]"), []string{"ipv6_prefixes entry 0", "not an object"}},
		{"entry without prefix", lists(`{"service":"CLOUDFRONT"}`, ""), []string{"prefixes entry 0", "CLOUDFRONT", "no ip_prefix"}},
		{"entry with a prefix of no text", lists(`{"service":"CLOUDFRONT","ip_prefix":[]}`, ""), []string{"no ip_prefix"}},
		{"entry in the other list", lists(ipv6, ipv4), []string{"prefixes entry 0", "no ip_prefix"}},
		{"an entry of megabytes", lists(`{"x":"`+strings.Repeat("x", 1<<20)+`"}`, ""), []string{"more than 16384 bytes", "byte 38"}},
		{"no CLOUDFRONT at all", lists(`{"ip_prefix":"52.0.0.0/15","service":"EC2"}`, ""), []string{"no IPv4 or IPv6 range", "CLOUDFRONT"}},
		{"nothing at all", lists("", ""), []string{"no IPv4 or IPv6 range"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := Decode(strings.NewReader(test.file), cloudfront)
			checkError(t, err, test.words...)
			if p != nil {
				t.Errorf("something is returned with the error: %+v", p)
			}
		})
	}
}

// passedOver are two entries; the JSON decoder never sees the second.
const passedOver = `{"ip_prefix":"52.0.0.0/15","service":"EC2"},{"ip_prefix":"52.2.0.0/15","service":"EC2"}`

// TestDecodeBehindPassedOver has what is wrong behind entries that are passed over: it is found, and said to be where
// it is.
func TestDecodeBehindPassedOver(t *testing.T) {
	const good = `{"ip_prefix":"13.32.0.0/15","service":"CLOUDFRONT"}`
	if _, err := Decode(strings.NewReader(lists(passedOver+`,{"service":"S3","service":"S3"},`+good, "")), cloudfront); err != nil {
		t.Error("an entry that is not wanted has a member twice: ", err)
	}
	for _, test := range []struct {
		name, entry string
		at          string // what follows the byte that is told, if it is
		words       []string
	}{
		{"duplicate in a wanted entry", `{"service":"EC2","service":"CLOUDFRONT","ip_prefix":"13.32.0.0/15"}`, "", []string{"duplicate", `"service"`, "/prefixes/2"}},
		{"duplicate by escape", `{"service":"EC2","service":"\u0043LOUDFRONT"}`, "", []string{"duplicate", "/prefixes/2"}},
		{"invalid prefix", `{"service":"CLOUDFRONT","ip_prefix":"10.0.0.0/8"}`, "", []string{"prefixes entry 2", "10.0.0.0/8"}},
		{"the same by escape", `{"service":"\u0043LOUDFRONT","ip_prefix":"10.0.0.0/8"}`, "", []string{"prefixes entry 2", "10.0.0.0/8"}},
		{"no object", `null`, "", []string{"prefixes entry 2", "not an object"}},
		{"no colon", `{"x" "y"}`, `"y"}`, []string{"not valid JSON"}},
		{"no value", `{"x":"y","z"}`, `}`, []string{"not valid JSON"}},
		{"a comma too many", `{"x":"y",}`, `}`, []string{"not valid JSON"}},
		{"a comma in place of an entry", `,` + good, `,{`, []string{"not valid JSON"}},
		{"the end of a list", `{"x":"y"]`, `]`, []string{"not valid JSON"}},
		{"a control character", "{\"x\":\"\n\"}", "\n\"}", []string{"not valid JSON"}},
		{"invalid UTF-8", "{\"x\":\"\xff\"}", "\xff", []string{"not valid JSON", "UTF-8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := lists(passedOver+","+test.entry+","+good, "")
			words := test.words
			if test.at != "" {
				entry := strings.Index(file, test.entry)
				words = append(words, fmt.Sprintf("after offset %d", entry+strings.LastIndex(test.entry, test.at)))
			}
			_, err := Decode(strings.NewReader(file), cloudfront)
			checkError(t, err, words...)
		})
	}
}

func TestDecodeInvalidPrefix(t *testing.T) {
	_, err := Decode(strings.NewReader(lists(
		`{"ip_prefix":"52.0.0.0/15","service":"EC2"},{"ip_prefix":"10.0.0.0/8","service":"CLOUDFRONT"}`, "")), cloudfront)
	checkError(t, err, `prefixes entry 1: "10.0.0.0/8" (CLOUDFRONT): not a public range`, "RFC 1918")

	// A wrong prefix is a sign of a bad file even if its family is not selected.
	_, err = Decode(strings.NewReader(lists(
		`{"ip_prefix":"52.0.0.0/15","service":"CLOUDFRONT"}`, `{"ipv6_prefix":"::/0","service":"CLOUDFRONT"}`)),
		Selection{Services: []string{"CLOUDFRONT"}, IPv4: true})
	checkError(t, err, `ipv6_prefixes entry 0: "::/0" (CLOUDFRONT): too wide`)
}

func TestDecodeMergedTooWide(t *testing.T) {
	_, err := Decode(strings.NewReader(lists(
		`{"ip_prefix":"52.0.0.0/8","service":"CLOUDFRONT"},{"ip_prefix":"53.0.0.0/8","service":"CLOUDFRONT"}`, "")), cloudfront)
	checkError(t, err, "merged prefix 52.0.0.0/7: too wide")
	_, err = Decode(strings.NewReader(lists(
		"", `{"ipv6_prefix":"2600::/20","service":"CLOUDFRONT"},{"ipv6_prefix":"2600:1000::/20","service":"CLOUDFRONT"}`)), cloudfront)
	checkError(t, err, "merged prefix 2600::/19: too wide")
}

func TestDecodeMissingServices(t *testing.T) {
	sel := Selection{Services: []string{"CLOUDFRNT", "CLOUDFRONT", "EC2"}, IPv4: true}
	_, err := Decode(strings.NewReader(document("1")), sel)
	missing, ok := errors.AsType[*MissingServiceError](err)
	if !ok || !slices.Equal(missing.Services, []string{"CLOUDFRNT", "EC2"}) {
		t.Fatalf("%#v", err) // EC2 has IPv6 only
	}
	checkError(t, err, "no IPv4 range for service CLOUDFRNT, EC2")
}

func TestDecodeTooLarge(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"prefixes":[{}`), &repeat{text: `,{"x":"` + strings.Repeat("x", 8000) + `"}`})
	if _, err := Decode(endless, cloudfront); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	_, err := Decode(&repeat{text: " "}, cloudfront)
	checkError(t, err, "more than 16384 bytes")

	// A file of exactly the size allowed, filled up with an unknown member.
	file := document("1787411825")
	head, element, tail := file[:len(file)-2]+`,"more":[""`, `,"`+strings.Repeat("x", 8000)+`"`, "]}"
	fill := MaxSize - len(head) - len(tail)
	exact := head + strings.Repeat(element, fill/len(element)) + strings.Repeat(" ", fill%len(element)) + tail
	if _, err := Decode(strings.NewReader(exact), cloudfront); err != nil {
		t.Error(err)
	}
	if _, err := Decode(strings.NewReader(exact+" "), cloudfront); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// repeat is an endless repetition of a text.
type repeat struct {
	text string
	rest string
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.rest == "" {
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestDecodeReadError(t *testing.T) {
	broken := errors.New("connection reset")
	file := document("1787411825")
	for _, n := range []int{0, 1, 300, len(file)} {
		_, err := Decode(io.MultiReader(strings.NewReader(file[:n]), iotest.ErrReader(broken)), cloudfront)
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestDecodeTruncatedAnywhere(t *testing.T) {
	file := document("1787411825")
	for n := range len(file) {
		if p, err := Decode(strings.NewReader(file[:n]), cloudfront); err == nil {
			t.Fatalf("cut after %d bytes: %+v", n, p)
		}
	}
}

func TestDecodeRealFile(t *testing.T) {
	data := realData(t, "ip-ranges-2026-08-22.json.gz")
	for _, test := range []struct {
		service                            string
		ipv4, ipv6, mergedIPv4, mergedIPv6 int
	}{
		{"CLOUDFRONT", 211, 32, 180, 31},
		{"CLOUDFRONT_ORIGIN_FACING", 46, 3, 45, 3},
	} {
		p, err := Decode(bytes.NewReader(data), Selection{Services: []string{test.service}, IPv4: true, IPv6: true})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(p.Prefixes); n != test.ipv4+test.ipv6 {
			t.Errorf("%s: %d prefixes, want %d + %d", test.service, n, test.ipv4, test.ipv6)
		}
		if len(p.IPv4) != test.mergedIPv4 || len(p.IPv6) != test.mergedIPv6 {
			t.Errorf("%s: %d + %d merged, want %d + %d",
				test.service, len(p.IPv4), len(p.IPv6), test.mergedIPv4, test.mergedIPv6)
		}
		if sum := hex.EncodeToString(p.MD5[:]); sum != "63431d35877fa5386ded1a7df9cfa971" {
			t.Errorf("MD5 %s", sum)
		}
		if got := p.Published.Format(time.RFC3339); got != "2026-08-22T15:17:05Z" {
			t.Errorf("published %s", got)
		}
	}
}

func TestDecodeHistory(t *testing.T) {
	states := 0
	var last time.Time
	for line := range bytes.Lines(realData(t, "cloudfront-history-2017-2024.jsonl.gz")) {
		states++
		p, err := Decode(bytes.NewReader(line), cloudfront)
		if err != nil {
			t.Fatalf("line %d: %v", states, err)
		}
		if !p.Published.After(last) || len(p.IPv4) == 0 {
			t.Errorf("line %d: published %s after %s, %d IPv4 prefixes", states, p.Published, last, len(p.IPv4))
		}
		last = p.Published
	}
	if states != 110 {
		t.Errorf("%d states, want 110", states)
	}
}

// TestDecodeMemory checks that a document is not held in memory: what is allocated does not grow with it.
func TestDecodeMemory(t *testing.T) {
	for _, entries := range []int{1_000, 16_000, 64_000} {
		data := bigDocument(entries)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Decode(bytes.NewReader(data), cloudfront); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n >= 256<<10 {
			t.Errorf("%d bytes allocated for a document of %d", n, len(data))
		}
	}
}

// TestDecodeGenerated writes documents in any of the ways in which JSON can be written, and reads them back.
func TestDecodeGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := writer{t}
		token := rapid.Int64Range(1, maxToken).Draw(t, "token")
		var wanted []netip.Prefix
		list := func(f family) string {
			var entries []string
			for range rapid.IntRange(0, 5).Draw(t, "entries") {
				p := publicPrefix(f).Draw(t, "prefix")
				service := rapid.SampledFrom([]string{"CLOUDFRONT", "EC2", "CLOUDFRONT_ORIGIN_FACING", ""}).Draw(t, "service")
				if service == "CLOUDFRONT" {
					wanted = append(wanted, p)
				}
				entries = append(entries, w.object(
					w.text("service")+w.space()+":"+w.space()+w.text(service),
					w.text(f.member)+":"+w.text(p.String()),
					w.text("region")+":"+w.text("GLOBAL"),
					w.text("new")+`:{"service":["CLOUDFRONT",{}]}`))
			}
			return w.text(f.list) + w.space() + ":[" + strings.Join(entries, w.space()+",") + w.space() + "]"
		}
		ipv4 := list(familyIPv4)
		count := len(wanted)
		ipv6 := list(familyIPv6)
		file := w.object(ipv4, ipv6, w.text("syncToken")+":"+w.text(fmt.Sprint(token)), `"createDate":null`)

		p, err := Decode(iotest.OneByteReader(strings.NewReader(file)), cloudfront)
		if len(wanted) == 0 {
			if _, ok := errors.AsType[*MissingServiceError](err); !ok {
				t.Fatalf("%v, want a missing service in %s", err, file)
			}
			return
		}
		if err != nil {
			t.Fatalf("%v in %s", err, file)
		}
		if p.Published.Unix() != token || hex.EncodeToString(p.MD5[:]) != md5Of(file) {
			t.Fatalf("published %s, MD5 %x of %s", p.Published, p.MD5, file)
		}
		// The lists may come in either order.
		sorted := cmpopts.SortSlices(netip.Prefix.Compare)
		if diff := cmp.Diff(wanted, p.Prefixes, comparePrefixes, sorted); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(Merge(wanted[:count]), p.IPv4, comparePrefixes); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(Merge(wanted[count:]), p.IPv6, comparePrefixes); diff != "" {
			t.Fatal(diff)
		}
	})
}

// publicPrefix generates prefixes that are accepted, and can be merged into none that is too wide.
func publicPrefix(f family) *rapid.Generator[netip.Prefix] {
	return rapid.Custom(func(t *rapid.T) netip.Prefix {
		addr := netip.AddrFrom4([4]byte{52, rapid.Byte().Draw(t, "b"), rapid.Byte().Draw(t, "c"), rapid.Byte().Draw(t, "d")})
		if f == familyIPv6 {
			b := [16]byte{0x26, 0x00, 0x01, rapid.Byte().Draw(t, "b"), 15: rapid.Byte().Draw(t, "d")}
			addr = netip.AddrFrom16(b)
		}
		return netip.PrefixFrom(addr, rapid.IntRange(24, addr.BitLen()).Draw(t, "bits")).Masked()
	})
}

// writer writes JSON in unusual ways.
type writer struct{ t *rapid.T }

func (w writer) space() string {
	return rapid.SampledFrom([]string{"", " ", "\n", "\t\r\n  "}).Draw(w.t, "space")
}

// text writes a string, any of its characters escaped.
func (w writer) text(s string) string {
	var b strings.Builder
	for _, r := range s {
		if rapid.IntRange(0, 20).Draw(w.t, "escape") == 20 {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

// object writes an object, its members in any order.
func (w writer) object(members ...string) string {
	members = rapid.Permutation(members).Draw(w.t, "members")
	return w.space() + "{" + w.space() + strings.Join(members, w.space()+","+w.space()) + w.space() + "}"
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		document("1787411825"),
		lists(`{"ip_prefix":"13.32.0.0/15","\u0073ervice":"\u0043LOUDFRONT"}`, ""),
		lists(`{"ip_prefix":"10.0.0.0/8","service":"CLOUDFRONT"}`, `{"ipv6_prefix":"::ffff:1.2.3.4/128","service":"CLOUDFRONT"}`),
		lists(`{"service":"CLOUDFRONT","service":"EC2"}`, "null"),
		lists(passedOver+`,{"service":"EC2","service":"S3"},{"ip_prefix":"13.32.0.0/15","service":"CLOUDFRONT"},`+passedOver, ""),
		lists(passedOver+`, {"x":"[{}]"} , {"x":{"y":"CLOUDFRONT"}},{}`, passedOver),
		`{}`, `null`, `<html>`, ``, `{"syncToken":"0"}`, `{"prefixes":[{}`, `{"a":[[[[{"a":"\ud800"}]]]]} x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := Decode(bytes.NewReader(file), cloudfront)
		compareStrictly(t, file, p, err)
		if err != nil {
			if p != nil {
				t.Fatalf("something is returned with the error %v: %+v", err, p)
			}
			if _, again := Decode(iotest.OneByteReader(bytes.NewReader(file)), cloudfront); again == nil {
				t.Fatalf("error %v, and none if read byte by byte", err)
			}
			return
		}
		if p.MD5 != md5.Sum(file) {
			t.Error("wrong MD5")
		}
		if len(p.Prefixes) == 0 || len(p.Merged()) == 0 || p.Published.Unix() <= 0 {
			t.Errorf("accepted: %+v", p)
		}
		for _, prefix := range append(p.Merged(), p.Prefixes...) {
			if err := checkPrefix(prefix); err != nil || prefix != prefix.Masked() {
				t.Errorf("accepted %s: %v", prefix, err)
			}
		}
		if diff := cmp.Diff(plainDecode(t, file), p.Prefixes, comparePrefixes, cmpopts.SortSlices(netip.Prefix.Compare)); diff != "" {
			t.Errorf("-encoding/json +Decode\n%s", diff)
		}
		again, err := Decode(iotest.OneByteReader(bytes.NewReader(file)), cloudfront)
		if err != nil {
			t.Fatalf("read byte by byte: %v", err)
		}
		if diff := cmp.Diff(p, again, comparePrefixes); diff != "" {
			t.Errorf("read byte by byte: %s", diff)
		}
	})
}

// compareStrictly compares with what comes of a file if its every entry is read by the JSON decoder: the same, but that
// this also refuses an entry of no matter that has a member twice.
func compareStrictly(t *testing.T, file []byte, p *Publication, err error) {
	t.Helper()
	strict := newSelector(bytes.NewReader(file), cloudfront)
	strict.plain.services = nil // passes over nothing
	want, strictErr := strict.decode()
	switch {
	case strictErr != nil && err == nil && strings.Contains(strictErr.Error(), "duplicate"):
	case (strictErr == nil) != (err == nil):
		t.Fatalf("error %v, read strictly %v", err, strictErr)
	case err == nil:
		if diff := cmp.Diff(want, p, comparePrefixes); diff != "" {
			t.Errorf("-strictly +Decode\n%s", diff)
		}
	}
}

// plainDecode returns what cloudfront selects of an accepted file, read the plain way.
func plainDecode(t *testing.T, file []byte) []netip.Prefix {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(file, &members); err != nil {
		t.Fatalf("accepted, but not by encoding/json: %v", err)
	}
	var selected []netip.Prefix
	for _, f := range []family{familyIPv4, familyIPv6} {
		var entries []map[string]any
		if err := json.Unmarshal(members[f.list], &entries); err != nil {
			t.Fatalf("accepted, but not by encoding/json: %s: %v", f.list, err)
		}
		for _, entry := range entries {
			if entry["service"] == "CLOUDFRONT" {
				prefix, _ := entry[f.member].(string)
				selected = append(selected, netip.MustParsePrefix(prefix))
			}
		}
	}
	return selected
}

// However many members and levels there are of what is passed over, they take no memory to speak of.
func TestDecodeStrangeMembersInLittleMemory(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"member-%d":1,`, i)
		}
		return b.String()
	}
	for name, head := range map[string]string{
		"members":           "{" + many(1_000_000),
		"members below":     `{"x":{` + many(1_000_000) + `"y":1},`,
		"members in a list": `{"x":[{` + many(1_000_000) + `"y":1}],`,
		"levels":            "{" + strings.Repeat(`"x":{"member-of-some-length":1,`, 9000) + `"y":1` + strings.Repeat("}", 9000) + ",",
	} {
		file := head + document("1787411825")[1:]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(strings.NewReader(file), cloudfront)
		runtime.ReadMemStats(&after)
		checkError(t, err, "no file that AWS publishes has")
		if n := after.TotalAlloc - before.TotalAlloc; n >= 512<<10 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}
