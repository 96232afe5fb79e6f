package iprange

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMerge(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"one", "13.32.0.0/15", "13.32.0.0/15"},
		{"halves", "13.33.0.0/16 13.32.0.0/16", "13.32.0.0/15"},
		{"neighbours that are not halves", "13.33.0.0/16 13.34.0.0/16", "13.33.0.0/16 13.34.0.0/16"},
		{"one within the other", "13.32.0.0/15 13.33.7.0/24 13.32.0.0/15", "13.32.0.0/15"},
		{"over several levels", "13.32.0.0/17 13.32.128.0/18 13.32.192.0/18 13.33.0.0/16", "13.32.0.0/15"},
		{"families apart", "2600:9000::/28 13.32.0.0/15", "13.32.0.0/15 2600:9000::/28"},
		{"the ends of the families", "255.255.255.255/32 ::/128", "255.255.255.255/32 ::/128"},
		{"everything", "0.0.0.0/1 128.0.0.0/1 8000::/1 ::/1", "0.0.0.0/0 ::/0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(prefixes(test.want), Merge(prefixes(test.in)), comparePrefixes); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := Merge([]netip.Prefix{{}, netip.PrefixFrom(netip.MustParseAddr("13.32.0.0"), 99)}); len(got) != 0 {
		t.Errorf("invalid prefixes make %s", got)
	}
}

// TestMergeProperties merges prefixes within two blocks of 256 addresses, small enough for a twin that works on every
// single address.
func TestMergeProperties(t *testing.T) {
	blocks := prefixes("52.1.2.0/24 2600:9000::ff00/120")
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
			return subPrefix(rapid.SampledFrom(blocks).Draw(t, "block"), rapid.Byte().Draw(t, "offset"), rapid.IntRange(0, 8).Draw(t, "depth"))
		}), 0, 40).Draw(t, "prefixes")
		before := slices.Clone(in)
		got := Merge(in)
		if diff := cmp.Diff(mergeTwin(blocks, in), got, comparePrefixes); diff != "" {
			t.Fatal(diff)
		}
		if !slices.IsSortedFunc(got, netip.Prefix.Compare) {
			t.Fatalf("not sorted: %s", got)
		}
		if diff := cmp.Diff(got, Merge(got), comparePrefixes); diff != "" {
			t.Fatalf("not idempotent: %s", diff)
		}
		if !slices.Equal(before, in) {
			t.Fatal("the input was changed")
		}
	})
}

// subPrefix returns the prefix within a block of 256 addresses that holds the one at the offset.
func subPrefix(block netip.Prefix, offset byte, depth int) netip.Prefix {
	b := block.Addr().AsSlice()
	b[len(b)-1] += offset
	addr, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(addr, block.Bits()+depth).Masked()
}

// mergeTwin does what Merge does to prefixes within blocks: it halves each block until a part is covered whole.
func mergeTwin(blocks, in []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, block := range blocks {
		var covered [256]bool
		for i := range covered {
			addr := subPrefix(block, byte(i), 8).Addr()
			covered[i] = slices.ContainsFunc(in, func(p netip.Prefix) bool { return p.Contains(addr) })
		}
		var split func(from, depth int)
		split = func(from, depth int) {
			size := 256 >> depth
			part := covered[from : from+size]
			switch {
			case !slices.Contains(part, true):
			case !slices.Contains(part, false):
				out = append(out, subPrefix(block, byte(from), depth))
			default:
				split(from, depth+1)
				split(from+size/2, depth+1)
			}
		}
		split(0, 0)
	}
	return out
}
