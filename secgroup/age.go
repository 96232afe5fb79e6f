package secgroup

import (
	"fmt"
	"time"
)

// clockSkew is how far ahead of the clock here a file or a stamp may be.
const clockSkew = time.Hour

// refuseFuture fails where the file is from the future. It would be believed newer than all true ones to come.
func refuseFuture(req Request) error {
	if !req.Now.IsZero() && req.Published.After(req.Now.Add(clockSkew)) {
		return &FutureError{Published: req.Published, Now: req.Now}
	}
	return nil
}

// refuseOlder fails where a rule of the pool was made from a newer publication than the one asked for, with an
// *[OlderError].
func refuseOlder(groups []GroupPlan, req Request) error {
	if req.Withdraw || req.Force {
		return nil
	}
	for _, g := range groups {
		for _, r := range g.Group.Ingress {
			if !stamped(req.TagKey, r.Description) {
				continue
			}
			if t, err := believed(r, req); err == nil && t.After(req.Published) {
				return &OlderError{GroupID: g.Group.ID, Rule: r, Newest: t, Published: req.Published}
			}
		}
	}
	return nil
}

// believed returns when the file was published that an owned rule says it was made from. It fails where no file can
// have made the rule: where someone has edited the description, or it is from the future.
func believed(r Rule, req Request) (time.Time, error) {
	s, ok := ParseStamp(req.TagKey, r.Description)
	if !ok {
		return time.Time{}, fmt.Errorf("the description %q of %s is none that this tool writes, so its date counts for nothing", r.Description, r.what())
	}
	if !req.Now.IsZero() && s.Published.After(req.Now.Add(clockSkew)) {
		return time.Time{}, fmt.Errorf("the description %q of %s is from the future, so its date counts for nothing", r.Description, r.what())
	}
	return s.Published, nil
}
