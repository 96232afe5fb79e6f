package document

import (
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// A Plan is a proposal in JSON: docs/schema/plan.schema.json.
type Plan struct {
	wanted
	Changes bool           `json:"changes"`
	Summary engine.Summary `json:"summary"`
	Targets []planTarget   `json:"targets"`
	// Warnings is what needs a person, though it keeps no step from being taken.
	Warnings []string `json:"warnings"`
	Errors   []string `json:"errors"`
}

// wanted says what a proposal is made from.
type wanted struct {
	SyncToken   string           `json:"syncToken"`
	PublishedAt time.Time        `json:"publishedAt"`
	Services    []string         `json:"services"`
	Within      []string         `json:"within"`
	Ranges      engine.PerFamily `json:"ranges"`
}

func newWanted(p *engine.Proposal) wanted {
	return wanted{
		p.Publication.SyncToken, p.Publication.Published, p.Services, append([]string{}, p.Within...),
		engine.PerFamily{IPv4: len(p.Publication.IPv4), IPv6: len(p.Publication.IPv6)},
	}
}

type planTarget struct {
	Account       string     `json:"account"`
	Region        string     `json:"region"`
	RulesPerGroup int        `json:"rulesPerGroup"`
	Pools         []planPool `json:"pools"`
	PrefixLists   []listPool `json:"prefixLists"`
	Error         string     `json:"error"`
}

type planPool struct {
	Name   string      `json:"name"`
	Groups []planGroup `json:"groups"`
	Steps  []planStep  `json:"steps"`
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

type planStep struct {
	Operation string     `json:"operation"`
	GroupID   string     `json:"groupId"`
	Rules     []planRule `json:"rules"`
	Gap       []string   `json:"gap"`
}

type planRule struct {
	Protocol    string `json:"protocol"`
	FromPort    int32  `json:"fromPort"`
	ToPort      int32  `json:"toPort"`
	Source      string `json:"source"`
	Description string `json:"description"`
}

// NewPlan returns the document of a proposal.
func NewPlan(p *engine.Proposal) Plan {
	d := Plan{wanted: newWanted(p), Changes: p.Count() > 0, Summary: p.Summary(), Targets: []planTarget{}, Warnings: append(append(p.OtherRanges(), p.AtInterfaces()...), p.AtLists()...), Errors: messages(p.Failures())}
	for _, v := range p.Previews {
		target := planTarget{
			Account: v.Target.Account, Region: v.Target.Region, RulesPerGroup: v.RulesPerGroup, Pools: []planPool{}, PrefixLists: newListPools(v), Error: Message(v.Err),
		}
		for _, pool := range v.Pools {
			target.Pools = append(target.Pools, newPlanPool(pool))
		}
		d.Targets = append(d.Targets, target)
	}
	return d
}

func newPlanPool(pool secgroup.PoolPlan) planPool {
	d := planPool{Name: pool.Name, Steps: []planStep{}, Interfaces: []planInterface{}, Error: Message(pool.Err)}
	for _, eni := range pool.Interfaces {
		d.Interfaces = append(d.Interfaces, planInterface{eni.ID, eni.Description, eni.Lacks, append([]string{}, eni.Attach...)})
	}
	for _, g := range pool.Groups {
		d.Groups = append(d.Groups, planGroup{
			GroupID: g.Group.ID, Name: g.Group.Name, VPC: g.Group.VPC, Ports: PortNames(g.Settings.Ports),
			Added: g.Added, Revoked: g.Revoked, Kept: g.Kept, Foreign: g.Foreign,
			Free:  engine.PerFamily{IPv4: g.Free[secgroup.IPv4], IPv6: g.Free[secgroup.IPv6]},
			Error: Message(g.Err),
		})
	}
	for _, step := range pool.Steps {
		s := planStep{Operation: step.Op.String(), GroupID: step.GroupID, Rules: []planRule{}, Gap: PrefixNames(step.Gap)}
		for _, r := range step.Rules {
			s.Rules = append(s.Rules, planRule{r.Protocol, r.From, r.To, r.Source.String(), r.Description})
		}
		d.Steps = append(d.Steps, s)
	}
	return d
}
