package secgroup

import (
	"fmt"
	"time"

	"cloudfront-sg-sync/internal/hint"
)

// clockSkew is how far ahead of the clock here a file or a stamp may be.
const clockSkew = time.Hour

// refuseFuture fails if the file is dated in the future. It would count as newer than all true ones to come.
func refuseFuture(req Request) error {
	if !req.Now.IsZero() && req.Published.After(req.Now.Add(clockSkew)) {
		return hint.New(fmt.Sprintf("the file says it was published at %s, but now it is %s, so nothing was changed",
			req.Published.UTC().Format(time.RFC3339), req.Now.UTC().Format(time.RFC3339)), "check the file, and the clock of this machine")
	}
	return nil
}

// refuseOlder fails with an *[OlderError] if a rule of the pool was made from a newer publication than the one asked
// for.
func refuseOlder(members []HolderPlan, req Request) error {
	for _, h := range members {
		if h.Applied.After(req.Published) && !req.Withdraw && !req.Force {
			return &OlderError{Kind: h.Kind, HolderID: h.ID, Rule: h.newest, Newest: h.Applied, Published: req.Published}
		}
	}
	return nil
}

// date finds out, by their descriptions, how old the owned rules are. It doubts what cannot be true: that someone has
// edited, or that is dated in the future.
func (h *HolderPlan) date(req Request) {
	h.doubts = map[RuleID]string{}
	for _, r := range h.Ingress {
		switch s, ok := ParseStamp(req.TagKey, r.Description); {
		case !stamped(req.TagKey, r.Description):
		case !ok:
			h.doubts[r.RuleID] = fmt.Sprintf("the description %q of %s is not one that this tool writes, so its date is ignored", r.Description, r.name())
		case !req.Now.IsZero() && s.Published.After(req.Now.Add(clockSkew)):
			h.doubts[r.RuleID] = fmt.Sprintf("the description %q of %s is dated in the future, so its date is ignored", r.Description, r.name())
		case s.Published.After(h.Applied):
			h.Applied, h.newest = s.Published, r
		}
	}
}

// name names the rule, or the entry of a list, in a message.
func (r Rule) name() string {
	if r.Protocol == "" {
		return "entry " + r.Source.String()
	}
	return "rule " + r.RuleID.String()
}
