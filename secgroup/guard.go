package secgroup

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
)

// A HeldError says that nothing of a pool is closed, because the published list would take too much away from it:
// addresses of too many of its rules, or too many of its addresses of one family.
type HeldError struct {
	Kind         Kind
	Pool         string
	ipspace.Loss // of the pool's owned rules and their addresses
	MaxPercent   int
	Frozen       []string // groups that this run may not change, if the pool is held only because of their rules
	Settings     string   // if set, those that entries of a list were made with, other than the run's
}

const maxNamed = 20 // ranges in a message

func (e *HeldError) Error() string {
	what, by := fmt.Sprintf("pool %q", e.Pool), "the published list takes"
	if e.Kind == ManagedPrefixList {
		what = e.Pool
	}
	if e.Settings != "" {
		by = fmt.Sprintf("its entries were made for %s, and the list for the present settings takes", e.Settings)
	}
	taken := []string{fmt.Sprintf("addresses from %d of its %s", e.Losing, words.Count(e.Prefixes, e.Kind.noun()))}
	for f, percent := range e.Percent {
		if percent > float64(e.MaxPercent) {
			taken = append(taken, fmt.Sprintf("%d %% of its %s addresses", int(percent), Family(f)))
		}
	}
	lost := words.Strings(e.Lost[:min(len(e.Lost), maxNamed)])
	if more := len(e.Lost) - len(lost); more > 0 {
		lost = append(lost, fmt.Sprintf("%d more", more))
	}
	counted := ""
	if len(e.Frozen) > 0 {
		counted = fmt.Sprintf(" (counting the rules of %s, which this run may not change)", strings.Join(e.Frozen, ", "))
	}
	return fmt.Sprintf("%s is held: %s %s%s, more than MAX_REVOKE_PERCENT=%d allows, so nothing is closed and only new ranges are authorized; this would be lost: %s; %s",
		what, by, strings.Join(taken, ", and "), counted, e.MaxPercent, strings.Join(lost, ", "), e.Hint())
}

// Hint returns what to do about it.
func (e *HeldError) Hint() string {
	if e.Settings != "" {
		return "if the change of settings is meant, run once with force"
	}
	return "compare the published list with what would be lost, and if the list is right, run once with force"
}

// guard holds the pool, and returns a *[HeldError], if the wanted ranges would take too much away from it.
//
// It counts what the pool had before: its owned rules, except those that were made while it was held, so that neither a
// retry nor a further publication changes the verdict. It does so twice, with and without the groups that this run may
// not change, and holds if either share is too large. What the operator takes away counts for nothing: rules on ports
// that no group lists any more, made for other services, or of a family that is not asked for.
//
// A list's entries cannot be described again. So all that are owned count, whatever settings they were made with, and
// those made while the list was held count too: perhaps it was let go. Once more the guard counts only what was there
// before each file that the list was held for, or else that file, published again, would find enough of its own entries.
func (p *PoolPlan) guard(req Request, wanted []netip.Prefix) error {
	if req.Withdraw || req.Force {
		return nil
	}
	ports := p.Ports()
	e := &HeldError{Kind: p.Kind, Pool: p.Name, MaxPercent: req.MaxRevokePercent}
	type had struct {
		Rule
		stamp  Stamp
		frozen bool
	}
	var all []had
	var frozen []string
	heldFor := []time.Time{req.Published}
	for _, h := range p.Holders {
		if h.frozen {
			frozen = append(frozen, h.ID)
		}
		for _, r := range h.Ingress {
			stamp, readable := ParseStamp(req.TagKey, r.Description)
			otherSettings := readable && !stamp.sameSettings(req.Stamp)
			if !counts(h, r, ports, req) || p.Kind == SecurityGroup && (stamp.Held || otherSettings) {
				continue
			}
			if otherSettings {
				e.Settings = stamp.Settings()
			}
			if stamp.Held && !slices.Contains(heldFor, stamp.Published) {
				heldFor = append(heldFor, stamp.Published)
			}
			all = append(all, had{r, stamp, h.frozen && p.Kind == SecurityGroup})
		}
	}
	loses := func(before time.Time, withFrozen bool) bool {
		sources := map[PortRange][]netip.Prefix{}
		for _, r := range all {
			if (withFrozen || !r.frozen) && (!r.stamp.Held || r.stamp.Published.Before(before)) {
				port := PortRange{uint16(r.From), uint16(r.To)}
				sources[port] = append(sources[port], r.Source.Prefix)
			}
		}
		e.Loss = ipspace.Lose(wanted, slices.Collect(maps.Values(sources))...)
		return e.Exceeds(e.MaxPercent)
	}
	if !slices.ContainsFunc(heldFor, func(before time.Time) bool { return loses(before, false) }) {
		if !loses(req.Published, true) {
			return nil
		}
		e.Frozen = frozen
	}
	for _, h := range p.Holders {
		h.Held = map[RuleID]bool{}
		for _, r := range h.Ingress {
			h.Held[r.RuleID] = h.Owns(r)
		}
	}
	return e
}

// counts reports whether a rule is one that only the published list can take away from a pool with these ports.
func counts(h *HolderPlan, r Rule, ports []PortRange, req Request) bool {
	switch {
	case !stamped(req.TagKey, r.Description), !r.Source.Prefix.IsValid(),
		len(req.Families) > 0 && !slices.Contains(req.Families, FamilyOf(r.Source.Prefix)):
		return false
	case h.Kind == ManagedPrefixList:
		return len(h.Settings.Ports) > 0
	}
	return slices.ContainsFunc(ports, func(port PortRange) bool { return h.rule(port, r.Source) == r.RuleID })
}

// held reports whether the guard holds the pool.
func (p *PoolPlan) held() bool {
	_, held := errors.AsType[*HeldError](p.Err)
	return held
}
