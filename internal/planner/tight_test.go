package planner

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// splitting returns a pool of groups with rules for n ranges; the first so many split in two. The rules fill
// one group after the other, or as they are dealt.
func splitting(groups, quota, n, split int, deal func(i int) int) World {
	w := World{Ports: []Ports{{443, 443}}}
	for range groups {
		w.Holders = append(w.Holders, Holder{Lists: []bool{true}, Room: [2]int{quota, quota}})
	}
	for i := range n {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 18<<24|uint32(i)<<9)
		whole := netip.PrefixFrom(netip.AddrFrom4(a), 24)
		h := &w.Holders[deal(i)]
		h.Rules = append(h.Rules, Rule{Ports: w.Ports[0], Prefix: whole, Weight: [2]int{1, 0}, Owned: true})
		h.Room[0]--
		if i >= split {
			w.Ranges = append(w.Ranges, whole)
			continue
		}
		half := netip.PrefixFrom(whole.Addr(), 25)
		a[3] = 128
		w.Ranges = append(w.Ranges, half, netip.PrefixFrom(netip.AddrFrom4(a), 25))
	}
	return w
}

// connected returns pools that each split ranges and share an interface with the next.
func connected(pools, groups, quota, n, split int) World {
	one := splitting(groups, quota, n, split, func(i int) int { return i % groups })
	w := World{Ranges: one.Ranges}
	for p := range pools {
		w.Ports = append(w.Ports, one.Ports[0])
		for _, h := range one.Holders {
			h.Lists = make([]bool, pools)
			h.Lists[p] = true
			w.Holders = append(w.Holders, h)
		}
		v := View{Wants: make([]bool, pools)}
		for q := p; q < min(p+2, pools); q++ {
			v.Wants[q] = true
			for g := range groups {
				v.Holders = append(v.Holders, q*groups+g)
			}
		}
		w.Views = append(w.Views, v)
	}
	return w
}

// BenchmarkMake plans a list of 1,000 entries where half come from one that splits, and 1,000 groups that are all
// connected by interfaces.
func BenchmarkMake(b *testing.B) {
	list := splitting(1, 1000, 500, 500, func(int) int { return 0 })
	list.Holders[0].Swaps = true
	for name, w := range map[string]World{
		"list": list, "1000 pools": connected(1000, 1, 30, 20, 10), "250 pools of 4": connected(250, 4, 60, 180, 59),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				plan := makePlan(b.Context(), w)
				b.ReportMetric(float64(len(plan.Calls)), "calls")
				b.ReportMetric(float64(countGaps(plan)), "gaps")
			}
		})
	}
}

// rounds counts the authorizing and revoking calls of a plan as if those of different groups were made at once.
func rounds(p *Plan) int {
	n := 0
	for i, c := range p.Calls {
		if i == 0 || (len(c.Add) > 0) != (len(p.Calls[i-1].Add) > 0) {
			n++
		}
	}
	return n
}

// Splits in a pool with little room take few rounds, however the rules are distributed. Where the end fills the pool,
// the last range that splits has no room for both halves, and opens a gap.
func TestRounds(t *testing.T) {
	for _, test := range []struct{ groups, quota, n, split, most, gaps int }{
		{3, 60, 120, 60, 26, 1}, {3, 60, 170, 10, 18, 1}, {5, 60, 200, 100, 36, 1}, {5, 180, 445, 445, 36, 0},
	} {
		perm := rand.New(rand.NewPCG(1, 2)).Perm(test.n)
		for name, deal := range map[string]func(int) int{
			"filled": func(i int) int { return i / test.quota },
			"dealt":  func(i int) int { return i % test.groups },
			"random": func(i int) int { return perm[i] / test.quota },
		} {
			t.Run(fmt.Sprint(test, name), func(t *testing.T) {
				w := splitting(test.groups, test.quota, test.n, test.split, deal)
				plan := makePlan(t.Context(), w)
				if n := rounds(plan); n > test.most || countGaps(plan) > test.gaps || len(plan.Unplaced) > 0 {
					t.Errorf("%d rounds, %d gaps, %d unplaced", n, countGaps(plan), len(plan.Unplaced))
				}
				if _, _, err := replay(w, plan, endsOf(w)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A list needs no room for a range beside what replaces it, and one call for every 100 changes.
func TestList(t *testing.T) {
	for _, test := range [][2]int{{500, 500}, {660, 340}, {250, 250}, {100, 0}} {
		w := splitting(1, 1000, test[0], test[1], func(int) int { return 0 })
		w.Holders[0].Swaps = true
		plan := makePlan(t.Context(), w)
		_, lost, err := replay(w, plan, endsOf(w))
		if err != nil || lost > 0 || len(plan.Unplaced) > 0 || len(plan.Calls) > 3*test[1]/100 {
			t.Errorf("%v: %d calls, %d addresses closed, %d unplaced: %v", test, len(plan.Calls), lost, len(plan.Unplaced), err)
		}
	}
}

// countGaps counts the calls that close something for the time being.
func countGaps(p *Plan) int {
	n := 0
	for _, c := range p.Calls {
		if len(c.Gap) > 0 {
			n++
		}
	}
	return n
}
