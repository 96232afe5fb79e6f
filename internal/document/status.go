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
	Account       string           `json:"account"`
	Region        string           `json:"region"`
	RulesPerGroup int              `json:"rulesPerGroup"`
	Pools         []StatusPool     `json:"pools"`
	PrefixLists   []ListPool       `json:"prefixLists"`
	Exposures     []StatusExposure `json:"exposures"`
	PartialPools  []statusPartial  `json:"partialPools"`
	StrayTags     []statusStrayTag `json:"strayTags"`
	// Notes say what could not be checked apart from the groups.
	Notes []string `json:"notes"`
	Error string   `json:"error"`
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

// A statusGroup is a managed group.
type statusGroup struct {
	GroupID string   `json:"groupId"`
	Name    string   `json:"name"`
	VPC     string   `json:"vpc"`
	Ports   []string `json:"ports"`
	// Rules counts this tool's rules, and Free the slots that the quota leaves.
	Rules    int              `json:"rules"`
	Free     engine.PerFamily `json:"free"`
	Missing  int              `json:"missing"`
	LeftOver int              `json:"leftOver"`
	Foreign  int              `json:"foreign"`
	// AppliedPublication is nil if no rule says from which file it was made.
	AppliedPublication *time.Time `json:"appliedPublication"`
	Error              string     `json:"error"`
}

// A statusPartial says where groups of a pool are not attached along with the others.
type statusPartial struct {
	Pool       string   `json:"pool"`
	Interfaces []string `json:"interfaces"`
	Missing    []string `json:"missing"`
	Text       string   `json:"-"` // all of it in a sentence
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
		target := StatusTarget{
			Account: v.Target.Account, Region: v.Target.Region, RulesPerGroup: v.RulesPerGroup, Pools: []StatusPool{}, PrefixLists: newListPools(v), Error: Message(v.Err),
		}
		for _, pool := range v.Pools {
			target.add(pool, j.pool(pool, around[i], partialPools(v)))
		}
		target.surround(p, v, around[i])
		d.Targets = append(d.Targets, target)
	}
	d.Judgement, d.OpenToWorld = j.all(p, around, j.pools(p, around)), worldOf(p, around)
	return d
}

// Failures returns what keeps cfsg status from saying how all is. A pool that is held, or newer than the file, is no
// failure of a command that changes nothing.
func (d Status) Failures(p *engine.Proposal) []error {
	return slices.DeleteFunc(failures(p, len(d.Settings.Others) > 0), func(err error) bool {
		_, older := errors.AsType[*secgroup.OlderError](err)
		_, held := errors.AsType[*secgroup.HeldError](err)
		return older || held // also if what is held takes the room of new ranges
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

func (d *StatusTarget) add(pool secgroup.PoolPlan, j Judgement) {
	s := StatusPool{Judgement: j, Name: pool.Name, Error: Message(pool.Err)}
	if short, ok := errors.AsType[*secgroup.ShortageError](pool.Err); ok {
		s.NoRoomFor = short.Missing()
	}
	for _, g := range pool.Holders {
		group := statusGroup{
			GroupID: g.ID, Name: g.Name, VPC: g.VPC, Ports: secgroup.PortNames(g.Settings.Ports),
			Rules:   g.Owned,
			Free:    engine.PerFamily{IPv4: g.FreeNow[secgroup.IPv4], IPv6: g.FreeNow[secgroup.IPv6]},
			Missing: g.Added, LeftOver: g.Removed, Foreign: g.Foreign, Error: Message(g.Problem),
		}
		if !g.Applied.IsZero() {
			group.AppliedPublication = &g.Applied
		}
		s.Groups = append(s.Groups, group)
		s.Missing += g.Added
	}
	s.Missing += s.NoRoomFor
	d.Pools = append(d.Pools, s)
}

// surround adds the surroundings of the pools.
func (d *StatusTarget) surround(p *engine.Proposal, v engine.Preview, s Surroundings) {
	d.Exposures, d.PartialPools, d.StrayTags, d.Notes = exposures(p, v, s), []statusPartial{}, []statusStrayTag{}, []string{}
	for _, partial := range partialPools(v) {
		document := statusPartial{Pool: partial.name, Interfaces: partial.interfaces, Text: partial.String()}
		for _, g := range partial.missing {
			document.Missing = append(document.Missing, g.ID)
		}
		d.PartialPools = append(d.PartialPools, document)
	}
	for _, tag := range s.Stray {
		d.StrayTags = append(d.StrayTags, statusStrayTag{tag.GroupID, tag.GroupName, tag.Key, tag.Value, tag.Meant, tag.String()})
	}
	if s.StrayErr != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("cannot look for mistyped tags: %v", s.StrayErr))
	}
	if s.Err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("cannot see where the groups are attached, and what is open beside them: %v", s.Err))
	}
}
