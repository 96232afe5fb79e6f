package document

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// A Status says how all managed groups are: docs/schema/status.schema.json.
type Status struct {
	State
	Targets []StatusTarget `json:"targets"`
}

// A StatusTarget is one account and region.
type StatusTarget struct {
	target
	Pools        []StatusPool        `json:"pools"`
	Exposures    []StatusExposure    `json:"exposures"`
	PartialPools []PartialPool       `json:"partialPools"`
	StrayTags    []secgroup.StrayTag `json:"strayTags"`
	// Notes name everything that could not be checked apart from the groups.
	Notes []string `json:"notes"`
	// Held says why the guard holds pools and lists.
	Held []string `json:"-"`
}

// A StatusPool is a pool of groups.
type StatusPool struct {
	Judgement
	Name   string        `json:"name"`
	Groups []statusGroup `json:"groups"`
	// Missing counts the rules that are missing, those included that a group would get and NoRoomFor, those that have
	// no room.
	Missing   int    `json:"missing"`
	NoRoomFor int    `json:"noRoomFor"`
	Error     string `json:"error"`
}

// A statusGroup is a managed group as it is.
type statusGroup struct {
	group
	// Rules counts this tool's rules, and Free the slots that the quota leaves.
	Rules    int              `json:"rules"`
	Free     engine.PerFamily `json:"free"`
	Missing  int              `json:"missing"`
	LeftOver int              `json:"leftOver"`
	// AppliedPublication is nil if no rule says from which file it was made.
	AppliedPublication *time.Time `json:"appliedPublication"`
}

// NewStatus returns the document of a proposal.
func NewStatus(p *Proposal) Status {
	// A pool that is held, or newer than the file, is no failure of a command that changes nothing.
	failures := slices.DeleteFunc(p.failures(), func(err error) bool {
		_, older := errors.AsType[*secgroup.OlderError](err)
		return older || isHeld(err)
	})
	d := Status{newState(p, failures), []StatusTarget{}}
	for i, v := range p.Previews {
		d.Targets = append(d.Targets, newStatusTarget(p, v, p.Around[i]))
	}
	return d
}

func newStatusTarget(p *Proposal, v engine.Preview, s Surroundings) StatusTarget {
	t := StatusTarget{
		target: newTarget(v), Pools: []StatusPool{}, Exposures: exposures(p, v, s), PartialPools: partialPools(v.Pools...),
		StrayTags: append([]secgroup.StrayTag{}, s.Stray...), Notes: []string{},
	}
	for _, pool := range v.Pools {
		t.Pools = append(t.Pools, newStatusPool(pool, judge{Proposal: p}.pool(pool, s)))
	}
	for _, pool := range slices.Concat(v.Pools, v.Lists) {
		if isHeld(pool.Err) {
			t.Held = append(t.Held, pool.Err.Error())
		}
	}
	if s.StrayErr != nil {
		t.Notes = append(t.Notes, fmt.Sprintf("cannot look for mistyped tags: %v", s.StrayErr))
	}
	if s.Err != nil {
		t.Notes = append(t.Notes, fmt.Sprintf("cannot see where the groups are attached, and what is open beside them: %v", s.Err))
	}
	return t
}

func newStatusPool(pool secgroup.PoolPlan, j Judgement) StatusPool {
	d := StatusPool{Judgement: j, Name: pool.Name, Error: Message(pool.Err)}
	if short, ok := errors.AsType[*secgroup.ShortageError](pool.Err); ok {
		d.NoRoomFor = short.Missing()
	}
	d.Missing = d.NoRoomFor
	for _, h := range pool.Holders {
		g := statusGroup{group: newGroup(h), Rules: h.Owned, Free: perFamily(h.FreeNow), Missing: h.Added, LeftOver: h.Removed}
		if !h.Applied.IsZero() {
			g.AppliedPublication = &h.Applied
		}
		d.Groups = append(d.Groups, g)
		d.Missing += h.Added
	}
	return d
}

func isHeld(err error) bool {
	_, held := errors.AsType[*secgroup.HeldError](err)
	return held
}
