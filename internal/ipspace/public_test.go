package ipspace

import (
	"net/netip"
	"testing"
)

func TestReservedFor(t *testing.T) {
	cases := map[string]string{
		"8.8.8.8":              "",
		"2600:9000::1":         "",
		"::ffff:8.8.8.8":       "",
		"127.0.0.1":            "loopback, RFC 1122",
		"::1":                  "loopback, RFC 4291",
		"::ffff:10.0.0.1":      "private use, RFC 1918",
		"172.31.255.255":       "private use, RFC 1918",
		"172.32.0.0":           "",
		"192.168.1.1":          "private use, RFC 1918",
		"100.64.0.1":           "shared address space, RFC 6598",
		"169.254.169.254":      "link local, RFC 3927",
		"203.0.113.9":          "documentation, RFC 5737",
		"0.0.0.0":              "this network, RFC 791",
		"224.0.0.1":            "multicast, RFC 5771",
		"255.255.255.255":      "reserved, RFC 1112",
		"2001:db8::1":          "documentation, RFC 3849",
		"fd00::1":              "unique local, RFC 4193",
		"fe80::1%eth0":         "link local, RFC 4291",
		"ff02::1":              "multicast, RFC 4291",
		"64:ff9b::8.8.8.8":     "outside 2000::/3",
		"2002:0808:0808::1":    "6to4, RFC 3056",
		"2001:4860:4860::8888": "",
	}
	for addr, want := range cases {
		if got := ReservedFor(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}
