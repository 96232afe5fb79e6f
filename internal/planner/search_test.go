package planner

import (
	"context"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The search finds the order with the smallest gap that the oracle knows of, or none where there is none, by moves that
// can be made.
func TestSearchAgainstOracle(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		w := genTiny(t)
		w.Views = nil
		p := survey(&w, 0)
		p.settle()
		for _, s := range p.surplus {
			if s.stays {
				return
			}
		}
		f := &finder{problem: p}
		if !f.lay() || 1<<len(f.slots) > maxStates || len(p.unplaced) > 0 {
			return // it may give up
		}
		o := newOracle(w)
		least := o.least(o.exact)
		b := p.search(context.Background(), math.Inf(1))
		if (b == nil) != (least < 0) {
			t.Fatalf("an order was found: %t, the oracle has one that closes %d\n%v", b != nil, least, w)
		}
		if b == nil {
			return
		}
		found++
		if b.gap() != float64(least) {
			t.Fatalf("the moves close %g, %d would do\n%v\n%+v", b.gap(), least, w, b.moves)
		}
		plan := &Plan{Calls: calls([2]*problem{p, survey(&w, 1)}, b.moves)}
		state, lost, err := o.follow(plan)
		if err != nil || !o.exact(state) || lost != least {
			t.Fatalf("error %v, exact %t, %d cells closed\n%v\n%+v", err, o.exact(state), lost, w, plan)
		}
		if b := p.search(context.Background(), b.gap()); b != nil {
			t.Fatalf("a smaller gap was found by a second search: %g\n%v", b.gap(), w)
		}
	})
	t.Logf("%d orders found", found)
}
