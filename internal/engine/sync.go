package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

const (
	// maxPlans is how often a target is planned before a conflict with someone
	// else's changes counts as a failure.
	maxPlans = 5
	// staleAfter is the age at which groups described before a long fetch are
	// described anew.
	staleAfter = 5 * time.Second
	// firstPause is how long to wait before the groups are described again after
	// a conflict, twice as long each time: what EC2 describes may lag behind what
	// it has done. See
	// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
	firstPause = time.Second
)

// sync makes the target of an outcome equal to the published ranges. Where
// someone else changes a group meanwhile, it looks again and plans again. Where
// EC2 refuses a change of a group for good, that group is left alone and the
// rest of its pool is planned without it.
func (e *Engine) sync(ctx context.Context, o *outcome, fetch func() (*iprange.Publication, error), req Request) {
	t := o.target
	t.askedNow = false
	began := time.Now()
	groups, lists, err := e.discover(ctx, o)
	publication, fetchErr := fetch()
	if fetchErr != nil {
		if err != nil {
			o.fail(err)
		}
		return // the run fails as a whole
	}
	r := &refusals{leave: map[string]error{}}
	pause := cmp.Or(e.pause, firstPause)
	for n := 1; ; n++ {
		if err == nil && time.Since(began) > staleAfter {
			groups, lists, err = e.discover(ctx, o)
		}
		if err != nil {
			o.fail(err)
			return
		}
		o.described = true
		again := e.once(ctx, o, groups, lists, publication, req, r)
		// What was approved was one plan, and no other.
		if !again || n >= maxPlans || req.Approved != nil {
			return
		}
		e.Log.InfoContext(ctx, "looking again, as security groups changed meanwhile or a change was refused", "target", t.String())
		for {
			if !sleep(ctx, pause) {
				return
			}
			groups, lists, err = e.discover(ctx, o)
			began = time.Now()
			if err != nil || n >= maxPlans || !r.unexplained(groups) {
				break
			}
			n++
			pause *= 2
		}
	}
}

// sleep waits, and reports whether there is time left to go on.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d+stepReserve {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// discover describes the groups and the prefix lists of a target, and leaves out
// those that other accounts share with it.
func (e *Engine) discover(ctx context.Context, o *outcome) ([]secgroup.Group, []secgroup.PrefixList, error) {
	groups, lists, err := e.look(ctx, o.target)
	if err != nil {
		return nil, nil, err
	}
	o.look = lists
	groups, o.shared, err = o.target.own(ctx, groups)
	return groups, lists.found, err
}

// refusals are what EC2 refused in a run: what not to try again.
type refusals struct {
	leave map[string]error // by group ID: why it is left alone
	tried []refusal        // conflicts, which a new look may explain
}

// A refusal is a step that met a conflict, and the rules that its group had in
// the plan.
type refusal struct {
	*stepError
	rules []secgroup.Rule
}

// note notes the failure of a step, and reports whether planning again may
// help: after a conflict, and after a refusal for the other groups of the pool.
func (r *refusals) note(err error, pool secgroup.PoolPlan) bool {
	failed, ok := errors.AsType[*stepError](err)
	if !ok {
		return false
	}
	i := slices.IndexFunc(pool.Groups, func(g secgroup.GroupPlan) bool { return g.Group.ID == failed.step.GroupID })
	switch {
	case secgroup.IsConflict(err):
		r.tried = append(r.tried, refusal{failed, pool.Groups[i].Group.Ingress})
		return true
	case secgroup.IsRefusal(err):
		r.leave[failed.step.GroupID] = failed.Err
		return len(pool.Groups) > 1
	}
	return false
}

// unexplained reports whether a group that met a conflict is still described as
// it was: what EC2 describes may lag behind what it has done. That a group has
// more rules than its quota allows is no matter of what is described.
func (r *refusals) unexplained(groups []secgroup.Group) bool {
	return slices.ContainsFunc(groups, func(g secgroup.Group) bool {
		return slices.ContainsFunc(r.tried, func(t refusal) bool {
			return t.step.GroupID == g.ID && slices.Equal(t.rules, g.Ingress) && !secgroup.IsOverQuota(t.Err)
		})
	})
}

// repeated leaves the groups alone for which a plan has a step that EC2 has
// refused already, for a group that is still as it was. It reports whether there
// is any.
func (r *refusals) repeated(plan *secgroup.Plan) bool {
	found := false
	for _, pool := range plan.Pools {
		for _, g := range pool.Groups {
			for _, t := range r.tried {
				same := func(s secgroup.Step) bool {
					return s.Op == t.step.Op && s.GroupID == t.step.GroupID && slices.Equal(s.Rules, t.step.Rules)
				}
				if t.step.GroupID == g.Group.ID && slices.Equal(t.rules, g.Group.Ingress) && slices.ContainsFunc(pool.Steps, same) {
					r.leave[g.Group.ID], found = t.Err, true
				}
			}
		}
	}
	return found
}

// once plans a target and applies the plan. It reports whether planning again
// may help.
func (e *Engine) once(ctx context.Context, o *outcome, groups []secgroup.Group, lists []secgroup.PrefixList, publication *iprange.Publication, req Request, r *refusals) (again bool) {
	o.restart()
	ask := e.request(publication, req)
	ask.Leave = r.leave
	plan, err := o.target.plan(ctx, e.Log, groups, ask, req.Look)
	if err == nil && r.repeated(plan) {
		plan, err = o.target.plan(ctx, e.Log, groups, ask, req.Look)
	}
	if err == nil {
		plan.Lists, err = secgroup.PlanLists(ctx, lists, ask)
	}
	if err != nil {
		o.fail(err)
		return false
	}
	offerCompact(plan, publication)
	if req.Approved != nil {
		if approved := req.Approved[o.target]; approved == nil || !plan.SameSteps(approved) {
			o.fail(ErrOutdated)
			return false
		}
	}
	o.planned, o.blind = true, plan.Blind
	if plan.Blind {
		o.warnings = append(o.warnings, fmt.Sprintf("%v: nobody may see which network interfaces have the groups, so no rule is revoked that another group has replaced: grant ec2:DescribeNetworkInterfaces", o.target))
	}
	pools := concerned(plan.Pools, req.GroupIDs)
	o.capacity = capacityOf(pools, publication.Merged())
	failures := make([]error, len(pools))
	var running errgroup.Group
	running.SetLimit(poolsAtOnce)
	for i, pool := range pools {
		reports := o.begin(pool, req.GroupIDs)
		running.Go(func() error {
			err := e.guard(ctx, func() { failures[i] = e.apply(ctx, o.target, pool, reports, req) })
			if err != nil {
				failures[i] = fmt.Errorf("pool %q: %w", pool.Name, err)
				for _, r := range reports {
					r.Error = err.Error()
				}
			}
			return nil
		})
	}
	listPools := concernedLists(plan.Lists, req.GroupIDs)
	listFailed := make([]error, len(listPools))
	for i, pool := range listPools {
		reports := o.beginLists(pool, req.GroupIDs)
		running.Go(func() error {
			err := e.guard(ctx, func() { listFailed[i] = e.modify(ctx, o.target, pool, reports, req) })
			if err != nil {
				listFailed[i] = fmt.Errorf("pool %q: %w", pool.Name, err)
				for _, r := range reports {
					r.Error = err.Error()
				}
			}
			return nil
		})
	}
	_ = running.Wait() // failures are in the slices
	for i, pool := range listPools {
		for _, err := range listFailures(pool, req.GroupIDs) {
			o.fail(err)
		}
		for _, w := range pool.Warnings {
			o.warnings = append(o.warnings, fmt.Sprintf("%v: %s", o.target, w))
		}
		if listFailed[i] != nil {
			o.fail(listFailed[i])
			again = r.noteChange(listFailed[i], pool) || again
		}
	}
	for i, pool := range pools {
		for _, err := range failuresOf(pool, req.GroupIDs) {
			o.fail(err)
		}
		o.warn(pool)
		if failures[i] != nil {
			o.fail(failures[i])
			if secgroup.IsConflict(failures[i]) {
				o.target.forgetQuota(failures[i])
			}
			again = r.note(failures[i], pool) || again
		}
	}
	return again
}

// ErrOutdated says that an approved plan is not what would be done now.
var ErrOutdated = errors.New("the security groups are not, or no longer, as the plan was made for: nothing is done here; plan again")

// request returns what a target's plan is asked for.
func (e *Engine) request(publication *iprange.Publication, req Request) secgroup.Request {
	rulesPerGroup := e.RulesPerGroup
	if req.Withdraw {
		rulesPerGroup = DefaultRulesPerGroup // no room is needed to close, so nobody is asked how much there is
	}
	return secgroup.Request{
		Stamp:            secgroup.Stamp{TagKey: e.TagKey, Services: e.Services, Within: e.Within, Published: publication.Published},
		Ranges:           publication.Merged(),
		RulesPerGroup:    rulesPerGroup,
		MaxRevokePercent: e.MaxRevokePercent,
		Families:         e.Families,
		Force:            req.Force,
		GroupIDs:         req.GroupIDs,
		Withdraw:         req.Withdraw,
		Now:              time.Now(),
	}
}

// begin returns the reports of a pool's groups, by ID, with what is known of
// them before the first step.
func (o *outcome) begin(pool secgroup.PoolPlan, only []string) map[string]*GroupReport {
	reports := map[string]*GroupReport{}
	for _, g := range pool.Groups {
		if !wanted(g.Group.ID, only) {
			continue
		}
		r := o.group(g)
		reports[g.Group.ID] = r
		r.Error = ""
		if err := errors.Join(g.Err, pool.Err); err != nil {
			r.Error = err.Error()
		}
	}
	return reports
}

// concerned returns the pools that have a group asked for.
func concerned(pools []secgroup.PoolPlan, only []string) []secgroup.PoolPlan {
	return slices.DeleteFunc(slices.Clone(pools), func(pool secgroup.PoolPlan) bool {
		return !slices.ContainsFunc(pool.Groups, func(g secgroup.GroupPlan) bool { return wanted(g.Group.ID, only) })
	})
}

// failuresOf returns what keeps a pool's plan from being whole, but for
// problems of groups that were not asked for.
func failuresOf(pool secgroup.PoolPlan, only []string) []error {
	var errs []error
	if pool.Err != nil {
		errs = append(errs, pool.Err)
	}
	for _, g := range pool.Groups {
		if g.Err != nil && wanted(g.Group.ID, only) {
			errs = append(errs, fmt.Errorf("%s: %w", g.Group.ID, g.Err))
		}
	}
	return errs
}

func wanted(id string, only []string) bool { return len(only) == 0 || slices.Contains(only, id) }
