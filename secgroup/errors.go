package secgroup

import (
	"fmt"
	"strings"
	"time"
)

// An OlderError says that the file is older than what a rule was made from.
type OlderError struct {
	GroupID           string
	Rule              Rule
	Newest, Published time.Time
}

func (e *OlderError) Error() string {
	return fmt.Sprintf("the file was published at %s, but rule %s of %s was made from a newer one (%q): nothing is changed; fetch the newer file, or correct the rule's description if it is wrong",
		e.Published.UTC().Format(time.RFC3339), e.Rule.RuleID, e.GroupID, e.Rule.Description)
}

// A HeldError says that the revokes are held back because too many owned
// rules would lose addresses. Owned counts the rules that were there before the
// first run on the publication.
type HeldError struct{ Losing, Owned, MaxPercent int }

func (e *HeldError) Error() string {
	return fmt.Sprintf("%d of %d owned rules would lose addresses, more than MAX_REVOKE_PERCENT=%d allows: new rules are authorized, no rule is revoked; compare the published list with the rules, then run once with force if it is right",
		e.Losing, e.Owned, e.MaxPercent)
}

// A ShortageError says that a pool has no room for all the rules it should
// hold.
type ShortageError struct {
	Pool  string
	Ports []PortShortage
	// MoreGroups, tagged like the ones that are short, would make room; so
	// would a quota of RulesPerGroup.
	MoreGroups, RulesPerGroup int
	// Cause, where it is set, is why there is no room although the pool may be
	// large enough.
	Cause string
}

// A PortShortage is the room a port lacks in one family.
type PortShortage struct {
	Port              PortRange
	Family            Family
	Needed, Available int // rules
}

// Missing counts the rules that have no room.
func (e *ShortageError) Missing() int {
	n := 0
	for _, s := range e.Ports {
		n += s.Needed - s.Available
	}
	return n
}

func (e *ShortageError) Error() string {
	var ports []string
	for _, s := range e.Ports {
		ports = append(ports, fmt.Sprintf("port %s needs %d %s rules, room for %d", s.Port, s.Needed, s.Family, s.Available))
	}
	text := fmt.Sprintf("pool %q is too small: %s", e.Pool, strings.Join(ports, "; "))
	if e.Cause != "" {
		return text + ": " + e.Cause
	}
	return text + fmt.Sprintf(": tag %s for the pool, or raise quota L-0EA8095F (inbound rules per security group) to %d",
		plural(e.MoreGroups, "more group"), e.RulesPerGroup)
}

func plural(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
