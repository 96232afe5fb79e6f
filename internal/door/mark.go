package door

import "slices"

// A Mark is a verdict in one of three signs.
type Mark string

// The marks, from best to worst.
const (
	// OK (✓): all that is wanted gets in, nobody else does, and everything was seen.
	OK Mark = "ok"
	// Attention (!): it works, or something could not be seen. A person is needed.
	Attention Mark = "attention"
	// Failed (✗): part of CloudFront is shut out, or the run failed.
	Failed Mark = "failed"
)

// worseThan reports whether a mark is worse than another.
func (m Mark) worseThan(o Mark) bool {
	rank := []Mark{OK, Attention, Failed}
	return slices.Index(rank, m) > slices.Index(rank, o)
}

// A Judgement is a mark, and why in one clause.
type Judgement struct {
	Mark  Mark   `json:"mark"`
	Cause string `json:"cause"`
}

// Marked returns the mark.
func (j Judgement) Marked() Mark { return j.Mark }

// Worst returns the one with the worst mark, the first of several that are equally bad.
func Worst[J interface{ Marked() Mark }](first J, others ...J) J {
	worst := first
	for _, j := range others {
		if j.Marked().worseThan(worst.Marked()) {
			worst = j
		}
	}
	return worst
}
