package document

import (
	"slices"
	"time"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// A Plan is a proposal in JSON: docs/schema/plan.schema.json.
type Plan struct {
	Wanted
	Judgement
	Changes bool           `json:"changes"`
	Summary engine.Summary `json:"summary"`
	Targets []planTarget   `json:"targets"`
	// OpenToWorld are the rules that open managed ports to the world before the steps.
	OpenToWorld []door.WorldRule `json:"openToWorld"`
	// Warnings need a person, and hold no step back.
	Warnings []string `json:"warnings"`
	Errors   []string `json:"errors"`
	// ListSummary counts the prefix lists, and what becomes of their entries.
	ListSummary engine.ListSummary `json:"-"`
}

// Failures returns the errors of a run before its first step. If rules were made with other settings, a pool that is
// too small for this run's says nothing about them, and is left out.
func (d Plan) Failures(p *engine.Proposal) []error { return failures(p, len(d.Settings.Others) > 0) }

// Revokes reports whether a step takes a rule away.
func (d Plan) Revokes(x door.WorldRule) bool {
	for _, target := range d.Targets {
		for _, pool := range target.Pools {
			for _, step := range pool.Steps {
				same := func(r planRule) bool { return r.Protocol == x.Protocol && r.Ports() == x.Ports && r.Source == x.Source }
				if step.Operation == "revoke" && step.GroupID == x.Group.ID && slices.ContainsFunc(step.Rules, same) {
					return true
				}
			}
		}
	}
	return false
}

// Wanted says which ranges are wanted.
type Wanted struct {
	SyncToken   string           `json:"syncToken"`
	PublishedAt time.Time        `json:"publishedAt"`
	Services    []string         `json:"services"`
	Within      []string         `json:"within"`
	Ranges      engine.PerFamily `json:"ranges"`
	Settings    Settings         `json:"settings"`
}

func newWanted(p *engine.Proposal, settings Settings) Wanted {
	settings.Compare(p.Made())
	return Wanted{
		p.Publication.SyncToken, p.Publication.Published, p.Services, append([]string{}, p.Within...),
		engine.PerFamily{IPv4: len(p.Publication.IPv4), IPv6: len(p.Publication.IPv6)},
		settings,
	}
}

// A planTarget is one account and region.
type planTarget struct {
	Account       string     `json:"account"`
	Region        string     `json:"region"`
	RulesPerGroup int        `json:"rulesPerGroup"`
	Pools         []PlanPool `json:"pools"`
	PrefixLists   []ListPool `json:"prefixLists"`
	Error         string     `json:"error"`
}

// A PlanPool has the steps of a pool.
type PlanPool struct {
	Name   string      `json:"name"`
	Groups []planGroup `json:"groups"`
	Steps  []PlanStep  `json:"steps"`
	// Interfaces are those that have a group of the pool.
	Interfaces []planInterface `json:"interfaces"`
	Error      string          `json:"error"`
}

// A planInterface is a network interface that a pool serves.
type planInterface struct {
	ID          string `json:"interfaceId"`
	Description string `json:"description"`
	// Lacks counts the wanted rules that none of its groups has after the steps, and Attach lists the groups that have
	// them.
	Lacks  int      `json:"lacks"`
	Attach []string `json:"attach"`
}

// A planGroup is a group after the steps.
type planGroup struct {
	GroupID string           `json:"groupId"`
	Name    string           `json:"name"`
	VPC     string           `json:"vpc"`
	Ports   []string         `json:"ports"`
	Added   int              `json:"added"`
	Revoked int              `json:"revoked"`
	Kept    int              `json:"kept"`
	Foreign int              `json:"foreign"`
	Free    engine.PerFamily `json:"freeAfter"`
	Error   string           `json:"error"`
}

// A PlanStep is one call.
type PlanStep struct {
	Operation string     `json:"operation"`
	GroupID   string     `json:"groupId"`
	Rules     []planRule `json:"rules"`
	Gap       []string   `json:"gap"`
}

// Failed reports whether part of the pool cannot be synced.
func (p PlanPool) Failed() bool {
	return p.Error != "" || slices.ContainsFunc(p.Groups, func(g planGroup) bool { return g.Error != "" })
}

// Ports lists the ports of a rule.
func (r planRule) Ports() string {
	return secgroup.RuleID{Protocol: r.Protocol, From: r.FromPort, To: r.ToPort}.Ports()
}

// A planRule is a rule of a step.
type planRule struct {
	Protocol    string `json:"protocol"`
	FromPort    int32  `json:"fromPort"`
	ToPort      int32  `json:"toPort"`
	Source      string `json:"source"`
	Description string `json:"description"`
}

// NewPlan returns the document of a proposal and of the surroundings of its groups.
func NewPlan(p *engine.Proposal, around []Surroundings, settings Settings, next Next) Plan {
	d := Plan{Wanted: newWanted(p, settings), Changes: p.Count() > 0, Summary: p.Summary(), Targets: []planTarget{}, Warnings: warnings(p), ListSummary: p.Lists()}
	d.Errors = messages(d.Failures(p))
	j := judge{settings: d.Settings, next: next}
	for _, v := range p.Previews {
		target := planTarget{
			Account: v.Target.Account, Region: v.Target.Region, RulesPerGroup: v.RulesPerGroup, Pools: []PlanPool{}, PrefixLists: newListPools(v), Error: Message(v.Err),
		}
		for _, pool := range v.Pools {
			target.Pools = append(target.Pools, newPlanPool(pool))
		}
		d.Targets = append(d.Targets, target)
	}
	d.Judgement, d.OpenToWorld = j.all(p, around, j.pools(p, around)), worldOf(p, around)
	return d
}

func newPlanPool(pool secgroup.PoolPlan) PlanPool {
	d := PlanPool{Name: pool.Name, Steps: []PlanStep{}, Interfaces: []planInterface{}, Error: Message(pool.Err)}
	for _, eni := range pool.Interfaces {
		d.Interfaces = append(d.Interfaces, planInterface{eni.ID, eni.Description, eni.Lacks, append([]string{}, eni.Attach...)})
	}
	for _, g := range pool.Holders {
		d.Groups = append(d.Groups, planGroup{
			GroupID: g.ID, Name: g.Name, VPC: g.VPC, Ports: secgroup.PortNames(g.Settings.Ports),
			Added: g.Added, Revoked: g.Removed, Kept: g.Kept, Foreign: g.Foreign,
			Free:  engine.PerFamily{IPv4: g.Free[secgroup.IPv4], IPv6: g.Free[secgroup.IPv6]},
			Error: Message(g.Problem),
		})
	}
	for _, step := range pool.Steps {
		s := PlanStep{Operation: step.Operation(), GroupID: step.HolderID, Rules: []planRule{}, Gap: PrefixNames(step.Gap)}
		for _, r := range step.Rules() {
			s.Rules = append(s.Rules, planRule{r.Protocol, r.From, r.To, r.Source.String(), r.Description})
		}
		d.Steps = append(d.Steps, s)
	}
	return d
}
