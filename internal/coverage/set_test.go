package coverage

import (
	"math"
	"testing"

	"cloudfront-sg-sync/secgroup"
)

func TestSize(t *testing.T) {
	cases := []struct {
		cidrs []string
		want  uint64
	}{
		{nil, 0},
		{[]string{"192.0.2.7/32"}, 1},
		{[]string{"13.32.0.0/15", "192.0.2.0/24", "192.0.2.0/25"}, 1<<17 + 256},
		{[]string{"0.0.0.0/0"}, 1 << 32},
		{[]string{"2600:9000::/28"}, 1 << 36},
		{[]string{"2001:db8::/64"}, 1},
		{[]string{"2001:db8::7/128"}, 1},
		{[]string{"2001:db8::7/128", "2001:db8::9/128", "2001:db8::1:0:0:0/80", "2001:db8:0:1::/128", "2001:db8:0:2::/63"}, 4},
		{[]string{"::/0"}, math.MaxUint64},
		{[]string{"::/1", "8000::/1"}, math.MaxUint64},
		{[]string{"::/1"}, 1 << 63},
	}
	for _, c := range cases {
		var got uint64
		for _, f := range []secgroup.Family{secgroup.IPv4, secgroup.IPv6} {
			got += rangesOf(setOf(f, prefixes(c.cidrs...))).Size
		}
		if got != c.want {
			t.Errorf("%v: %d, want %d", c.cidrs, got, c.want)
		}
	}
	// All but one address touches every /64.
	all := setOf(secgroup.IPv6, prefixes("::/0"))
	if n := rangesOf(minus(all, setOf(secgroup.IPv6, prefixes("2001:db8::7/128")))).Size; n != math.MaxUint64 {
		t.Errorf("all but one address: %d", n)
	}
}
