package document

// A Mark says how something stands.
type Mark string

// The marks, from best to worst.
const (
	// OK: all that is wanted gets in, nobody else does, and everything was seen.
	OK Mark = "ok"
	// Attention: it works, or something could not be seen. A person is needed.
	Attention Mark = "attention"
	// Failed: part of CloudFront is shut out, or the run failed.
	Failed Mark = "failed"
)

// A Judgement is how a command that judges ends, in JSON and as the last line of its page.
type Judgement struct {
	Mark Mark `json:"mark"`
	// Cause says why, in one line.
	Cause string `json:"cause"`
	// Next is the command to run next, word by word, with every flag that this run was given. It is empty where there
	// is nothing to do.
	Next []string `json:"next"`
}

// Judge returns a judgement.
func Judge(mark Mark, cause string, next ...string) Judgement {
	return Judgement{mark, cause, append([]string{}, next...)}
}

// Worst returns the worst of judgements, the first of several that are equally bad.
func Worst(first Judgement, others ...Judgement) Judgement {
	rank := map[Mark]int{OK: 0, Attention: 1, Failed: 2}
	worst := first
	for _, j := range others {
		if rank[j.Mark] > rank[worst.Mark] {
			worst = j
		}
	}
	return worst
}
