package iprange

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// cloudfront is what most tests select.
var cloudfront = Selection{Services: []string{"CLOUDFRONT"}, IPv4: true, IPv6: true}

// document returns a small file with the given sync token, where cloudfront selects one prefix of each family.
func document(token string) string {
	return `{
  "syncToken": "` + token + `",
  "createDate": "2026-08-22-15-17-05",
  "prefixes": [
    {"ip_prefix": "3.4.12.4/32", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"},
    {"ip_prefix": "13.32.0.0/15", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"}
  ],
  "ipv6_prefixes": [
    {"ipv6_prefix": "2600:9000::/28", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"},
    {"ipv6_prefix": "2600:1f14:802:7300::/56", "region": "us-west-2", "service": "EC2"}
  ]
}`
}

// md5Of returns the MD5 of a file as a notification writes it.
func md5Of(file string) string {
	sum := md5.Sum([]byte(file))
	return hex.EncodeToString(sum[:])
}

// prefixes parses prefixes separated by spaces.
func prefixes(list string) []netip.Prefix {
	var ps []netip.Prefix
	for s := range strings.FieldsSeq(list) {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// bigDocument returns a file like the real one, with the given number of entries, where cloudfront selects few.
func bigDocument(entries int) []byte {
	var b bytes.Buffer
	b.WriteString("{\n  \"syncToken\": \"1787411825\",\n  \"createDate\": \"2026-08-22-15-17-05\",\n  \"prefixes\": [\n")
	for i := range entries {
		service := "EC2"
		if i%max(1, entries/200) == 0 {
			service = "CLOUDFRONT"
		}
		fmt.Fprintf(&b, "    {\n      \"ip_prefix\": \"52.%d.%d.0/24\",\n      \"region\": \"eu-west-1\",\n"+
			"      \"service\": %q,\n      \"network_border_group\": \"eu-west-1\"\n    }", i/256%256, i%256, service)
		if i < entries-1 {
			b.WriteString(",\n")
		}
	}
	b.WriteString("\n  ],\n  \"ipv6_prefixes\": []\n}")
	return b.Bytes()
}

// realData returns an unpacked file of the real data, which lies beside the repository.
func realData(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := readGzip("../../shared/data/" + name)
	if os.IsNotExist(err) {
		tb.Skip("the real data is not here: ", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func readGzip(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// checkError fails the test unless err is an error with all the given words in it.
func checkError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
