package engine

import (
	"context"
	"fmt"
	"sync"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// watched is what a run has seen of who else gets in at a target.
type watched struct {
	mu      sync.Mutex
	removed map[string]map[secgroup.RuleID]bool // by ID of a group or list: what the run took away
	world   []door.WorldRule
	// sawAll tells whether the run looked at all groups of the network interfaces.
	sawAll bool
}

// syncAndWatch syncs a target. If asked to, it then warns of stray tags, and of rules that are open to the world once
// the steps are taken.
func (e *Engine) syncAndWatch(ctx context.Context, tr *targetReport, fetch func() (*iprange.Publication, error), req Request) {
	if !req.Watch {
		e.sync(ctx, tr, fetch, req)
		return
	}
	onStep, onChange := req.OnStep, req.OnChange
	req.OnStep = func(t *Target, step secgroup.Step) {
		for _, r := range step.Rules {
			tr.note(step.GroupID, r.RuleID, step.Op == secgroup.Revoke)
		}
		if onStep != nil {
			onStep(t, step)
		}
	}
	req.OnChange = func(t *Target, change secgroup.Change) {
		for _, entry := range change.Remove {
			tr.note(change.ListID, secgroup.RuleID{Source: secgroup.Source{Prefix: entry.Prefix}}, true)
		}
		if onChange != nil {
			onChange(t, change)
		}
	}
	e.sync(ctx, tr, fetch, req)
	if tr.planned {
		e.warnOfStray(ctx, tr, req.Look)
		e.warnOfWorld(ctx, tr, req)
	}
}

// note notes that a rule or an entry is gone, or is there.
func (w *watched) note(holder string, id secgroup.RuleID, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.removed == nil {
		w.removed = map[string]map[secgroup.RuleID]bool{}
	}
	if w.removed[holder] == nil {
		w.removed[holder] = map[secgroup.RuleID]bool{}
	}
	w.removed[holder][id] = gone
}

// warnOfStray warns of tags that do nothing. It finds mistyped ones only if it may ask EC2 for them.
func (e *Engine) warnOfStray(ctx context.Context, tr *targetReport, ask bool) {
	stray := tr.look.stray
	if ask {
		found, err := secgroup.FindStrayTags(ctx, tr.target.EC2, e.TagKey)
		if err != nil {
			tr.warnings = append(tr.warnings, fmt.Sprintf("%v: cannot look for mistyped tags: %v", tr.target, err))
		} else {
			stray = found
		}
	}
	for _, tag := range stray {
		tr.warnings = append(tr.warnings, fmt.Sprintf("%v: %v", tr.target, tag))
	}
}

// warnOfWorld warns of rules that are open to the world.
func (e *Engine) warnOfWorld(ctx context.Context, tr *targetReport, req Request) {
	gone := func(holder string, id secgroup.RuleID) bool { return tr.removed[holder][id] }
	scene, err := door.Around(ctx, tr.target.EC2, tr.plan, gone, req.Look)
	tr.sawAll = err == nil
	if err != nil {
		tr.warnings = append(tr.warnings, fmt.Sprintf("%v: cannot see what is open to the world: %v", tr.target, err))
	}
	for _, unread := range scene.Unread() {
		tr.warnings = append(tr.warnings, fmt.Sprintf("%v: %s", tr.target, unread))
	}
	at := tr.plan.Attachments
	looked := at != nil && !at.Unknown
	for _, w := range door.World(scene, e.TagKey, nil) {
		if len(w.Opens) == 0 || looked && len(w.Interfaces) == 0 || !wanted(w.Group.ID, req.GroupIDs) {
			continue
		}
		tr.world = append(tr.world, w)
		tr.warnings = append(tr.warnings, fmt.Sprintf("%v: open to the world: %v; anyone who finds the origin can bypass CloudFront and its WAF: close it or, if that is meant, name the port in the tag %s-public",
			tr.target, w, e.TagKey))
	}
}

// countWorld counts the rules that are open to the world, if all network interfaces were looked at.
func (r *Report) countWorld(results []*targetReport) {
	n := 0
	for _, tr := range results {
		if !r.Looked || !tr.sawAll {
			return
		}
		n += len(tr.world)
	}
	r.OpenToWorld = &n
}
