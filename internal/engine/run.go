package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A targetRun is a run in one target: what was found there, what was planned, and what became of it.
type targetRun struct {
	Preview
	warnings   []string // of the last plan
	errs       []error
	lists      []secgroup.Holder
	shared     []secgroup.Group // of other accounts, which are left alone
	stray      []secgroup.StrayTag
	described  bool     // whether the groups were
	incomplete int      // network interfaces that lack something
	open       int      // rules that are open to the world once the run is over
	sawWorld   bool     // whether all groups of the network interfaces were read
	planned    []string // the IDs of all holders in the plan
	capacity   Capacity

	groupReports []GroupReport
	listReports  []PrefixListReport

	mu       sync.Mutex // guards outcomes while sequences run side by side
	outcomes []*outcome // in the order of the plan
}

// An outcome is what became of a holder.
type outcome struct {
	plan    *secgroup.HolderPlan
	changes []Change
	version int64
	err     error
}

// count notes a step that was taken. A rule that was added and removed again, or the other way round, does not count.
func (o *outcome) count(step secgroup.Step) {
	note := func(rules []secgroup.Rule, added bool) {
		for _, r := range rules {
			if i := slices.Index(o.changes, Change{r.RuleID, !added}); i >= 0 {
				o.changes = slices.Delete(o.changes, i, i+1)
			} else {
				o.changes = append(o.changes, Change{r.RuleID, added})
			}
		}
	}
	o.changes = slices.Grow(o.changes, len(step.Add)+len(step.Remove))
	note(step.Add, true)
	note(step.Remove, false)
}

// outcome returns the outcome of a holder, making it if it is the first.
func (tr *targetRun) outcome(h *secgroup.HolderPlan) *outcome {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if i := slices.IndexFunc(tr.outcomes, func(o *outcome) bool { return o.plan.ID == h.ID }); i >= 0 {
		return tr.outcomes[i]
	}
	o := &outcome{plan: h, version: h.Version}
	tr.outcomes = append(tr.outcomes, o)
	return o
}

// restart forgets what an earlier plan failed with, and the holders that it changed nothing of: they may be gone.
func (tr *targetRun) restart() {
	tr.errs, tr.warnings, tr.incomplete = nil, nil, 0
	for _, g := range tr.shared {
		tr.warn(fmt.Sprintf("%s is shared by account %s: it is left alone; its owner has to sync it", g.ID, g.Owner))
	}
	tr.outcomes = slices.DeleteFunc(tr.outcomes, func(o *outcome) bool { return len(o.changes) == 0 })
	for _, o := range tr.outcomes {
		o.err = nil
	}
	if err := tr.ListsFailure(); err != nil {
		tr.fail(err)
	} else if tr.ListsErr != nil {
		tr.warn(fmt.Sprintf("cannot tell whether there are prefix lists to sync: %v", tr.ListsErr))
	}
}

// letGo drops what no report needs: the plans of hundreds of accounts would take most of a run's memory.
func (tr *targetRun) letGo() {
	tr.outcomes, tr.lists, tr.Groups, tr.Holders, tr.Pools, tr.Lists = nil, nil, nil, nil, nil, nil
	if tr.Plan != nil {
		tr.Plan = &secgroup.Plan{Blind: tr.Plan.Blind}
	}
}

// note notes a plan, what keeps it from being whole, and what needs a person although nothing fails. Pools that have
// no holder asked for are left out.
func (tr *targetRun) note(plan *secgroup.Plan, only []string) {
	tr.Plan, tr.Pools, tr.Lists, tr.Holders, tr.planned = plan, nil, nil, slices.Concat(tr.Groups, tr.lists), nil
	if plan.Blind {
		tr.warn("cannot see network interfaces, so rules that another group has replaced are not revoked: grant ec2:DescribeNetworkInterfaces")
	}
	asked := func(id string) bool { return len(only) == 0 || slices.Contains(only, id) }
	for _, pool := range plan.Pools {
		tr.planned = append(tr.planned, pool.IDs()...)
		if !slices.ContainsFunc(pool.IDs(), asked) {
			continue
		}
		if pool.Kind == secgroup.ManagedPrefixList {
			tr.Lists = append(tr.Lists, pool)
		} else {
			tr.Pools = append(tr.Pools, pool)
		}
		if pool.Err != nil {
			tr.fail(pool.Err)
		}
		for _, h := range pool.Holders {
			if !asked(h.ID) {
				continue
			}
			o := tr.outcome(h)
			o.err, o.version = errors.Join(h.Problem, pool.Err), h.Version
			if h.Problem != nil {
				tr.fail(fmt.Errorf("%s: %w", h.ID, h.Problem))
			}
		}
		for _, w := range pool.Warnings {
			tr.warn(w)
		}
		for _, eni := range pool.Interfaces {
			if eni.Lacks > 0 {
				tr.incomplete++
				tr.warn(eni.String())
			}
		}
	}
}

func (tr *targetRun) warn(text string) {
	tr.warnings = append(tr.warnings, fmt.Sprintf("%v: %s", tr.Target, text))
}

// fail notes an error of the target.
func (tr *targetRun) fail(err error) {
	tr.errs = append(tr.errs, fmt.Errorf("%v: %w", tr.Target, err))
}

// warnOfStray warns of tags that do nothing. It finds mistyped ones only if it may ask EC2 for them.
func (e *Engine) warnOfStray(ctx context.Context, tr *targetRun, ask bool) {
	stray := tr.stray
	if ask {
		found, err := secgroup.FindStrayTags(ctx, tr.Target.EC2, e.TagKey)
		if err != nil {
			tr.warn(fmt.Sprintf("cannot look for mistyped tags: %v", err))
		} else {
			stray = found
		}
	}
	for _, tag := range stray {
		tr.warn(tag.String())
	}
}

// warnOfWorld warns of rules that are open to the world.
func (e *Engine) warnOfWorld(ctx context.Context, tr *targetRun, req Request) {
	changes := map[string][]Change{} // by ID of the holder
	for _, o := range tr.outcomes {
		if !req.DryRun {
			changes[o.plan.ID] = o.changes
		}
	}
	gone := func(holder string, id secgroup.RuleID) bool {
		return slices.Contains(changes[holder], Change{id, false})
	}
	scene, err := door.Around(ctx, tr.Target.EC2, tr.Plan, gone, req.Look)
	tr.sawWorld = err == nil
	if err != nil {
		tr.warn(fmt.Sprintf("cannot see what is open to the world: %v", err))
	}
	for _, unread := range scene.Unread() {
		tr.warn(unread)
	}
	at := tr.Plan.Attachments
	looked := at != nil && !at.Unknown
	for _, w := range door.World(scene, e.TagKey, nil) {
		if len(w.Opens) == 0 || looked && len(w.Interfaces) == 0 || len(req.GroupIDs) > 0 && !slices.Contains(req.GroupIDs, w.Group.ID) {
			continue
		}
		tr.open++
		tr.warn(fmt.Sprintf("open to the world: %v; anyone who finds the origin can bypass CloudFront and its WAF: close it or, if that is meant, name the port in the tag %s-public",
			w, e.TagKey))
	}
}

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
