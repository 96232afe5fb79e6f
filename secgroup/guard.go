package secgroup

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/planner"
)

// A HeldError says that nothing of a pool is closed, because the published list would take too much away from it:
// addresses of too many of its rules, or too many of its addresses of one family.
type HeldError struct {
	Pool string
	// Losing of the Owned rules that the pool had before would lose addresses.
	Losing, Owned int
	// Families are those that would lose more of their addresses than allowed, and Percent how much.
	Families []Family
	Percent  []int
	// Lost are the addresses that would be closed on some port.
	Lost       []netip.Prefix
	MaxPercent int
	// Entries is true for a pool of prefix lists, whose rules are their entries.
	Entries bool
	// Frozen are groups of the pool that this run may not change, if only their rules make it held.
	Frozen []string
}

// maxNamed is how many ranges a message names.
const maxNamed = 20

func (e *HeldError) Error() string {
	rules := "rules"
	if e.Entries {
		rules = "entries"
	}
	taken := []string{fmt.Sprintf("addresses from %d of its %d %s", e.Losing, e.Owned, rules)}
	for i, f := range e.Families {
		taken = append(taken, fmt.Sprintf("%d %% of its %s addresses", e.Percent[i], f))
	}
	counted := ""
	if len(e.Frozen) > 0 {
		counted = fmt.Sprintf(" (counting the rules of %s, which this run may not change)", strings.Join(e.Frozen, ", "))
	}
	var lost []string
	for _, p := range e.Lost[:min(len(e.Lost), maxNamed)] {
		lost = append(lost, p.String())
	}
	if more := len(e.Lost) - len(lost); more > 0 {
		lost = append(lost, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("pool %q is held: the published list takes %s%s, more than MAX_REVOKE_PERCENT=%d allows, so nothing is closed and only new ranges are authorized; this would be lost: %s; %s",
		e.Pool, strings.Join(taken, ", and "), counted, e.MaxPercent, strings.Join(lost, ", "), e.Hint())
}

// Hint returns what to do about it.
func (e *HeldError) Hint() string {
	return "compare the published list with what would be lost, and if the list is right, run once with force"
}

// guard holds the pool, and returns a *[HeldError], where the published list would take too much away from it.
//
// It counts what the pool had before: its owned rules, less those that were made while it was held, so that neither a
// retry nor a further publication changes the verdict. It counts twice, with and without the groups that this run may
// not change, and holds if either share is too large. What the operator takes away counts for nothing: rules on ports
// that no group lists any more, made for other services, or of a family that is not asked for.
func (p *pool) guard() error {
	if p.req.Withdraw || p.req.Force {
		return nil
	}
	wanted := ipspace.Of(p.req.Ranges)
	e := p.loses(wanted, false)
	if e == nil {
		if e = p.loses(wanted, true); e == nil {
			return nil
		}
		for i, g := range p.groups {
			if p.frozen(i) {
				e.Frozen = append(e.Frozen, g.Group.ID)
			}
		}
	}
	p.hold(wanted)
	return e
}

// loses returns what the pool would lose if that is too much, counted with or without the groups that this run may not
// change.
func (p *pool) loses(wanted *ipspace.Set, withFrozen bool) *HeldError {
	e := &HeldError{Pool: poolName(p.groups[0]), MaxPercent: p.req.MaxRevokePercent}
	had := map[PortRange][]netip.Prefix{}
	for i, g := range p.groups {
		if p.frozen(i) && !withFrozen {
			continue
		}
		for _, r := range g.Group.Ingress {
			if s, ok := ParseStamp(p.req.TagKey, r.Description); !p.counts(r) || ok && s.Held {
				continue
			}
			port := PortRange{uint16(r.From), uint16(r.To)}
			had[port] = append(had[port], r.Source.Prefix)
			e.Owned++
			if !wanted.ContainsPrefix(r.Source.Prefix) {
				e.Losing++
			}
		}
	}
	if e.Owned == 0 {
		return nil
	}
	e.measure(had, wanted)
	if e.Losing*100 <= e.Owned*e.MaxPercent && len(e.Families) == 0 {
		return nil
	}
	e.Lost = lostOf(had, wanted)
	return e
}

// counts reports whether a rule is one that only the published list can take away from the pool.
func (p *pool) counts(r Rule) bool {
	if !stamped(p.req.TagKey, r.Description) || r.Protocol != "tcp" || !r.Source.Prefix.IsValid() {
		return false
	}
	if len(p.req.Families) > 0 && !slices.Contains(p.req.Families, FamilyOf(r.Source.Prefix)) {
		return false
	}
	if s, ok := ParseStamp(p.req.TagKey, r.Description); ok && s.Cover() != p.req.Cover() {
		return false
	}
	return slices.ContainsFunc(p.ports, func(port PortRange) bool {
		return int32(port.From) == r.From && int32(port.To) == r.To
	})
}

// measure finds the families that lose too many of their addresses, summed over the ports.
func (e *HeldError) measure(had map[PortRange][]netip.Prefix, wanted *ipspace.Set) {
	var total, lost [2]float64
	for _, prefixes := range had {
		set := ipspace.Of(prefixes)
		gone := ipspace.Minus(set, wanted)
		for f, list := range both(set.Prefixes()) {
			total[f] += float64(ipspace.Size(list))
		}
		for f, list := range both(gone.Prefixes()) {
			lost[f] += float64(ipspace.Size(list))
		}
	}
	for _, f := range []Family{IPv4, IPv6} {
		if lost[f]*100 > total[f]*float64(e.MaxPercent) {
			e.Families = append(e.Families, f)
			e.Percent = append(e.Percent, int(lost[f]*100/total[f]))
		}
	}
}

func both(prefixes []netip.Prefix) [2][]netip.Prefix {
	ipv4, ipv6 := ipspace.Split(prefixes)
	return [2][]netip.Prefix{ipv4, ipv6}
}

// lostOf returns the addresses that are lost on some port.
func lostOf(had map[PortRange][]netip.Prefix, wanted *ipspace.Set) []netip.Prefix {
	var all []netip.Prefix
	for _, prefixes := range had {
		all = append(all, prefixes...)
	}
	return ipspace.Minus(ipspace.Of(all), wanted).Prefixes()
}

// hold keeps every owned rule of the pool where it is that would lose an address or a port. Others may still be
// replaced by wider or narrower ones; but not where the wider one also opens what is new and so is marked: what the
// pool had before must not be forgotten.
func (p *pool) hold(wanted *ipspace.Set) {
	p.held = true
	before := p.addressesBefore()
	for i := range p.world.Holders {
		for k := range p.world.Holders[i].Rules {
			r := &p.world.Holders[i].Rules[k]
			rule := p.groups[i].Group.Ingress[k]
			loses := !rule.Within(p.ports) || !rule.Source.Prefix.IsValid() || !wanted.ContainsPrefix(rule.Source.Prefix)
			r.Held = r.Owned && (loses || p.countsAlone(rule, before))
		}
	}
}

// countsAlone reports whether a rule counts for what the pool had before, and the wanted rule that replaces it would
// not.
func (p *pool) countsAlone(r Rule, before map[PortRange]*ipspace.Set) bool {
	if s, ok := ParseStamp(p.req.TagKey, r.Description); !p.counts(r) || ok && s.Held {
		return false
	}
	set := before[PortRange{uint16(r.From), uint16(r.To)}]
	return set != nil && slices.ContainsFunc(p.req.Ranges, func(wider netip.Prefix) bool {
		return wider.Overlaps(r.Source.Prefix) && !set.ContainsPrefix(wider)
	})
}

// plan returns what the planner makes of the pool. In one that is held nothing is closed for a moment either: where a
// rule could be replaced only with a gap, all stay.
func (p *pool) plan(ctx context.Context) *planner.Plan {
	plan := planner.Make(ctx, p.world)
	if !p.held || plan.Gaps() == 0 {
		return plan
	}
	for _, h := range p.world.Holders {
		for i := range h.Rules {
			h.Rules[i].Held = h.Rules[i].Owned
		}
	}
	return planner.Make(ctx, p.world)
}
