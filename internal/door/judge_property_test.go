package door

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/secgroup"

	"go4.org/netipx"
	"pgregory.net/rapid"
)

// setOf returns the addresses that prefixes of a family cover.
func setOf(f secgroup.Family, prefixes []netip.Prefix) *ipspace.Set {
	ipv4, ipv6 := ipspace.Split(prefixes)
	if f == secgroup.IPv4 {
		return ipspace.Of(ipv4)
	}
	return ipspace.Of(ipv6)
}

// drawPrefix draws a prefix within one /24 of IPv4, or one /56 of IPv6 that is not cut finer than /66, or now and then
// something that holds these. There are few enough, so that they overlap, touch and repeat.
func drawPrefix(t *rapid.T, label string) netip.Prefix {
	last := byte(rapid.IntRange(0, 255).Draw(t, label+" address"))
	if rapid.Bool().Draw(t, label+" IPv6") {
		raw := netip.MustParseAddr("2001:db8::").As16()
		binary.BigEndian.PutUint16(raw[7:], uint16(last)<<6) // the bits 58 to 65
		bits := rapid.SampledFrom([]int{0, 48, 56, 58, 60, 62, 63, 64, 65, 66}).Draw(t, label+" bits")
		return netip.PrefixFrom(netip.AddrFrom16(raw), bits).Masked()
	}
	bits := rapid.SampledFrom([]int{0, 1, 20, 24, 25, 26, 28, 30, 31, 32}).Draw(t, label+" bits")
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), bits).Masked()
}

func drawPrefixes(t *rapid.T, label string) []netip.Prefix {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix { return drawPrefix(t, label) }), 0, 8).Draw(t, label)
}

// landmarks are the addresses where anything can change: the first and the last of each prefix, and those next to them.
func landmarks(lists ...[]netip.Prefix) []netip.Addr {
	var all []netip.Addr
	for _, list := range lists {
		for _, p := range list {
			first, last := p.Addr(), netipx.PrefixLastIP(p)
			for _, addr := range []netip.Addr{first, first.Prev(), last, last.Next()} {
				if addr.IsValid() {
					all = append(all, addr)
				}
			}
		}
	}
	return all
}

func holds(list []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Judging with sets gives the same as asking each rule, address by address and port by port.
func TestJudgeAgreesWithEachAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wanted, list := drawPrefixes(t, "wanted"), drawPrefixes(t, "list")
		port := func(label string) uint16 { return uint16(rapid.IntRange(1, 8).Draw(t, label)) }
		first := port("first")
		asked := secgroup.PortRange{From: first, To: max(first, port("last"))}
		var groups []secgroup.Group
		for range rapid.IntRange(1, 3).Draw(t, "groups") {
			var g secgroup.Group
			for range rapid.IntRange(0, 6).Draw(t, "rules") {
				id := secgroup.RuleID{Protocol: rapid.SampledFrom([]string{"tcp", "tcp", "udp", "-1"}).Draw(t, "protocol"), From: -1, To: -1}
				if id.Protocol != "-1" {
					id.From = int32(port("from"))
					id.To = max(id.From, int32(port("to")))
				}
				if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
					id.Source.Reference = "pl-1"
				} else {
					id.Source.Prefix = drawPrefix(t, "source")
				}
				g.Ingress = append(g.Ingress, secgroup.Rule{RuleID: id})
			}
			groups = append(groups, g)
		}
		q := Question{Families: []secgroup.Family{secgroup.IPv4, secgroup.IPv6}, Ports: []secgroup.PortRange{asked}}
		q.Wanted = published(setOf(secgroup.IPv4, wanted).Prefixes(), setOf(secgroup.IPv6, wanted).Prefixes())
		var within []netip.Prefix // what may be let in as well
		if rapid.Bool().Draw(t, "a cover") {
			within = drawPrefixes(t, "within")
			q.Within = published(setOf(secgroup.IPv4, within).Prefixes(), setOf(secgroup.IPv6, within).Prefixes())
		}
		scene := &Scene{Subjects: []Subject{{Groups: groups}}, Lists: map[string]secgroup.Holder{"pl-1": {ID: "pl-1", Family: -1, Ingress: rulesFrom(list)}}}
		subject := Judge(scene, q).Subjects[0]

		// letIn is the brute force: whether any rule lets an address in on a port.
		sources := func(r secgroup.Rule) []netip.Prefix {
			if r.Source.Reference != "" {
				return list
			}
			return []netip.Prefix{r.Source.Prefix}
		}
		var ruled []netip.Prefix
		for _, g := range groups {
			for _, r := range g.Ingress {
				ruled = append(ruled, sources(r)...)
			}
		}
		letIn := func(addr netip.Addr, port uint16) bool {
			for _, g := range groups {
				for _, r := range g.Ingress {
					if (r.Protocol == "-1" || r.Protocol == "tcp" && r.From <= int32(port) && int32(port) <= r.To) && holds(sources(r), addr) {
						return true
					}
				}
			}
			return false
		}
		next := asked.From
		for _, p := range subject.Ports {
			ports, err := secgroup.ParsePorts(p.Port)
			if err != nil || ports[0].From != next {
				t.Fatalf("after port %d comes %s", next, p.Port)
			}
			for port := ports[0].From; port <= ports[0].To; port++ {
				for _, addr := range landmarks(wanted, within, list, ruled) {
					f := p.Families[secgroup.FamilyOf(netip.PrefixFrom(addr, 0))]
					in, want, may := letIn(addr, port), holds(wanted, addr), holds(within, addr)
					if blocked := holds(f.Blocked.Prefixes, addr); blocked != (want && !in) {
						t.Fatalf("port %d, %s: wanted %t, let in %t, blocked %t", port, addr, want, in, blocked)
					}
					other := slices.ContainsFunc(f.Others, func(o Opening) bool { return holds(o.Beyond.Prefixes, addr) })
					if other != (in && !want && !may) {
						t.Fatalf("port %d, %s: wanted %t, may be let in %t, let in %t, among the others %t", port, addr, want, may, in, other)
					}
					if (f.TakenIn != nil) != (q.Within != nil) {
						t.Fatalf("port %d: taken in %v, of %v", port, f.TakenIn, within)
					}
					if f.TakenIn != nil && holds(f.TakenIn.Prefixes, addr) != (in && !want && may) {
						t.Fatalf("port %d, %s: wanted %t, may be let in %t, let in %t, not among what is taken in", port, addr, want, may, in)
					}
				}
			}
			for _, f := range p.Families {
				if (f.Verdict == Open) != (len(f.Blocked.Prefixes) == 0) {
					t.Fatalf("verdict %s with %v blocked", f.Verdict, f.Blocked.Prefixes)
				}
				if !slices.IsSortedFunc(f.Blocked.Prefixes, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() }) {
					t.Fatalf("not the widest first: %v", f.Blocked.Prefixes)
				}
			}
			next = ports[0].To + 1
		}
		if next != asked.To+1 {
			t.Fatalf("the reports end before port %d of %s", next, asked)
		}
	})
}
