package secgroup

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A Request is what a plan is asked for.
type Request struct {
	// Stamp is the tag key, the services and the publication that the rules
	// are made from.
	Stamp
	// Ranges are the wanted sources: canonical, sorted, none inside another.
	Ranges []netip.Prefix
	// RulesPerGroup is the quota L-0EA8095F: the inbound rules that a group
	// may hold of each family, at least one.
	RulesPerGroup int
	// MaxRevokePercent bounds the owned rules that may lose addresses in one
	// plan because the ranges shrank. Where more would, nothing is revoked.
	MaxRevokePercent int
	// Force lifts MaxRevokePercent.
	Force bool
	// GroupIDs names the only groups that may be changed; empty means all.
	GroupIDs []string
	// Withdraw revokes every owned rule of the groups, as if each were tagged
	// "none" and in no pool, however many there are and whatever they were
	// made from. Ranges and the time of the stamp count for nothing then.
	Withdraw bool
}

// A Plan is what makes the groups of one account and region equal to a
// request.
type Plan struct {
	// Pools are sorted by name; a group of its own is a pool named by its ID.
	Pools []PoolPlan
	// Owned counts the rules there are by this tool, and Losing those of them
	// that lose addresses because the ranges shrank.
	Owned, Losing int
	current       int // owned rules made from the very publication of the request
	// Err is a *[HeldError] where the revokes are held back.
	Err error
}

// A PoolPlan is the part of a plan for one pool. No step of a pool depends on
// another pool.
type PoolPlan struct {
	Name   string
	Groups []GroupPlan // sorted by ID
	// Steps are to be taken in this order, and none after one that failed.
	Steps []Step
	// Err says why the pool cannot be made equal to the request, or not
	// wholly: a *[ShortageError] where it is too small.
	Err error
}

// A GroupPlan is what becomes of one group.
type GroupPlan struct {
	Group    *Group
	Settings Settings
	// Kept counts the owned rules that are there already and stay, Foreign
	// the rules that are not this tool's.
	Kept, Foreign int
	// Owned counts the owned rules there are, and FreeNow is what the quota
	// leaves beside all rules there are; Free is what it leaves after the plan.
	Owned         int
	FreeNow, Free Weight
	// Applied is when the newest file was published that an owned rule was
	// made from; it is zero where there is none.
	Applied time.Time
	// Err is a problem of this group alone; its rules are left as they are.
	Err error
}

// An Op is what a step does.
type Op int

// The operations of a step.
const (
	Authorize Op = iota
	Revoke
	Redescribe // give rules that were taken over this tool's description
)

func (op Op) String() string { return [...]string{"authorize", "revoke", "redescribe"}[op] }

// A Step is one call to EC2 about rules of one group.
type Step struct {
	Op      Op
	GroupID string
	Rules   []Rule
	// Gap lists wanted ranges that this revoke closes until a later step
	// opens them again. It is empty wherever an order without a gap exists.
	Gap []netip.Prefix
}

func (s Step) String() string {
	return fmt.Sprintf("%s %s in %s", s.Op, plural(len(s.Rules), "rule"), s.GroupID)
}

func (s Step) equal(o Step) bool {
	return s.Op == o.Op && s.GroupID == o.GroupID && slices.Equal(s.Rules, o.Rules) && slices.Equal(s.Gap, o.Gap)
}

// NewPlan returns the steps that make the groups of one account and region equal
// to the request. It fails where the request is older than what a rule was
// made from, with an *[OlderError].
//
// For each wanted rule (a port of the pool, a range) and each rule there is:
//
//	wanted  there is one                  plan
//	yes     no                            authorize it in a group with room
//	yes     owned, or foreign             keep it; mark it if it is taken over
//	yes     twice or more                 keep one, revoke the other owned ones
//	no      owned                         revoke it, after what replaces it
//	no      foreign                       leave it alone
func NewPlan(groups []Group, req Request) (*Plan, error) {
	if req.Withdraw {
		req.Ranges = nil // and no group lists a port, so the guard has nothing to count
	} else if err := refuseOlder(groups, req.Stamp); err != nil {
		return nil, err
	}
	pools := partition(groups, req)
	plan := &Plan{}
	for _, members := range pools {
		plan.Pools = append(plan.Pools, plan.pool(members, req, all))
	}
	// A run that held its revokes back has added rules all the same. In the
	// next run on the same publication those must not count for the revokes,
	// unless they are most of what there is: then a few strays are no mass.
	before := max(plan.Owned-plan.current, plan.current)
	if !req.Force && plan.Losing*100 > before*req.MaxRevokePercent {
		held := &Plan{Err: &HeldError{Losing: plan.Losing, Owned: before, MaxPercent: req.MaxRevokePercent}}
		for _, members := range pools {
			held.Pools = append(held.Pools, held.pool(members, req, hold))
		}
		held.Losing = plan.Losing
		return held, nil
	}
	return plan, nil
}

// pool plans one pool and adds what it owns and loses to the plan's sums.
func (plan *Plan) pool(members []GroupPlan, req Request, aim aim) PoolPlan {
	pp := PoolPlan{Name: poolName(members[0]), Groups: slices.Clone(members)}
	current := req.Stamp.String()
	for i := range pp.Groups {
		g := &pp.Groups[i]
		for _, r := range g.Group.Ingress {
			if stamped(req.TagKey, r.Description) {
				plan.Owned++
				if t, ok := publishedIn(r.Description); ok && t.After(g.Applied) {
					g.Applied = t
				}
				if r.Description == current {
					plan.current++
				}
			} else if !owned(req.TagKey, g.Settings, r) {
				g.Foreign++
			}
		}
	}
	if pp.Err = checkPool(pp.Groups); pp.Err != nil {
		pp.sum(req)
		return pp
	}
	p := newPool(pp.Groups, req, aim)
	plan.Losing += p.losing()
	pp.Err = p.shortage(pp.Groups)
	pp.Steps = p.order()
	if gaps(pp.Steps) > 0 {
		if careful := replaceFirst(pp.Groups, req); gaps(careful) < gaps(pp.Steps) {
			pp.Steps = careful
		}
	}
	pp.Steps = append(pp.Steps, p.takeOver(pp.Steps)...)
	pp.sum(req)
	return pp
}

// replaceFirst plans a pool without regard to the number of calls: what
// replaces surplus rules is authorized before what is new takes the room, and
// moved to where it belongs later.
func replaceFirst(groups []GroupPlan, req Request) []Step {
	var steps []Step
	for {
		next := newPool(groups, req, replace).order()
		if len(next) == 0 {
			return append(steps, newPool(groups, req, all).order()...)
		}
		steps = append(steps, next...)
		groups = slices.Clone(groups)
		for i := range groups {
			g := *groups[i].Group
			g.Ingress = g.after(next)
			groups[i].Group = &g
		}
	}
}

// gaps counts the steps that open a gap.
func gaps(steps []Step) int {
	n := 0
	for _, s := range steps {
		if len(s.Gap) > 0 {
			n++
		}
	}
	return n
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

// owned reports whether a rule is this tool's to change: its description says
// so, or its group is exclusive and it lets an IP range in on listed ports
// and no others.
func owned(tagKey string, s Settings, r Rule) bool {
	if stamped(tagKey, r.Description) {
		return true
	}
	if !s.Exclusive || r.Protocol != "tcp" || !r.Source.Prefix.IsValid() {
		return false
	}
	next := r.From // the first port of the rule not yet found to be listed
	for _, p := range s.Ports {
		if int32(p.From) <= next && next <= int32(p.To) {
			next = int32(p.To) + 1
		}
	}
	return next > r.To
}

// refuseOlder fails where a rule was made from a newer publication than the
// one asked for.
func refuseOlder(groups []Group, stamp Stamp) error {
	for _, g := range groups {
		for _, r := range g.Ingress {
			if !stamped(stamp.TagKey, r.Description) {
				continue
			}
			if t, ok := publishedIn(r.Description); ok && t.After(stamp.Published) {
				return &OlderError{GroupID: g.ID, Rule: r, Newest: t, Published: stamp.Published}
			}
		}
	}
	return nil
}

// SameSteps reports whether both plans take the same steps in each pool.
func (plan *Plan) SameSteps(o *Plan) bool {
	return slices.EqualFunc(plan.Pools, o.Pools, func(a, b PoolPlan) bool {
		return a.Name == b.Name && slices.EqualFunc(a.Steps, b.Steps, Step.equal)
	})
}
