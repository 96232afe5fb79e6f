package page_test

import (
	"testing"

	"cloudfront-sg-sync/internal/page"

	"github.com/google/go-cmp/cmp"
)

func TestReflow(t *testing.T) {
	const help = `cfsg sample [flags]

Show what is to be seen, as far as it is seen at all.
Nothing is changed.

  --flag NAME     what it is about, and what it stands for where it is
                  left out
  --other         short

Example:
  cfsg sample --flag 'two words' > file && cat file
`
	for width, want := range map[int]string{
		80: help,
		40: `cfsg sample [flags]

Show what is to be seen, as far as it is
seen at all. Nothing is changed.

  --flag NAME     what it is about, and
                  what it stands for
                  where it is left out
  --other         short

Example:
  cfsg sample --flag 'two words' >
      file && cat file
`,
		24: `cfsg sample [flags]

Show what is to be seen,
as far as it is seen at
all. Nothing is changed.

  --flag NAME
      what it is about,
      and what it stands
      for where it is
      left out
  --other         short

Example:
  cfsg sample --flag
      'two words' > file
      && cat file
`,
	} {
		if diff := cmp.Diff(want, page.Reflow(help, width)); diff != "" {
			t.Errorf("%d columns: %s", width, diff)
		}
	}
}
