package document

import (
	"errors"
	"fmt"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/status"
	"cloudfront-sg-sync/secgroup"
)

// A Status says how all managed groups are: docs/schema/status.schema.json.
type Status struct {
	wanted
	Targets []StatusTarget `json:"targets"`
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
	PrefixLists   []listPool       `json:"prefixLists"`
	Exposures     []StatusExposure `json:"exposures"`
	PartialPools  []statusPartial  `json:"partialPools"`
	StrayTags     []statusStrayTag `json:"strayTags"`
	// Notes say what could not be checked apart from the groups.
	Notes []string `json:"notes"`
	Error string   `json:"error"`
}

// A StatusPool is a pool of groups.
type StatusPool struct {
	Name   string        `json:"name"`
	Groups []StatusGroup `json:"groups"`
	// Missing counts the rules that are missing, those included that a group would get and NoRoomFor, those that have
	// no room.
	Missing   int    `json:"missing"`
	NoRoomFor int    `json:"noRoomFor"`
	Error     string `json:"error"`
}

// A StatusGroup is a managed group.
type StatusGroup struct {
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
	// AppliedPublication is nil where no rule says what it was made from.
	AppliedPublication *time.Time `json:"appliedPublication"`
	Error              string     `json:"error"`
}

// A StatusExposure is a rule that opens a managed port to the world.
type StatusExposure struct {
	GroupID     string   `json:"groupId"`
	Protocol    string   `json:"protocol"`
	FromPort    int32    `json:"fromPort"`
	ToPort      int32    `json:"toPort"`
	Source      string   `json:"source"`
	Description string   `json:"description"`
	Ports       []string `json:"ports"`
	Owned       bool     `json:"owned"`
	Managed     bool     `json:"managed"`
	Interfaces  []string `json:"interfaces"`
	Revocable   bool     `json:"revocable"`
	Advice      string   `json:"advice"`
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

// NewStatus returns the document of a proposal and of what stands around the groups of its targets.
func NewStatus(p *engine.Proposal, around []status.Surroundings) Status {
	d := Status{wanted: newWanted(p), Targets: []StatusTarget{}, Warnings: append(p.OtherRanges(), p.AtLists()...), Errors: messages(p.Failures())}
	for i, v := range p.Previews {
		target := StatusTarget{
			Account: v.Target.Account, Region: v.Target.Region, RulesPerGroup: v.RulesPerGroup, Pools: []StatusPool{}, PrefixLists: newListPools(v), Error: Message(v.Err),
		}
		for _, pool := range v.Pools {
			target.add(pool)
		}
		target.surround(around[i])
		d.Targets = append(d.Targets, target)
	}
	return d
}

func (d *StatusTarget) add(pool secgroup.PoolPlan) {
	s := StatusPool{Name: pool.Name, Error: Message(pool.Err)}
	if short, ok := errors.AsType[*secgroup.ShortageError](pool.Err); ok {
		s.NoRoomFor = short.Missing()
	}
	for _, g := range pool.Groups {
		group := StatusGroup{
			GroupID: g.Group.ID, Name: g.Group.Name, VPC: g.Group.VPC, Ports: PortNames(g.Settings.Ports),
			Rules:   g.Owned,
			Free:    engine.PerFamily{IPv4: g.FreeNow[secgroup.IPv4], IPv6: g.FreeNow[secgroup.IPv6]},
			Missing: g.Added, LeftOver: g.Revoked, Foreign: g.Foreign, Error: Message(g.Err),
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

// surround adds what stands around the pools.
func (d *StatusTarget) surround(s status.Surroundings) {
	d.Exposures, d.PartialPools, d.StrayTags, d.Notes = []StatusExposure{}, []statusPartial{}, []statusStrayTag{}, []string{}
	for _, x := range s.Exposures {
		d.Exposures = append(d.Exposures, StatusExposure{
			GroupID: x.GroupID, Protocol: x.Rule.Protocol, FromPort: x.Rule.From, ToPort: x.Rule.To,
			Source: x.Rule.Source.String(), Description: x.Rule.Description, Ports: PortNames(x.Ports),
			Owned: x.Owned, Managed: x.Managed, Interfaces: append([]string{}, x.Interfaces...), Revocable: x.Revocable, Advice: x.Advice,
		})
	}
	for _, partial := range s.Partial {
		document := statusPartial{Pool: partial.Pool, Interfaces: partial.Interfaces, Text: partial.String()}
		for _, g := range partial.Missing {
			document.Missing = append(document.Missing, g.ID)
		}
		d.PartialPools = append(d.PartialPools, document)
	}
	for _, tag := range s.Stray {
		d.StrayTags = append(d.StrayTags, statusStrayTag{tag.GroupID, tag.GroupName, tag.Key, tag.Value, tag.Meant, tag.String()})
	}
	if s.StrayErr != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("mistyped tags are not looked for: %v", s.StrayErr))
	}
	if s.Err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("where the groups are attached, and what is open beside them, is not known: %v", s.Err))
	}
}
