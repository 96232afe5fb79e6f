package iprange

import (
	"net/netip"
	"testing"
)

func TestParsePrefix(t *testing.T) {
	for _, text := range []string{"52.0.0.0/8", "13.32.0.0/15", "3.4.12.4/32", "192.0.1.0/24", "198.20.0.0/16", "223.255.255.255/32"} {
		if p, err := familyIPv4.parsePrefix(text); err != nil || p.String() != text {
			t.Errorf("%s: %s, %v", text, p, err)
		}
	}
	for _, text := range []string{"2600::/20", "2600:9000::/28", "2600:1f14:802:7300::/56", "2001:200::/32", "2a05:d000::1/128"} {
		if p, err := familyIPv6.parsePrefix(text); err != nil || p.String() != text {
			t.Errorf("%s: %s, %v", text, p, err)
		}
	}
}

func TestParsePrefixRefused(t *testing.T) {
	for _, test := range []struct {
		family family
		text   string
		word   string
	}{
		{familyIPv4, "52.0.0.0", "CIDR"},
		{familyIPv4, "52.0.0.0/", "CIDR"},
		{familyIPv4, "52.0.0.0/33", "CIDR"},
		{familyIPv4, "52.0.0.0/-1", "CIDR"},
		{familyIPv4, "52.0.0.0/+8", "CIDR"},
		{familyIPv4, "52.0.0.0/08", "CIDR"},
		{familyIPv4, "052.0.0.0/8", "CIDR"},
		{familyIPv4, "52.0.0/24", "CIDR"},
		{familyIPv4, " 52.0.0.0/8", "CIDR"},
		{familyIPv4, "52.0.0.0/8\n", "CIDR"},
		{familyIPv4, "CLOUDFRONT", "CIDR"},
		{familyIPv4, "52.0.0.1/8", "host bits are set: 52.0.0.0/8"},
		{familyIPv4, "13.33.0.0/15", "host bits are set: 13.32.0.0/15"},
		{familyIPv4, "2600:9000::/28", "not an IPv4 prefix"},
		{familyIPv4, "::ffff:52.0.0.0/104", "mapped"},
		{familyIPv4, "0.0.0.0/0", "too wide"},
		{familyIPv4, "52.0.0.0/7", "too wide"},
		{familyIPv4, "0.1.2.0/24", "RFC 791"},
		{familyIPv4, "10.0.0.0/8", "RFC 1918"},
		{familyIPv4, "10.1.2.3/32", "RFC 1918"},
		{familyIPv4, "100.64.0.0/10", "RFC 6598"},
		{familyIPv4, "127.0.0.1/32", "RFC 1122"},
		{familyIPv4, "169.254.169.254/32", "RFC 3927"},
		{familyIPv4, "172.16.0.0/12", "RFC 1918"},
		{familyIPv4, "192.0.0.0/24", "RFC 6890"},
		{familyIPv4, "192.0.2.0/24", "RFC 5737"},
		{familyIPv4, "192.88.99.0/24", "RFC 7526"},
		{familyIPv4, "192.168.0.0/16", "RFC 1918"},
		{familyIPv4, "192.0.0.0/8", "not a public range"}, // there are private ranges in it
		{familyIPv4, "198.18.0.0/15", "RFC 2544"},
		{familyIPv4, "198.51.100.0/24", "RFC 5737"},
		{familyIPv4, "203.0.113.0/24", "RFC 5737"},
		{familyIPv4, "224.0.0.0/8", "RFC 5771"},
		{familyIPv4, "255.255.255.255/32", "RFC 1112"},
		{familyIPv6, "13.32.0.0/15", "not an IPv6 prefix"},
		{familyIPv6, "::ffff:13.32.0.0/111", "mapped"},
		{familyIPv6, "2600:9000::%eth0/28", "CIDR"},
		{familyIPv6, "2600:9000:0::/28", "not in canonical form: 2600:9000::/28"},
		{familyIPv6, "2600:9000:0:0:0:0:0:0/28", "not in canonical form"},
		{familyIPv6, "2600:9000:000A::/48", "not in canonical form: 2600:9000:a::/48"},
		{familyIPv6, "2600:9000::1/28", "host bits"},
		{familyIPv6, "::/0", "too wide"},
		{familyIPv6, "2000::/3", "too wide"},
		{familyIPv6, "2600::/19", "too wide"},
		{familyIPv6, "::1/128", "outside 2000::/3"},
		{familyIPv6, "64:ff9b::/96", "outside 2000::/3"},
		{familyIPv6, "100::/64", "outside 2000::/3"},
		{familyIPv6, "5f00::/20", "outside 2000::/3"},
		{familyIPv6, "fd00::/48", "outside 2000::/3"},
		{familyIPv6, "fe80::/64", "outside 2000::/3"},
		{familyIPv6, "ff02::/32", "outside 2000::/3"},
		{familyIPv6, "2001::/32", "RFC 2928"},
		{familyIPv6, "2001:db8::/32", "RFC 3849"},
		{familyIPv6, "2002:a00::/24", "RFC 3056"},
		{familyIPv6, "3fff::/20", "RFC 9637"},
	} {
		_, err := test.family.parsePrefix(test.text)
		if err == nil {
			t.Errorf("%s is accepted", test.text)
			continue
		}
		checkError(t, err, test.word)
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
