package secgroup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/words"
)

// A Request is what a plan is asked for.
type Request struct {
	// Stamp is the tag key, the services and the publication that the rules are made from.
	Stamp
	// Ranges are the wanted sources: canonical, sorted, none inside another.
	Ranges []netip.Prefix
	// Families are the wanted address families; none means both. Rules of the other family are surplus.
	Families []Family
	// RulesPerGroup is the quota L-0EA8095F: the inbound rules that a group may hold of each family, at least one.
	RulesPerGroup int
	// MaxRevokePercent bounds what a published list may take away from a pool in one go, see [HeldError].
	MaxRevokePercent int
	// Force lifts MaxRevokePercent, and plans for a file that is older than what rules were made from.
	Force bool
	// GroupIDs names the only groups that may be changed; empty means all.
	GroupIDs []string
	// Leave names groups not to change, with the reason, such as that EC2 refuses to change them.
	Leave map[string]error
	// Withdraw revokes every owned rule of the groups, however many there are, as if each group were tagged "none" and
	// in no pool. It ignores Ranges and the time of the stamp.
	Withdraw bool
	// Now is the time of the run: a file that was published later is refused. The zero value accepts any.
	Now time.Time
	// Attachments say which network interfaces have the groups. If nil, the groups of a pool are assumed to be attached
	// together.
	Attachments *Attachments
}

// A Plan is what makes the groups of one account and region equal to a request.
type Plan struct {
	// Pools are sorted by name; a group of its own is a pool named by its ID.
	Pools []PoolPlan
	// Blind is true if the plan was made without the permission to see which interfaces the groups are attached to.
	Blind bool
	// Attachments are those of the request.
	Attachments *Attachments
	// Lists are those of prefix lists, which [PlanLists] plans.
	Lists []ListPool
}

// A PoolPlan is the part of a plan for one pool. No step of a pool depends on another pool.
type PoolPlan struct {
	Name   string
	Groups []GroupPlan // sorted by ID
	// Steps are to be taken in this order, and none after one that failed.
	Steps []Step
	// Err says why the pool cannot be made equal to the request, or not wholly: a *[ShortageError] where it is too
	// small, a *[HeldError] where revokes are held back, an *[OlderError] where its rules are from a newer file. Where
	// there are several, they are joined.
	Err error
	// Warnings are problems that a person has to solve, though they do not keep the pool from being equal to the
	// request.
	Warnings []string
	// Interfaces say what each network interface gets from the pool. They are empty without Request.Attachments.
	Interfaces []InterfacePlan
}

// A GroupPlan is what becomes of one group.
type GroupPlan struct {
	Group    *Group
	Settings Settings
	// Added and Revoked count the rules that the steps add to the group and remove from it, Kept the owned rules that
	// are there already and stay, Foreign the rules that are not this tool's.
	Added, Revoked, Kept, Foreign int
	// Owned counts the owned rules that the group has now. FreeNow is the room that the quota leaves now, Free the room
	// after the plan.
	Owned         int
	FreeNow, Free Weight
	// Applied is when the newest file was published that an owned rule was made from; it is zero where there is none.
	Applied time.Time
	// Err is a problem of this group alone. Its rules stay as they are.
	Err error
	// unread is true where its tags or rules could not be read.
	unread bool
}

// An Op is what a step does.
type Op int

// The operations of a step.
const (
	Authorize Op = iota
	Revoke
	Redescribe // give rules that stay the description that is true of them now
)

func (op Op) String() string { return [...]string{"authorize", "revoke", "redescribe"}[op] }

// A Step is one call to EC2 about rules of one group.
type Step struct {
	Op      Op
	GroupID string
	Rules   []Rule
	// Gap lists wanted ranges that this revoke closes until the next steps open them again. It is empty wherever an
	// order without a gap exists.
	Gap []netip.Prefix
	// Closes is true for a step that ends a gap: it must follow the one before it immediately.
	Closes bool
}

func (s Step) String() string {
	return fmt.Sprintf("%s %s in %s", s.Op, words.Count(len(s.Rules), "rule"), s.GroupID)
}

// Counts returns how many rules the step adds to its group and removes from it.
func (s Step) Counts() (added, revoked int) {
	switch s.Op {
	case Authorize:
		return len(s.Rules), 0
	case Revoke:
		return 0, len(s.Rules)
	}
	return 0, 0
}

func (s Step) equal(o Step) bool {
	return s.Op == o.Op && s.GroupID == o.GroupID && slices.Equal(s.Rules, o.Rules) && slices.Equal(s.Gap, o.Gap)
}

// NewPlan returns the steps that make the groups of one account and region equal to the request. It fails where the
// file is from the future, with a *[FutureError]. Planning ends early where the context does: what it has by then is a
// plan that is safe, if perhaps with a gap that more time would avoid.
//
// For each wanted rule (a port of the pool, a range) and each rule there is:
//
//	wanted  there is one                  plan
//	yes     no                            authorize it in a group with room
//	yes     owned, or foreign             keep it; describe it anew if need be
//	yes     twice or more                 keep one, revoke the other owned ones
//	no      owned                         revoke it, after what replaces it
//	no      foreign                       leave it alone
func NewPlan(ctx context.Context, groups []Group, req Request) (*Plan, error) {
	if req.Withdraw {
		req.Ranges = nil
	} else if err := refuseFuture(req); err != nil {
		return nil, err
	}
	plan := &Plan{Attachments: req.Attachments, Blind: req.Attachments != nil && req.Attachments.Unknown}
	for _, members := range partition(groups, req) {
		plan.Pools = append(plan.Pools, planPool(ctx, members, req))
	}
	return plan, nil
}

// planPool plans one pool.
func planPool(ctx context.Context, groups []GroupPlan, req Request) PoolPlan {
	pp := PoolPlan{Name: poolName(groups[0]), Groups: groups}
	for i := range groups {
		pp.Warnings = append(pp.Warnings, groups[i].survey(req)...)
	}
	defer pp.sum(req)
	if pp.Err = checkPool(groups); pp.Err != nil {
		return pp
	}
	if pp.Err = refuseOlder(groups, req); pp.Err != nil {
		return pp
	}
	p := newPool(groups, req)
	held := p.guard()
	plan := p.plan(ctx)
	pp.Steps = p.relabel(p.steps(plan))
	pp.Err = errors.Join(held, p.shortage(plan))
	pp.Interfaces = p.interfaces(pp.Steps)
	pp.Warnings = append(pp.Warnings, p.stays(plan)...)
	return pp
}

// survey counts what there is in the group, and returns warnings of what is odd there.
func (g *GroupPlan) survey(req Request) (warnings []string) {
	for _, r := range g.Group.Ingress {
		if !stamped(req.TagKey, r.Description) {
			if !owned(req.TagKey, g.Settings, r) {
				g.Foreign++
			}
			continue
		}
		t, err := believed(r, req)
		if err != nil && len(warnings) == 0 { // one a group, however many rules
			warnings = append(warnings, fmt.Sprintf("%s: %v", g.Group.ID, err))
		}
		if t.After(g.Applied) {
			g.Applied = t
		}
	}
	return warnings
}

// after returns the rules of the group once the steps are taken.
func (g *Group) after(steps []Step) []Rule {
	rules := slices.Clone(g.Ingress)
	for _, s := range steps {
		switch {
		case s.GroupID != g.ID:
		case s.Op == Authorize:
			rules = append(rules, s.Rules...)
		case s.Op == Revoke:
			revoked := make(map[RuleID]bool, len(s.Rules))
			for _, r := range s.Rules {
				revoked[r.RuleID] = true
			}
			rules = slices.DeleteFunc(rules, func(r Rule) bool { return revoked[r.RuleID] })
		}
	}
	return rules
}

// sum fills in what the steps leave of the groups.
func (pp *PoolPlan) sum(req Request) {
	for i := range pp.Groups {
		pp.Groups[i].sum(pp.Steps, req)
	}
}

func (g *GroupPlan) sum(steps []Step, req Request) {
	for _, s := range steps {
		if s.GroupID == g.Group.ID {
			added, revoked := s.Counts()
			g.Added += added
			g.Revoked += revoked
		}
	}
	g.FreeNow = Weight{req.RulesPerGroup, req.RulesPerGroup}
	g.Free = g.FreeNow
	there := make(map[RuleID]bool, len(g.Group.Ingress))
	for _, r := range g.Group.Ingress {
		g.FreeNow.add(r.weight(), -1)
		there[r.RuleID] = owned(req.TagKey, g.Settings, r)
		if there[r.RuleID] {
			g.Owned++
		}
	}
	for _, r := range g.Group.after(steps) {
		g.Free.add(r.weight(), -1)
		if there[r.RuleID] {
			g.Kept++
		}
	}
}

// owned reports whether a rule is this tool's to change: its description says so, or its group is exclusive and it lets
// an IP range in on listed ports and no others.
func owned(tagKey string, s Settings, r Rule) bool {
	if stamped(tagKey, r.Description) {
		return true
	}
	return s.Exclusive && r.Source.Prefix.IsValid() && r.Within(s.Ports)
}

// SameSteps reports whether both plans take the same steps, and make the same changes, in each pool.
func (plan *Plan) SameSteps(o *Plan) bool {
	return slices.EqualFunc(plan.Pools, o.Pools, func(a, b PoolPlan) bool {
		return a.Name == b.Name && slices.EqualFunc(a.Steps, b.Steps, Step.equal)
	}) && slices.EqualFunc(plan.Lists, o.Lists, func(a, b ListPool) bool {
		return a.Name == b.Name && a.Family == b.Family && slices.EqualFunc(a.Changes, b.Changes, Change.equal)
	})
}
