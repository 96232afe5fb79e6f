package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"golang.org/x/sync/errgroup"
)

// A Preview is what a run would do in one target, step by step.
type Preview struct {
	Target *Target
	// Groups are the tagged groups as they are.
	Groups []secgroup.Group
	// Shared are tagged groups of other accounts, which a run leaves alone.
	Shared []secgroup.Group
	// ListsErr and ListWarning say why no prefix list was found.
	ListsErr    error
	ListWarning string
	// Plan is nil where Err says why there is none.
	Plan *secgroup.Plan
	Err  error
	// Pools are those of the plan that have a group asked for.
	Pools []secgroup.PoolPlan
	// Lists are those of its pools of prefix lists that have one asked for.
	Lists []secgroup.ListPool
	// RulesPerGroup is the quota that the plan assumes. It is the default if Service Quotas gave no answer; QuotaErr
	// says why.
	RulesPerGroup int
	QuotaErr      error
}

// previews plans all targets and changes nothing. It fails as a whole only if there are no ranges to plan with, or no
// group with an ID asked for.
func (e *Engine) previews(ctx context.Context, req Request) (*iprange.Publication, []Preview, error) {
	publication, err := e.Fetch(ctx, req.Notice)
	if err != nil {
		return nil, nil, err
	}
	previews := make([]Preview, len(e.Targets))
	var running errgroup.Group
	running.SetLimit(targetsAtOnce)
	for i, t := range e.Targets {
		running.Go(func() error {
			previews[i] = e.preview(ctx, t, publication, req)
			return nil
		})
	}
	_ = running.Wait() // failures are in the previews
	failed := func(p Preview) bool { return p.Err != nil }
	if slices.ContainsFunc(previews, failed) {
		return publication, previews, nil // who knows what groups there are
	}
	has := func(id string) bool {
		return slices.ContainsFunc(previews, func(p Preview) bool {
			return slices.ContainsFunc(p.Groups, func(g secgroup.Group) bool { return g.ID == id }) ||
				slices.ContainsFunc(p.Plan.Lists, func(pool secgroup.ListPool) bool {
					return slices.ContainsFunc(pool.Lists, func(l secgroup.ListPlan) bool { return l.List.ID == id })
				})
		})
	}
	if err := errors.Join(e.unknownGroups(req.GroupIDs, has)...); err != nil {
		return nil, nil, err
	}
	return publication, previews, nil
}

// failures returns what a run on the same request would fail with before it takes a step.
func (p Preview) failures(req Request) []error {
	if p.Err != nil {
		return []error{p.Err}
	}
	var errs []error
	fail := func(err error) { errs = append(errs, fmt.Errorf("%v: %w", p.Target, err)) }
	for _, pool := range p.Pools {
		for _, err := range failuresOf(pool, req.GroupIDs) {
			fail(err)
		}
	}
	if p.ListsErr != nil {
		fail(p.ListsErr)
	}
	for _, pool := range p.Lists {
		for _, err := range listFailures(pool, req.GroupIDs) {
			fail(err)
		}
	}
	return errs
}

func (e *Engine) preview(ctx context.Context, t *Target, publication *iprange.Publication, req Request) Preview {
	p := Preview{Target: t}
	t.askedNow = false
	var lists lookedUp
	if p.Groups, lists, p.Err = e.look(ctx, t); p.Err == nil {
		p.Groups, p.Shared, p.Err = t.own(ctx, p.Groups)
	}
	if p.Err == nil {
		if e.RulesPerGroup == 0 && len(p.Groups) > 0 {
			_, p.QuotaErr = t.learnQuota(ctx) // though the plan may not need it, a reader does
		}
		p.Plan, p.Err = t.plan(ctx, e.Log, p.Groups, e.request(publication, req), req.Look)
	}
	if p.Err == nil {
		p.Plan.Lists, p.Err = t.planLists(ctx, lists.found, e.request(publication, req))
		p.ListsErr, p.ListWarning = lists.err, lists.warning
	}
	if p.Err != nil {
		p.Err = fmt.Errorf("%v: %w", t, p.Err)
	} else {
		offerCompact(p.Plan, publication)
		p.Pools = concerned(p.Plan.Pools, req.GroupIDs)
		p.Lists = concernedLists(p.Plan.Lists, req.GroupIDs)
	}
	p.RulesPerGroup = t.quota(e.RulesPerGroup)
	return p
}
