package secgroup

import (
	"fmt"
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
	// Losing of the Owned rules that the pool had before would lose addresses.
	Losing, Owned int
	// Families are those that would lose more of their addresses than allowed, and Percent how much.
	Families []Family
	Percent  []int
	// Lost are the addresses that would be closed on some port.
	Lost       []netip.Prefix
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
	taken := []string{fmt.Sprintf("addresses from %d of its %s", e.Losing, words.Count(e.Owned, e.Kind.noun()))}
	for i, f := range e.Families {
		taken = append(taken, fmt.Sprintf("%d %% of its %s addresses", e.Percent[i], f))
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

// A had is what a pool had before, on each port.
type had struct {
	sources map[PortRange][]netip.Prefix
	owned   int
}

func (h *had) add(r Rule) {
	if h.sources == nil {
		h.sources = map[PortRange][]netip.Prefix{}
	}
	port := PortRange{uint16(max(r.From, 0)), uint16(max(r.To, 0))}
	h.sources[port] = append(h.sources[port], r.Source.Prefix)
	h.owned++
}

// guard holds a pool, and returns a *[HeldError], if the published list would take too much away from it.
//
// It counts what the pool had before: its owned rules, except those that were made while it was held, so that neither a
// retry nor a further publication changes the verdict. It does so twice, with and without the groups that this run may
// not change, and holds if either share is too large. What the operator takes away counts for nothing: rules on ports
// that no group lists any more, made for other services, or of a family that is not asked for.
//
// A list's entries cannot be described again. So all that are owned count, whatever settings they were made with, and
// once more only those that were not made while the list was held. Entries that this very file added while the list was
// held do not count: the verdict is the same as often as it is asked for.
func (u *unit) guard(pool int) error {
	p := u.pools[pool]
	if u.req.Withdraw || u.req.Force {
		return nil
	}
	wanted := ipspace.Of(u.ranges)
	var ways [2]had // with more rules, and with fewer
	e := &HeldError{Kind: p.Kind, Pool: p.Name, MaxPercent: u.req.MaxRevokePercent}
	for i := range p.Holders {
		h := &p.Holders[i]
		for _, r := range h.Ingress {
			stamp, ok := ParseStamp(u.req.TagKey, r.Description)
			if !u.counts(p, h, r) {
				continue
			}
			fewer := !h.frozen
			if p.Kind == ManagedPrefixList {
				if fewer = !stamp.Held; !fewer && stamp.Published.Equal(u.req.Published) {
					continue // a run on this very file made it, and would hold the list again
				}
				if ok && !stamp.sameSettings(u.req.Stamp) {
					e.Settings = stamp.Cover()
				}
			} else if ok && stamp.Held {
				continue
			}
			ways[0].add(r)
			if fewer {
				ways[1].add(r)
			}
		}
	}
	switch {
	case e.measure(ways[1], wanted):
	case e.measure(ways[0], wanted):
		for _, h := range p.Holders {
			if h.frozen {
				e.Frozen = append(e.Frozen, h.ID)
			}
		}
	default:
		return nil
	}
	u.held[pool] = true
	for i, h := range u.holders {
		if u.poolOf[i] != pool {
			continue
		}
		for k, r := range h.Ingress {
			if h.Owns(r) {
				u.hold(i, k)
			}
		}
	}
	return e
}

// counts reports whether a rule is one that only the published list can take away from a pool.
func (u *unit) counts(p *PoolPlan, h *HolderPlan, r Rule) bool {
	if !stamped(u.req.TagKey, r.Description) || !r.Source.Prefix.IsValid() {
		return false
	}
	if len(u.req.Families) > 0 && !slices.Contains(u.req.Families, FamilyOf(r.Source.Prefix)) {
		return false
	}
	if p.Kind == ManagedPrefixList {
		return len(h.Settings.Ports) > 0
	}
	if s, ok := ParseStamp(u.req.TagKey, r.Description); ok && !s.sameSettings(u.req.Stamp) {
		return false
	}
	return r.Protocol == "tcp" && slices.ContainsFunc(p.Ports(), func(port PortRange) bool {
		return int32(port.From) == r.From && int32(port.To) == r.To
	})
}

// measure reports whether the wanted addresses leave too little of what a pool had: too few of its rules whole, or too
// few of the addresses of a family, summed over the ports. It notes what would be lost.
func (e *HeldError) measure(before had, wanted *ipspace.Set) bool {
	e.Owned, e.Losing, e.Families, e.Percent = before.owned, 0, nil, nil
	var total, lost [2]float64
	var all []netip.Prefix
	for _, sources := range before.sources {
		for _, s := range sources {
			if !wanted.ContainsPrefix(s) {
				e.Losing++
			}
		}
		set := ipspace.Of(sources)
		gone := ipspace.Minus(set, wanted).Prefixes()
		for f := range total {
			total[f] += float64(ipspace.Size(both(set.Prefixes())[f]))
			lost[f] += float64(ipspace.Size(both(gone)[f]))
		}
		all = append(all, gone...)
	}
	for _, f := range []Family{IPv4, IPv6} {
		if lost[f]*100 > total[f]*float64(e.MaxPercent) {
			e.Families = append(e.Families, f)
			e.Percent = append(e.Percent, int(lost[f]*100/total[f]))
		}
	}
	e.Lost = ipspace.Of(all).Prefixes()
	return e.Losing*100 > e.Owned*e.MaxPercent || len(e.Families) > 0
}

func both(prefixes []netip.Prefix) [2][]netip.Prefix {
	ipv4, ipv6 := ipspace.Split(prefixes)
	return [2][]netip.Prefix{ipv4, ipv6}
}
