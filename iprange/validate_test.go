package iprange

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParsePrefix(t *testing.T) {
	for f, good := range map[family]string{
		familyIPv4: "52.0.0.0/8 13.32.0.0/15 3.4.12.4/32 192.0.1.0/24 198.20.0.0/16 223.255.255.255/32",
		familyIPv6: "2600::/20 2600:9000::/28 2600:1f14:802:7300::/56 2001:200::/32 2a05:d000::1/128",
	} {
		for text := range strings.FieldsSeq(good) {
			if p, err := f.parsePrefix(text); err != nil || p.String() != text {
				t.Errorf("%s: %s, %v", text, p, err)
			}
		}
	}
}

func TestParsePrefixRefused(t *testing.T) {
	for _, test := range []struct {
		family      family
		word, texts string // separated by commas
	}{
		{
			familyIPv4, "CIDR", "52.0.0.0,52.0.0.0/,52.0.0.0/33,52.0.0.0/-1,52.0.0.0/+8,52.0.0.0/08,052.0.0.0/8,52.0.0/24" +
				", 52.0.0.0/8,52.0.0.0/8\n,CLOUDFRONT",
		},
		{familyIPv4, "host bits are set: 52.0.0.0/8", "52.0.0.1/8"},
		{familyIPv4, "host bits are set: 13.32.0.0/15", "13.33.0.0/15"},
		{familyIPv4, "not an IPv4 prefix", "2600:9000::/28"},
		{familyIPv4, "mapped", "::ffff:52.0.0.0/104"},
		{familyIPv4, "too wide", "0.0.0.0/0,52.0.0.0/7"},
		{familyIPv4, "RFC 791", "0.1.2.0/24"},
		{familyIPv4, "RFC 1918", "10.0.0.0/8,10.1.2.3/32,172.16.0.0/12,192.168.0.0/16"},
		{familyIPv4, "RFC 6598", "100.64.0.0/10"},
		{familyIPv4, "RFC 1122", "127.0.0.1/32"},
		{familyIPv4, "RFC 3927", "169.254.169.254/32"},
		{familyIPv4, "RFC 6890", "192.0.0.0/24"},
		{familyIPv4, "RFC 5737", "192.0.2.0/24,198.51.100.0/24,203.0.113.0/24"},
		{familyIPv4, "RFC 7526", "192.88.99.0/24"},
		{familyIPv4, "not a public range", "192.0.0.0/8"}, // there are private ranges in it
		{familyIPv4, "RFC 2544", "198.18.0.0/15"},
		{familyIPv4, "RFC 5771", "224.0.0.0/8"},
		{familyIPv4, "RFC 1112", "255.255.255.255/32"},
		{familyIPv6, "not an IPv6 prefix", "13.32.0.0/15"},
		{familyIPv6, "mapped", "::ffff:13.32.0.0/111"},
		{familyIPv6, "CIDR", "2600:9000::%eth0/28"},
		{familyIPv6, "not in canonical form: 2600:9000::/28", "2600:9000:0::/28,2600:9000:0:0:0:0:0:0/28"},
		{familyIPv6, "not in canonical form: 2600:9000:a::/48", "2600:9000:000A::/48"},
		{familyIPv6, "host bits", "2600:9000::1/28"},
		{familyIPv6, "too wide", "::/0,2000::/3,2600::/19"},
		{
			familyIPv6, "outside 2000::/3",
			"::1/128,64:ff9b::/96,100::/64,5f00::/20,fd00::/48,fe80::/64,ff02::/32",
		},
		{familyIPv6, "RFC 2928", "2001::/32"},
		{familyIPv6, "RFC 3849", "2001:db8::/32"},
		{familyIPv6, "RFC 3056", "2002:a00::/24"},
		{familyIPv6, "RFC 9637", "3fff::/20"},
	} {
		for text := range strings.SplitSeq(test.texts, ",") {
			_, err := test.family.parsePrefix(text)
			if err == nil || !strings.Contains(err.Error(), test.word) {
				t.Errorf("%q: error %v, want one with %q", text, err, test.word)
			}
		}
	}
}

// TestCheckPrefixAgreesWithNetip checks the table against what the standard library knows of such addresses.
func TestCheckPrefixAgreesWithNetip(t *testing.T) {
	for i := range 1 << 16 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i >> 8), byte(i)}), 16)
		a := p.Addr()
		special := a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
		if special && checkPrefix(p) == nil {
			t.Errorf("%s is accepted", p)
		}
	}
}
