package planner

import (
	"context"
	"fmt"
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
			plan := makePlan(ctx, w)
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
		before := fmt.Sprint(w)
		first := makePlan(context.Background(), w)
		for range 3 {
			if diff := cmp.Diff(first, makePlan(context.Background(), w), compare); diff != "" {
				t.Fatalf("-first +again\n%s", diff)
			}
		}
		if after := fmt.Sprint(w); after != before {
			t.Fatalf("the world was\n%s\nand is\n%s", before, after)
		}
	})
}
