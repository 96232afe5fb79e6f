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
	const every = "13.33.0.0/16 13.32.0.0/16"
	for _, test := range []struct {
		services          string
		ipv4, ipv6        bool
		raw, want4, want6 string
	}{
		{"CLOUDFRONT", true, true, every + " 2600:9000::/28", "13.32.0.0/15", "2600:9000::/28"},
		{"CLOUDFRONT", true, false, every, "13.32.0.0/15", ""},
		{"CLOUDFRONT", false, true, "2600:9000::/28", "", "2600:9000::/28"},
		{"EC2", true, true, "52.0.0.0/15", "52.0.0.0/15", ""},
		{"CLOUDFRONT EC2", true, false, every + " 52.0.0.0/15", "13.32.0.0/15 52.0.0.0/15", ""},
		{"CLOUDFRONT CLOUDFRONT_ORIGIN_FACING CLOUDFRONT", true, false, every + " 13.32.1.0/24", "13.32.0.0/15", ""},
	} {
		sel := Selection{Services: strings.Fields(test.services), IPv4: test.ipv4, IPv6: test.ipv6}
		p, err := Decode(strings.NewReader(file), sel)
		if err != nil {
			t.Fatal(err)
		}
		got := [][]netip.Prefix{p.Prefixes, p.IPv4, p.IPv6}
		want := [][]netip.Prefix{prefixes(test.raw), prefixes(test.want4), prefixes(test.want6)}
		if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.services, diff)
		}
	}
	for _, sel := range []Selection{
		{IPv4: true},
		{Services: []string{"CLOUDFRONT", ""}, IPv4: true},
		{Services: []string{"CLOUDFRONT"}},
		{Services: []string{"CLOUDFRONT"}, Within: []string{""}, IPv4: true},
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
	const ipv4 = wantedEntry
	for name, file := range map[string]string{
		"the sync token last":        `{"ipv6_prefixes":[],"prefixes":[` + ipv4 + `],"syncToken":"1787411825"}`,
		"a malformed createDate":     `{"createDate":"2017-07-20-22-42-233",` + lists(ipv4, "")[1:],
		"unknown members":            `{"more":[1,{"prefixes":[null,"\\"]}],"deep":[[[[{}]]]],` + lists(ipv4, "")[1:],
		"an unknown member of many":  `{"more":[` + strings.Repeat("0,", 3*maxEntry) + `0],` + lists(ipv4, "")[1:],
		"unknown members of entries": lists(`{"new":{"service":["x",1.5]},`+ipv4[1:]+`,{"new":{}}`, `{}`),
		"entries of other services":  lists(ipv4+`,{"ip_prefix":"10.0.0.0/33"},{"ip_prefix":7,"service":null}`, ""),
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

// TestDecodeRefused has files that are wrong as a whole, and what the error says; what is wrong with a prefix is in
// TestParsePrefix.
func TestDecodeRefused(t *testing.T) {
	const (
		ipv4 = wantedEntry
		ipv6 = `{"ipv6_prefix":"2600:9000::/28","service":"CLOUDFRONT"}`
		ec2  = `{"ip_prefix":"52.0.0.0/15","service":"EC2"}`
	)
	file, member := document("1787411825"), lists(ipv4, ipv6)[1:]
	token := func(value string) string { return `{"syncToken":` + value + `}` }
	// halves are two neighbours that are as wide as a prefix may be.
	halves := func(member, a, b string) string {
		return fmt.Sprintf(`{%q:%q,"service":"CLOUDFRONT"},{%[1]q:%[3]q,"service":"CLOUDFRONT"}`, member, a, b)
	}
	for _, test := range [][]string{
		{"", "empty"},
		{strings.Repeat(" ", 100), "empty"},
		{"<html><body>Sign in</body></html>", "not ip-ranges.json", "starts with", "<html><body>"},
		{"null", "not ip-ranges.json", `"null"`},
		{"[]", "not ip-ranges.json", `"[]"`},
		{"\ufeff{}", "not ip-ranges.json", `\ufeff{}`},
		{`{"error":"denied"}`, "not ip-ranges.json", "no syncToken"},
		{file[:300], "cut short", "300 bytes"},
		{file + "{}", "more data follows", fmt.Sprint(len(file))},
		{file + "]", "more data follows"},
		{file + "\x00", "more data follows"},
		{strings.Replace(file, `"prefixes"`, `prefixes`, 1), "not valid JSON", "offset"},
		{lists(ipv4+",", ipv6), "not valid JSON"},
		{lists(ipv4+ipv4, ipv6), "not valid JSON"},
		{`{"syncToken":"1","prefixes":[}`, "not valid JSON"},
		{strings.Replace(file, `"prefixes"`, `/**/"prefixes"`, 1), "not valid JSON"},
		{strings.Replace(file, "eu-west-1", "\xff", 1), "not valid JSON", "UTF-8"},
		{`{"prefixes":[],` + member, "duplicate", `"prefixes"`},
		{`{"x":1,"x":1,` + member, "duplicate", `"x"`},
		{lists(`{"service":"EC2",`+ipv4[1:], ipv6), "duplicate", `"service"`, "/prefixes/0"},
		{lists(ipv4+`,{"x":1,"x":1}`, ipv6), "duplicate", "/prefixes/1"},
		{lists(`{"\u0073ervice":"EC2",`+ipv4[1:], ipv6), "duplicate"},
		{`{"prefixes":[],"ipv6_prefixes":[]}`, "no syncToken"},
		{token("1787411825"), "syncToken", "a number", "want a string"},
		{token(`""`), "sync token", `""`},
		{token(`"2026-08-22"`), "sync token", `"2026-08-22"`, "Unix"},
		{token(`"-1"`), "sync token", `"-1"`},
		{token(`"0"`), "sync token", `"0"`},
		{token(`"1787411825000"`), "sync token", `"1787411825000"`},
		{token(`"` + strings.Repeat("9", 99) + `"`), "sync token", `9"…`},
		{`{"syncToken":"1","ipv6_prefixes":[` + ipv6 + `]}`, "no list of prefixes"},
		{`{"syncToken":"1","prefixes":[` + ipv4 + `]}`, "no list of ipv6_prefixes"},
		{`{"syncToken":"1","prefixes":null}`, "prefixes", "null", "want a list"},
		{`{"syncToken":"1","prefixes":{}}`, "prefixes", "an object", "want a list"},
		{lists("null", ipv6), "prefixes entry 0", "not an object"},
		{lists(ipv4, "[]"), "ipv6_prefixes entry 0", "not an object"},
		{lists(`{"service":"CLOUDFRONT"}`, ""), "prefixes entry 0", "CLOUDFRONT", "no ip_prefix"},
		{lists(`{"service":"CLOUDFRONT","ip_prefix":[]}`, ""), "no ip_prefix"},
		{lists(ipv6, ipv4), "prefixes entry 0", "no ip_prefix"},
		{lists(`{"x":"`+strings.Repeat("x", 1<<20)+`"}`, ""), "more than 16384 bytes", "byte 38"},
		{lists(ec2+","+ec2+`,{"service":"CLOUDFRONT","ip_prefix":"10.0.0.0/8"}`, ""), "entry 2", "10.0.0.0/8", "RFC 1918"},
		{lists(halves("ip_prefix", "52.0.0.0/8", "53.0.0.0/8"), ""), "merged prefix 52.0.0.0/7: too wide"},
		{lists("", halves("ipv6_prefix", "2600::/20", "2600:1000::/20")), "merged prefix 2600::/19: too wide"},
		{lists(ec2, ""), "no IPv4 or IPv6 range", "CLOUDFRONT"},
	} {
		p, err := Decode(strings.NewReader(test[0]), cloudfront)
		if checkError(t, err, test[1:]...); p != nil {
			t.Errorf("%.100q: something is returned with the error: %+v", test[0], p)
		}
	}

	// A wrong prefix is a sign of a bad file even if its family is not selected.
	wrong := lists(ipv4, `{"ipv6_prefix":"::/0","service":"CLOUDFRONT"}`)
	_, err := Decode(strings.NewReader(wrong), Selection{Services: []string{"CLOUDFRONT"}, IPv4: true})
	checkError(t, err, `ipv6_prefixes entry 0: "::/0" (CLOUDFRONT): too wide`)
}

// passedOver are two entries. The JSON decoder never sees the second.
const (
	passedOver  = `{"ip_prefix":"52.0.0.0/15","service":"EC2"},{"ip_prefix":"52.2.0.0/15","service":"EC2"}`
	wantedEntry = `{"ip_prefix":"13.32.0.0/15","service":"CLOUDFRONT"}`
)

// TestDecodePassesOver changes entries that are passed over in any place, and writes any byte into a string of one: the
// file is judged as if the JSON decoder saw all of it.
func TestDecodePassesOver(t *testing.T) {
	file := lists(passedOver+`, {"service": "CLOUDFRONT_X","x" :"" },`+wantedEntry, "")
	judge := func(file string) {
		p, err := Decode(strings.NewReader(file), cloudfront)
		compareStrictly(t, []byte(file), p, err)
	}
	for at := strings.Index(file, "52.2"); at < strings.Index(file, "13.32"); at++ {
		for char := range strings.SplitSeq("\"\\,:{}[] \n\x00\x80x1", "") {
			judge(file[:at] + char + file[at+1:])
			judge(file[:at] + char + file[at:])
		}
	}
	for _, entry := range []string{`{"x":"y",z":u"}`, `{x":"y","z":u"}`, `{x":y","z":"u"}`} { // two quotes less
		judge(lists(passedOver+","+entry+","+wantedEntry, ""))
	}
	for char := range 256 {
		judge(strings.Replace(file, "52.2", string([]byte{byte(char)}), 1))
	}
	judge(lists(passedOver+`,{"service":"\u0043LOUDFRONT","ip_prefix":"10.0.0.0/8"}`, ""))
	for _, entry := range []string{`{"service":"EC2",` + wantedEntry[1:], `{"service":"EC2","service":"\u0043LOUDFRONT"}`} {
		_, err := Decode(strings.NewReader(lists(passedOver+","+entry, "")), cloudfront)
		checkError(t, err, "duplicate", `"service"`, "/prefixes/2")
	}
	d := newSelector(strings.NewReader(file), cloudfront)
	if _, err := d.decode(); err != nil || d.src.skipped < int64(len(passedOver)/2) {
		t.Errorf("error %v, %d bytes are passed over", err, d.src.skipped)
	}
	file = lists(passedOver+`,{"service":"S3","service":"S3"},`+wantedEntry, "")
	if _, err := Decode(strings.NewReader(file), cloudfront); err != nil {
		t.Error("an entry that is not wanted has a member twice: ", err)
	}
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
	entry := `,{"x":"` + strings.Repeat("x", 8000) + `"}`
	endless := io.MultiReader(strings.NewReader(`{"prefixes":[{}`), &repeat{text: entry})
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
	for service, want := range map[string]string{"CLOUDFRONT": "243: 180 + 31", "CLOUDFRONT_ORIGIN_FACING": "49: 45 + 3"} {
		p, err := Decode(bytes.NewReader(data), Selection{Services: []string{service}, IPv4: true, IPv6: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d: %d + %d", len(p.Prefixes), len(p.IPv4), len(p.IPv6)); got != want {
			t.Errorf("%s: %s, want %s", service, got, want)
		}
		sum, published := hex.EncodeToString(p.MD5[:]), p.Published.Format(time.RFC3339)
		if sum != "63431d35877fa5386ded1a7df9cfa971" || published != "2026-08-22T15:17:05Z" {
			t.Errorf("MD5 %s, published %s", sum, published)
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

// allocated returns how much memory is allocated to decode a file.
func allocated(file string) (bytes uint64, err error) {
	r := strings.NewReader(file)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = Decode(r, cloudfront)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// TestDecodeMemory checks that a document is not held in memory: what is allocated does not grow with it. However many
// members and levels there are in what is passed over, they take no memory to speak of.
func TestDecodeMemory(t *testing.T) {
	for _, entries := range []int{1_000, 16_000, 64_000} {
		file := string(bigDocument(entries))
		if n, err := allocated(file); err != nil || n >= 256<<10 {
			t.Errorf("%d bytes allocated for a document of %d, error %v", n, len(file), err)
		}
	}
	var many strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&many, `"member-%d":1,`, i)
	}
	for name, head := range map[string]string{
		"members":           "{" + many.String(),
		"members below":     `{"x":{` + many.String() + `"y":1},`,
		"members in a list": `{"x":[{` + many.String() + `"y":1}],`,
		"levels":            "{" + strings.Repeat(`"x":{"member":1,`, 9000) + `"y":1` + strings.Repeat("}", 9000) + ",",
	} {
		n, err := allocated(head + document("1787411825")[1:])
		if checkError(t, err, "no file that AWS publishes has"); n >= 512<<10 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

// TestDecodeGenerated writes documents in any of the ways in which JSON can be written, and reads them back.
func TestDecodeGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := writer{t}
		wanted := false
		list := func(f family) string {
			var entries []string
			for range rapid.IntRange(0, 5).Draw(t, "entries") {
				service := rapid.SampledFrom([]string{"CLOUDFRONT", "EC2", "CLOUDFRONT_ORIGIN_FACING", ""}).Draw(t, "service")
				wanted = wanted || service == "CLOUDFRONT"
				entries = append(entries, w.object(
					w.text("service")+w.space()+":"+w.space()+w.text(service),
					w.text(f.member)+":"+w.text(publicPrefix(f).Draw(t, "prefix").String()),
					w.text("region")+":"+w.text("GLOBAL"),
					w.text("new")+`:{"service":["CLOUDFRONT",{}]}`))
			}
			return w.text(f.list) + w.space() + ":[" + strings.Join(entries, w.space()+",") + w.space() + "]"
		}
		token := rapid.Int64Range(1, maxToken).Draw(t, "token")
		published := w.text("syncToken") + ":" + w.text(fmt.Sprint(token))
		file := w.object(list(familyIPv4), list(familyIPv6), published, `"createDate":null`)

		p, err := checkDecoded(t, []byte(file))
		_, missing := errors.AsType[*MissingServiceError](err)
		if missing == wanted || err == nil && p.Published.Unix() != token {
			t.Fatalf("%+v, %v in %s", p, err, file)
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
		lists(`{"ip_prefix":"10.0.0.0/8","service":"CLOUDFRONT"}`, ""),
		lists("", `{"ipv6_prefix":"::ffff:1.2.3.4/128","service":"CLOUDFRONT"}`),
		lists(`{"service":"CLOUDFRONT","service":"EC2"}`, "null"),
		lists(passedOver+`,{"service":"EC2","service":"S3"},`+wantedEntry+","+passedOver, ""),
		lists(passedOver+`, {"x":"[{}]"} , {"x":{"y":"CLOUDFRONT"}},{}`, passedOver),
		`{}`, `null`, `<html>`, ``, `{"syncToken":"0"}`, `{"prefixes":[{}`, `{"a":[[[[{"a":"\ud800"}]]]]} x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) { _, _ = checkDecoded(t, file) })
}

// checkDecoded decodes a file, and compares the result with other ways to read it: strictly, byte by byte, and with
// encoding/json.
func checkDecoded(t rapid.TB, file []byte) (*Publication, error) {
	t.Helper()
	p, err := Decode(bytes.NewReader(file), cloudfront)
	compareStrictly(t, file, p, err)
	again, slowly := Decode(iotest.OneByteReader(bytes.NewReader(file)), cloudfront)
	diff := cmp.Diff(p, again, comparePrefixes)
	if diff != "" || (slowly == nil) != (err == nil) || (p == nil) != (err != nil) {
		t.Fatalf("error %v, read byte by byte %v\n%s", err, slowly, diff)
	}
	if err != nil {
		return p, err
	}
	if p.MD5 != md5.Sum(file) || p.Published.Unix() <= 0 {
		t.Errorf("accepted: %+v", p)
	}
	for _, prefix := range append(p.Merged(), p.Prefixes...) {
		if err := checkPrefix(prefix); err != nil || prefix != prefix.Masked() {
			t.Errorf("accepted %s: %v", prefix, err)
		}
	}
	selected := plainDecode(t, file)
	if diff := cmp.Diff(selected, p.Prefixes, comparePrefixes, cmpopts.SortSlices(netip.Prefix.Compare)); diff != "" {
		t.Errorf("-encoding/json +Decode\n%s", diff)
	}
	if diff := cmp.Diff(Merge(selected), p.Merged(), comparePrefixes); diff != "" || len(selected) == 0 {
		t.Errorf("-Merge +Decode\n%s", diff)
	}
	return p, nil
}

// compareStrictly compares with what comes of a file if its every entry is read by the JSON decoder: the same, but that
// this also refuses an entry of no matter that has a member twice.
func compareStrictly(t rapid.TB, file []byte, p *Publication, err error) {
	t.Helper()
	t.Helper()
	strict := newSelector(bytes.NewReader(file), cloudfront)
	strict.plain.services = nil // passes over nothing
	want, strictErr := strict.decode()
	switch {
	case strictErr != nil && strings.Contains(strictErr.Error(), "duplicate"):
	case fmt.Sprint(strictErr) != fmt.Sprint(err):
		t.Fatalf("%q:\nerror %v, read strictly %v", file, err, strictErr)
	case err == nil:
		if diff := cmp.Diff(want, p, comparePrefixes); diff != "" {
			t.Errorf("-strictly +Decode\n%s", diff)
		}
	}
}

// plainDecode returns what cloudfront selects of an accepted file, read the plain way.
func plainDecode(t rapid.TB, file []byte) []netip.Prefix {
	t.Helper()
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
