package planner

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go4.org/netipx"
	"pgregory.net/rapid"
)

var compare = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}

// prefixes parses CIDRs.
func prefixes(cidrs ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range cidrs {
		out = append(out, netip.MustParsePrefix(cidr))
	}
	return out
}

// oneView returns a tally of a space that one view sees all of.
func oneView(s *space) *tally { return newTally(s, [][]int{{0}}, 1) }

// An IPv6 prefix has more addresses than a float64 tells apart, so their number is not exact; but one address is never
// mistaken for none, nor none for one.
func TestTallyCountsTheLastAddress(t *testing.T) {
	port := Ports{443, 443}
	whole := netip.MustParsePrefix("2600:9000::/28")
	for _, test := range []struct {
		name  string
		spare string // the address that no other rule opens
		alone bool
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
			rules := []Rule{{Ports: port, Prefix: whole}}
			for _, p := range set.Prefixes() {
				rules = append(rules, Rule{Ports: port, Prefix: p})
			}
			c := oneView(newSpace([]Ports{port}, []netip.Prefix{whole}, rules))
			for _, r := range rules {
				c.add(c.spanOf(r.Ports, r.Prefix), 0, 1)
			}
			sp := c.spanOf(port, whole)
			if got := c.addresses(sp, 0, 1); (got > 0) != test.alone || got < 0 || c.dispensable(sp, 0) == test.alone {
				t.Errorf("%g addresses of %s have no other rule, want any: %t", got, whole, test.alone)
			}
		})
	}
}

// A twin keeps a counter for each port of each address of a small world, the addresses of 18.64.0.0/28 on ports 78 to
// 84, at each view.
type twin struct {
	ports []Ports
	want  map[netip.Addr]bool
	views [][]int // by holder
	count map[point]int
}

type point struct {
	view, port int
	addr       netip.Addr
}

var smallWorld = netip.MustParsePrefix("18.64.0.0/28")

// points returns the wanted points of a rule in a view.
func (w *twin) points(view int, r Rule) []point {
	var all []point
	for port := max(78, r.First); port <= min(84, r.Last); port++ {
		if !slices.ContainsFunc(w.ports, func(p Ports) bool { return p.First <= port && port <= p.Last }) {
			continue
		}
		for a := smallWorld.Addr(); smallWorld.Contains(a); a = a.Next() {
			if r.Prefix.Contains(a) && w.want[a] {
				all = append(all, point{view, port, a})
			}
		}
	}
	return all
}

func (w *twin) add(holder int, r Rule, n int) {
	for _, v := range w.views[holder] {
		for _, pt := range w.points(v, r) {
			w.count[pt] += n
		}
	}
}

// alone returns how many points of a rule exactly n rules open in some view of the holder. The tally counts each
// interval once, however many ports that has; so does this, by looking at the intervals' first ports only.
func (w *twin) alone(holder int, r Rule, n int, intervals []Ports) float64 {
	found := map[point]bool{}
	for _, v := range w.views[holder] {
		for _, pt := range w.points(v, r) {
			first := slices.ContainsFunc(intervals, func(i Ports) bool { return i.First == pt.port })
			if first && w.count[pt] == n {
				found[point{0, pt.port, pt.addr}] = true
			}
		}
	}
	return float64(len(found))
}

func genSmallPrefix(t *rapid.T) netip.Prefix {
	bits := rapid.IntRange(28, 32).Draw(t, "bits")
	n := rapid.IntRange(0, 15).Draw(t, "address")
	a := smallWorld.Addr().As4()
	a[3] = byte(n)
	return netip.PrefixFrom(netip.AddrFrom4(a), bits).Masked()
}

// genSmallRanges draws ranges that do not overlap.
func genSmallRanges(t *rapid.T, most int) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, p := range rapid.SliceOfN(rapid.Custom(genSmallPrefix), 1, most).Draw(t, "ranges") {
		b.AddPrefix(p)
	}
	set, err := b.IPSet()
	if err != nil {
		t.Fatal(err)
	}
	return set.Prefixes()
}

func TestTallyAgainstTwin(t *testing.T) {
	genRule := rapid.Custom(func(t *rapid.T) Rule {
		r := Rule{Ports: Ports{0, 65535}, Prefix: genSmallPrefix(t)}
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0: // for all protocols
		case 1:
			r.Ports = Ports{0, -1}
		default:
			r.First = rapid.IntRange(78, 84).Draw(t, "first")
			r.Last = rapid.IntRange(r.First, 84).Draw(t, "last")
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		ports := rapid.SampledFrom([][]Ports{{{80, 80}}, {{80, 80}, {82, 82}}, {{79, 83}}, {{79, 81}, {80, 83}}}).Draw(t, "ports")
		views := rapid.SampledFrom([][][]int{{{0}}, {{0}, {0}}, {{0, 1}, {1}}, {{0}, {0, 1, 2}, {2}}}).Draw(t, "views")
		ranges := genSmallRanges(t, 6)
		rules := rapid.SliceOfN(genRule, 1, 8).Draw(t, "rules")
		c := newTally(newSpace(ports, ranges, rules), views, 3)
		w := &twin{ports: ports, want: map[netip.Addr]bool{}, views: views, count: map[point]int{}}
		for _, r := range ranges {
			for a := r.Addr(); r.Contains(a); a = a.Next() {
				w.want[a] = true
			}
		}

		check := func(r Rule) {
			sp := c.spanOf(r.Ports, r.Prefix)
			for h := range views {
				for n := range 3 {
					if got, want := c.addresses(sp, h, int32(n)), w.alone(h, r, n, c.intervals); got != want {
						t.Fatalf("%d rules open %g addresses of %v at holder %d, want %g", n, got, r, h, want)
					}
				}
				if got, want := c.dispensable(sp, h), w.alone(h, r, 1, c.intervals) == 0; got != want {
					t.Fatalf("%v at holder %d is dispensable: %t, want %t", r, h, got, want)
				}
			}
		}
		checkAll := func() {
			for _, r := range rules {
				check(r)
			}
			for _, r := range ranges {
				for _, p := range ports {
					check(Rule{Ports: p, Prefix: r})
				}
			}
		}
		checkAll()
		type at struct{ rule, holder int }
		standing := map[at]int{}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			i := at{rapid.IntRange(0, len(rules)-1).Draw(t, "rule"), rapid.IntRange(0, len(views)-1).Draw(t, "holder")}
			n := 1
			if standing[i] > 0 && rapid.Bool().Draw(t, "remove") {
				n = -1
			}
			standing[i] += n
			c.add(c.spanOf(rules[i.rule].Ports, rules[i.rule].Prefix), i.holder, int32(n))
			w.add(i.holder, rules[i.rule], n)
			checkAll()
		}
		// Any part of a wanted port lies in one interval: nothing goes unseen, nothing is counted twice.
		for port := 78; port <= 84; port++ {
			holds := func(p Ports) bool { return p.First <= port && port <= p.Last }
			seen := 0
			for _, i := range c.intervals {
				if holds(i) {
					seen++
				}
			}
			if want := slices.ContainsFunc(ports, holds); seen > 1 || (seen == 1) != want {
				t.Fatalf("port %d is wanted: %t, and in %d intervals", port, want, seen)
			}
		}
	})
}

// Two spans meet wherever their rules open a point in common. What the pieces of a span are called is what its rule
// opens.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.Custom(func(t *rapid.T) Rule {
			first := rapid.IntRange(78, 84).Draw(t, "first")
			return Rule{Ports: Ports{first, rapid.IntRange(first, 84).Draw(t, "last")}, Prefix: genSmallPrefix(t)}
		})
		rules := rapid.SliceOfN(gen, 2, 6).Draw(t, "rules")
		s := newSpace([]Ports{{78, 84}}, []netip.Prefix{smallWorld}, rules)
		for _, a := range rules {
			for _, b := range rules {
				meet := a.Prefix.Overlaps(b.Prefix) && a.First <= b.Last && b.First <= a.Last
				if got := s.spanOf(a.Ports, a.Prefix).meets(s.spanOf(b.Ports, b.Prefix)); got != meet {
					t.Fatalf("%v and %v meet: %t, want %t", a, b, got, meet)
				}
			}
			pieces := map[int]bool{}
			for i, end := s.run(a.Prefix); i < end; i++ {
				pieces[i] = true
			}
			if got := s.ranges(pieces); !slices.Equal(got, []netip.Prefix{a.Prefix}) {
				t.Fatalf("the pieces of %v are %v", a.Prefix, got)
			}
		}
	})
}
