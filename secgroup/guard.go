package secgroup

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
)

// A HeldError says that nothing of a pool is closed, because the published list would take too much away from it:
// addresses of too many of its rules, or too many of its addresses of one family.
type HeldError struct {
	Kind Kind
	Pool string
	// Loss is what the pool would lose of its owned rules and their addresses.
	ipspace.Loss
	MaxPercent int
	// Frozen are groups of the pool that this run may not change, if it is held only because of their rules.
	Frozen []string
	// Settings, if set, are those that entries of a list were made with, other than the run's.
	Settings string
}

// maxNamed is how many ranges a message names.
const maxNamed = 20

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
	var lost []string
	for _, p := range e.Lost[:min(len(e.Lost), maxNamed)] {
		lost = append(lost, p.String())
	}
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
// once more only those that were not made while the list was held. Entries that this very file added while the list was
// held do not count: the verdict is the same as often as it is asked for.
func (p *PoolPlan) guard(req Request, wanted []netip.Prefix) error {
	if req.Withdraw || req.Force {
		return nil
	}
	ports := p.Ports()
	e := &HeldError{Kind: p.Kind, Pool: p.Name, MaxPercent: req.MaxRevokePercent}
	all, some := map[PortRange][]netip.Prefix{}, map[PortRange][]netip.Prefix{}
	for _, h := range p.Holders {
		for _, r := range h.Ingress {
			stamp, readable := ParseStamp(req.TagKey, r.Description)
			otherSettings := readable && !stamp.sameSettings(req.Stamp)
			if !counts(h, r, ports, req) || stamp.Held && (p.Kind == SecurityGroup || stamp.Published.Equal(req.Published)) ||
				otherSettings && p.Kind == SecurityGroup {
				continue
			}
			if otherSettings {
				e.Settings = stamp.Cover()
			}
			port := PortRange{uint16(r.From), uint16(r.To)}
			all[port] = append(all[port], r.Source.Prefix)
			if !stamp.Held && (p.Kind == ManagedPrefixList || !h.frozen) {
				some[port] = append(some[port], r.Source.Prefix)
			}
		}
	}
	lose := func(had map[PortRange][]netip.Prefix) bool {
		e.Loss = ipspace.Lose(wanted, slices.Collect(maps.Values(had))...)
		return e.Exceeds(e.MaxPercent)
	}
	if !lose(some) {
		if !lose(all) {
			return nil
		}
		for _, h := range p.Holders {
			if h.frozen {
				e.Frozen = append(e.Frozen, h.ID)
			}
		}
	}
	for i := range p.Holders {
		h := &p.Holders[i]
		h.Held = map[RuleID]bool{}
		for _, r := range h.Ingress {
			h.Held[r.RuleID] = h.Owns(r)
		}
	}
	return e
}

// counts reports whether a rule is one that only the published list can take away from a pool with these ports.
func counts(h HolderPlan, r Rule, ports []PortRange, req Request) bool {
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
