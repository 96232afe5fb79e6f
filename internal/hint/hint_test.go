package hint_test

import (
	"errors"
	"fmt"
	"testing"

	"cloudfront-sg-sync/internal/hint"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	denied := hint.New("access denied", "grant ec2:DescribeRegions")
	for name, test := range map[string]struct {
		err  error
		text string
		want []hint.Line
	}{
		"none": {errors.New("broken"), "broken", []hint.Line{{Problem: "broken"}}},
		"one": {
			denied, "access denied; grant ec2:DescribeRegions",
			[]hint.Line{{"access denied", []string{"grant ec2:DescribeRegions"}}},
		},
		"wrapped, with text behind": {
			fmt.Errorf("us-east-1: %w (3 times)", denied),
			"us-east-1: access denied; grant ec2:DescribeRegions (3 times)",
			[]hint.Line{{"us-east-1: access denied (3 times)", []string{"grant ec2:DescribeRegions"}}},
		},
		"hint on hint": {
			hint.With(denied, "ask your administrator"),
			"access denied; grant ec2:DescribeRegions; ask your administrator",
			[]hint.Line{{"access denied", []string{"grant ec2:DescribeRegions", "ask your administrator"}}},
		},
		"twice on a line": {
			fmt.Errorf("%w; %w", denied, hint.With(errors.New("no answer"), "grant ec2:DescribeRegions")),
			"access denied; grant ec2:DescribeRegions; no answer; grant ec2:DescribeRegions",
			[]hint.Line{{"access denied; no answer", []string{"grant ec2:DescribeRegions"}}},
		},
		"joined, the same hint twice": {
			errors.Join(fmt.Errorf("one: %w", denied), errors.New("other"), fmt.Errorf("two: %w", denied)),
			"one: access denied; grant ec2:DescribeRegions\nother\ntwo: access denied; grant ec2:DescribeRegions",
			[]hint.Line{
				{Problem: "one: access denied", Hints: []string{}},
				{Problem: "other"},
				{"two: access denied", []string{"grant ec2:DescribeRegions"}},
			},
		},
		"an empty hint": {
			silent{errors.New("broken; twice")}, "broken; twice", []hint.Line{{Problem: "broken; twice"}},
		},
		"hidden by a text of its own": {
			fmt.Errorf("cannot look: %w", renamed{denied}), "cannot look: no",
			[]hint.Line{{Problem: "cannot look: no"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.err.Error() != test.text {
				t.Errorf("the text is %q, want %q", test.err, test.text)
			}
			if diff := cmp.Diff(test.want, hint.Lines(test.err)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if !errors.Is(hint.With(denied, "x"), denied) {
		t.Error("the error itself cannot be found any more")
	}
}

// A renamed error wraps one that its text does not hold.
type renamed struct{ inner error }

func (renamed) Error() string   { return "no" }
func (r renamed) Unwrap() error { return r.inner }

// A silent error does not always know what to do.
type silent struct{ error }

func (silent) Hint() string { return "" }
