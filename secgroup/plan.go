package secgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/planner"
)

// A Request is what a plan is asked for.
type Request struct {
	Stamp                   // the tag key, the services and the publication that the rules are made from
	Ranges   []netip.Prefix // the wanted sources: canonical, sorted, none inside another
	Families []Family       // the wanted ones; none means both. Rules of the other family are stale
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
	Pools []PoolPlan // sorted by kind and name
	// Sequences hold the steps of all pools. The steps of a sequence are to be taken in this order, as their groups
	// share network interfaces; sequences do not depend on one another.
	Sequences   []Sequence
	Attachments *Attachments // of the request
	Blind       bool         // made without the permission to see Attachments
}

// A PoolPlan is the part of a plan for one pool: the groups that share rules, a group of its own, or a prefix list.
type PoolPlan struct {
	Kind    Kind
	Name    string        // a group or list of its own is a pool named by its ID
	Holders []*HolderPlan // sorted by ID
	Steps   []Step        // the pool's part of its sequence
	// Err says why the pool cannot be made equal to the request, or not wholly: a *[ShortageError] if it is too small, a
	// *[HeldError] if the guard holds it, an *[OlderError] if its rules are from a newer file. Several are joined.
	Err error
	// Warnings need a person, though they do not keep the pool from being equal to the request.
	Warnings   []string
	Interfaces []InterfacePlan // what each gets from the pool; empty without Request.Attachments
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
	Ranges     []netip.Prefix // the wanted sources
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
	plan := &Plan{Pools: partition(slices.Concat(groups, lists), req), Attachments: req.Attachments}
	plan.Blind = req.Attachments != nil && req.Attachments.Unknown
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
		for _, h := range p.Holders {
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
			if i := slices.IndexFunc(h.doubts, func(d doubt) bool { return h.willHave(d.rule) }); i >= 0 {
				p.Warnings = append(p.Warnings, h.ID+": "+h.doubts[i].text)
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

// partition reads the holders' tags and sorts groups into pools; a list is a pool of its own. A group whose tags cannot
// be read stays in its pool, untouched: what it opens still counts.
func partition(holders []Holder, req Request) []PoolPlan {
	byName := map[[2]string][]*HolderPlan{} // by pool or, for a holder of its own, by ID
	for i := range holders {
		h := newHolderPlan(&holders[i], req)
		key := [2]string{h.Settings.Pool}
		if h.Settings.Pool == "" {
			key[1] = h.ID
		}
		byName[key] = append(byName[key], h)
	}
	pools := make([]PoolPlan, 0, len(byName))
	for key, members := range byName {
		slices.SortFunc(members, func(a, b *HolderPlan) int { return cmp.Compare(a.ID, b.ID) })
		pools = append(pools, PoolPlan{Kind: members[0].Kind, Name: key[0] + key[1], Holders: members})
	}
	slices.SortFunc(pools, func(a, b PoolPlan) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Holders[0].ID, b.Holders[0].ID))
	})
	return pools
}

func newHolderPlan(h *Holder, req Request) *HolderPlan {
	p := &HolderPlan{Holder: h, tagKey: req.TagKey, FreeNow: Weight{req.RulesPerGroup, req.RulesPerGroup}}
	parse := ParseSettings
	if h.Kind == ManagedPrefixList {
		parse = parseListSettings
		p.FreeNow = Weight{}
		p.FreeNow[h.Family] = h.MaxEntries
	}
	for _, r := range h.Ingress {
		p.FreeNow.Add(r.Weighs(), -1)
	}
	p.date(req)
	if !req.Withdraw { // else no tag counts, not even one that cannot be read
		p.Settings, p.Problem = parse(req.TagKey, h.Tags)
	}
	p.Problem = cmp.Or(p.Problem, h.Err)
	if p.Unread = p.Problem != nil; p.Unread {
		p.Settings = Settings{}
		if h.Kind == SecurityGroup {
			p.Settings.Pool = strings.TrimSpace(h.Tags[req.TagKey+poolSuffix])
		}
	}
	p.Problem = cmp.Or(p.Problem, req.Leave[h.ID])
	return p
}

// connect returns the pools by what has to be planned together, as they meet at a network interface, directly or by way
// of others. If it is unknown where groups are attached, each pool is apart.
func connect(pools []PoolPlan, a *Attachments) [][]*PoolPlan {
	of := map[string]int{}          // by group ID: its pool
	with := make([]int, len(pools)) // by pool: the first of those that it meets
	for i, p := range pools {
		with[i] = i
		for _, h := range p.Holders {
			of[h.ID] = i
		}
	}
	for _, eni := range cmp.Or(a, &Attachments{}).Interfaces {
		var met []int
		for _, id := range eni.Groups {
			if i, managed := of[id]; managed {
				met = append(met, with[i])
			}
		}
		if met = slices.Compact(met); len(met) < 2 {
			continue
		}
		for k := range with {
			if slices.Contains(met, with[k]) {
				with[k] = slices.Min(met)
			}
		}
	}
	connected := make([][]*PoolPlan, len(pools))
	for i := range pools {
		connected[with[i]] = append(connected[with[i]], &pools[i])
	}
	return slices.DeleteFunc(connected, func(together []*PoolPlan) bool { return together == nil })
}

// checkPool refuses a pool whose groups cannot share rules.
func checkPool(members []*HolderPlan) error {
	first := members[0]
	pool := first.Settings.Pool
	for _, m := range members[1:] {
		if m.VPC != first.VPC {
			return hint.New(fmt.Sprintf("pool %q has groups in two VPCs, %s in %s and %s in %s, but a pool belongs to one VPC",
				pool, first.ID, first.VPC, m.ID, m.VPC), "give each VPC a pool name of its own")
		}
	}
	active := slices.DeleteFunc(slices.Clone(members), func(m *HolderPlan) bool { return len(m.Settings.Ports) == 0 })
	for _, m := range active {
		if len(active) > 1 && !slices.ContainsFunc(active, func(o *HolderPlan) bool { return o != m && slices.ContainsFunc(o.Settings.Ports, m.lists) }) {
			return hint.New(fmt.Sprintf("pool %q: %s has no port in common with the other groups of the pool (its ports are %v)",
				pool, m.ID, m.Settings.Ports), "give it one of theirs, or another pool")
		}
	}
	return nil
}
