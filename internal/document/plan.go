package document

import (
	"errors"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A Proposal is an engine's, with everything else that its documents need.
type Proposal struct {
	*engine.Proposal
	Question door.Question
	Around   []Surroundings // of each preview
	Settings Settings
	Next     Next
}

// failures returns the errors of a run before its first step. If rules were made with other settings, a pool
// that is too small for this run's says nothing about them, and is left out.
func (p *Proposal) failures() []error {
	return slices.DeleteFunc(slices.Clone(p.Failures), func(err error) bool {
		_, short := errors.AsType[*secgroup.ShortageError](err)
		return short && len(p.Settings.Others) > 0
	})
}

// A State is the part that plan and status have in common.
type State struct {
	SyncToken   string           `json:"syncToken"`
	PublishedAt time.Time        `json:"publishedAt"`
	Services    []string         `json:"services"`
	Within      []string         `json:"within"`
	Ranges      engine.PerFamily `json:"ranges"` // the wanted ones
	Settings    Settings         `json:"settings"`
	Judgement
	// OpenToWorld are the rules that open managed ports to the world.
	OpenToWorld []door.WorldRule `json:"openToWorld"`
	// Warnings need a person, and hold no step back.
	Warnings []string `json:"warnings"`
	Errors   []string `json:"errors"`
	// Err is all that failed.
	Err error `json:"-"`
}

func newState(p *Proposal, failures []error) State {
	s := State{
		SyncToken: p.Publication.SyncToken, PublishedAt: p.Publication.Published, Services: p.Selection.Services,
		Within: append([]string{}, p.Selection.Within...),
		Ranges: engine.PerFamily{IPv4: len(p.Publication.IPv4), IPv6: len(p.Publication.IPv6)}, Settings: p.Settings,
		Judgement: judge{Proposal: p}.all(), OpenToWorld: worldOf(p.Proposal, p.Around),
		Warnings: slices.Clip(p.Report.Warnings), Errors: []string{}, Err: errors.Join(failures...),
	}
	if note := p.Publication.Strangers(); note != "" {
		s.Warnings = append(s.Warnings, note)
	}
	for _, err := range failures {
		s.Errors = append(s.Errors, err.Error())
	}
	return s
}

// A Plan is a proposal in JSON: docs/schema/plan.schema.json.
type Plan struct {
	State
	Changes bool           `json:"changes"`
	Summary engine.Summary `json:"summary"`
	Targets []planTarget   `json:"targets"`
	// Lists counts the prefix lists, and the changes of their entries.
	Lists engine.Summary `json:"-"`
	// LeftOpen are the rules of OpenToWorld that no step takes away.
	LeftOpen []door.WorldRule `json:"-"`
	// TakenOver counts the rules that get the description of this tool, and stay as they are otherwise.
	TakenOver int `json:"-"`
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
	Interfaces []PlanInterface `json:"interfaces"`
	Error      string          `json:"error"`
}

// A PlanInterface is a network interface that a pool serves.
type PlanInterface struct {
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

func newGroup(h *secgroup.HolderPlan) group {
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
	Order     int             `json:"order"`
	Operation string          `json:"operation"`
	GroupID   string          `json:"groupId"`
	Rules     []secgroup.Rule `json:"rules"`
	Gap       []string        `json:"gap"`
}

// Failed reports whether part of the pool cannot be synced.
func (p PlanPool) Failed() bool {
	return p.Error != "" || slices.ContainsFunc(p.Groups, func(g planGroup) bool { return g.Error != "" })
}

// NewPlan returns the document of a proposal.
func NewPlan(p *Proposal) Plan {
	d := Plan{
		State: newState(p, p.failures()), Changes: len(p.Steps()) > 0, Summary: p.Report.Summary, Targets: []planTarget{}, Lists: p.Report.Lists(),
	}
	for _, v := range p.Previews {
		t := planTarget{newTarget(v), []PlanPool{}}
		for _, pool := range v.Pools {
			t.Pools = append(t.Pools, newPlanPool(pool, v.Plan))
		}
		d.Targets = append(d.Targets, t)
	}
	steps := p.Steps()
	for _, step := range steps {
		d.TakenOver += len(step.Describe)
	}
	for _, w := range d.OpenToWorld {
		if !revokes(steps, w) {
			d.LeftOpen = append(d.LeftOpen, w)
		}
	}
	return d
}

func newPlanPool(pool secgroup.PoolPlan, plan *secgroup.Plan) PlanPool {
	d := PlanPool{Name: pool.Name, Steps: []PlanStep{}, TakesTurnsWith: []string{}, Interfaces: []PlanInterface{}, Error: Message(pool.Err)}
	for _, eni := range pool.Interfaces {
		d.Interfaces = append(d.Interfaces, PlanInterface{eni.ID, eni.Description, eni.Lacks, append([]string{}, eni.Attach...)})
	}
	for _, h := range pool.Holders {
		d.Groups = append(d.Groups, planGroup{newGroup(h), h.Added, h.Removed, h.Kept, perFamily(h.Free)})
	}
	ours := func(s secgroup.Step) bool { return has(s.HolderID, pool) }
	for _, sequence := range plan.Sequences {
		if !slices.ContainsFunc(sequence.Steps, ours) {
			continue
		}
		for i, s := range sequence.Steps {
			if ours(s) {
				d.Steps = append(d.Steps, PlanStep{i + 1, s.Operation(), s.HolderID, s.Rules(), words.Strings(s.Gap)})
			}
		}
		for _, other := range plan.Pools {
			if other.Name != pool.Name && slices.ContainsFunc(sequence.Steps, func(s secgroup.Step) bool { return has(s.HolderID, other) }) {
				d.TakesTurnsWith = append(d.TakesTurnsWith, other.Name)
			}
		}
		break // a pool is part of one sequence
	}
	return d
}

func perFamily(w secgroup.Weight) engine.PerFamily {
	return engine.PerFamily{IPv4: w[secgroup.IPv4], IPv6: w[secgroup.IPv6]}
}

// A ListPool is a pool of prefix lists, in plan and status.
type ListPool struct {
	Name    string       `json:"name"`
	Family  string       `json:"family"`
	Lists   []planList   `json:"lists"`
	Changes []listChange `json:"changes"`
	Error   string       `json:"error"`
	Held    bool         `json:"-"`
}

type planList struct {
	PrefixListID string `json:"prefixListId"`
	Name         string `json:"name"`
	MaxEntries   int    `json:"maxEntries"`
	Added        int    `json:"added"`
	Removed      int    `json:"removed"`
	Kept         int    `json:"kept"`
	Foreign      int    `json:"foreign"`
	// Free is how many more entries the list takes after the changes.
	Free  int    `json:"freeAfter"`
	Error string `json:"error"`
}

type listChange struct {
	PrefixListID string      `json:"prefixListId"`
	Add          []listEntry `json:"add"`
	Remove       []listEntry `json:"remove"`
	Gap          []string    `json:"gap"`
}

type listEntry struct {
	CIDR        secgroup.Source `json:"cidr"`
	Description string          `json:"description"`
}

// newListPools returns the changes of a target's prefix lists.
func newListPools(v engine.Preview) []ListPool {
	pools := []ListPool{}
	for _, pool := range v.Lists {
		h := pool.Holders[0]
		d := ListPool{Name: pool.Name, Family: h.Family.String(), Changes: []listChange{}, Error: Message(pool.Err), Held: isHeld(pool.Err)}
		d.Lists = []planList{{h.ID, h.Name, h.MaxEntries, h.Added, h.Removed, h.Kept, h.Foreign, h.Free[h.Family], Message(h.Problem)}}
		for _, s := range pool.Steps {
			d.Changes = append(d.Changes, listChange{s.HolderID, entriesOf(s.Add), entriesOf(s.Remove), words.Strings(s.Gap)})
		}
		pools = append(pools, d)
	}
	return pools
}

func entriesOf(rules []secgroup.Rule) []listEntry {
	entries := []listEntry{}
	for _, r := range rules {
		entries = append(entries, listEntry{r.Source, r.Description})
	}
	return entries
}

// An Apply is the function's report of a run, and how that ended: docs/schema/report.schema.json.
type Apply struct {
	*engine.Report
	Judgement
	Settings Settings `json:"settings"`
	// OpenToWorld are the rules that open ports which count to the world, after the run.
	OpenToWorld []door.WorldRule `json:"openToWorld"`
}

// NewApply returns the document of a run on a proposal that ended with an error, or none. The surroundings are those
// after the run.
func NewApply(report *engine.Report, p *Proposal, err error) Apply {
	d := Apply{Report: report, Settings: p.Settings, OpenToWorld: worldOf(p.Proposal, p.Around)}
	if err != nil {
		d.Judgement = Judge(Failed, hint.Problem(err), judge{Proposal: p}.whyNot(err)...)
		return d
	}
	now := *p
	now.Settings.Others = nil // they were made equal to the settings that somebody named
	d.Judgement = judge{Proposal: &now, done: true}.all()
	return d
}
