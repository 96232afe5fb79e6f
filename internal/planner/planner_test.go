package planner

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A context that is done at once, or after some questions, makes a plan that closes nothing without saying so, if
// perhaps one that does less.
func TestMakeWithoutTime(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	rapid.Check(t, func(t *rapid.T) {
		w := genTiny(t)
		for _, ctx := range []context.Context{cancelled, &patience{cancelled, rapid.IntRange(0, 20).Draw(t, "patience")}} {
			plan := Make(ctx, w)
			if _, _, err := replay(w, plan, tinyAddrs); err != nil {
				t.Fatalf("%v\n%v\n%+v", err, w, plan)
			}
		}
	})
}

// patience is a context that is done after it was asked so many times.
type patience struct {
	context.Context
	left int
}

func (p *patience) Err() error {
	if p.left--; p.left < 0 {
		return context.Canceled
	}
	return nil
}

// One world, one plan; and the world is left as it was.
func TestMakeIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := genTiny(t)
		before := w.String()
		first := Make(context.Background(), w)
		for range 3 {
			if diff := cmp.Diff(first, Make(context.Background(), w), compare); diff != "" {
				t.Fatalf("-first +again\n%s", diff)
			}
		}
		if after := w.String(); after != before {
			t.Fatalf("the world was\n%s\nand is\n%s", before, after)
		}
	})
}

// Ranges that somebody else's rule opens at some of the interfaces are added for the others, but in no group that has
// that rule.
func TestMakeAddsNothingTwice(t *testing.T) {
	foreign := Rule{Ports: Ports{443, 443}, Prefix: tinyPrefix(0, 4), Weight: [2]int{1, 0}}
	for _, test := range []struct {
		name  string
		views []View
		want  [][3]int // holder, added, removed
	}{
		{"attached together", []View{{Holders: []int{0, 1}}}, nil},
		{"attached apart", []View{{Holders: []int{0}}, {Holders: []int{1}}}, [][3]int{{1, 1, 0}}},
		{"one without it", []View{{Holders: []int{0, 1}}, {Holders: []int{1}}}, [][3]int{{1, 1, 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for v := range test.views {
				test.views[v].Wants = []bool{true}
			}
			w := World{
				Ports: []Ports{{443, 443}}, Ranges: tinyWanted[0], Views: test.views,
				Holders: []Holder{
					{Lists: []bool{true}, Rules: []Rule{foreign}, Room: [2]int{9, 9}},
					{Lists: []bool{true}, Room: [2]int{1, 1}},
				},
			}
			if diff := cmp.Diff(test.want, outline(Make(t.Context(), w)), compare); diff != "" {
				t.Errorf("calls: -want +got\n%s", diff)
			}
		})
	}
}
