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
	if req.Withdraw || req.Force {
		return nil
	}
	for _, h := range members {
		for _, r := range h.Ingress {
			if !stamped(req.TagKey, r.Description) {
				continue
			}
			if t, err := believed(r, req); err == nil && t.After(req.Published) {
				return &OlderError{Kind: h.Kind, HolderID: h.ID, Rule: r, Newest: t, Published: req.Published}
			}
		}
	}
	return nil
}

// believed returns when the file was published that an owned rule was made from, according to its description. It fails
// if that cannot be true: if someone has edited the description, or the date is in the future.
func believed(r Rule, req Request) (time.Time, error) {
	s, ok := ParseStamp(req.TagKey, r.Description)
	if !ok {
		return time.Time{}, fmt.Errorf("the description %q of %s is not one that this tool writes, so its date is ignored", r.Description, r.name())
	}
	if !req.Now.IsZero() && s.Published.After(req.Now.Add(clockSkew)) {
		return time.Time{}, fmt.Errorf("the description %q of %s is dated in the future, so its date is ignored", r.Description, r.name())
	}
	return s.Published, nil
}

// name names the rule, or the entry of a list, in a message.
func (r Rule) name() string {
	if r.Protocol == "" {
		return "entry " + r.Source.String()
	}
	return "rule " + r.RuleID.String()
}
