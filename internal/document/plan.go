package document

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/words"
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
	same := func(r rule) bool { return r.Socket() == x.Protocol+" "+x.Ports && r.Source == x.Source }
	for step := range d.steps() {
		if step.Operation == "revoke" && step.GroupID == x.Group.ID && slices.ContainsFunc(step.Rules, same) {
			return true
		}
	}
	return false
}

// TakenOver counts the rules that get the description of this tool, and stay as they are otherwise.
func (d Plan) TakenOver() int {
	n := 0
	for step := range d.steps() {
		if step.Operation == "redescribe" {
			n += len(step.Rules)
		}
	}
	return n
}

func (d Plan) steps() iter.Seq[PlanStep] {
	return func(yield func(PlanStep) bool) {
		for _, target := range d.Targets {
			for _, pool := range target.Pools {
				for _, step := range pool.Steps {
					if !yield(step) {
						return
					}
				}
			}
		}
	}
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

// A target is one account and region, as plan and status both have it.
type target struct {
	Account       string     `json:"account"`
	Region        string     `json:"region"`
	RulesPerGroup int        `json:"rulesPerGroup"`
	PrefixLists   []ListPool `json:"prefixLists"`
	Error         string     `json:"error"`
}

func newTarget(v engine.Preview) target {
	return target{v.Target.Account, v.Target.Region, v.RulesPerGroup, newListPools(v), Message(v.Err)}
}

type planTarget struct {
	target
	Pools []PlanPool `json:"pools"`
}

// A PlanPool has the steps of a pool.
type PlanPool struct {
	Name   string      `json:"name"`
	Groups []planGroup `json:"groups"`
	Steps  []PlanStep  `json:"steps"`
	// TakesTurnsWith are the pools whose steps come between those of this pool.
	TakesTurnsWith []string `json:"takesTurnsWith"`
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

// A group is a managed group, as plan and status both have it.
type group struct {
	GroupID string   `json:"groupId"`
	Name    string   `json:"name"`
	VPC     string   `json:"vpc"`
	Ports   []string `json:"ports"`
	Foreign int      `json:"foreign"`
	Error   string   `json:"error"`
}

func newGroup(h secgroup.HolderPlan) group {
	return group{h.ID, h.Name, h.VPC, secgroup.PortNames(h.Settings.Ports), h.Foreign, Message(h.Problem)}
}

// A planGroup is a group after the steps.
type planGroup struct {
	group
	Added   int              `json:"added"`
	Revoked int              `json:"revoked"`
	Kept    int              `json:"kept"`
	Free    engine.PerFamily `json:"freeAfter"`
}

// A PlanStep is one call.
type PlanStep struct {
	// Order is its place among the steps of its pool and of those that the pool takes turns with, from 1 on.
	Order     int      `json:"order"`
	Operation string   `json:"operation"`
	GroupID   string   `json:"groupId"`
	Rules     []rule   `json:"rules"`
	Gap       []string `json:"gap"`
}

// Failed reports whether part of the pool cannot be synced.
func (p PlanPool) Failed() bool {
	return p.Error != "" || slices.ContainsFunc(p.Groups, func(g planGroup) bool { return g.Error != "" })
}

// A rule is a rule of a security group.
type rule struct {
	Protocol    string `json:"protocol"`
	FromPort    int32  `json:"fromPort"`
	ToPort      int32  `json:"toPort"`
	Source      string `json:"source"`
	Description string `json:"description"`
}

func newRule(r secgroup.Rule, source string) rule {
	return rule{r.Protocol, r.From, r.To, source, r.Description}
}

// Socket is the protocol and the ports.
func (r rule) Socket() string {
	return r.Protocol + " " + secgroup.RuleID{Protocol: r.Protocol, From: r.FromPort, To: r.ToPort}.Ports()
}

// NewPlan returns the document of a proposal and of the surroundings of its groups.
func NewPlan(p *engine.Proposal, around []Surroundings, settings Settings, next Next) Plan {
	d := Plan{Wanted: newWanted(p, settings), Changes: p.Count() > 0, Summary: p.Report.Summary, Targets: []planTarget{}, Warnings: warnings(p), ListSummary: p.Report.Lists()}
	d.Errors = messages(d.Failures(p))
	for _, v := range p.Previews {
		t := planTarget{newTarget(v), []PlanPool{}}
		for _, pool := range v.Pools {
			t.Pools = append(t.Pools, newPlanPool(pool, v.Plan.Sequences))
		}
		d.Targets = append(d.Targets, t)
	}
	d.Judgement, d.OpenToWorld = judge{settings: d.Settings, next: next}.all(p, around), worldOf(p, around)
	return d
}

func newPlanPool(pool secgroup.PoolPlan, sequences []secgroup.Sequence) PlanPool {
	d := PlanPool{Name: pool.Name, Steps: []PlanStep{}, TakesTurnsWith: []string{}, Interfaces: []planInterface{}, Error: Message(pool.Err)}
	for _, eni := range pool.Interfaces {
		d.Interfaces = append(d.Interfaces, planInterface{eni.ID, eni.Description, eni.Lacks, append([]string{}, eni.Attach...)})
	}
	for _, h := range pool.Holders {
		d.Groups = append(d.Groups, planGroup{newGroup(h), h.Added, h.Removed, h.Kept, perFamily(h.Free)})
	}
	for _, sequence := range sequences {
		for i, step := range sequence.Steps {
			if has(pool, step.HolderID) {
				d.Steps = append(d.Steps, newPlanStep(i+1, step))
			}
		}
		if len(d.Steps) > 0 {
			d.TakesTurnsWith = append(d.TakesTurnsWith, others(pool, sequence)...)
			break // a pool is part of one sequence
		}
	}
	return d
}

func newPlanStep(order int, step secgroup.Step) PlanStep {
	s := PlanStep{Order: order, Operation: step.Operation(), GroupID: step.HolderID, Rules: []rule{}, Gap: words.Strings(step.Gap)}
	for _, r := range step.Rules() {
		s.Rules = append(s.Rules, newRule(r, r.Source.String()))
	}
	return s
}

// others returns the names of other pools that have steps in the sequence of a pool.
func others(pool secgroup.PoolPlan, sequence secgroup.Sequence) []string {
	var names []string
	for _, h := range sequence.Holders {
		name := cmp.Or(h.Settings.Pool, h.ID)
		moves := slices.ContainsFunc(sequence.Steps, func(s secgroup.Step) bool { return s.HolderID == h.ID })
		if moves && !has(pool, h.ID) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func perFamily(w secgroup.Weight) engine.PerFamily {
	return engine.PerFamily{IPv4: w[secgroup.IPv4], IPv6: w[secgroup.IPv6]}
}
