package iprange

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMergeProperties merges prefixes within two blocks of 256 addresses, small enough for a twin that works on every
// single address.
func TestMergeProperties(t *testing.T) {
	blocks := prefixes("52.1.2.0/24 2600:9000::ff00/120")
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
			block, offset := rapid.SampledFrom(blocks).Draw(t, "block"), rapid.Byte().Draw(t, "offset")
			return subPrefix(block, offset, rapid.IntRange(0, 8).Draw(t, "depth"))
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
