package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A Preview is what a run would do in one target, step by step.
type Preview struct {
	Target        *Target
	Groups        []secgroup.Group  // the tagged groups as they are
	Holders       []secgroup.Holder // these and the tagged prefix lists
	Plan          *secgroup.Plan    // nil if Err says why there is none
	Err           error
	Pools, Lists  []secgroup.PoolPlan // those of the plan that have a group or list asked for
	RulesPerGroup int                 // the quota that the plan assumes
	ListsErr      error               // why no prefix list was found
}

// ListsFailure returns why lists cannot be synced. Without the permission to look for them, those who only have groups
// are warned.
func (v *Preview) ListsFailure() error {
	if awserr.IsDenied(v.ListsErr) {
		return nil
	}
	return v.ListsErr
}

// A Proposal is what a run would do, and what a person should know before it does.
type Proposal struct {
	*Engine
	Request     Request
	Publication *iprange.Publication
	Previews    []Preview // one for each target
	Report      *Report
	// Failures are what a run on the same request would fail with before it takes a step.
	Failures []error
}

// Propose plans what a request asks for and changes nothing: it is a run without the calls. It fails as [Engine.Run]
// does if there are no ranges to plan with, or no group with an ID asked for; other failures are in the proposal.
func (e *Engine) Propose(ctx context.Context, req Request) (*Proposal, error) {
	dry := req
	dry.DryRun, dry.AskQuota = true, true
	publication, runs, err := e.run(ctx, dry, func(*targetRun) {})
	if err == nil {
		err = errors.Join(e.unknownGroups(req.GroupIDs, runs)...)
	}
	if err != nil {
		return nil, err
	}
	p := &Proposal{Engine: e, Request: req, Publication: publication, Report: NewReport(true)}
	for _, tr := range runs {
		if tr.Plan == nil {
			tr.Err = errors.Join(tr.errs...)
		}
		if tr.RulesPerGroup = tr.Target.quota(e.RulesPerGroup); tr.Target.quotaErr != nil {
			tr.warn(fmt.Sprintf("cannot read the quota of rules per group, assuming %d; grant servicequotas:GetServiceQuota or use --rules-per-group (%v)",
				tr.RulesPerGroup, tr.Target.quotaErr))
		}
		p.Previews = append(p.Previews, tr.Preview)
		p.Failures = append(p.Failures, tr.errs...)
		p.Report.add(tr)
	}
	p.Failures = oncePerRole(p.Failures)
	return p, nil
}

// Discover returns the tagged groups and prefix lists of all targets, as far as they can be read.
func (e *Engine) Discover(ctx context.Context) ([]secgroup.Holder, error) {
	var found []secgroup.Holder
	var errs []error
	for _, tr := range e.eachTarget(func(tr *targetRun) { tr.Err = e.discover(ctx, tr) }) {
		found = slices.Concat(found, tr.Groups, tr.lists)
		errs = append(errs, tr.Err, tr.ListsFailure())
	}
	return found, errors.Join(errs...)
}

// Approved returns a request for exactly what is proposed: groups that have changed since are left alone.
func (p *Proposal) Approved() Request {
	req := p.Request
	req.Approved = map[*Target]*secgroup.Plan{}
	for _, v := range p.Previews {
		req.Approved[v.Target] = v.Plan
	}
	return req
}

// Steps returns the steps of all targets.
func (p *Proposal) Steps() (steps []secgroup.Step) {
	for _, v := range p.Previews {
		for _, pool := range slices.Concat(v.Pools, v.Lists) {
			steps = append(steps, pool.Steps...)
		}
	}
	return steps
}
