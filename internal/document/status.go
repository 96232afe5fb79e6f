package document

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// A Status says how all managed groups are: docs/schema/status.schema.json.
type Status struct {
	Wanted
	Judgement
	Targets []StatusTarget `json:"targets"`
	// OpenToWorld are the rules that open managed ports to the world.
	OpenToWorld []door.WorldRule `json:"openToWorld"`
	// Warnings is what needs a person, apart from what the targets say.
	Warnings []string `json:"warnings"`
	Errors   []string `json:"errors"`
}

// A StatusTarget is one account and region.
type StatusTarget struct {
	target
	Pools        []StatusPool     `json:"pools"`
	Exposures    []StatusExposure `json:"exposures"`
	PartialPools []PartialPool    `json:"partialPools"`
	StrayTags    []statusStrayTag `json:"strayTags"`
	// Notes say what could not be checked apart from the groups.
	Notes []string `json:"notes"`
}

// Held says which pools and lists the guard holds, and why.
func (t StatusTarget) Held() []string {
	var texts []string
	for _, pool := range t.Pools {
		if pool.held {
			texts = append(texts, pool.Error)
		}
	}
	for _, list := range t.PrefixLists {
		if list.Held {
			texts = append(texts, list.Error)
		}
	}
	return texts
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
	held      bool
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

// A statusStrayTag is a tag that was meant for this tool, and does nothing.
type statusStrayTag struct {
	GroupID string `json:"groupId"`
	Name    string `json:"name"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	Meant   string `json:"meant"`
	Text    string `json:"-"` // all of it in a sentence
}

// NewStatus returns the document of a proposal and of the surroundings of its groups.
func NewStatus(p *engine.Proposal, around []Surroundings, settings Settings, next Next) Status {
	d := Status{Wanted: newWanted(p, settings), Targets: []StatusTarget{}, Warnings: warnings(p)}
	d.Errors = messages(d.Failures(p))
	j := judge{settings: d.Settings, next: next}
	for i, v := range p.Previews {
		t := StatusTarget{target: newTarget(v), Pools: []StatusPool{}}
		for _, pool := range v.Pools {
			t.Pools = append(t.Pools, newStatusPool(pool, j.pool(pool, around[i], partialPools(v))))
		}
		t.surround(p, v, around[i])
		d.Targets = append(d.Targets, t)
	}
	d.Judgement, d.OpenToWorld = j.all(p, around), worldOf(p, around)
	return d
}

// Failures returns what keeps cfsg status from saying how all is. A pool that is held, or newer than the file, is no
// failure of a command that changes nothing.
func (d Status) Failures(p *engine.Proposal) []error {
	return slices.DeleteFunc(failures(p, len(d.Settings.Others) > 0), func(err error) bool {
		_, older := errors.AsType[*secgroup.OlderError](err)
		return older || isHeld(err) // also if what is held takes the room of new ranges
	})
}

// failures returns what a run on a proposal would fail with before it takes a step. What does not fit is left out if
// the rules were made with other settings.
func failures(p *engine.Proposal, others bool) []error {
	return slices.DeleteFunc(p.Failures(), func(err error) bool {
		_, short := errors.AsType[*secgroup.ShortageError](err)
		return short && others
	})
}

// warnings need a person, and hold no step back.
func warnings(p *engine.Proposal) []string {
	all := p.Warnings()
	if note := engine.Strangers(p.Publication); note != "" {
		all = append(all, note)
	}
	return all
}

func newStatusPool(pool secgroup.PoolPlan, j Judgement) StatusPool {
	d := StatusPool{Judgement: j, Name: pool.Name, Error: Message(pool.Err), held: isHeld(pool.Err)}
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

// surround adds the surroundings of the pools.
func (t *StatusTarget) surround(p *engine.Proposal, v engine.Preview, s Surroundings) {
	t.Exposures, t.PartialPools, t.StrayTags, t.Notes = exposures(p, v, s), partialPools(v), []statusStrayTag{}, []string{}
	for _, tag := range s.Stray {
		t.StrayTags = append(t.StrayTags, statusStrayTag{tag.GroupID, tag.GroupName, tag.Key, tag.Value, tag.Meant, tag.String()})
	}
	if s.StrayErr != nil {
		t.Notes = append(t.Notes, fmt.Sprintf("cannot look for mistyped tags: %v", s.StrayErr))
	}
	if s.Err != nil {
		t.Notes = append(t.Notes, fmt.Sprintf("cannot see where the groups are attached, and what is open beside them: %v", s.Err))
	}
}
