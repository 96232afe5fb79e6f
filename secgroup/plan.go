package secgroup

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/planner"
)

// A Request is what a plan is asked for.
type Request struct {
	// Stamp is the tag key, the services and the publication that the rules are made from.
	Stamp
	// Ranges are the wanted sources: canonical, sorted, none inside another.
	Ranges []netip.Prefix
	// Families are the wanted address families; none means both. Rules of the other family are stale.
	Families []Family
	// RulesPerGroup is the quota L-0EA8095F: the inbound rules that a group may hold of each family, at least one.
	RulesPerGroup int
	// MaxRevokePercent bounds what a published list may take away from a pool in one go, see [HeldError].
	MaxRevokePercent int
	// Force lifts MaxRevokePercent, and plans for a file that is older than what rules were made from.
	Force bool
	// GroupIDs names the only groups that may be changed, and no prefix list is; empty means all groups and lists.
	GroupIDs []string
	// Leave names groups and lists not to change, with the reason, such as that EC2 refuses to change them.
	Leave map[string]error
	// Withdraw removes every owned rule and entry, however many there are, as if each group and list were tagged "none"
	// and in no pool. It ignores Ranges and the time of the stamp.
	Withdraw bool
	// Now is the time of the run: a file that was published later is refused. The zero value accepts any.
	Now time.Time
	// Attachments say which network interfaces have the groups, all of those planned. If nil, the groups of a pool are
	// assumed to be attached together.
	Attachments *Attachments
}

// A Plan is what makes the groups and prefix lists of one account and region equal to a request.
type Plan struct {
	// Pools are sorted by kind and name.
	Pools []PoolPlan
	// Sequences hold the steps of all pools. The steps of a sequence are to be taken in this order, as their groups
	// share network interfaces; sequences do not depend on one another.
	Sequences []Sequence
	// Blind is true if the plan was made without the permission to see which interfaces the groups are attached to.
	Blind bool
	// Attachments are those of the request.
	Attachments *Attachments
}

// A PoolPlan is the part of a plan for one pool: the groups that share rules, a group of its own, or a prefix list.
type PoolPlan struct {
	Kind    Kind
	Name    string       // a group or list of its own is a pool named by its ID
	Holders []HolderPlan // sorted by ID
	// Steps are the pool's part of its sequence.
	Steps []Step
	// Err says why the pool cannot be made equal to the request, or not wholly: a *[ShortageError] if it is too small, a
	// *[HeldError] if the guard holds it, an *[OlderError] if its rules are from a newer file. Several are joined.
	Err error
	// Warnings are problems that a person has to solve, though they do not keep the pool from being equal to the
	// request.
	Warnings []string
	// Interfaces say what each network interface gets from the pool. They are empty without Request.Attachments.
	Interfaces []InterfacePlan
}

// A Sequence is an order of steps, with what it takes to check each of them: which holders they are about, and which of
// these meet at a network interface.
type Sequence struct {
	Steps   []Step
	Holders []*HolderPlan
	// Interfaces are the different sets of holders that are open together, by the indexes of Holders, each with the
	// name of one network interface that has the set. If the groups are attached nowhere, or it is unknown where, the
	// name is empty.
	Interfaces []InterfaceSet
	// Ranges are the wanted sources.
	Ranges []netip.Prefix
}

// An InterfaceSet is a set of holders that open what they open together.
type InterfaceSet struct {
	Name    string // eni-…
	Holders []int

	interfaces []*Interface // all that have the set
}

// NewPlan returns the steps that make the groups and prefix lists of one account and region equal to the request. It
// fails if the file is from the future. Planning ends early if the context does: the plan is then safe, if perhaps with
// a gap that more time would avoid, or with work left undone.
//
// For each wanted rule (a port of the pool, a range) and each rule there is:
//
//	wanted  there is one                  plan
//	yes     no                            add it to a holder with room
//	yes     owned, or foreign             keep it; correct the description of a group's rule if need be
//	yes     twice or more                 keep one, remove the other owned ones
//	no      owned                         remove it, after what replaces it
//	no      foreign                       leave it alone
func NewPlan(ctx context.Context, groups []Group, req Request, lists ...Holder) (*Plan, error) {
	if req.Withdraw {
		req.Ranges, req.Attachments = nil, nil
	} else if err := refuseFuture(req); err != nil {
		return nil, err
	}
	plan := &Plan{Pools: partition(slices.Concat(groups, lists), req), Attachments: req.Attachments, Blind: req.Attachments != nil && req.Attachments.Unknown}
	for _, pools := range connect(plan.Pools, req.Attachments) {
		plan.Sequences = append(plan.Sequences, planTogether(ctx, pools, req))
	}
	return plan, nil
}

// planTogether plans pools whose groups share network interfaces.
func planTogether(ctx context.Context, pools []*PoolPlan, req Request) Sequence {
	ranges := req.Ranges
	if pools[0].Kind == ManagedPrefixList {
		ranges = ofFamily(ranges, pools[0].Holders[0].Family)
	}
	for _, p := range pools {
		p.Err = errors.Join(checkPool(p.Holders), refuseOlder(p.Holders, req))
		for i := range p.Holders {
			h := &p.Holders[i]
			h.frozen = p.Err != nil || h.Problem != nil || len(req.GroupIDs) > 0 && !slices.Contains(req.GroupIDs, h.ID)
		}
		if p.Err == nil { // else it is left as it is
			p.Err = p.guard(req, ranges)
		}
	}
	u := newUnit(pools, ranges, req)
	plan := planner.Make(ctx, u.world)
	u.Steps = u.steps(plan)
	for _, h := range u.Holders {
		h.take(u.Steps)
	}
	for _, p := range pools {
		p.Err = errors.Join(p.Err, u.shortage(p, plan))
		u.describe(p)
		p.Warnings = u.stays(p, plan)
		for _, h := range p.Holders {
			dubious := func(r Rule) bool { return h.doubts[r.RuleID] != "" && h.willHave(r.RuleID) }
			if i := slices.IndexFunc(h.Ingress, dubious); i >= 0 {
				p.Warnings = append(p.Warnings, h.ID+": "+h.doubts[h.Ingress[i].RuleID])
			}
		}
		p.Interfaces = u.lacking(p)
	}
	for _, p := range pools {
		ids := p.IDs()
		p.Steps = slices.DeleteFunc(slices.Clone(u.Steps), func(s Step) bool { return !slices.Contains(ids, s.HolderID) })
	}
	for _, h := range u.Holders {
		h.after, h.doubts = Contents{}, nil // plans of many accounts are kept at a time
	}
	return u.Sequence
}

// SameSteps reports whether both plans take the same steps.
func (plan *Plan) SameSteps(o *Plan) bool {
	return slices.EqualFunc(plan.Sequences, o.Sequences, func(a, b Sequence) bool {
		return slices.EqualFunc(a.Steps, b.Steps, Step.Equal)
	})
}

// Idle reports whether the plan has no step to take and no pool that fails.
func (plan *Plan) Idle() bool {
	return !slices.ContainsFunc(plan.Pools, func(p PoolPlan) bool { return len(p.Steps) > 0 || p.Err != nil })
}

// Revokes reports whether the plan revokes a rule of a group.
func (plan *Plan) Revokes() bool {
	return slices.ContainsFunc(plan.Pools, func(p PoolPlan) bool {
		return p.Kind == SecurityGroup && slices.ContainsFunc(p.Steps, func(s Step) bool { return len(s.Remove) > 0 })
	})
}

// Ports returns the ports that the groups of the pool open, each once.
func (p *PoolPlan) Ports() []PortRange {
	var ports []PortRange
	for _, h := range p.Holders {
		ports = append(ports, h.Settings.Ports...)
	}
	return SortPorts(ports)
}

// IDs returns the IDs of the pool's holders.
func (p *PoolPlan) IDs() []string {
	ids := make([]string, len(p.Holders))
	for i, h := range p.Holders {
		ids[i] = h.ID
	}
	return ids
}
