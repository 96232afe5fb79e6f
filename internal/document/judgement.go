package document

import "cloudfront-sg-sync/internal/door"

// A Mark is ✓, ! or ✗.
type Mark = door.Mark

// The marks, from best to worst.
const (
	OK        = door.OK
	Attention = door.Attention
	Failed    = door.Failed
)

// A Judgement ends the output of a command that judges, in JSON and as the last line of its page.
type Judgement struct {
	Mark Mark `json:"mark"`
	// Cause says why, in one line.
	Cause string `json:"cause"`
	// Next is the command to run next, word by word, with every flag that this run was given. It is empty where there
	// is nothing to do.
	Next []string `json:"next"`
}

// NotAuthentication goes with every statement that CloudFront gets in and nobody else does. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/restrict-access-to-load-balancer.html
const NotAuthentication = "Any AWS customer's distribution comes from the same addresses: have the origin verify a secret header or a client certificate (origin mTLS) as well."

// Judge returns a judgement.
func Judge(mark Mark, cause string, next ...string) Judgement {
	return Judgement{mark, cause, append([]string{}, next...)}
}

// Marked returns the mark, for [door.Worst].
func (j Judgement) Marked() Mark { return j.Mark }

// Judged returns the judgement of the document that it is part of.
func (j Judgement) Judged() Judgement { return j }
