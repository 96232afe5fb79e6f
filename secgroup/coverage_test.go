package secgroup

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go4.org/netipx"
	"pgregory.net/rapid"
)

var (
	tcp443  = PortRange{443, 443}
	tcp80   = PortRange{80, 80}
	compare = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
)

// prefixes parses CIDRs.
func prefixes(cidrs ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range cidrs {
		out = append(out, netip.MustParsePrefix(cidr))
	}
	return out
}

// tcp returns what identifies a TCP rule.
func tcp(ports PortRange, cidr string) RuleID {
	return RuleID{"tcp", int32(ports.From), int32(ports.To), Source{Prefix: netip.MustParsePrefix(cidr)}}
}

// The drawing in the comment of coverage.
func TestCoveragePreorder(t *testing.T) {
	for _, test := range []struct {
		name     string
		prefixes []netip.Prefix
		end      []int
		size     []float64
	}{
		{
			"the drawing",
			prefixes("13.32.0.0/14", "13.32.0.0/15", "13.33.0.0/16", "13.35.0.0/16"),
			[]int{4, 3, 3, 4},
			[]float64{1 << 16, 1 << 16, 1 << 16, 1 << 16},
		},
		{"none", nil, nil, nil},
		{"apart", prefixes("1.0.0.0/24", "1.0.1.0/24"), []int{1, 2}, []float64{256, 256}},
		{"halves", prefixes("1.0.0.0/23", "1.0.0.0/24", "1.0.1.0/24"), []int{3, 2, 3}, []float64{0, 256, 256}},
		{"lower half", prefixes("1.0.0.0/23", "1.0.0.0/24"), []int{2, 2}, []float64{256, 256}},
		{"upper half", prefixes("1.0.0.0/23", "1.0.1.0/24"), []int{2, 2}, []float64{256, 256}},
		{
			"both sides of a hole", prefixes("1.0.0.0/22", "1.0.0.0/24", "1.0.2.0/23"),
			[]int{3, 2, 3},
			[]float64{256, 256, 512},
		},
		{
			"tiled at two depths", prefixes("1.0.0.0/22", "1.0.0.0/23", "1.0.0.0/24", "1.0.1.0/24", "1.0.2.0/23"),
			[]int{5, 4, 3, 4, 5},
			[]float64{0, 0, 256, 256, 512},
		},
		{"a chain", prefixes("1.0.0.0/8", "1.0.0.0/9", "1.0.0.0/10"), []int{3, 3, 3}, []float64{1 << 23, 1 << 22, 1 << 22}},
		{"both families", prefixes("1.0.0.0/32", "2600::/128"), []int{1, 2}, []float64{1, 1}},
		{"end of the address space", prefixes("255.255.255.0/24", "255.255.255.128/25"), []int{2, 2}, []float64{128, 128}},
		{"all of it, halved", prefixes("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"), []int{3, 2, 3}, []float64{0, 1 << 31, 1 << 31}},
		{"one address in much of IPv6", prefixes("2600::/20", "2600::1/128"), []int{2, 2}, []float64{1 << 62 * (1 << 46), 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !slices.IsSortedFunc(test.prefixes, netip.Prefix.Compare) {
				t.Fatal("the test's prefixes are not in preorder")
			}
			end, size := preorder(test.prefixes)
			if diff := cmp.Diff(test.end, end, compare); diff != "" {
				t.Errorf("end: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(test.size, size, compare); diff != "" {
				t.Errorf("size: -want +got\n%s", diff)
			}
		})
	}
}

// An IPv6 prefix has more addresses than a float64 tells apart, so their number
// is not exact; but one address is never mistaken for none, nor none for one.
func TestCoverageCountsTheLastAddress(t *testing.T) {
	whole := netip.MustParsePrefix("2600:9000::/28")
	for _, test := range []struct {
		name    string
		spare   string // the address that no other rule opens
		exposed bool
	}{
		{"first", "2600:9000::", true},
		{"middle", "2600:9008::", true},
		{"last", "2600:900f:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"none", "2600:9010::", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var rest netipx.IPSetBuilder
			rest.AddPrefix(whole)
			rest.Remove(netip.MustParseAddr(test.spare))
			set, err := rest.IPSet()
			if err != nil {
				t.Fatal(err)
			}
			rules := []RuleID{tcp(tcp443, whole.String())}
			for _, p := range set.Prefixes() {
				rules = append(rules, tcp(tcp443, p.String()))
			}
			c := newCoverage([]PortRange{tcp443}, []netip.Prefix{whole}, rules)
			for _, r := range rules[1:] {
				c.add(r, 1)
			}
			if got := c.exposed(rules[0], true); (got > 0) != test.exposed || got < 0 {
				t.Errorf("%g addresses of %s have no other rule, want any: %t", got, whole, test.exposed)
			}
		})
	}
}

func TestPortIntervals(t *testing.T) {
	rule := func(protocol string, from, to int32) RuleID {
		return RuleID{protocol, from, to, Source{Prefix: netip.MustParsePrefix("1.0.0.0/24")}}
	}
	for _, test := range []struct {
		name  string
		ports []PortRange
		rules []RuleID
		want  []PortRange
	}{
		{"no rule", []PortRange{tcp80, tcp443}, nil, []PortRange{tcp80, tcp443}},
		{"same ports", []PortRange{tcp443}, []RuleID{rule("tcp", 443, 443)}, []PortRange{tcp443}},
		{"wider rule", []PortRange{tcp80, tcp443}, []RuleID{rule("tcp", 0, 65535)}, []PortRange{tcp80, tcp443}},
		{"rule across the end", []PortRange{{80, 90}}, []RuleID{rule("tcp", 85, 100)}, []PortRange{{80, 84}, {85, 90}}},
		{"rule across the start", []PortRange{{80, 90}}, []RuleID{rule("tcp", 1, 80)}, []PortRange{{80, 80}, {81, 90}}},
		{"rule inside", []PortRange{{80, 90}}, []RuleID{rule("tcp", 85, 85)}, []PortRange{{80, 84}, {85, 85}, {86, 90}}},
		{"rule beside", []PortRange{tcp80}, []RuleID{rule("tcp", 81, 442)}, []PortRange{tcp80}},
		{"ports that overlap", []PortRange{{80, 90}, {85, 95}}, nil, []PortRange{{80, 84}, {85, 90}, {91, 95}}},
		{"last port", []PortRange{{65000, 65535}}, []RuleID{rule("tcp", 65535, 65535)}, []PortRange{{65000, 65534}, {65535, 65535}}},
		{"all protocols", []PortRange{{80, 90}}, []RuleID{rule("-1", -1, -1)}, []PortRange{{80, 90}}},
		{"other protocols", []PortRange{{80, 90}}, []RuleID{rule("udp", 85, 85), rule("icmp", 8, 0)}, []PortRange{{80, 90}}},
		{"no ports", nil, []RuleID{rule("tcp", 443, 443)}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, portIntervals(test.ports, test.rules), compare); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// The twin keeps a counter for each port of each address of the tiny world.
type twin struct {
	ports  []PortRange
	wanted map[netip.Addr]bool
	count  map[point]int
}

func newTwin(ports []PortRange, ranges []netip.Prefix) *twin {
	w := &twin{ports: ports, wanted: map[netip.Addr]bool{}, count: map[point]int{}}
	for _, r := range ranges {
		for _, a := range addressesIn(r) {
			w.wanted[a] = true
		}
	}
	return w
}

// points returns the points of the twin's ports that a rule opens.
func (w *twin) points(r RuleID) []point {
	if !r.Source.Prefix.IsValid() || r.Protocol != "tcp" && r.Protocol != "-1" {
		return nil
	}
	var points []point
	for port := int32(78); port <= 84; port++ {
		listed := slices.ContainsFunc(w.ports, func(p PortRange) bool { return int32(p.From) <= port && port <= int32(p.To) })
		if !listed || r.Protocol == "tcp" && (port < r.From || r.To < port) {
			continue
		}
		for _, a := range addressesIn(r.Source.Prefix) {
			points = append(points, point{"", port, a})
		}
	}
	return points
}

func (w *twin) add(r RuleID, n int) {
	for _, pt := range w.points(r) {
		w.count[pt] += n
	}
}

// exposed returns how many points of a rule no rule opens. The coverage counts
// each of its intervals once, however many ports that has; so does this, by
// looking at the intervals' first ports alone.
func (w *twin) exposed(r RuleID, onlyWanted bool, intervals []PortRange) float64 {
	n := 0.0
	for _, pt := range w.points(r) {
		first := slices.ContainsFunc(intervals, func(i PortRange) bool { return int32(i.From) == pt.port })
		if first && w.count[pt] == 0 && (w.wanted[pt.addr] || !onlyWanted) {
			n++
		}
	}
	return n
}

func TestCoverageAgainstTwin(t *testing.T) {
	genRule := rapid.Custom(func(t *rapid.T) RuleID {
		r := RuleID{Protocol: rapid.SampledFrom([]string{"tcp", "tcp", "tcp", "-1", "udp"}).Draw(t, "protocol"), From: -1, To: -1}
		if r.Protocol != "-1" {
			r.From = rapid.Int32Range(78, 84).Draw(t, "from")
			r.To = rapid.Int32Range(r.From, 84).Draw(t, "to")
		}
		switch rapid.IntRange(0, 9).Draw(t, "source") {
		case 0:
			r.Source.Reference = testReference
		case 1:
			r.Source.Prefix = netip.MustParsePrefix("8.8.0.0/16") // wider than the world
		default:
			r.Source.Prefix = genPrefix(t)
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		ports := rapid.SampledFrom([][]PortRange{{{80, 80}}, {{80, 80}, {82, 82}}, {{79, 83}}, {{79, 81}, {80, 83}}}).Draw(t, "ports")
		ranges := genRanges(t, 6)
		rules := rapid.SliceOfN(genRule, 1, 8).Draw(t, "rules")
		c, w := newCoverage(ports, ranges, rules), newTwin(ports, ranges)

		for i, interval := range c.intervals {
			if i > 0 && interval.From <= c.intervals[i-1].To {
				t.Fatalf("intervals %v overlap", c.intervals)
			}
		}
		check := func(r RuleID) {
			if r.Source.Prefix.Bits() == 16 {
				return // the twin does not see all of it
			}
			for _, onlyWanted := range []bool{true, false} {
				if got, want := c.exposed(r, onlyWanted), w.exposed(r, onlyWanted, c.intervals); got != want {
					t.Fatalf("%v has %g addresses that nothing opens (only wanted ones: %t), want %g", r, got, onlyWanted, want)
				}
			}
		}
		checkAll := func() {
			for _, r := range rules {
				check(r)
			}
			for _, r := range ranges {
				for _, p := range ports {
					check(RuleID{"tcp", int32(p.From), int32(p.To), Source{Prefix: r}})
				}
			}
		}
		checkAll()
		standing := map[int]int{}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			i := rapid.IntRange(0, len(rules)-1).Draw(t, "rule")
			n := 1
			if standing[i] > 0 && rapid.Bool().Draw(t, "revoke") {
				n = -1
			}
			standing[i] += n
			c.add(rules[i], n)
			w.add(rules[i], n)
			checkAll()
		}
		// Any part of a wanted port lies in some interval: nothing goes unseen.
		for port := uint16(78); port <= 84; port++ {
			listed := slices.ContainsFunc(ports, func(p PortRange) bool { return p.From <= port && port <= p.To })
			seen := slices.ContainsFunc(c.intervals, func(p PortRange) bool { return p.From <= port && port <= p.To })
			if listed != seen {
				t.Fatalf("port %d is listed: %t, in an interval: %t", port, listed, seen)
			}
		}
	})
}
