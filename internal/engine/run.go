package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"cloudfront-sg-sync/internal/door"
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
	described  bool             // whether the groups were
	incomplete int              // network interfaces that lack something
	world      []door.WorldRule // open to the world once the run is over
	sawWorld   bool             // whether all groups of the network interfaces were looked at
	planned    []string         // the IDs of all holders in the plan
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
		tr.world = append(tr.world, w)
		tr.warn(fmt.Sprintf("open to the world: %v; anyone who finds the origin can bypass CloudFront and its WAF: close it or, if that is meant, name the port in the tag %s-public",
			w, e.TagKey))
	}
}

// countWorld counts the rules that are open to the world, if all network interfaces were looked at.
func (r *Report) countWorld(runs []*targetRun) {
	n := 0
	for _, tr := range runs {
		if !r.Looked || !tr.sawWorld {
			return
		}
		n += len(tr.world)
	}
	r.OpenToWorld = &n
}
