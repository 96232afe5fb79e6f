package document

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/setup"
	"cloudfront-sg-sync/internal/words"
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
		t.Pools = append(t.Pools, newStatusPool(pool, judge{Proposal: p, at: v.Target}.pool(pool, s)))
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

// A StatusExposure is a rule that opens a port that counts to the world.
type StatusExposure struct {
	GroupID string `json:"groupId"`
	secgroup.Rule
	Ports      []string `json:"ports"`
	Owned      bool     `json:"owned"`   // the plan takes the rule away
	Managed    bool     `json:"managed"` // its group carries the tag
	Interfaces []string `json:"interfaces"`
	// Revocable is set if CloudFront stays in at every interface without the rule, and the rule opens nothing but
	// managed ports. Otherwise Advice says what to do before it is revoked.
	Revocable bool   `json:"revocable"`
	Advice    string `json:"advice"`
}

// exposures returns the rules that are open to the world, those of managed groups first.
func exposures(p *Proposal, v engine.Preview, s Surroundings) []StatusExposure {
	found := []StatusExposure{}
	if s.Door == nil {
		return found
	}
	for _, managed := range []bool{true, false} {
		for _, w := range s.Door.OpenToWorld {
			if has(w.Group.ID, v.Plan.Pools...) != managed {
				continue
			}
			x := StatusExposure{GroupID: w.Group.ID, Rule: w.Rule, Ports: w.Opens, Managed: managed, Interfaces: w.Interfaces}
			x.Owned = slices.ContainsFunc(v.Plan.Pools, func(pool secgroup.PoolPlan) bool { return revokes(pool.Steps, w) })
			if !x.Owned {
				x.Advice = p.advice(v, s, w)
				x.Revocable = x.Advice == ""
			}
			found = append(found, x)
		}
	}
	return found
}

// advice says what to do before a rule that opens a port to the world is revoked, or nothing if it can be revoked now
// without shutting out anyone who is wanted. Its reader pastes the command and knows no more than it says.
func (p *Proposal) advice(v engine.Preview, around Surroundings, w door.WorldRule) string {
	services := strings.Join(p.Selection.Services, ", ")
	order := fmt.Sprintf("First run cfsg apply and attach all groups of the pool to the origin. Then run cfsg status again: it says when %s gets in without this rule.", services)
	var elsewhere []string
	for _, i := range around.Elsewhere {
		if slices.Contains(i.Groups, w.Group.ID) {
			elsewhere = append(elsewhere, i.ID)
		}
	}
	switch {
	case around.Err != nil:
		return fmt.Sprintf("Do not revoke it yet: cannot tell whether %s gets in without it, because the network interfaces could not be read. %s", services, order)
	case len(w.Interfaces) == 0:
		return fmt.Sprintf("Do not revoke it yet: %s is attached to no network interface, so there is no way to tell whether %s gets in without it. %s", w.Group.ID, services, order)
	case len(elsewhere) > 0:
		return fmt.Sprintf("Do not revoke it yet: its group is also attached to %s, which has no managed group. Find out who has to get in there.", words.Few(elsewhere))
	}
	partial := partialPools(v.Pools...)
	var shut, obstacles []string
	for _, s := range around.subjects(nil) {
		if s.Interface == nil || !slices.Contains(s.Groups, w.Group) {
			continue
		}
		unsettled := slices.ContainsFunc(v.Pools, func(pool secgroup.PoolPlan) bool {
			here := slices.ContainsFunc(s.Groups, func(g door.GroupID) bool { return has(g.ID, pool) })
			problem := slices.ContainsFunc(pool.Holders, func(h *secgroup.HolderPlan) bool { return h.Problem != nil })
			return here && (problem || pool.Err != nil || len(pool.Steps) > 0)
		})
		lacking := slices.ContainsFunc(partial, func(p PartialPool) bool { return slices.Contains(p.Interfaces, s.Interface.ID) })
		if unsettled || lacking || s.NeedsWorld() {
			shut = append(shut, s.Interface.ID)
		}
		if why := setup.Obstacle(p.Question, w.Rule, s.Interface, s.JudgedPorts()); why != "" {
			obstacles = append(obstacles, why)
		}
	}
	referring := slices.Concat(slices.Collect(maps.Values(around.Referring))...)
	switch {
	case slices.Contains(referring, w.Group):
		return fmt.Sprintf("%s refers to a managed prefix list, so another tool most likely made its rules: have that tool remove this one.", w.Group)
	case len(shut) > 0:
		return fmt.Sprintf("Do not revoke it yet: at %s it may be the only rule that lets part of %s in. %s", words.Few(shut), services, order)
	case len(obstacles) > 0:
		return fmt.Sprintf("%s gets in without it, but do not revoke it yet. %s", services, obstacles[0])
	}
	return ""
}
