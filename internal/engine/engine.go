// Package engine runs a synchronisation from end to end: it fetches the
// published ranges, plans each account and region, and applies the plans. The
// function and the operator's command both drive it.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// An Engine makes tagged security groups equal to the published ranges. It is
// not safe for concurrent runs.
type Engine struct {
	Fetch FetchFunc
	// Services are the services that Fetch selects, and Within those that it
	// takes in, for the rules' descriptions.
	Services, Within []string
	Targets          []*Target
	TagKey           string
	// RulesPerGroup is the quota of rules per group; zero asks Service Quotas.
	RulesPerGroup    int
	MaxRevokePercent int
	Log              *slog.Logger
}

// A FetchFunc gets the published ranges: with a notice those it announced, or
// newer ones.
type FetchFunc func(context.Context, *iprange.Notice) (*iprange.Publication, error)

// A Request is what a run is asked for.
type Request struct {
	// Notice is what a notification said of the file, if one started the run.
	Notice *iprange.Notice
	// DryRun plans and reports, and changes nothing.
	DryRun bool
	// Force revokes however many rules lose addresses.
	Force bool
	// GroupIDs names the only groups that may be changed; empty means all.
	GroupIDs []string
	// Withdraw revokes every owned rule of the tagged groups, whatever is
	// published and however many there are: no range is wanted any more.
	Withdraw bool
	// Approved, if not nil, holds the only plans that may be applied. A target
	// whose groups have changed since its plan was made is left as it is.
	Approved map[*Target]*secgroup.Plan
	// OnStep, if set, is told of each step that the run has taken. It may be
	// called by several goroutines at a time.
	OnStep func(*Target, secgroup.Step)
}

const (
	// targetsAtOnce and poolsAtOnce bound the calls under way at a time.
	targetsAtOnce = 8
	poolsAtOnce   = 4
	// maxPlans is how often a target is planned before a conflict with someone
	// else's changes counts as a failure.
	maxPlans = 4
	// staleAfter is the age at which groups described before a long fetch are
	// described anew.
	staleAfter = 5 * time.Second
	// stepReserve is the time left below which no further step is begun.
	stepReserve = 2 * time.Second
)

// Run synchronises all targets. It always returns a report; the error names
// everything that failed, each in a line of its own.
func (e *Engine) Run(ctx context.Context, req Request) (*Report, error) {
	report := newReport(req.DryRun)
	fetch := e.startFetch(ctx, req)
	outcomes := make([]*outcome, len(e.Targets))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, t := range e.Targets {
		running.Go(func() error {
			o := &outcome{target: t}
			outcomes[i] = o
			if err := e.guard(ctx, func() { e.sync(ctx, o, fetch, req) }); err != nil {
				o.fail(err)
			}
			return nil
		})
	}
	_ = running.Wait() // failures are in the outcomes
	publication, err := fetch()
	var errs []error
	if err != nil {
		errs = append(errs, err)
		for _, o := range outcomes {
			errs = append(errs, o.errs...)
		}
		return report, report.fail(errs)
	}
	if !req.Withdraw {
		report.published(publication)
		if note := Strangers(publication); note != "" {
			e.Log.WarnContext(ctx, note)
		}
	}
	for _, o := range outcomes {
		report.add(o)
		errs = append(errs, o.errs...)
	}
	if !slices.ContainsFunc(outcomes, func(o *outcome) bool { return !o.planned }) {
		errs = append(errs, e.unknownGroups(req.GroupIDs, report.has)...)
	}
	return report, report.fail(errs)
}

// startFetch starts to fetch the file, while the groups are described, and
// returns a function that waits for the outcome.
func (e *Engine) startFetch(ctx context.Context, req Request) func() (*iprange.Publication, error) {
	var (
		publication = &iprange.Publication{} // no file is needed to close
		err         error
		done        = make(chan struct{})
	)
	go func() {
		defer close(done)
		if req.Withdraw {
			return
		}
		if crash := e.guard(ctx, func() { publication, err = e.Fetch(ctx, req.Notice) }); crash != nil {
			err = crash
		}
	}()
	return func() (*iprange.Publication, error) {
		<-done
		return publication, err
	}
}

// unknownGroups returns an error for each of the groups asked for that there
// is not. That can be said only where every target was looked at.
func (e *Engine) unknownGroups(ids []string, has func(id string) bool) []error {
	var errs []error
	for _, id := range ids {
		if !has(id) {
			var places []string
			for _, t := range e.Targets {
				places = append(places, t.String())
			}
			errs = append(errs, fmt.Errorf("%s: no security group tagged %s has this ID in %s; tag it, or check the ID", id, e.TagKey, strings.Join(places, ", ")))
		}
	}
	return errs
}

// guard calls f. A panic in it becomes an error, so that it fails alone: the
// other targets go on, and the run still reports what it did.
func (e *Engine) guard(ctx context.Context, f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v; this is a defect of cloudfront-sg-sync, please report it with the stack in the log", p)
		}
	}()
	f()
	return nil
}

// sync makes the target of an outcome equal to the published ranges. Where
// someone else changes a group meanwhile, it looks again and plans again.
func (e *Engine) sync(ctx context.Context, o *outcome, fetch func() (*iprange.Publication, error), req Request) {
	t := o.target
	began := time.Now()
	groups, err := secgroup.Discover(ctx, t.EC2, e.TagKey)
	publication, fetchErr := fetch()
	if fetchErr != nil {
		if err != nil {
			o.fail(err)
		}
		return // the run fails as a whole
	}
	for n := 1; ; n++ {
		if err == nil && time.Since(began) > staleAfter {
			groups, err = secgroup.Discover(ctx, t.EC2, e.TagKey)
		}
		if err != nil {
			o.fail(err)
			return
		}
		o.described = true
		conflict := e.once(ctx, o, groups, publication, req)
		// What was approved was one plan, and no other.
		if !conflict || ctx.Err() != nil || n == maxPlans || req.Approved != nil {
			return
		}
		e.Log.InfoContext(ctx, "security groups changed meanwhile, planning again", "target", t.String())
		groups, err = secgroup.Discover(ctx, t.EC2, e.TagKey)
		began = time.Now()
	}
}

// once plans a target and applies the plan. It reports whether that ran into
// changes by someone else.
func (e *Engine) once(ctx context.Context, o *outcome, groups []secgroup.Group, publication *iprange.Publication, req Request) (conflict bool) {
	o.restart()
	plan, err := o.target.plan(ctx, e.Log, groups, e.request(publication, req))
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
	o.planned = true
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
	_ = running.Wait() // failures are in the slice
	for i, pool := range pools {
		for _, err := range failuresOf(pool, req.GroupIDs) {
			o.fail(err)
		}
		if failures[i] != nil {
			o.fail(failures[i])
			conflict = conflict || secgroup.IsConflict(failures[i])
		}
	}
	return conflict
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
		Force:            req.Force,
		GroupIDs:         req.GroupIDs,
		Withdraw:         req.Withdraw,
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

// apply takes the steps of a pool, up to the first that fails.
func (e *Engine) apply(ctx context.Context, t *Target, pool secgroup.PoolPlan, reports map[string]*GroupReport, req Request) error {
	for i, step := range pool.Steps {
		r := reports[step.GroupID]
		if len(step.Gap) > 0 {
			e.Log.WarnContext(ctx, "no room to avoid a gap: ranges are closed until the next steps open them again",
				"target", t.String(), "pool", pool.Name, "groupId", step.GroupID, "ranges", step.Gap, "dryRun", req.DryRun)
		}
		if !req.DryRun {
			err := outOfTime(ctx)
			if err == nil {
				err = takeStep(ctx, t.EC2, step)
			}
			if err != nil {
				r.Error = err.Error()
				return fmt.Errorf("pool %q: %w (%d of %d steps taken)", pool.Name, err, i, len(pool.Steps))
			}
			e.Log.InfoContext(ctx, step.Op.String()+"d", "target", t.String(), "groupId", step.GroupID, "rules", len(step.Rules))
			if req.OnStep != nil {
				req.OnStep(t, step)
			}
		}
		switch step.Op {
		case secgroup.Authorize:
			r.Added += len(step.Rules)
		case secgroup.Revoke:
			r.Revoked += len(step.Rules)
		}
	}
	return nil
}

// takeStep applies a step. One that has begun is finished when the run is
// stopped: of a call that is given up nobody knows whether it took effect.
func takeStep(ctx context.Context, api secgroup.API, step secgroup.Step) error {
	call := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		call, cancel = context.WithDeadline(call, deadline)
		defer cancel()
	}
	return secgroup.Apply(call, api, step)
}

// outOfTime fails where too little time is left for a step.
func outOfTime(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stopped between two steps, run again to go on: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < stepReserve {
		return errors.New("stopped between two steps for want of time; the next run goes on")
	}
	return nil
}
