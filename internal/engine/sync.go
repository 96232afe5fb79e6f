package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

const (
	// maxPlans is how often a target is planned before a conflict with someone else's changes counts as a failure.
	maxPlans = 5
	// staleAfter is the age at which groups described before a long fetch are described anew.
	staleAfter = 5 * time.Second
	// firstPause is how long to wait before the groups are described again after a conflict, twice as long each time:
	// what EC2 describes may lag behind what it has done. See
	// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
	firstPause = time.Second
)

// sync makes the target of a report equal to the published ranges. Where someone else changes a group meanwhile, it
// looks again and plans again. Where EC2 refuses a change of a group for good, that group is left alone and the rest of
// its pool is planned without it.
func (e *Engine) sync(ctx context.Context, tr *targetReport, fetch func() (*iprange.Publication, error), req Request) {
	t := tr.target
	t.askedNow = false
	began := time.Now()
	groups, lists, err := e.discover(ctx, tr)
	publication, fetchErr := fetch()
	if fetchErr != nil {
		if err != nil {
			tr.fail(err)
		}
		return // the run fails as a whole
	}
	r := &refusals{leave: map[string]error{}}
	pause := cmp.Or(e.pause, firstPause)
	for n := 1; ; n++ {
		if err == nil && time.Since(began) > staleAfter {
			groups, lists, err = e.discover(ctx, tr)
		}
		if err != nil {
			tr.fail(err)
			return
		}
		tr.described = true
		again := e.once(ctx, tr, groups, lists, publication, req, r)
		// What was approved was one plan, and no other.
		if !again || n >= maxPlans || req.Approved != nil {
			return
		}
		e.Log.InfoContext(ctx, "looking again, as security groups changed meanwhile or a change was refused", "target", t.String())
		for {
			if !sleep(ctx, pause) {
				return
			}
			groups, lists, err = e.discover(ctx, tr)
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

// discover describes the groups and the prefix lists of a target, and leaves out those that other accounts share with
// it.
func (e *Engine) discover(ctx context.Context, tr *targetReport) ([]secgroup.Group, []secgroup.PrefixList, error) {
	groups, lists, err := e.look(ctx, tr.target)
	if err != nil {
		return nil, nil, err
	}
	tr.look = lists
	groups, tr.shared, err = tr.target.own(ctx, groups)
	return groups, lists.found, err
}

// refusals are the steps that EC2 refused in a run, so that they are not tried again.
type refusals struct {
	leave map[string]error // by group ID: why it is left alone
	tried []refusal        // conflicts, which a new look may explain
}

// A refusal is a step that met a conflict, and the rules that its group had in the plan.
type refusal struct {
	*stepError
	rules []secgroup.Rule
}

// note notes the failure of a step, and reports whether planning again may help: after a conflict, and after a refusal
// for the other groups of the pool.
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

// unexplained reports whether a group that met a conflict is still described as it was: what EC2 describes may lag
// behind what it has done. That a group has more rules than its quota allows is no matter of what is described.
func (r *refusals) unexplained(groups []secgroup.Group) bool {
	return slices.ContainsFunc(groups, func(g secgroup.Group) bool {
		return slices.ContainsFunc(r.tried, func(t refusal) bool {
			return t.step.GroupID == g.ID && slices.Equal(t.rules, g.Ingress) && !secgroup.IsOverQuota(t.Err)
		})
	})
}

// repeated leaves the groups alone for which a plan has a step that EC2 has refused already, for a group that is still
// as it was. It reports whether there is any.
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

// once plans a target and applies the plan. It reports whether planning again may help.
func (e *Engine) once(ctx context.Context, tr *targetReport, groups []secgroup.Group, lists []secgroup.PrefixList, publication *iprange.Publication, req Request, r *refusals) (again bool) {
	tr.restart()
	plan, err := e.planTarget(ctx, tr.target, groups, lists, publication, req, r)
	if err == nil && req.Approved != nil {
		if approved := req.Approved[tr.target]; approved == nil || !plan.SameSteps(approved) {
			err = ErrOutdated
		}
	}
	if err != nil {
		tr.fail(err)
		return false
	}
	tr.notePlan(plan)
	pools, listPools := concerned(plan.Pools, req.GroupIDs), concernedLists(plan.Lists, req.GroupIDs)
	tr.capacity = capacityOf(pools, publication.Merged())
	failed, listFailed := e.applyAll(ctx, tr, pools, listPools, req)
	for i, pool := range listPools {
		again = tr.concludeLists(pool, listFailed[i], req.GroupIDs, r) || again
	}
	for i, pool := range pools {
		again = tr.conclude(pool, failed[i], req.GroupIDs, r) || again
	}
	return again
}

// planTarget plans the groups and the prefix lists of a target, without what EC2 has refused in this run.
func (e *Engine) planTarget(ctx context.Context, t *Target, groups []secgroup.Group, lists []secgroup.PrefixList, publication *iprange.Publication, req Request, r *refusals) (*secgroup.Plan, error) {
	ask := e.request(publication, req)
	ask.Leave = r.leave
	plan, err := t.plan(ctx, e.Log, groups, ask, req.Look)
	if err == nil && r.repeated(plan) {
		plan, err = t.plan(ctx, e.Log, groups, ask, req.Look)
	}
	if err != nil {
		return nil, err
	}
	if plan.Lists, err = t.planLists(ctx, lists, ask); err != nil {
		return nil, err
	}
	offerCompact(plan, publication)
	return plan, nil
}

// applyAll applies the plans of all pools, some at a time. It returns what failed, in the order of the pools.
func (e *Engine) applyAll(ctx context.Context, tr *targetReport, pools []secgroup.PoolPlan, listPools []secgroup.ListPool, req Request) (failed, listFailed []error) {
	failed, listFailed = make([]error, len(pools)), make([]error, len(listPools))
	var running errgroup.Group
	running.SetLimit(poolsAtOnce)
	for i, pool := range pools {
		reports := tr.begin(pool, req.GroupIDs)
		running.Go(func() error {
			failed[i] = e.alone(ctx, pool.Name, reportErrors(reports), func() error { return e.apply(ctx, tr.target, pool, reports, req) })
			return nil
		})
	}
	for i, pool := range listPools {
		reports := tr.beginLists(pool, req.GroupIDs)
		running.Go(func() error {
			listFailed[i] = e.alone(ctx, pool.Name, reportErrors(reports), func() error { return e.modify(ctx, tr.target, pool, reports, req) })
			return nil
		})
	}
	_ = running.Wait() // failures are in the slices
	return failed, listFailed
}

// alone does what there is to do in a pool. If it panics, this pool fails and no other, and so say the reports whose
// errors are given.
func (e *Engine) alone(ctx context.Context, pool string, reported []*string, do func() error) (err error) {
	crash := e.guard(ctx, func() { err = do() })
	if crash == nil {
		return err
	}
	for _, text := range reported {
		*text = crash.Error()
	}
	return fmt.Errorf("pool %q: %w", pool, crash)
}

// reportErrors returns where the reports of a pool note errors.
func reportErrors[R interface{ failure() *string }](reports map[string]R) []*string {
	var all []*string
	for _, r := range reports {
		all = append(all, r.failure())
	}
	return all
}

// ErrOutdated says that an approved plan is not what would be done now.
var ErrOutdated = hint.New("the security groups have changed since the plan was made: nothing was done here", "plan again")

// request returns what a target's plan is asked for.
func (e *Engine) request(publication *iprange.Publication, req Request) secgroup.Request {
	rulesPerGroup := e.RulesPerGroup
	if req.Withdraw {
		rulesPerGroup = DefaultRulesPerGroup // closing needs no room, so there is no need to ask for the quota
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

// begin returns the reports of a pool's groups, by ID, with what is known of them before the first step.
func (tr *targetReport) begin(pool secgroup.PoolPlan, only []string) map[string]*GroupReport {
	reports := map[string]*GroupReport{}
	for _, g := range pool.Groups {
		if !wanted(g.Group.ID, only) {
			continue
		}
		r := tr.group(g)
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

// failuresOf returns what keeps a pool's plan from being whole, but for problems of groups that were not asked for.
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
