package ipspace

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func prefixes(list string) []netip.Prefix {
	var parsed []netip.Prefix
	for s := range strings.FieldsSeq(list) {
		parsed = append(parsed, netip.MustParsePrefix(s))
	}
	return parsed
}

func TestSize(t *testing.T) {
	for list, want := range map[string]uint64{
		"192.0.2.1/32":                 1,
		"192.0.2.0/24 198.51.100.0/23": 256 + 512,
		"0.0.0.0/0":                    1 << 32,
		"2001:db8::/48 2001:db9::/64":  1<<16 + 1,
		"2001:db8::/96 2001:db8::1:0:0/96 2001:db8:0:1::1/128": 2, // two networks, one touched twice
		"2600:9000::/28": 1 << 36,
		"2001:db8::7/128 2001:db8::9/128 2001:db8::1:0:0:0/80 2001:db8:0:1::/128 2001:db8:0:2::/63": 4,
		"::/1":          1 << 63,
		"::/0":          math.MaxUint64,
		"::/1 8000::/1": math.MaxUint64,
	} {
		if got := Size(prefixes(list)); got != want {
			t.Errorf("Size(%s) = %d, want %d", list, got, want)
		}
	}
}

// Minus and Common agree with asking address by address, in a space small enough for it.
func TestSets(t *testing.T) {
	draw := rapid.SliceOf(rapid.Custom(func(t *rapid.T) netip.Prefix {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "address")})
		return netip.PrefixFrom(addr, rapid.IntRange(24, 32).Draw(t, "bits")).Masked()
	}))
	covers := func(list []netip.Prefix, a netip.Addr) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		minus, common, size := Minus(Of(a), Of(b)), Common(Of(a), Of(b)), uint64(0)
		for n := range 256 {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
			inA, inB := covers(a, addr), covers(b, addr)
			if inA && !inB {
				size++
			}
			if minus.Contains(addr) != (inA && !inB) {
				t.Fatalf("%v minus %v is %v, which is wrong at %v", a, b, minus.Prefixes(), addr)
			}
			if common.Contains(addr) != (inA && inB) {
				t.Fatalf("%v and %v have %v in common, which is wrong at %v", a, b, common.Prefixes(), addr)
			}
		}
		if got := Size(minus.Prefixes()); got != size {
			t.Fatalf("Size(%v) = %d, want %d", minus.Prefixes(), got, size)
		}
	})
}

func TestChange(t *testing.T) {
	before, after := prefixes("10.0.0.0/8 192.0.2.0/24"), prefixes("192.0.2.0/24 10.128.0.0/9 10.0.0.0/9 10.0.0.0/9")
	added, removed := Change(before, after)
	want := [][]netip.Prefix{prefixes("10.0.0.0/9 10.128.0.0/9"), prefixes("10.0.0.0/8")}
	if diff := cmp.Diff(want, [][]netip.Prefix{added, removed}, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}
